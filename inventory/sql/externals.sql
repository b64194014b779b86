-- The centre's own use and contracts made elsewhere: claims on the pool, on no block.

CREATE INDEX allocation_external_due ON inventory_allocation (pool_id)
    WHERE kind <> 'sale' AND state IN ('scheduled', 'active');

CREATE FUNCTION capacity_claim_external(
    p_pool bigint, p_kind text, p_units integer, p_period tstzrange, p_nodes bigint[], p_note text,
    p_public_id uuid, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    clk timestamptz;
    pool inventory_pool;
    ahead tstzrange;
    room bigint;
    alc bigint;
    clm bigint;
    runs boolean := lower(p_period) <= p_at;
BEGIN
    clk := capacity_lock(p_pool, p_at, p_replay);
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    IF pool.state = 'retired' THEN
        PERFORM capacity_refuse('not_offered', '{"why": "pool_retired"}');
    END IF;
    IF upper(p_period) <= clk THEN
        PERFORM capacity_refuse('not_offered', '{"why": "in_the_past"}');
    END IF;
    ahead := tstzrange(greatest(lower(p_period), clk), upper(p_period));
    room := capacity_room(p_pool, ahead, clk);
    IF room >= p_units AND capacity_failing(p_pool) THEN
        room := least(room, capacity_failure_room(p_pool, ahead, clk));
    END IF;
    IF room < p_units THEN
        PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room, 0)));
    END IF;

    INSERT INTO inventory_allocation
        (public_id, pool_id, kind, provider_id, unit_count, period, blocking, lead_seconds,
         turnaround_seconds, state, note, failure_code, ssh_keys, created_at, active_at)
    VALUES
        (p_public_id, p_pool, p_kind, pool.provider_id, p_units, p_period, p_period, 0, 0,
         CASE WHEN runs THEN 'active' ELSE 'scheduled' END, p_note, '', '[]', p_at,
         CASE WHEN runs THEN p_at END)
    RETURNING id INTO alc;
    INSERT INTO inventory_claim
        (public_id, allocation_id, pool_id, block_id, unit_count, blocking, state)
    VALUES (fresh_uuid(), alc, p_pool, NULL, p_units, p_period, 'confirmed')
    RETURNING id INTO clm;
    PERFORM capacity_note(p_pool, clk, 'external', NULL, clm, p_units, p_period, p_at, p_actor, p_note);
    PERFORM capacity_journal(
        'allocation.' || CASE WHEN runs THEN 'active' ELSE 'scheduled' END,
        public_id('alc', p_public_id), '', CASE WHEN runs THEN 'active' ELSE 'scheduled' END,
        p_at, p_actor_kind, p_actor, p_note, pool.provider_id, NULL,
        jsonb_build_object('kind', p_kind, 'unit_count', p_units)
    );
    IF runs THEN
        PERFORM capacity_bind(alc, p_nodes, p_at, p_replay, p_actor_kind, p_actor);
    END IF;
    RETURN alc;
END $$;

-- An external allocation follows the clock: bound at its start, given back at its end.
CREATE FUNCTION capacity_follow_external(
    p_allocation bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.kind = 'sale' THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'external'));
    END IF;
    IF a.state = 'scheduled' AND lower(a.period) <= p_at AND p_at < upper(a.period) THEN
        PERFORM capacity_bind(a.id, NULL, p_at, p_replay, p_actor_kind, p_actor);
        PERFORM capacity_move(a, 'delivering', NULL, p_at, p_actor_kind, p_actor, 'started');
        a.state := 'delivering';
        PERFORM capacity_move(a, 'active', NULL, p_at, p_actor_kind, p_actor, 'started');
    ELSIF a.state = 'scheduled' AND upper(a.period) <= p_at THEN
        PERFORM capacity_give_back(a, l.clk, 'released', p_at, p_actor, 'never started');
        PERFORM capacity_move(a, 'cancelled', NULL, p_at, p_actor_kind, p_actor, 'never started');
    ELSIF a.state = 'active' AND upper(a.period) <= p_at THEN
        PERFORM capacity_finish(a.id, p_at, p_replay, p_actor_kind, p_actor);
        PERFORM capacity_move(a, 'releasing', NULL, p_at, p_actor_kind, p_actor, 'over');
        a.state := 'releasing';
        PERFORM capacity_move(a, 'ended', NULL, p_at, p_actor_kind, p_actor, 'over');
    END IF;
    RETURN (SELECT state FROM inventory_allocation WHERE id = a.id);
END $$;

-- The centre needs it no longer: what has not begun is given back, what runs ends now.
CREATE FUNCTION capacity_end_external(
    p_allocation bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.state IN ('cancelled', 'ended') THEN
        RETURN false;
    ELSIF a.kind = 'sale' OR a.state NOT IN ('scheduled', 'active') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'ended'));
    ELSIF a.state = 'scheduled' THEN
        PERFORM capacity_give_back(a, l.clk, 'released', p_at, p_actor, p_reason);
        PERFORM capacity_move(a, 'cancelled', NULL, p_at, p_actor_kind, p_actor, p_reason);
        RETURN true;
    END IF;
    PERFORM capacity_finish(a.id, p_at, p_replay, p_actor_kind, p_actor);
    IF p_at > lower(a.period) AND p_at < upper(a.period) THEN
        UPDATE inventory_allocation
        SET period = tstzrange(lower(period), p_at), blocking = tstzrange(lower(blocking), p_at)
        WHERE id = a.id;
    END IF;
    PERFORM capacity_move(a, 'releasing', NULL, p_at, p_actor_kind, p_actor, p_reason);
    a.state := 'releasing';
    PERFORM capacity_move(a, 'ended', NULL, p_at, p_actor_kind, p_actor, p_reason);
    RETURN true;
END $$;
