-- Money kept aside, and credit limits. See ledger_functions.sql for rights, locks and errors.

-- Keeps money aside in a guarded account. Same key and content: the same hold.
CREATE OR REPLACE FUNCTION ledger_place_hold(
    p_key text, p_code text, p_amount bigint, p_expires_at timestamptz, p_created_at timestamptz
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint;
    v_balance record;
    v_known record;
BEGIN
    SELECT * INTO STRICT v_balance FROM ledger_lock(ARRAY[p_code]);
    IF v_balance.posted IS NULL THEN
        RAISE EXCEPTION 'nothing can be held in %', p_code USING ERRCODE = 'LG007';
    END IF;
    INSERT INTO billing_ledgerhold
        (idempotency_key, account_id, amount_minor, captured_minor, state, expires_at, created_at)
        VALUES (p_key, v_balance.account_id, p_amount, 0, 'open', p_expires_at, p_created_at)
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        SELECT * INTO STRICT v_known FROM billing_ledgerhold WHERE idempotency_key = p_key;
        IF (v_known.account_id, v_known.amount_minor) <> (v_balance.account_id, p_amount) THEN
            RAISE EXCEPTION 'the key % was used for another content', p_key
                USING ERRCODE = 'LG001';
        END IF;
        IF v_known.state <> 'open' THEN
            RAISE EXCEPTION 'hold % is %', p_key, v_known.state USING ERRCODE = 'LG003';
        END IF;
        RETURN v_known.id;
    END IF;
    IF v_balance.posted - v_balance.held + v_balance.floor_minor < p_amount THEN
        RAISE EXCEPTION 'insufficient funds in %', p_code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', p_code, 'needed', p_amount, 'available',
                v_balance.posted - v_balance.held + v_balance.floor_minor)::text;
    END IF;
    UPDATE billing_ledgerbalance SET held = held + p_amount, version = version + 1
     WHERE account_id = v_balance.account_id;
    RETURN v_id;
END $$;

-- Gives a hold back whole. False where it was given back before.
CREATE OR REPLACE FUNCTION ledger_release_hold(p_key text, p_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold record;
BEGIN
    SELECT account_id INTO v_hold FROM billing_ledgerhold WHERE idempotency_key = p_key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no hold %', p_key USING ERRCODE = 'LG007';
    END IF;
    PERFORM FROM billing_ledgerbalance WHERE account_id = v_hold.account_id FOR NO KEY UPDATE;
    SELECT * INTO STRICT v_hold FROM billing_ledgerhold WHERE idempotency_key = p_key;
    IF v_hold.state = 'released' THEN
        RETURN false;
    ELSIF v_hold.state <> 'open' THEN
        RAISE EXCEPTION 'hold % is %', p_key, v_hold.state USING ERRCODE = 'LG003';
    END IF;
    UPDATE billing_ledgerhold SET state = 'released', closed_at = p_at WHERE id = v_hold.id;
    UPDATE billing_ledgerbalance SET held = held - v_hold.amount_minor, version = version + 1
     WHERE account_id = v_hold.account_id;
    RETURN true;
END $$;

-- Turns a hold into a posting that takes up to its amount from its account; the rest is free.
CREATE OR REPLACE FUNCTION ledger_capture_hold(
    p_hold_key text, p_kind text, p_key text, p_effective_at timestamptz,
    p_created_at timestamptz, p_actor text, p_reason text, p_external text,
    p_codes text[], p_amounts bigint[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold record;
    v_taken bigint;
BEGIN
    SELECT h.account_id, a.code, a.kind INTO v_hold FROM billing_ledgerhold h
      JOIN billing_ledgeraccount a ON a.id = h.account_id WHERE h.idempotency_key = p_hold_key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no hold %', p_hold_key USING ERRCODE = 'LG007';
    END IF;
    SELECT -ledger_normal(v_hold.kind) * coalesce(sum(m), 0) INTO v_taken
      FROM unnest(p_codes, p_amounts) AS e (c, m) WHERE c = v_hold.code;
    PERFORM ledger_lock(p_codes || v_hold.code::text);
    SELECT * INTO STRICT v_hold FROM billing_ledgerhold WHERE idempotency_key = p_hold_key;
    IF v_hold.state = 'open' THEN
        IF v_taken <= 0 OR v_taken > v_hold.amount_minor THEN
            RAISE EXCEPTION 'hold % is of %, not %', p_hold_key, v_hold.amount_minor, v_taken
                USING ERRCODE = 'LG002', DETAIL = jsonb_build_object(
                    'account', p_hold_key, 'available', v_hold.amount_minor,
                    'needed', v_taken)::text;
        END IF;
        UPDATE billing_ledgerhold
           SET state = 'captured', captured_minor = v_taken, closed_at = p_created_at
         WHERE id = v_hold.id;
        UPDATE billing_ledgerbalance SET held = held - v_hold.amount_minor, version = version + 1
         WHERE account_id = v_hold.account_id;
    ELSIF v_hold.state <> 'captured'
        OR NOT EXISTS (SELECT FROM billing_ledgertransaction WHERE idempotency_key = p_key)
    THEN
        RAISE EXCEPTION 'hold % is %', p_hold_key, v_hold.state USING ERRCODE = 'LG003';
    END IF;
    RETURN ledger_post(p_kind, p_key, p_effective_at, p_created_at, p_actor, p_reason,
                       p_external, p_codes, p_amounts);
END $$;

-- How far below zero a wallet may go. Refused while it already is further below.
CREATE OR REPLACE FUNCTION ledger_set_floor(p_code text, p_floor bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_balance record;
BEGIN
    SELECT * INTO STRICT v_balance FROM ledger_lock(ARRAY[p_code]);
    IF p_floor < 0 OR v_balance.posted IS NULL OR p_code NOT LIKE 'liability:wallet:%' THEN
        RAISE EXCEPTION 'no credit limit of % for %', p_floor, p_code USING ERRCODE = 'LG007';
    END IF;
    IF v_balance.posted - v_balance.held + p_floor < 0 THEN
        RAISE EXCEPTION 'insufficient funds in %', p_code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', p_code, 'needed', p_floor, 'available',
                v_balance.held - v_balance.posted)::text;
    END IF;
    UPDATE billing_ledgerbalance SET floor_minor = p_floor, version = version + 1
     WHERE account_id = v_balance.account_id;
END $$;
