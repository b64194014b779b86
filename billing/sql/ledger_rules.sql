-- What the ledger refuses by itself, whoever asks. Reading order: columns, seals, sums.

ALTER TABLE billing_ledgertransaction
    ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();

-- Debits raise assets and expenses, credits raise the rest.
CREATE FUNCTION ledger_normal(p_kind text) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT CASE WHEN p_kind IN ('asset', 'expense') THEN 1 ELSE -1 END $$;

-- Written once. TRUNCATE too: it fires no row trigger.
CREATE FUNCTION ledger_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'LG005';
END $$;

CREATE TRIGGER ledger_transaction_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgertransaction FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_entry_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgerentry FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_account_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgeraccount FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_balance_stays BEFORE DELETE
    ON billing_ledgerbalance FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_hold_stays BEFORE DELETE
    ON billing_ledgerhold FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_transaction_no_truncate BEFORE TRUNCATE
    ON billing_ledgertransaction FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE
    ON billing_ledgerentry FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_account_no_truncate BEFORE TRUNCATE
    ON billing_ledgeraccount FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_balance_no_truncate BEFORE TRUNCATE
    ON billing_ledgerbalance FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE TRIGGER ledger_hold_no_truncate BEFORE TRUNCATE
    ON billing_ledgerhold FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- A hold is settled once, and what it holds never changes.
CREATE FUNCTION ledger_hold_settles_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'open' OR NEW.state = 'open'
        OR (NEW.id, NEW.idempotency_key, NEW.account_id, NEW.amount_minor, NEW.created_at)
           IS DISTINCT FROM
           (OLD.id, OLD.idempotency_key, OLD.account_id, OLD.amount_minor, OLD.created_at)
    THEN
        RAISE EXCEPTION 'hold % is settled once and never changed', OLD.idempotency_key
            USING ERRCODE = 'LG005';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ledger_hold_settles_once BEFORE UPDATE
    ON billing_ledgerhold FOR EACH ROW EXECUTE FUNCTION ledger_hold_settles_once();

-- Sealed: nothing is added to a header that an earlier database transaction committed.
CREATE FUNCTION ledger_entry_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added a JOIN billing_ledgertransaction t ON t.id = a.transaction_id
         WHERE t.xid <> pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'the ledger transaction is sealed' USING ERRCODE = 'LG005';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_entry_sealed AFTER INSERT ON billing_ledgerentry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_entry_sealed();

-- Balanced: one check per header, at commit.
CREATE FUNCTION ledger_transaction_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_wrong text;
BEGIN
    IF (SELECT count(*) FROM billing_ledgerentry WHERE transaction_id = NEW.id) < 2 THEN
        RAISE EXCEPTION 'ledger transaction % has fewer than two entries', NEW.id
            USING ERRCODE = 'LG006';
    END IF;
    SELECT string_agg(s.currency || ' ' || s.total, ', ') INTO v_wrong
      FROM (SELECT currency, sum(amount_minor) AS total FROM billing_ledgerentry
             WHERE transaction_id = NEW.id GROUP BY currency) s
     WHERE s.total <> 0;
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero: %', NEW.id, v_wrong
            USING ERRCODE = 'LG006';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ledger_transaction_balanced AFTER INSERT
    ON billing_ledgertransaction DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger_transaction_balanced();

ALTER TABLE billing_ledgerbalance SET (fillfactor = 50);
