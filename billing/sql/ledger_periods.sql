-- What a closed accounting period refuses by itself, whoever asks.

-- Closing waits for every posting under way and lets no other begin: each holds the books
-- shared until its end (`ledger_first_open`). Periods close in order and when they are over.
CREATE OR REPLACE FUNCTION ledger_period_closes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_last timestamptz;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'open' THEN
            RAISE EXCEPTION 'a period begins open' USING ERRCODE = 'LG008';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.state = 'closed' THEN
        RAISE EXCEPTION 'a closed period stays as it is' USING ERRCODE = 'LG008';
    END IF;
    IF NEW.state = 'closed' THEN
        -- What this very transaction has posted so far was posted before the close.
        SET CONSTRAINTS ledger_transaction_balanced IMMEDIATE;
        SET CONSTRAINTS ledger_transaction_balanced DEFERRED;
        PERFORM pg_advisory_xact_lock(hashtext('ledger periods'));
        SELECT max(ends_at) INTO v_last FROM billing_accountingperiod WHERE state = 'closed';
        IF NEW.starts_at <> coalesce(v_last, NEW.starts_at) OR NEW.ends_at > NEW.closed_at THEN
            RAISE EXCEPTION 'periods close in order, and when they are over'
                USING ERRCODE = 'LG008';
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER ledger_period_closes BEFORE INSERT OR UPDATE
    ON billing_accountingperiod FOR EACH ROW EXECUTE FUNCTION ledger_period_closes();
CREATE OR REPLACE TRIGGER ledger_period_stays BEFORE DELETE
    ON billing_accountingperiod FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_period_no_truncate BEFORE TRUNCATE
    ON billing_accountingperiod FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();

-- Balanced, of two entries or more, and in an open period: one check per header, at commit.
CREATE OR REPLACE FUNCTION ledger_transaction_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
    v_wrong text;
BEGIN
    SELECT coalesce(sum(s.entries), 0),
           string_agg(s.currency || ' ' || s.total, ', ') FILTER (WHERE s.total <> 0)
      INTO v_count, v_wrong
      FROM (SELECT currency, count(*) AS entries, sum(amount_minor) AS total
              FROM billing_ledgerentry WHERE transaction_id = NEW.id GROUP BY currency) s;
    IF v_count < 2 THEN
        RAISE EXCEPTION 'ledger transaction % has fewer than two entries', NEW.id
            USING ERRCODE = 'LG006';
    END IF;
    IF v_wrong IS NOT NULL THEN
        RAISE EXCEPTION 'ledger transaction % does not sum to zero: %', NEW.id, v_wrong
            USING ERRCODE = 'LG006';
    END IF;
    IF EXISTS (SELECT FROM billing_accountingperiod
                WHERE state = 'closed' AND ends_at > NEW.effective_at)
    THEN
        RAISE EXCEPTION 'ledger transaction % is of a closed period', NEW.id
            USING ERRCODE = 'LG008';
    END IF;
    RETURN NULL;
END $$;
