-- A hold and what becomes of it: claim, confirm, expire, release.

-- How a blocking period falls on blocks that adjoin: one piece per block, cut at their edges.
-- Returns what is wrong, or NULL and the pieces in order of time.
CREATE OR REPLACE FUNCTION capacity_pieces(
    p_pool bigint, p_blocks bigint[], p_period tstzrange, p_blocking tstzrange,
    OUT problem text, OUT blocks bigint[], OUT counts integer[], OUT pieces tstzrange[]
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    all_found boolean;
    all_open boolean;
    all_adjoin boolean;
    inside boolean;
    fits boolean;
    all_used boolean;
BEGIN
    SELECT count(*) = cardinality(p_blocks), bool_and(c.state = 'open'), bool_and(c.adjoins),
           min(lower(c.sellable)) <= lower(p_period) AND max(upper(c.sellable)) >= upper(p_period),
           min(lower(c.cut)) <= lower(p_blocking) AND max(upper(c.cut)) >= upper(p_blocking),
           NOT bool_or(isempty(c.cut * p_blocking)),
           array_agg(c.id ORDER BY c.cut), array_agg(c.unit_count ORDER BY c.cut),
           array_agg(c.cut * p_blocking ORDER BY c.cut)
    INTO all_found, all_open, all_adjoin, inside, fits, all_used, blocks, counts, pieces
    FROM (
        SELECT b.id, b.state, b.unit_count, b.sellable,
               coalesce(lag(upper(b.sellable)) OVER w = lower(b.sellable), true) AS adjoins,
               tstzrange(
                   CASE WHEN lag(b.id) OVER w IS NULL THEN lower(b.period)
                        ELSE lower(b.sellable) END,
                   CASE WHEN lead(b.id) OVER w IS NULL THEN upper(b.period)
                        ELSE upper(b.sellable) END
               ) AS cut
        FROM inventory_block b
        WHERE b.id = ANY (p_blocks) AND b.pool_id = p_pool
        WINDOW w AS (ORDER BY lower(b.sellable), b.id)
    ) c;
    problem := CASE
        WHEN NOT all_found THEN 'no_such_block'
        WHEN NOT all_open THEN 'block_closed'
        WHEN NOT all_adjoin THEN 'blocks_do_not_adjoin'
        WHEN NOT inside THEN 'outside_the_sellable_window'
        WHEN NOT fits THEN 'no_room_for_lead_and_turnaround'
        WHEN NOT all_used THEN 'a_block_is_not_needed'
    END;
END $$;

-- An allocation is held, with one claim per block. A refusal is a row, not an error, and
-- writes nothing, so that it costs no rollback inside the caller's transaction. It keeps no lock
-- either: what the caller does about a refusal keeps nobody waiting.
--
-- The busiest verb, so in few statements: it takes the lock itself, and one block, which is
-- nearly always all, is read with its pool. It waits for less than the other verbs do: who
-- only asks can ask again.
CREATE OR REPLACE FUNCTION capacity_claim(
    p_pool bigint, p_blocks bigint[], p_units integer, p_period tstzrange, p_tenant bigint,
    p_held_until timestamptz, p_public_id uuid, p_ssh_keys jsonb,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp SET lock_timeout = '500ms'
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    locked bigint;
    pool record;
    blocks bigint[] := p_blocks;
    counts integer[];
    pieces tstzrange[];
    problem text;
    free bigint;
    least_free bigint;
    alc bigint;
    clm bigint;
    version record;
    refusal jsonb;
BEGIN
    BEGIN
        SELECT pool_id INTO STRICT locked FROM inventory_poollock WHERE pool_id = p_pool FOR UPDATE;
        IF NOT p_replay AND p_at > clock_timestamp() + interval '5 seconds' THEN
            PERFORM capacity_refuse('clock_ahead', '{}');
        END IF;

        SELECT p.state, p.provider_id, p.lead_seconds, p.turnaround_seconds, w.wide,
               greatest(v.clock, p_at) AS clk, b.unit_count,
               EXISTS (SELECT FROM inventory_node n WHERE n.pool_id = p_pool AND n.state = 'broken'
                       OFFSET p.spare_count) AS failing,
               CASE
                   WHEN b.id IS NULL THEN 'no_such_block'
                   WHEN b.state <> 'open' THEN 'block_closed'
                   WHEN NOT p_period <@ b.sellable THEN 'outside_the_sellable_window'
                   WHEN NOT w.wide <@ b.period THEN 'no_room_for_lead_and_turnaround'
               END AS problem
        INTO STRICT pool
        FROM inventory_pool p
        JOIN inventory_poolversion v ON v.pool_id = p.id
        CROSS JOIN LATERAL (
            SELECT tstzrange(lower(p_period) - make_interval(secs => p.lead_seconds),
                             upper(p_period) + make_interval(secs => p.turnaround_seconds)) AS wide
        ) w
        LEFT JOIN inventory_block b ON b.id = p_blocks[1] AND b.pool_id = p.id
        WHERE p.id = p_pool;
        IF pool.state <> 'active' THEN
            refusal := jsonb_build_object('refused', 'not_offered', 'why', 'pool_' || pool.state);
            RAISE EXCEPTION USING ERRCODE = 'CH002';
        END IF;
        IF p_held_until <= pool.clk OR upper(p_period) <= pool.clk THEN
            refusal := jsonb_build_object('refused', 'not_offered', 'why', 'in_the_past');
            RAISE EXCEPTION USING ERRCODE = 'CH002';
        END IF;
        IF cardinality(p_blocks) = 1 THEN
            problem := pool.problem;
            counts := ARRAY[pool.unit_count];
            pieces := ARRAY[pool.wide];
        ELSE
            SELECT * INTO problem, blocks, counts, pieces
            FROM capacity_pieces(p_pool, p_blocks, p_period, pool.wide);
        END IF;
        IF problem IS NOT NULL THEN
            refusal := jsonb_build_object('refused', 'not_offered', 'why', problem);
            RAISE EXCEPTION USING ERRCODE = 'CH002';
        END IF;

        FOR i IN 1 .. cardinality(blocks) LOOP
            free := counts[i] - capacity_peak(blocks[i], pieces[i], pool.clk, NULL, counts[i] - p_units);
            least_free := least(free, least_free);
        END LOOP;
        IF least_free >= p_units AND pool.failing THEN
            least_free := least(least_free, capacity_failure_room(p_pool, pool.wide, pool.clk));
        END IF;
        IF least_free < p_units THEN
            refusal := jsonb_build_object('refused', 'capacity_taken', 'free_units', greatest(least_free, 0));
            RAISE EXCEPTION USING ERRCODE = 'CH002';
        END IF;
    EXCEPTION WHEN SQLSTATE 'CH002' THEN
        RETURN refusal;
    END;

    INSERT INTO inventory_allocation
        (public_id, pool_id, kind, provider_id, tenant_id, unit_count, period, blocking,
         lead_seconds, turnaround_seconds, state, note, failure_code, ssh_keys, created_at)
    VALUES
        (p_public_id, p_pool, 'sale', pool.provider_id, p_tenant, p_units, p_period, pool.wide,
         pool.lead_seconds, pool.turnaround_seconds, 'held', '', '', p_ssh_keys, p_at)
    RETURNING id INTO alc;
    -- As capacity_note does it, with the versions of all claims at once.
    UPDATE inventory_poolversion
    SET ver = ver + cardinality(blocks), clock = greatest(clock, pool.clk)
    WHERE pool_id = p_pool RETURNING ver - cardinality(blocks) AS before, epoch INTO STRICT version;
    FOR i IN 1 .. cardinality(blocks) LOOP
        INSERT INTO inventory_claim
            (public_id, allocation_id, pool_id, block_id, unit_count, blocking, state, held_until)
        VALUES
            (fresh_uuid(), alc, p_pool, blocks[i], p_units, pieces[i], 'held', p_held_until)
        RETURNING id INTO clm;
        INSERT INTO inventory_poolevent
            (pool_id, ver, epoch, kind, block_id, claim_id, delta, period, at, actor, reason)
        VALUES (p_pool, version.before + i, version.epoch, 'held', blocks[i], clm, p_units, pieces[i], p_at,
                left(p_actor, 80), '');
    END LOOP;
    INSERT INTO inventory_journalentry
        (at, event, object_id, to_state, actor_kind, actor, data, provider_id, tenant_id)
    VALUES (p_at, 'allocation.held', public_id('alc', p_public_id), 'held', p_actor_kind, p_actor,
            jsonb_build_object('unit_count', p_units), pool.provider_id, p_tenant);
    RETURN jsonb_build_object(
        'id', alc, 'provider_id', pool.provider_id, 'lead_seconds', pool.lead_seconds,
        'turnaround_seconds', pool.turnaround_seconds
    );
END $$;

-- Locks the pool of an allocation, then the allocation. The pool of an allocation never changes.
CREATE OR REPLACE FUNCTION capacity_lock_allocation(
    p_allocation bigint, p_at timestamptz, p_replay boolean, OUT clk timestamptz,
    OUT a inventory_allocation
) LANGUAGE plpgsql VOLATILE SET lock_timeout = '2s' AS $$
DECLARE
    pool bigint;
BEGIN
    SELECT pool_id INTO STRICT pool FROM inventory_allocation WHERE id = p_allocation;
    clk := capacity_lock(pool, p_at, p_replay);
    SELECT * INTO STRICT a FROM inventory_allocation WHERE id = p_allocation FOR NO KEY UPDATE;
END $$;

-- The one place where capacity verbs move an allocation's state.
CREATE OR REPLACE FUNCTION capacity_move(
    a inventory_allocation, p_to text, p_next_step_at timestamptz,
    p_at timestamptz, p_actor_kind text, p_actor text, p_reason text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    UPDATE inventory_allocation
    SET state = p_to, next_step_at = p_next_step_at,
        ended_at = CASE p_to WHEN 'ended' THEN p_at ELSE ended_at END,
        active_at = CASE p_to WHEN 'active' THEN p_at ELSE active_at END
    WHERE id = a.id;
    PERFORM capacity_journal(
        'allocation.' || p_to, public_id('alc', a.public_id), a.state, p_to, p_at, p_actor_kind,
        p_actor, p_reason, a.provider_id, a.tenant_id, '{}'
    );
END $$;

CREATE OR REPLACE FUNCTION capacity_confirm(
    p_allocation bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    c inventory_claim;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    IF (l.a).state = 'expired' THEN
        PERFORM capacity_refuse('hold_expired', '{}');
    ELSIF (l.a).state <> 'held' THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', (l.a).state, 'wanted', 'scheduled'));
    END IF;
    -- Not those given back when the hold was shortened.
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = p_allocation AND state = 'held'
             ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF c.held_until <= l.clk THEN
            PERFORM capacity_refuse('hold_expired', '{}');
        END IF;
        UPDATE inventory_claim SET state = 'confirmed', held_until = NULL WHERE id = c.id;
        PERFORM capacity_note(c.pool_id, l.clk, 'confirmed', c.block_id, c.id, 0, c.blocking,
                              p_at, p_actor, '');
    END LOOP;
    PERFORM capacity_move(l.a, 'scheduled', lower((l.a).blocking), p_at, p_actor_kind, p_actor, '');
END $$;

CREATE OR REPLACE FUNCTION capacity_confirm_all(
    p_allocations bigint[], p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    alc bigint;
BEGIN
    FOR alc IN SELECT id FROM inventory_allocation
               WHERE id = ANY (p_allocations) ORDER BY pool_id, id
    LOOP
        PERFORM capacity_confirm(alc, p_at, p_replay, p_actor_kind, p_actor);
    END LOOP;
END $$;

-- Every live claim of an allocation is given back.
CREATE OR REPLACE FUNCTION capacity_give_back(
    a inventory_allocation, p_clock timestamptz, p_to text,
    p_at timestamptz, p_actor text, p_reason text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c inventory_claim;
BEGIN
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = a.id AND state IN ('held', 'confirmed')
             ORDER BY id FOR NO KEY UPDATE
    LOOP
        UPDATE inventory_claim SET state = p_to WHERE id = c.id;
        PERFORM capacity_note(c.pool_id, p_clock, p_to, c.block_id, c.id, -c.unit_count,
                              c.blocking, p_at, p_actor, p_reason);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION capacity_expire(
    p_allocation bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    IF (l.a).state = 'expired' THEN
        RETURN false;
    ELSIF (l.a).state <> 'held' THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', (l.a).state, 'wanted', 'expired'));
    END IF;
    IF EXISTS (SELECT FROM inventory_claim
               WHERE allocation_id = p_allocation AND state = 'held' AND held_until > l.clk) THEN
        PERFORM capacity_refuse('hold_still_valid', '{}');
    END IF;
    PERFORM capacity_give_back(l.a, l.clk, 'expired', p_at, p_actor, '');
    PERFORM capacity_move(l.a, 'expired', NULL, p_at, p_actor_kind, p_actor, '');
    RETURN true;
END $$;

CREATE OR REPLACE FUNCTION capacity_release(
    p_allocation bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    IF (l.a).state = 'cancelled' THEN
        RETURN false;
    ELSIF (l.a).state NOT IN ('held', 'scheduled') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', (l.a).state, 'wanted', 'cancelled'));
    END IF;
    -- Bound already, within its lead, but no driver has been asked: the nodes are free again.
    UPDATE inventory_binding
    SET during = tstzrange(lower(during), greatest(least(p_at, upper(during)), lower(during) + interval '1 microsecond'))
    WHERE allocation_id = p_allocation AND upper(during) > p_at;
    IF (l.a).continues_id IS NOT NULL THEN
        PERFORM capacity_take_back(l.a, l.clk, p_at, p_actor);
    END IF;
    PERFORM capacity_give_back(l.a, l.clk, 'released', p_at, p_actor, p_reason);
    PERFORM capacity_move(l.a, 'cancelled', NULL, p_at, p_actor_kind, p_actor, p_reason);
    RETURN true;
END $$;
