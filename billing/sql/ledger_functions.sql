-- The only way into the ledger. Each function runs as the owner with a fixed search path;
-- the runtime role may execute them and read, nothing more.
--
-- Locks: rows of billing_ledgerbalance, always in the order of account_id.
-- Errors, by SQLSTATE: LG001 same key, other content; LG002 insufficient funds; LG003 the
-- hold is closed; LG004 already reversed; LG005 append-only; LG006 unbalanced; LG007 no such
-- account, hold or transaction.

-- What an account is, by its code: kind:purpose[:organisation]:currency. A guarded account
-- never falls below its floor; one without a balance row is never locked (fee, bank, VAT).
CREATE OR REPLACE FUNCTION ledger_open(p_code text) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint;
    v_parts text[] := string_to_array(p_code, ':');
    v_name text := v_parts[1] || ':' || v_parts[2];
    v_currency text := v_parts[array_length(v_parts, 1)];
    v_owned boolean;
    v_guarded boolean;  -- null: no balance row
    v_owner bigint;
BEGIN
    SELECT id INTO v_id FROM billing_ledgeraccount WHERE code = p_code;
    IF FOUND THEN
        RETURN v_id;
    END IF;
    SELECT c.owned, c.guarded INTO v_owned, v_guarded FROM (VALUES
        ('liability:wallet', true, true),
        ('liability:deposit', true, true),              -- paid ahead for leases
        ('liability:security', true, true),             -- 押金, kept to the end of a lease
        ('asset:tenant_arrears', true, true),           -- used, and not due yet by its terms
        ('asset:tenant_receivable', true, true),        -- due, and not paid
        ('liability:provider_accrued', true, false),    -- earned, not settled; negative is carried
        ('liability:provider_settling', true, true),    -- settled, waits for its payout
        ('liability:provider_reserve', true, true),     -- kept back of settlements for a while
        ('asset:provider_receivable', true, true),      -- a negative net nobody carries any more
        ('asset:bank', false, NULL),
        ('asset:stripe', false, NULL),
        ('asset:transit', false, NULL),                 -- left Stripe, not at the bank yet
        ('asset:dispute_receivable', false, NULL),      -- what Stripe took, until it is decided
        ('asset:fx', false, NULL),                      -- one leg here, one in another currency
        ('asset:input_vat', false, NULL),
        ('liability:unmatched_receipts', false, NULL),
        ('liability:vat', false, NULL),
        ('equity:adjustment', false, NULL),             -- what an accountant had to correct
        ('revenue:fee', false, NULL),
        ('revenue:sales', false, NULL),                 -- resale: the whole net price
        ('revenue:forfeit', false, NULL),
        ('expense:cost_of_sales', false, NULL),         -- resale: the provider's share
        ('expense:psp_fee', false, NULL),
        ('expense:bank_fee', false, NULL),
        ('expense:sla_credit', false, NULL),
        ('expense:bad_debt', false, NULL)
    ) AS c (name, owned, guarded) WHERE c.name = v_name;
    IF NOT FOUND OR v_currency !~ '^[A-Z]{3}$'
        OR array_length(v_parts, 1) <> (CASE WHEN v_owned THEN 4 ELSE 3 END)
    THEN
        RAISE EXCEPTION 'no ledger account is called %', p_code USING ERRCODE = 'LG007';
    END IF;
    IF v_owned THEN
        IF v_parts[3] !~ '^org_[0-9a-f]{32}$' THEN
            RAISE EXCEPTION 'no ledger account is called %', p_code USING ERRCODE = 'LG007';
        END IF;
        SELECT id INTO v_owner FROM inventory_organisation
         WHERE public_id = substr(v_parts[3], 5)::uuid;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no ledger account is called %', p_code USING ERRCODE = 'LG007';
        END IF;
    END IF;
    INSERT INTO billing_ledgeraccount (code, kind, purpose, currency, owner_id)
        VALUES (p_code, v_parts[1], v_parts[2], v_currency, v_owner)
        ON CONFLICT (code) DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN  -- opened by another at the same time
        SELECT id INTO STRICT v_id FROM billing_ledgeraccount WHERE code = p_code;
    ELSIF v_guarded IS NOT NULL THEN
        INSERT INTO billing_ledgerbalance
            (account_id, posted, held, floor_minor, guarded, version)
            VALUES (v_id, 0, 0, 0, v_guarded, 0);
    END IF;
    RETURN v_id;
END $$;

-- Opens the accounts where needed and locks their balances, in the order of account_id.
CREATE OR REPLACE FUNCTION ledger_lock(p_codes text[])
    RETURNS TABLE (code text, account_id bigint, posted bigint, held bigint, floor_minor bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_ids bigint[];
BEGIN
    SELECT array_agg(a.id) INTO v_ids
      FROM billing_ledgeraccount a WHERE a.code = ANY (p_codes);
    IF coalesce(array_length(v_ids, 1), 0) < (SELECT count(DISTINCT c) FROM unnest(p_codes) c)
    THEN  -- opened one by one in the order of codes, so that two openers never cross
        SELECT array_agg(ledger_open(s.c)) INTO v_ids
          FROM (SELECT DISTINCT c FROM unnest(p_codes) c ORDER BY c) s;
    END IF;
    -- Lock first, read in a later statement: the first one's snapshot may be old.
    PERFORM FROM billing_ledgerbalance b WHERE b.account_id = ANY (v_ids)
        ORDER BY b.account_id FOR NO KEY UPDATE;
    RETURN QUERY SELECT a.code::text, a.id, b.posted, b.held, b.floor_minor
        FROM billing_ledgeraccount a LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
        WHERE a.id = ANY (v_ids);
END $$;

-- One transaction, entries and balances in one call. Returns its id; the same key with the
-- same content returns the id of the first. Only `ledger_reverse` says what it reverses.
CREATE OR REPLACE FUNCTION ledger_write(
    p_kind text, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text, p_external text, p_codes text[], p_amounts bigint[],
    p_reverses bigint
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint;
    v_sha bytea := sha256(convert_to(jsonb_build_array(
        p_kind, extract(epoch FROM p_effective_at), p_external, p_codes, p_amounts, p_reverses
    )::text, 'UTF8'));
    v_known bytea;
    v_short record;
BEGIN
    INSERT INTO billing_ledgertransaction
        (idempotency_key, request_sha256, kind, external_reference, effective_at, created_at,
         reverses_id, actor, reason)
        VALUES (p_key, v_sha, p_kind, p_external, p_effective_at, p_created_at,
                p_reverses, p_actor, p_reason)
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING id INTO v_id;
    IF v_id IS NULL THEN
        SELECT id, request_sha256 INTO STRICT v_id, v_known
          FROM billing_ledgertransaction WHERE idempotency_key = p_key;
        IF v_known <> v_sha THEN
            RAISE EXCEPTION 'the key % was used for another content', p_key
                USING ERRCODE = 'LG001';
        END IF;
        RETURN v_id;
    END IF;

    PERFORM ledger_lock(p_codes);

    SELECT a.code, b.posted - b.held + b.floor_minor AS available,
           -ledger_normal(a.kind) * d.amount AS needed
      INTO v_short
      FROM (SELECT c, sum(m)::bigint AS amount
              FROM unnest(p_codes, p_amounts) AS e (c, m) GROUP BY c) d
      JOIN billing_ledgeraccount a ON a.code = d.c
      JOIN billing_ledgerbalance b ON b.account_id = a.id
     WHERE b.guarded AND ledger_normal(a.kind) * d.amount < 0
       AND b.posted - b.held + b.floor_minor + ledger_normal(a.kind) * d.amount < 0
     ORDER BY a.id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'insufficient funds in %', v_short.code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', v_short.code,
                'available', v_short.available, 'needed', v_short.needed)::text;
    END IF;

    INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)
        SELECT v_id, a.id, a.currency, e.m
          FROM unnest(p_codes, p_amounts) WITH ORDINALITY AS e (c, m, n)
          JOIN billing_ledgeraccount a ON a.code = e.c ORDER BY e.n;
    UPDATE billing_ledgerbalance b
       SET posted = b.posted + d.amount, version = b.version + 1
      FROM (SELECT a.id, (ledger_normal(a.kind) * sum(e.m))::bigint AS amount
              FROM unnest(p_codes, p_amounts) AS e (c, m)
              JOIN billing_ledgeraccount a ON a.code = e.c
             GROUP BY a.id, a.kind) d
     WHERE b.account_id = d.id;
    RETURN v_id;
END $$;

CREATE OR REPLACE FUNCTION ledger_post(
    p_kind text, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text, p_external text, p_codes text[], p_amounts bigint[]
) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT ledger_write(p_kind, p_key, p_effective_at, p_created_at, p_actor, p_reason,
                        p_external, p_codes, p_amounts, NULL)
$$;

-- Many transactions in one round trip: an array of {kind, key, effective_at, actor, reason,
-- external, codes, amounts}. Returns their ids in the same order.
CREATE OR REPLACE FUNCTION ledger_post_many(p_posts jsonb, p_created_at timestamptz) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_post jsonb;
    v_ids bigint[] := '{}';
BEGIN
    PERFORM ledger_lock(ARRAY(SELECT DISTINCT jsonb_array_elements_text(p -> 'codes')
                                FROM jsonb_array_elements(p_posts) p));
    FOR v_post IN SELECT jsonb_array_elements(p_posts) LOOP
        v_ids := v_ids || ledger_post(
            v_post ->> 'kind', v_post ->> 'key', (v_post ->> 'effective_at')::timestamptz,
            p_created_at, v_post ->> 'actor', v_post ->> 'reason', v_post ->> 'external',
            ARRAY(SELECT jsonb_array_elements_text(v_post -> 'codes')),
            ARRAY(SELECT jsonb_array_elements_text(v_post -> 'amounts')::bigint));
    END LOOP;
    RETURN v_ids;
END $$;

-- The exact opposite of a transaction, once.
CREATE OR REPLACE FUNCTION ledger_reverse(
    p_transaction_id bigint, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_codes text[];
    v_amounts bigint[];
BEGIN
    SELECT array_agg(a.code ORDER BY e.id), array_agg(-e.amount_minor ORDER BY e.id)
      INTO v_codes, v_amounts
      FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
     WHERE e.transaction_id = p_transaction_id;
    IF v_codes IS NULL THEN
        RAISE EXCEPTION 'no ledger transaction %', p_transaction_id USING ERRCODE = 'LG007';
    END IF;
    RETURN ledger_write('reversed', p_key, p_effective_at, p_created_at, p_actor, p_reason, '',
                        v_codes, v_amounts, p_transaction_id);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'ledger transaction % is already reversed', p_transaction_id
        USING ERRCODE = 'LG004';
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
