-- Invoices: immutable once final, the sum of their lines; fapiaos never above them.

CREATE OR REPLACE FUNCTION invoice_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'invoices are never deleted' USING ERRCODE = 'IV001';
    END IF;
    IF OLD.state <> 'draft' AND
       to_jsonb(NEW) - '{payment_status,paid_at}'::text[]
       IS DISTINCT FROM to_jsonb(OLD) - '{payment_status,paid_at}'::text[] THEN
        RAISE EXCEPTION 'invoice % is % and does not change', OLD.id, OLD.state
            USING ERRCODE = 'IV001';
    END IF;
    IF (NEW.kind, NEW.subject, NEW.issuer_id, NEW.party_id, NEW.currency, NEW.public_id,
        NEW.created_at) IS DISTINCT FROM
       (OLD.kind, OLD.subject, OLD.issuer_id, OLD.party_id, OLD.currency, OLD.public_id,
        OLD.created_at) THEN
        RAISE EXCEPTION 'invoice % keeps its parties', OLD.id USING ERRCODE = 'IV001';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS invoice_guard ON billing_invoice;
CREATE TRIGGER invoice_guard BEFORE UPDATE OR DELETE ON billing_invoice
    FOR EACH ROW EXECUTE FUNCTION invoice_guard();

-- The lines of what is no draft neither come, go nor change.
CREATE OR REPLACE FUNCTION invoice_line_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM FROM billing_invoice WHERE id = OLD.invoice_id AND state = 'draft';
        IF NOT FOUND OR TG_OP = 'DELETE' THEN
            RAISE EXCEPTION 'line % is of a final invoice', OLD.id USING ERRCODE = 'IV001';
        END IF;
    END IF;
    PERFORM FROM billing_invoice WHERE id = NEW.invoice_id AND state = 'draft';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'invoice % is no draft', NEW.invoice_id USING ERRCODE = 'IV001';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS invoice_line_guard ON billing_invoiceline;
CREATE TRIGGER invoice_line_guard BEFORE INSERT OR UPDATE OR DELETE ON billing_invoiceline
    FOR EACH ROW EXECUTE FUNCTION invoice_line_guard();

-- Nor do charges join them. By statement: a month has millions.
CREATE OR REPLACE FUNCTION billed_charge_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT line_id FROM made) m
               JOIN billing_invoiceline l ON l.id = m.line_id
               JOIN billing_invoice i ON i.id = l.invoice_id WHERE i.state <> 'draft') THEN
        RAISE EXCEPTION 'charges join drafts only' USING ERRCODE = 'IV001';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS billed_charge_guard ON billing_billedcharge;
CREATE TRIGGER billed_charge_guard AFTER INSERT ON billing_billedcharge
    REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION billed_charge_guard();

-- At commit an invoice is the sum of its lines.
CREATE OR REPLACE FUNCTION invoice_adds_up() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wrong bigint;
BEGIN
    SELECT i.id INTO wrong FROM billing_invoice i CROSS JOIN LATERAL (
        SELECT coalesce(sum(l.net_minor), 0) AS net, coalesce(sum(l.vat_minor), 0) AS vat,
               coalesce(sum(l.gross_minor), 0) AS gross,
               coalesce(sum(l.card_seconds), 0) AS card_seconds
        FROM billing_invoiceline l WHERE l.invoice_id = i.id) s
    WHERE i.id = NEW.id AND (i.net_minor, i.vat_minor, i.total_minor, i.card_seconds)
        IS DISTINCT FROM (s.net, s.vat, s.gross, s.card_seconds);
    IF FOUND THEN
        RAISE EXCEPTION 'invoice % is not the sum of its lines', wrong USING ERRCODE = 'IV002';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS invoice_is_its_lines ON billing_invoice;
CREATE CONSTRAINT TRIGGER invoice_is_its_lines AFTER INSERT OR UPDATE ON billing_invoice
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION invoice_adds_up();

-- The counter of a series only counts up, one by one for each number given.
CREATE OR REPLACE FUNCTION invoice_series_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.last_number < OLD.last_number
       OR (NEW.issuer_id, NEW.kind) <> (OLD.issuer_id, OLD.kind) THEN
        RAISE EXCEPTION 'a series counts up' USING ERRCODE = 'IV003';
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS invoice_series_guard ON billing_invoiceseries;
CREATE TRIGGER invoice_series_guard BEFORE UPDATE ON billing_invoiceseries
    FOR EACH ROW EXECUTE FUNCTION invoice_series_guard();

-- At commit no number of a series is missing: as many documents as the counter says.
CREATE OR REPLACE FUNCTION invoice_series_gapless() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM billing_invoiceseries s
    WHERE s.id = NEW.id AND s.last_number IS DISTINCT FROM coalesce((
        SELECT max(i.number) FROM billing_invoice i
        WHERE i.issuer_id = s.issuer_id AND i.kind = s.kind AND i.number IS NOT NULL), 0);
    IF FOUND THEN
        RAISE EXCEPTION 'series % has a number without a document', NEW.id
            USING ERRCODE = 'IV003';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS invoice_series_gapless ON billing_invoiceseries;
CREATE CONSTRAINT TRIGGER invoice_series_gapless AFTER INSERT OR UPDATE ON billing_invoiceseries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION invoice_series_gapless();

-- At commit the fapiaos of an invoice are not above it, and a fapiao is the sum of its parts.
CREATE OR REPLACE FUNCTION fapiao_conserved() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE wanted bigint := CASE WHEN TG_TABLE_NAME = 'billing_fapiao'
                              THEN (to_jsonb(NEW)->>'id')::bigint
                              ELSE (to_jsonb(NEW)->>'fapiao_id')::bigint END;
BEGIN
    PERFORM FROM billing_fapiao f WHERE f.id = wanted AND f.amount_minor IS DISTINCT FROM
        (SELECT sum(p.amount_minor) FROM billing_fapiaopart p WHERE p.fapiao_id = f.id);
    IF FOUND THEN
        RAISE EXCEPTION 'a fapiao is the sum of its parts' USING ERRCODE = 'IV004';
    END IF;
    PERFORM FROM billing_fapiaopart p JOIN billing_invoice i ON i.id = p.invoice_id
        JOIN billing_fapiao f ON f.id = p.fapiao_id
    WHERE p.fapiao_id = wanted AND f.state IN ('requested', 'issued') AND (
        i.state <> 'finalised' OR i.kind <> 'invoice'
        OR (i.issuer_id, i.party_id, i.currency) <> (f.issuer_id, f.buyer_id, f.currency)
        OR i.total_minor < (
            SELECT sum(o.amount_minor) FROM billing_fapiaopart o
            JOIN billing_fapiao of ON of.id = o.fapiao_id
            WHERE o.invoice_id = i.id AND of.state IN ('requested', 'issued')));
    IF FOUND THEN
        RAISE EXCEPTION 'the fapiaos of an invoice are above it' USING ERRCODE = 'IV004';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER IF EXISTS fapiao_conserved ON billing_fapiao;
CREATE CONSTRAINT TRIGGER fapiao_conserved AFTER INSERT OR UPDATE ON billing_fapiao
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fapiao_conserved();
DROP TRIGGER IF EXISTS fapiao_conserved ON billing_fapiaopart;
CREATE CONSTRAINT TRIGGER fapiao_conserved AFTER INSERT ON billing_fapiaopart
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fapiao_conserved();
