-- What every capacity verb stands on: the lock, the clock, the sweeps, the event, the entry.
--
-- Each function is VOLATILE, so that each of its statements sees what was committed before
-- it began. The lock is therefore a statement of its own: folded together with the sweep,
-- both would see the state from before the wait, and the pool would be oversold.

-- RFC 9562 version 7, for PostgreSQL before 18.
CREATE OR REPLACE FUNCTION fresh_uuid() RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(
        set_bit(
            set_bit(
                overlay(
                    uuid_send(gen_random_uuid())
                    PLACING substring(
                        int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3
                    )
                    FROM 1 FOR 6
                ),
                52, 1
            ),
            53, 1
        ),
        'hex'
    )::uuid
$$;

CREATE OR REPLACE FUNCTION capacity_refuse(p_code text, p_detail jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'CH001', MESSAGE = p_code, DETAIL = p_detail::text;
END $$;

-- Locks the pool and returns its clock, which never goes back. Writes nothing.
CREATE OR REPLACE FUNCTION capacity_lock(p_pool bigint, p_at timestamptz, p_replay boolean)
RETURNS timestamptz LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    locked bigint;
    clk timestamptz;
BEGIN
    SELECT pool_id INTO STRICT locked FROM inventory_poollock WHERE pool_id = p_pool FOR UPDATE;
    IF NOT p_replay AND p_at > clock_timestamp() + interval '5 seconds' THEN
        PERFORM capacity_refuse('clock_ahead', '{}');
    END IF;
    SELECT greatest(clock, p_at) INTO STRICT clk FROM inventory_poolversion WHERE pool_id = p_pool;
    RETURN clk;
END $$;

-- The most units of a block taken at one instant of the range, by claims other than one
-- allocation's own. Periods are half-open: what ends and what starts at an instant are netted.
--
-- Where the units of all that overlap, added up as if they met at one instant, are `p_enough`
-- or fewer, their sum is the answer: it costs a third, and no more is asked of it than that.
-- The verbs that call it keep the planner on the index and jit off.
CREATE OR REPLACE FUNCTION capacity_peak(
    p_block bigint, p_range tstzrange, p_clock timestamptz, p_but bigint, p_enough integer
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    peak bigint;
BEGIN
    SELECT coalesce(sum(unit_count), 0) INTO peak
    FROM inventory_claim
    WHERE int8range(block_id, block_id, '[]') && int8range(p_block, p_block, '[]')
      AND blocking && p_range
      AND state IN ('held', 'confirmed') AND block_id IS NOT NULL
      AND (state = 'confirmed' OR held_until > p_clock)
      AND allocation_id IS DISTINCT FROM p_but;
    IF peak <= p_enough OR peak = 0 THEN
        RETURN peak;
    END IF;
    WITH overlapping AS MATERIALIZED (
        SELECT greatest(lower(blocking), lower(p_range)) AS s, upper(blocking) AS e, unit_count AS n
        FROM inventory_claim
        WHERE int8range(block_id, block_id, '[]') && int8range(p_block, p_block, '[]')
          AND blocking && p_range
          AND state IN ('held', 'confirmed') AND block_id IS NOT NULL
          AND (state = 'confirmed' OR held_until > p_clock)
          AND allocation_id IS DISTINCT FROM p_but
    )
    SELECT coalesce(max(taken), 0) INTO peak FROM (
        SELECT sum(sum(d)) OVER (ORDER BY t) AS taken
        FROM (
            SELECT s AS t, n AS d FROM overlapping
            UNION ALL
            SELECT e, -n FROM overlapping WHERE e < upper(p_range)
        ) edges
        GROUP BY t
    ) levels;
    RETURN peak;
END $$;

-- The pool over a range as steps. `committed` units are open blocks, live claims of closed
-- blocks and external claims; `live` units are all live claims; `planned` and `failed` are
-- nodes. A broken node fails until its outage's expected end; overdue or without one, for good.
CREATE OR REPLACE FUNCTION capacity_levels(p_pool bigint, p_range tstzrange, p_clock timestamptz)
RETURNS TABLE (
    starts timestamptz, ends timestamptz,
    committed bigint, live bigint, planned bigint, failed bigint
) LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    WITH parts (during, c, l, p, f) AS MATERIALIZED (
        SELECT b.period, b.unit_count, 0, 0, 0
        FROM inventory_block b
        WHERE int8range(b.pool_id, b.pool_id, '[]') && int8range(p_pool, p_pool, '[]')
          AND b.period && p_range AND b.state = 'open'
        UNION ALL
        SELECT k.blocking, CASE b.state WHEN 'open' THEN 0 ELSE k.unit_count END, k.unit_count, 0, 0
        FROM inventory_block b
        JOIN inventory_claim k
          ON int8range(k.block_id, k.block_id, '[]') && int8range(b.id, b.id, '[]')
         AND k.blocking && p_range
         AND k.state IN ('held', 'confirmed') AND k.block_id IS NOT NULL
         AND (k.state = 'confirmed' OR k.held_until > p_clock)
        WHERE int8range(b.pool_id, b.pool_id, '[]') && int8range(p_pool, p_pool, '[]')
          AND b.period && p_range
        UNION ALL
        SELECT k.blocking, k.unit_count, k.unit_count, 0, 0
        FROM inventory_claim k
        WHERE int8range(k.pool_id, k.pool_id, '[]') && int8range(p_pool, p_pool, '[]')
          AND k.blocking && p_range
          AND k.state IN ('held', 'confirmed') AND k.block_id IS NULL
          AND (k.state = 'confirmed' OR k.held_until > p_clock)
        UNION ALL
        SELECT o.period, 0, 0, o.node_count, 0
        FROM inventory_outage o
        WHERE int8range(o.pool_id, o.pool_id, '[]') && int8range(p_pool, p_pool, '[]')
          AND o.period && p_range AND o.state = 'open' AND o.kind = 'planned'
        UNION ALL
        SELECT down.during, 0, 0, 0, 1
        FROM inventory_node n
        LEFT JOIN LATERAL (
            SELECT max(upper(o.period)) AS back FROM inventory_outage o
            WHERE o.node_id = n.id AND o.state = 'open' AND o.kind = 'failed'
        ) r ON true
        LEFT JOIN LATERAL (  -- a node that is planned out as well is counted there
            SELECT range_agg(o.period) AS during FROM inventory_outage o
            WHERE o.node_id = n.id AND o.state = 'open' AND o.kind = 'planned'
        ) planned_out ON true
        CROSS JOIN LATERAL unnest(
            tstzmultirange(
                tstzrange(lower(p_range), CASE WHEN r.back > p_clock THEN r.back END) * p_range
            ) - coalesce(planned_out.during, '{}')
        ) AS down (during)
        WHERE n.pool_id = p_pool AND n.state = 'broken'
          AND (r.back IS NULL OR r.back <= p_clock OR r.back > lower(p_range))
    ), edges (t, c, l, p, f) AS (
        SELECT lower(p_range), 0, 0, 0, 0
        UNION ALL
        SELECT greatest(lower(x.during), lower(p_range)), x.c, x.l, x.p, x.f FROM parts x
        UNION ALL
        SELECT upper(x.during), -x.c, -x.l, -x.p, -x.f FROM parts x
        WHERE upper(x.during) < coalesce(upper(p_range), 'infinity')  -- a range may be open
    )
    SELECT e.t, lead(e.t, 1, upper(p_range)) OVER w,
           (sum(sum(e.c)) OVER w)::bigint, (sum(sum(e.l)) OVER w)::bigint,
           (sum(sum(e.p)) OVER w)::bigint, (sum(sum(e.f)) OVER w)::bigint
    FROM edges e GROUP BY e.t WINDOW w AS (ORDER BY e.t);
END $$;

-- Units that could still be opened over the whole range; negative where too many are.
CREATE OR REPLACE FUNCTION capacity_room(p_pool bigint, p_range tstzrange, p_clock timestamptz)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room bigint;
BEGIN
    SELECT min((n.count - p.spare_count - l.planned) * (p.cards_per_node / p.unit_cards) - l.committed)
    INTO room
    FROM inventory_pool p,
         LATERAL (SELECT count(*) FROM inventory_node
                  WHERE pool_id = p.id AND state <> 'retired') n,
         LATERAL capacity_levels(p.id, p_range, p_clock) l
    WHERE p.id = p_pool;
    RETURN room;
END $$;

-- Units that may still be claimed where failures outnumber the spares; NULL where they never do.
CREATE OR REPLACE FUNCTION capacity_failure_room(p_pool bigint, p_range tstzrange, p_clock timestamptz)
RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    room bigint;
BEGIN
    SELECT min((n.count - l.planned - l.failed) * (p.cards_per_node / p.unit_cards) - l.live)
    INTO room
    FROM inventory_pool p,
         LATERAL (SELECT count(*) FROM inventory_node
                  WHERE pool_id = p.id AND state <> 'retired') n,
         LATERAL capacity_levels(p.id, p_range, p_clock) l
    WHERE p.id = p_pool AND l.failed > p.spare_count;
    RETURN room;
END $$;

-- More nodes are down than the pool has spares: only then must admission look at failures.
CREATE OR REPLACE FUNCTION capacity_failing(p_pool bigint) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT count(*) > (SELECT spare_count FROM inventory_pool WHERE id = p_pool)
    FROM inventory_node WHERE pool_id = p_pool AND state = 'broken');
END $$;

-- The pool's next version, with the event that explains it. The caller holds the lock.
CREATE OR REPLACE FUNCTION capacity_note(
    p_pool bigint, p_clock timestamptz, p_kind text, p_block bigint, p_claim bigint,
    p_delta integer, p_period tstzrange, p_at timestamptz, p_actor text, p_reason text
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v inventory_poolversion;
BEGIN
    UPDATE inventory_poolversion SET ver = ver + 1, clock = greatest(clock, p_clock)
    WHERE pool_id = p_pool RETURNING * INTO STRICT v;
    INSERT INTO inventory_poolevent
        (pool_id, ver, epoch, kind, block_id, claim_id, delta, period, at, actor, reason)
    VALUES (p_pool, v.ver, v.epoch, p_kind, p_block, p_claim, p_delta, p_period, p_at,
            left(p_actor, 80), left(p_reason, 200));
    RETURN v.ver;
END $$;

CREATE OR REPLACE FUNCTION capacity_journal(
    p_event text, p_object text, p_from text, p_to text, p_at timestamptz,
    p_actor_kind text, p_actor text, p_reason text, p_provider bigint, p_tenant bigint, p_data jsonb
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO inventory_journalentry
        (at, event, object_id, from_state, to_state, actor_kind, actor, reason, data,
         provider_id, tenant_id)
    VALUES (p_at, p_event, p_object, p_from, p_to, p_actor_kind, p_actor, left(p_reason, 500),
            p_data, p_provider, p_tenant);
END $$;

CREATE OR REPLACE FUNCTION public_id(p_prefix text, p_id uuid) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT p_prefix || '_' || replace(p_id::text, '-', '')
$$;
