-- What the records beside headers and entries refuse, and what an entry has to be.

-- A hold ends once. While it is open it can only grow, last longer and be captured.
CREATE OR REPLACE FUNCTION ledger_hold_settles_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'open'
        OR (NEW.id, NEW.idempotency_key, NEW.account_id, NEW.placed_minor, NEW.created_at)
           IS DISTINCT FROM
           (OLD.id, OLD.idempotency_key, OLD.account_id, OLD.placed_minor, OLD.created_at)
        OR NEW.amount_minor < OLD.amount_minor OR NEW.captured_minor < OLD.captured_minor
        OR NEW.expires_at < OLD.expires_at
        OR (OLD.expires_at IS NULL AND NEW.expires_at IS NOT NULL)
        OR (NEW.state <> 'open' AND NEW.amount_minor <> OLD.amount_minor)
    THEN
        RAISE EXCEPTION 'hold % is settled once and only grows', OLD.idempotency_key
            USING ERRCODE = 'LG005';
    END IF;
    RETURN NEW;
END $$;

-- Sealed, and in place: nothing is added to a header that an earlier database transaction
-- committed or that is not there, and an entry is in the currency of its account. Headers and
-- accounts are never changed or removed, so that this holds as foreign keys would, for all
-- entries of a statement at once.
CREATE OR REPLACE FUNCTION ledger_entry_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_wrong record;
BEGIN
    SELECT t.xid IS DISTINCT FROM pg_current_xact_id() AS sealed, e.transaction_id
      INTO v_wrong
      FROM added e
      LEFT JOIN billing_ledgertransaction t ON t.id = e.transaction_id
      LEFT JOIN billing_ledgeraccount a ON a.id = e.account_id
     WHERE t.xid IS DISTINCT FROM pg_current_xact_id()
        OR a.currency IS DISTINCT FROM e.currency
     LIMIT 1;
    IF FOUND AND v_wrong.sealed THEN
        RAISE EXCEPTION 'the ledger transaction is sealed' USING ERRCODE = 'LG005';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'an entry is in the currency of its account' USING ERRCODE = 'LG006';
    END IF;
    RETURN NULL;
END $$;

-- Written once, as the entries are.
CREATE OR REPLACE TRIGGER ledger_capture_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgercapture FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_capture_no_truncate BEFORE TRUNCATE
    ON billing_ledgercapture FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_exchange_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgerexchange FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_exchange_no_truncate BEFORE TRUNCATE
    ON billing_ledgerexchange FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_checkpoint_append_only BEFORE UPDATE OR DELETE
    ON billing_ledgercheckpoint FOR EACH ROW EXECUTE FUNCTION ledger_refuse_change();
CREATE OR REPLACE TRIGGER ledger_checkpoint_no_truncate BEFORE TRUNCATE
    ON billing_ledgercheckpoint FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_change();
