-- The only way into the ledger. Each function runs as the owner with a fixed search path;
-- the runtime role may execute them and read, nothing more.
--
-- Locks: the books, shared (a period that closes takes them alone); then rows of
-- billing_ledgerbalance, always in the order of account_id.
-- Errors, by SQLSTATE: LG001 same key, other content; LG002 insufficient funds; LG003 the
-- hold is closed; LG004 already reversed; LG005 append-only; LG006 unbalanced; LG007 no such
-- account, hold or transaction; LG008 the period is closed.

-- Until the end of this transaction no period closes; the first instant that is still open,
-- null where nothing was ever closed. Two statements: the first one's snapshot may be old.
CREATE OR REPLACE FUNCTION ledger_first_open() RETURNS timestamptz
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtext('ledger periods'));
    RETURN (SELECT max(ends_at) FROM billing_accountingperiod WHERE state = 'closed');
END $$;

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
        ('expense:bad_debt', false, NULL),
        ('expense:fx_difference', false, NULL)          -- what an exchange cost; a gain is negative
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
    -- Before any balance: whoever waits for a closing period must not be waited for by it.
    PERFORM pg_advisory_xact_lock_shared(hashtext('ledger periods'));
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

-- What a posting says, as its key stands for it. The instant is the one asked for: a period
-- that closes between two tries does not make the second another posting.
CREATE OR REPLACE FUNCTION ledger_content(
    p_kind text, p_effective_at timestamptz, p_external text, p_codes text[],
    p_amounts bigint[], p_reverses bigint
) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(jsonb_build_array(p_kind, extract(epoch FROM p_effective_at),
        p_external, p_codes, p_amounts, p_reverses)::text, 'UTF8'))
$$;

-- One transaction, entries and balances in one call. Returns its id; the same key with the
-- same content returns the id of the first. Only `ledger_reverse` says what it reverses. A
-- fact of a closed period is booked at the first open instant.
CREATE OR REPLACE FUNCTION ledger_write(
    p_kind text, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text, p_external text, p_codes text[], p_amounts bigint[],
    p_reverses bigint
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint;
    v_open timestamptz := ledger_first_open();
    v_sha bytea := ledger_content(p_kind, p_effective_at, p_external, p_codes, p_amounts, p_reverses);
    v_known bytea;
    v_ids bigint[];       -- of the accounts, entry by entry …
    v_currencies text[];
    v_moves bigint[];     -- … and what each balance moves by
    v_short record;
BEGIN
    INSERT INTO billing_ledgertransaction
        (idempotency_key, request_sha256, kind, external_reference, effective_at, created_at,
         reverses_id, actor, reason)
        VALUES (p_key, v_sha, p_kind, p_external, greatest(p_effective_at, v_open), p_created_at,
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

    LOOP
        SELECT array_agg(a.id ORDER BY e.n), array_agg(a.currency ORDER BY e.n),
               array_agg(ledger_normal(a.kind) * e.m ORDER BY e.n)
          INTO v_ids, v_currencies, v_moves
          FROM unnest(p_codes, p_amounts) WITH ORDINALITY AS e (c, m, n)
          JOIN billing_ledgeraccount a ON a.code = e.c;
        EXIT WHEN coalesce(cardinality(v_ids), 0) >= cardinality(p_codes);
        -- Opened one by one in the order of codes, so that two openers never cross.
        PERFORM ledger_open(s.c) FROM (SELECT DISTINCT c FROM unnest(p_codes) c ORDER BY c) s;
    END LOOP;

    -- Locked and read at once: a row that had to be waited for is read as it is then. Nothing
    -- else is read of it.
    SELECT x.account_id, x.available, -d.moved AS needed
      INTO v_short
      FROM (SELECT b.account_id, b.guarded, b.posted - b.held + b.floor_minor AS available
              FROM billing_ledgerbalance b WHERE b.account_id = ANY (v_ids)
             ORDER BY b.account_id FOR NO KEY UPDATE) x
      JOIN (SELECT u.id, sum(u.m) AS moved FROM unnest(v_ids, v_moves) AS u (id, m)
             GROUP BY u.id) d ON d.id = x.account_id
     WHERE x.guarded AND d.moved < 0 AND x.available + d.moved < 0
     ORDER BY x.account_id LIMIT 1;
    IF FOUND THEN
        SELECT v_short.available, v_short.needed, a.code INTO v_short
          FROM billing_ledgeraccount a WHERE a.id = v_short.account_id;
        RAISE EXCEPTION 'insufficient funds in %', v_short.code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', v_short.code,
                'available', v_short.available, 'needed', v_short.needed)::text;
    END IF;

    WITH entries AS (
        INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)
        SELECT v_id, u.id, u.currency, u.m
          FROM unnest(v_ids, v_currencies, p_amounts) WITH ORDINALITY AS u (id, currency, m, n)
         ORDER BY u.n
    )
    UPDATE billing_ledgerbalance b
       SET posted = b.posted + d.moved, version = b.version + 1
      FROM (SELECT u.id, sum(u.m)::bigint AS moved FROM unnest(v_ids, v_moves) AS u (id, m)
             GROUP BY u.id) d
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

-- As ledger_post, where a person chose the instant: refused in a closed period.
CREATE OR REPLACE FUNCTION ledger_post_by_hand(
    p_kind text, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text, p_external text, p_codes text[], p_amounts bigint[]
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_open timestamptz := ledger_first_open();
BEGIN
    IF p_effective_at < v_open AND NOT EXISTS (
        SELECT FROM billing_ledgertransaction WHERE idempotency_key = p_key)
    THEN
        RAISE EXCEPTION 'the books are closed until %', v_open USING ERRCODE = 'LG008',
            DETAIL = jsonb_build_object('open_from', v_open)::text;
    END IF;
    RETURN ledger_post(p_kind, p_key, p_effective_at, p_created_at, p_actor, p_reason,
                       p_external, p_codes, p_amounts);
END $$;

-- Many transactions at once, as if posted one after the other; their ids in the same order.
-- An entry names its transaction and its account by their places, from 1, in `p_keys` and
-- `p_names`.
CREATE OR REPLACE FUNCTION ledger_post_many(
    p_kinds text[], p_keys text[], p_effective timestamptz[], p_reasons text[],
    p_externals text[], p_names text[], p_posts integer[], p_accounts integer[],
    p_amounts bigint[], p_actor text, p_created_at timestamptz
) RETURNS bigint[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_open timestamptz := ledger_first_open();
    v_accounts bigint[];
    v_contents bytea[];
    v_new bigint[];  -- 0 where the key was known before
    v_ids bigint[];
    v_wrong text;
BEGIN
    SELECT array_agg(l.account_id ORDER BY n.place) INTO v_accounts
      FROM unnest(p_names) WITH ORDINALITY AS n (code, place)
      JOIN ledger_lock(p_names) l USING (code);

    SELECT array_agg(ledger_content(k.kind, k.effective_at, k.external, e.codes, e.amounts, NULL)
                     ORDER BY k.place)
      INTO v_contents
      FROM unnest(p_kinds, p_effective, p_externals)
           WITH ORDINALITY AS k (kind, effective_at, external, place)
      JOIN (SELECT e.post, array_agg(n.code ORDER BY e.place) AS codes,
                   array_agg(e.amount ORDER BY e.place) AS amounts
              FROM unnest(p_posts, p_accounts, p_amounts)
                   WITH ORDINALITY AS e (post, account, amount, place)
              JOIN unnest(p_names) WITH ORDINALITY AS n (code, place) ON n.place = e.account
             GROUP BY e.post) e ON e.post = k.place;

    WITH asked AS (
        SELECT * FROM unnest(p_keys, v_contents, p_kinds, p_externals, p_effective, p_reasons)
            WITH ORDINALITY AS a (key, content, kind, external, effective_at, reason, place)
    ), made AS (
        INSERT INTO billing_ledgertransaction
            (idempotency_key, request_sha256, kind, external_reference, effective_at, created_at,
             actor, reason)
        SELECT key, content, kind, external, greatest(effective_at, v_open), p_created_at,
               p_actor, reason FROM asked ORDER BY place
        ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, idempotency_key
    )
    SELECT array_agg(CASE WHEN a.turn = 1 THEN coalesce(m.id, 0) ELSE 0 END ORDER BY a.place)
      INTO v_new
      FROM (SELECT key, place, row_number() OVER (PARTITION BY key ORDER BY place) AS turn
              FROM asked) a
      LEFT JOIN made m ON m.idempotency_key = a.key;

    v_ids := v_new;
    IF 0 = ANY (v_new) THEN
        SELECT min(a.key) FILTER (WHERE t.request_sha256 <> a.content),
               array_agg(t.id ORDER BY a.place)
          INTO v_wrong, v_ids
          FROM unnest(p_keys, v_contents) WITH ORDINALITY AS a (key, content, place)
          JOIN billing_ledgertransaction t ON t.idempotency_key = a.key;
        IF v_wrong IS NOT NULL THEN
            RAISE EXCEPTION 'the key % was used for another content', v_wrong
                USING ERRCODE = 'LG001';
        END IF;
    END IF;

    PERFORM ledger_require_funds(v_accounts, v_new, p_posts, p_accounts, p_amounts);

    INSERT INTO billing_ledgerentry (transaction_id, account_id, currency, amount_minor)
        SELECT v_new[e.post], a.id, a.currency, e.amount
          FROM unnest(p_posts, p_accounts, p_amounts)
               WITH ORDINALITY AS e (post, account, amount, place)
          JOIN unnest(v_accounts) WITH ORDINALITY AS n (id, place) ON n.place = e.account
          JOIN billing_ledgeraccount a ON a.id = n.id
         WHERE v_new[e.post] <> 0 ORDER BY e.place;
    UPDATE billing_ledgerbalance b
       SET posted = b.posted + d.amount, version = b.version + 1
      FROM (SELECT a.id, (ledger_normal(a.kind) * s.amount)::bigint AS amount
              FROM (SELECT account, sum(amount) AS amount
                      FROM unnest(p_posts, p_accounts, p_amounts) AS e (post, account, amount)
                     WHERE v_new[e.post] <> 0 GROUP BY account) s
              JOIN billing_ledgeraccount a ON a.id = v_accounts[s.account]) d
     WHERE b.account_id = d.id;
    RETURN v_ids;
END $$;

-- No guarded account falls below its floor by these transactions, one after the other.
CREATE OR REPLACE FUNCTION ledger_require_funds(
    p_ids bigint[], p_new bigint[], p_posts integer[], p_accounts integer[], p_amounts bigint[]
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_short record;
BEGIN
    -- Enough for everything that is taken: then the order does not matter.
    IF NOT EXISTS (
        SELECT FROM (SELECT account, sum(amount) FILTER (WHERE amount > 0) AS debited,
                            -sum(amount) FILTER (WHERE amount < 0) AS credited
                       FROM unnest(p_posts, p_accounts, p_amounts) AS e (post, account, amount)
                      WHERE p_new[e.post] <> 0 GROUP BY account) d
          JOIN billing_ledgeraccount a ON a.id = p_ids[d.account]
          JOIN billing_ledgerbalance b ON b.account_id = a.id
         WHERE b.guarded AND b.posted::numeric - b.held + b.floor_minor
             < CASE ledger_normal(a.kind) WHEN 1 THEN d.credited ELSE d.debited END)
    THEN
        RETURN;
    END IF;
    SELECT * INTO v_short FROM (
        SELECT a.code, b.guarded, d.amount, d.post,
               b.posted::numeric - b.held + b.floor_minor + sum(ledger_normal(a.kind) * d.amount)
                   OVER (PARTITION BY d.account ORDER BY d.post) AS left_over,
               ledger_normal(a.kind) * d.amount AS moved
          FROM (SELECT post, account, sum(amount) AS amount
                  FROM unnest(p_posts, p_accounts, p_amounts) AS e (post, account, amount)
                 WHERE p_new[e.post] <> 0 GROUP BY post, account) d
          JOIN billing_ledgeraccount a ON a.id = p_ids[d.account]
          JOIN billing_ledgerbalance b ON b.account_id = a.id) s
     WHERE s.guarded AND s.moved < 0 AND s.left_over < 0 ORDER BY s.post, s.code LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'insufficient funds in %', v_short.code USING ERRCODE = 'LG002',
            DETAIL = jsonb_build_object('account', v_short.code,
                'available', v_short.left_over - v_short.moved, 'needed', -v_short.moved)::text;
    END IF;
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
