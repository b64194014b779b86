-- Money kept aside in guarded accounts. See ledger_functions.sql for rights, locks and errors.
--
-- An open hold keeps `amount_minor - captured_minor` aside. From its `expires_at` on it can be
-- neither extended nor captured, swept or not; the sweep frees the money.

-- The hold of a key, its account's balance locked. Every verb on a hold begins here.
CREATE OR REPLACE FUNCTION ledger_lock_hold(p_key text, p_codes text[] DEFAULT '{}')
    RETURNS billing_ledgerhold
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold billing_ledgerhold;
    v_code text;
BEGIN
    SELECT a.code INTO v_code FROM billing_ledgerhold h
      JOIN billing_ledgeraccount a ON a.id = h.account_id WHERE h.idempotency_key = p_key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no hold %', p_key USING ERRCODE = 'LG007';
    END IF;
    PERFORM ledger_lock(p_codes || v_code);
    SELECT * INTO STRICT v_hold FROM billing_ledgerhold WHERE idempotency_key = p_key;
    RETURN v_hold;
END $$;

CREATE OR REPLACE FUNCTION ledger_require_open(p_hold billing_ledgerhold, p_at timestamptz)
    RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_hold.state <> 'open' THEN
        RAISE EXCEPTION 'hold % is %', p_hold.idempotency_key, p_hold.state
            USING ERRCODE = 'LG003';
    ELSIF p_hold.expires_at <= p_at THEN
        RAISE EXCEPTION 'hold % has lapsed', p_hold.idempotency_key USING ERRCODE = 'LG003';
    END IF;
END $$;

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
    INSERT INTO billing_ledgerhold (idempotency_key, account_id, placed_minor, amount_minor,
                                    captured_minor, state, expires_at, created_at)
        VALUES (p_key, v_balance.account_id, p_amount, p_amount, 0, 'open', p_expires_at,
                p_created_at)
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        SELECT * INTO STRICT v_known FROM billing_ledgerhold WHERE idempotency_key = p_key;
        IF (v_known.account_id, v_known.placed_minor) <> (v_balance.account_id, p_amount) THEN
            RAISE EXCEPTION 'the key % was used for another content', p_key
                USING ERRCODE = 'LG001';
        END IF;
        IF v_known.state <> 'open' THEN
            RAISE EXCEPTION 'hold % is %', p_key, v_known.state USING ERRCODE = 'LG003';
        END IF;
        RETURN v_known.id;
    END IF;
    PERFORM ledger_keep(v_balance.account_id, p_code, p_amount);
    RETURN v_id;
END $$;

-- So much more is held in an account whose balance is locked.
CREATE OR REPLACE FUNCTION ledger_keep(p_account bigint, p_code text, p_amount bigint) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_available numeric;
BEGIN
    SELECT posted::numeric - held + floor_minor INTO STRICT v_available
      FROM billing_ledgerbalance WHERE account_id = p_account;
    IF v_available < p_amount THEN
        RAISE EXCEPTION 'insufficient funds in %', p_code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', p_code, 'needed', p_amount,
                                        'available', v_available)::text;
    END IF;
    UPDATE billing_ledgerbalance SET held = held + p_amount, version = version + 1
     WHERE account_id = p_account;
END $$;

-- Holds at least so much, until at least then; the hold's amount afterwards. An instant of
-- null never comes. In any order and number, the same calls leave the same hold.
CREATE OR REPLACE FUNCTION ledger_extend_hold(
    p_key text, p_amount bigint, p_expires_at timestamptz, p_at timestamptz
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold billing_ledgerhold := ledger_lock_hold(p_key);
    v_more bigint := greatest(0, p_amount - v_hold.amount_minor);
BEGIN
    PERFORM ledger_require_open(v_hold, p_at);
    IF v_more > 0 THEN
        PERFORM ledger_keep(v_hold.account_id, a.code, v_more)
           FROM billing_ledgeraccount a WHERE a.id = v_hold.account_id;
    END IF;
    UPDATE billing_ledgerhold
       SET amount_minor = amount_minor + v_more,
           expires_at = CASE WHEN expires_at < p_expires_at OR p_expires_at IS NULL
                             THEN p_expires_at ELSE expires_at END
     WHERE id = v_hold.id;
    RETURN v_hold.amount_minor + v_more;
END $$;

-- What is left of a hold is free; the hold is over in that state.
CREATE OR REPLACE FUNCTION ledger_end_hold(
    p_hold billing_ledgerhold, p_state text, p_at timestamptz
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE billing_ledgerhold SET state = p_state, closed_at = p_at WHERE id = p_hold.id;
    UPDATE billing_ledgerbalance
       SET held = held - (p_hold.amount_minor - p_hold.captured_minor), version = version + 1
     WHERE account_id = p_hold.account_id;
    RETURN true;
END $$;

-- Gives back what is left of a hold. False where it was given back, or lapsed, before.
CREATE OR REPLACE FUNCTION ledger_release_hold(p_key text, p_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold billing_ledgerhold := ledger_lock_hold(p_key);
BEGIN
    IF v_hold.state IN ('released', 'expired') THEN
        RETURN false;
    ELSIF v_hold.state <> 'open' THEN
        RAISE EXCEPTION 'hold % is %', p_key, v_hold.state USING ERRCODE = 'LG003';
    END IF;
    RETURN ledger_end_hold(v_hold, 'released', p_at);
END $$;

-- A hold whose time is over lapses. False where it is over already, or was extended.
CREATE OR REPLACE FUNCTION ledger_expire_hold(p_key text, p_at timestamptz) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold billing_ledgerhold := ledger_lock_hold(p_key);
BEGIN
    IF v_hold.state <> 'open' OR v_hold.expires_at IS NULL OR v_hold.expires_at > p_at THEN
        RETURN false;
    END IF;
    RETURN ledger_end_hold(v_hold, 'expired', p_at);
END $$;

-- Takes up to what is left of a hold from its account, by a posting. The rest stays held where
-- that is asked for, and is free otherwise.
CREATE OR REPLACE FUNCTION ledger_capture(
    p_hold_key text, p_kind text, p_key text, p_effective_at timestamptz,
    p_created_at timestamptz, p_actor text, p_reason text, p_external text,
    p_codes text[], p_amounts bigint[], p_keep_rest boolean
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_hold billing_ledgerhold := ledger_lock_hold(p_hold_key, p_codes);
    v_taken numeric;
    v_rest bigint;
    v_id bigint;
BEGIN
    SELECT -ledger_normal(a.kind) * coalesce(sum(e.m), 0) INTO v_taken
      FROM billing_ledgeraccount a LEFT JOIN unnest(p_codes, p_amounts) AS e (c, m) ON e.c = a.code
     WHERE a.id = v_hold.account_id GROUP BY a.kind;
    SELECT id INTO v_id FROM billing_ledgertransaction WHERE idempotency_key = p_key;
    IF FOUND THEN
        IF NOT EXISTS (SELECT FROM billing_ledgercapture
                        WHERE transaction_id = v_id AND hold_id = v_hold.id)
        THEN
            RAISE EXCEPTION 'the key % was used for another content', p_key
                USING ERRCODE = 'LG001';
        END IF;  -- else the posting compares the content and returns the first one's id
    ELSE
        PERFORM ledger_require_open(v_hold, p_created_at);
        v_rest := v_hold.amount_minor - v_hold.captured_minor;
        IF v_taken <= 0 OR v_taken > v_rest THEN
            RAISE EXCEPTION 'hold % has % left, not %', p_hold_key, v_rest, v_taken
                USING ERRCODE = 'LG002', DETAIL = jsonb_build_object(
                    'account', p_hold_key, 'available', v_rest, 'needed', v_taken)::text;
        END IF;
        UPDATE billing_ledgerhold SET captured_minor = captured_minor + v_taken
         WHERE id = v_hold.id;
        UPDATE billing_ledgerbalance SET held = held - v_taken, version = version + 1
         WHERE account_id = v_hold.account_id;
        IF v_taken = v_rest OR NOT p_keep_rest THEN
            v_hold.captured_minor := v_hold.captured_minor + v_taken;
            PERFORM ledger_end_hold(v_hold, 'captured', p_created_at);
        END IF;
    END IF;
    v_id := ledger_write(p_kind, p_key, p_effective_at, p_created_at, p_actor, p_reason,
                         p_external, p_codes, p_amounts, NULL);
    INSERT INTO billing_ledgercapture (transaction_id, hold_id, amount_minor)
        VALUES (v_id, v_hold.id, v_taken) ON CONFLICT (transaction_id) DO NOTHING;
    RETURN v_id;
END $$;

-- Turns a hold into a posting that takes up to its amount from its account; the rest is free.
CREATE OR REPLACE FUNCTION ledger_capture_hold(
    p_hold_key text, p_kind text, p_key text, p_effective_at timestamptz,
    p_created_at timestamptz, p_actor text, p_reason text, p_external text,
    p_codes text[], p_amounts bigint[]
) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT ledger_capture(p_hold_key, p_kind, p_key, p_effective_at, p_created_at, p_actor,
                          p_reason, p_external, p_codes, p_amounts, false)
$$;

-- As ledger_capture_hold, but the rest stays held.
CREATE OR REPLACE FUNCTION ledger_capture_part(
    p_hold_key text, p_kind text, p_key text, p_effective_at timestamptz,
    p_created_at timestamptz, p_actor text, p_reason text, p_external text,
    p_codes text[], p_amounts bigint[]
) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT ledger_capture(p_hold_key, p_kind, p_key, p_effective_at, p_created_at, p_actor,
                          p_reason, p_external, p_codes, p_amounts, true)
$$;

-- How far below zero a wallet may go, and until when. Refused while it already is further below.
CREATE OR REPLACE FUNCTION ledger_set_floor(p_code text, p_floor bigint, p_until timestamptz)
    RETURNS void
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
    UPDATE billing_ledgerbalance
       SET floor_minor = p_floor, floor_until = CASE WHEN p_floor > 0 THEN p_until END,
           version = version + 1
     WHERE account_id = v_balance.account_id;
END $$;

-- A credit limit whose time is over falls to what is drawn on it, and further with every
-- payment; the limit afterwards, null where it has time left.
CREATE OR REPLACE FUNCTION ledger_lapse_floor(p_code text, p_at timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_balance record;
    v_floor bigint;
BEGIN
    SELECT * INTO STRICT v_balance FROM ledger_lock(ARRAY[p_code]);
    UPDATE billing_ledgerbalance
       SET floor_minor = least(floor_minor, greatest(0, held - posted)),
           floor_until = CASE WHEN held > posted THEN floor_until END, version = version + 1
     WHERE account_id = v_balance.account_id AND floor_until <= p_at
    RETURNING floor_minor INTO v_floor;
    RETURN v_floor;
END $$;
