-- What the bank and Stripe say, what the books say, and when one is the other.

-- What each transaction moved an account of money outside by.
CREATE OR REPLACE VIEW reconciliation_movement AS
    SELECT e.account_id, e.transaction_id, a.code, a.purpose, a.currency,
           sum(e.amount_minor)::bigint AS net_minor
      FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
     WHERE a.purpose IN ('bank', 'stripe')
     GROUP BY e.account_id, e.transaction_id, a.code, a.purpose, a.currency
    HAVING sum(e.amount_minor) <> 0;

-- What an account had before its first line: as a line of its own, the day before.
CREATE OR REPLACE VIEW reconciliation_opening AS
    SELECT DISTINCT ON (s.account_id) s.id AS statement_id, s.account_id AS held_at_id, b.currency,
           s.opening_minor AS net_minor, s.first_date - 1 AS booked_date,
           'bst_' || replace(s.public_id::text, '-', '') AS name
      FROM billing_bankstatement s JOIN billing_bankaccount b ON b.id = s.account_id
     ORDER BY s.account_id, s.first_date, s.id;

-- The matches nobody has undone.
CREATE OR REPLACE VIEW reconciliation_live AS
    SELECT m.* FROM billing_reconciliationmatch m
     WHERE NOT EXISTS (SELECT FROM billing_reconciliationreversal r WHERE r.match_id = m.id);

-- A match is of two sides that are there, in one currency, of one amount, and free. Whoever
-- matches on an account does so alone, so that what is looked at here cannot change meanwhile.
CREATE OR REPLACE FUNCTION reconciliation_match_holds() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_movement record;
    v_outside record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('reconciliation'), NEW.account_id::integer);
    SELECT m.purpose::text, m.currency::text, m.net_minor INTO v_movement FROM reconciliation_movement m
     WHERE m.transaction_id = NEW.transaction_id AND m.account_id = NEW.account_id;
    CASE
        WHEN NEW.bank_line_id IS NOT NULL THEN
            SELECT 'bank' AS purpose, l.currency::text, l.amount_minor AS net_minor INTO v_outside
              FROM billing_bankline l WHERE l.id = NEW.bank_line_id;
        WHEN NEW.psp_line_id IS NOT NULL THEN
            SELECT 'stripe' AS purpose, p.currency::text, p.net_minor INTO v_outside
              FROM billing_pspbalancetransaction p WHERE p.transaction_id = NEW.psp_line_id;
        WHEN NEW.opening_id IS NOT NULL THEN
            SELECT 'bank' AS purpose, o.currency::text, o.net_minor INTO v_outside
              FROM reconciliation_opening o WHERE o.statement_id = NEW.opening_id;
        ELSE
            SELECT m.purpose::text, m.currency::text, -m.net_minor AS net_minor INTO v_outside
              FROM reconciliation_movement m
             WHERE m.transaction_id = NEW.offset_id AND m.account_id = NEW.account_id;
    END CASE;
    IF v_movement.net_minor IS NULL OR v_outside.net_minor IS NULL
        OR (v_movement.purpose, v_movement.currency) <> (v_outside.purpose, v_outside.currency)
    THEN
        RAISE EXCEPTION 'a match is of a line and a movement of its account'
            USING ERRCODE = 'RC001';
    END IF;
    IF v_movement.net_minor <> v_outside.net_minor THEN
        RAISE EXCEPTION 'the amounts differ: % and %', v_movement.net_minor, v_outside.net_minor
            USING ERRCODE = 'RC002';
    END IF;
    IF EXISTS (
        SELECT FROM reconciliation_live m
         WHERE m.account_id = NEW.account_id
           AND (m.transaction_id IN (NEW.transaction_id, NEW.offset_id)
                OR m.offset_id IN (NEW.transaction_id, NEW.offset_id)
                OR m.bank_line_id = NEW.bank_line_id OR m.psp_line_id = NEW.psp_line_id
                OR m.opening_id = NEW.opening_id))
    THEN
        RAISE EXCEPTION 'one side is matched already' USING ERRCODE = 'RC003';
    END IF;
    NEW.net_minor := v_movement.net_minor;
    NEW.currency := v_movement.currency;
    NEW.movement_round := (
        SELECT count(*) FROM billing_reconciliationmatch m
         WHERE m.account_id = NEW.account_id AND m.transaction_id = NEW.transaction_id);
    NEW.line_round := (
        SELECT count(*) FROM billing_reconciliationmatch m
         WHERE m.bank_line_id = NEW.bank_line_id OR m.psp_line_id = NEW.psp_line_id
            OR m.opening_id = NEW.opening_id
            OR (m.offset_id = NEW.offset_id AND m.account_id = NEW.account_id));
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER reconciliation_match_holds BEFORE INSERT
    ON billing_reconciliationmatch FOR EACH ROW EXECUTE FUNCTION reconciliation_match_holds();
