-- Money of one currency given for money of another.

-- One posting in two currencies, each summing to zero by way of its `asset:fx` account, and the
-- rate at which they were exchanged: so many major units bought for one that was sold.
CREATE OR REPLACE FUNCTION ledger_exchange(
    p_kind text, p_key text, p_effective_at timestamptz, p_created_at timestamptz,
    p_actor text, p_reason text, p_external text, p_codes text[], p_amounts bigint[],
    p_rate numeric
) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_id bigint;
    v_legs record;
    v_known numeric;
BEGIN
    SELECT count(*) AS legs,
           max(right(e.c, 3)) FILTER (WHERE e.m > 0) AS sold,
           max(e.m) FILTER (WHERE e.m > 0) AS sold_minor,
           max(right(e.c, 3)) FILTER (WHERE e.m < 0) AS bought,
           max(-e.m) FILTER (WHERE e.m < 0) AS bought_minor
      INTO v_legs FROM unnest(p_codes, p_amounts) AS e (c, m) WHERE e.c LIKE 'asset:fx:%';
    IF v_legs.legs <> 2 OR v_legs.sold IS NULL OR v_legs.bought IS NULL
        OR v_legs.sold = v_legs.bought OR p_rate <= 0
    THEN
        RAISE EXCEPTION 'an exchange sells one currency and buys another' USING ERRCODE = 'LG006';
    END IF;
    v_id := ledger_write(p_kind, p_key, p_effective_at, p_created_at, p_actor, p_reason,
                         p_external, p_codes, p_amounts, NULL);
    INSERT INTO billing_ledgerexchange
        (transaction_id, sold_currency, sold_minor, bought_currency, bought_minor, rate)
        VALUES (v_id, v_legs.sold, v_legs.sold_minor, v_legs.bought, v_legs.bought_minor, p_rate)
        ON CONFLICT (transaction_id) DO NOTHING;
    SELECT rate INTO v_known FROM billing_ledgerexchange WHERE transaction_id = v_id;
    IF v_known <> p_rate THEN
        RAISE EXCEPTION 'the key % was used for another rate', p_key USING ERRCODE = 'LG001';
    END IF;
    RETURN v_id;
END $$;
