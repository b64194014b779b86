-- Nodes out of use: planned ones are counted ahead, failed ones use the spares first.

-- Where claims outnumber the nodes that are left, an incident names what is in danger: the
-- allocations that overlap the shortage and have no healthy node yet. Returns the units short.
CREATE FUNCTION capacity_report_shortage(
    p_pool bigint, p_range tstzrange, p_clock timestamptz,
    p_at timestamptz, p_actor_kind text, p_actor text, p_reason text
) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pool inventory_pool;
    short bigint;
    spans tstzmultirange;
    endangered jsonb;
BEGIN
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    SELECT max(l.live - left_units), range_agg(tstzrange(l.starts, l.ends))
    INTO short, spans
    FROM (SELECT count(*) AS nodes FROM inventory_node
          WHERE pool_id = p_pool AND state <> 'retired') n,
         LATERAL capacity_levels(p_pool, p_range, p_clock) l,
         LATERAL (SELECT (n.nodes - l.planned - l.failed)
                         * (pool.cards_per_node / pool.unit_cards) AS left_units) u
    WHERE l.failed > pool.spare_count AND l.live > u.left_units;
    IF short IS NULL THEN
        RETURN 0;
    END IF;
    SELECT jsonb_agg(DISTINCT public_id('alc', a.public_id)) INTO endangered
    FROM inventory_claim c
    JOIN inventory_allocation a ON a.id = c.allocation_id
    WHERE c.pool_id = p_pool AND c.state IN ('held', 'confirmed')
      AND (c.state = 'confirmed' OR c.held_until > p_clock)
      AND c.blocking && spans
      AND NOT EXISTS (
          SELECT FROM inventory_binding b JOIN inventory_node n ON n.id = b.node_id
          WHERE b.allocation_id = a.id AND upper(b.during) > p_at
          HAVING count(*) > 0 AND bool_and(n.state = 'serviceable')
      );
    PERFORM capacity_journal(
        'pool.overcommitted', public_id('pool', pool.public_id), '', '', p_at, p_actor_kind, p_actor,
        p_reason, pool.provider_id, NULL,
        jsonb_build_object('short_units', short, 'from', lower(spans), 'until', upper(spans),
                           'allocations', coalesce(endangered, '[]'))
    );
    RETURN short;
END $$;

CREATE FUNCTION capacity_move_node(
    p_node bigint, p_to text, p_at timestamptz, p_actor_kind text, p_actor text, p_reason text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n inventory_node;
BEGIN
    SELECT * INTO STRICT n FROM inventory_node WHERE id = p_node FOR NO KEY UPDATE;
    IF n.state = p_to THEN
        RETURN;
    END IF;
    UPDATE inventory_node
    SET state = p_to, retired_at = CASE p_to WHEN 'retired' THEN p_at ELSE retired_at END
    WHERE id = p_node;
    PERFORM capacity_journal(
        'node.' || p_to, public_id('nod', n.public_id), n.state, p_to, p_at, p_actor_kind, p_actor,
        p_reason, n.provider_id, NULL, '{}'
    );
END $$;

CREATE FUNCTION capacity_set_outage(
    p_pool bigint, p_kind text, p_period tstzrange, p_node_count integer, p_node bigint,
    p_reason text, p_public_id uuid,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    clk timestamptz;
    pool inventory_pool;
    ahead tstzrange;
    room bigint;
    n inventory_node;
    out_id bigint;
BEGIN
    clk := capacity_lock(p_pool, p_at, p_replay);
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    ahead := tstzrange(greatest(lower(p_period), clk), greatest(upper(p_period), clk));
    IF p_node IS NOT NULL THEN
        SELECT * INTO STRICT n FROM inventory_node WHERE id = p_node AND pool_id = p_pool;
        IF n.state = 'retired' THEN
            PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', n.state, 'wanted', 'out of use'));
        END IF;
    END IF;
    IF p_kind = 'planned' AND NOT isempty(ahead) THEN
        room := capacity_room(p_pool, ahead, clk);
        IF capacity_failing(p_pool) THEN
            room := least(room, capacity_failure_room(p_pool, ahead, clk));
        END IF;
        IF room < p_node_count * (pool.cards_per_node / pool.unit_cards) THEN
            PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room, 0)));
        END IF;
        IF EXISTS (SELECT FROM inventory_binding WHERE node_id = p_node AND during && ahead) THEN
            PERFORM capacity_refuse('node_in_use', '{}');
        END IF;
    END IF;
    INSERT INTO inventory_outage
        (public_id, pool_id, kind, node_id, node_count, period, state, reason, created_at)
    VALUES (p_public_id, p_pool, p_kind, p_node, p_node_count, p_period, 'open', p_reason, p_at)
    RETURNING id INTO out_id;
    IF p_kind = 'failed' THEN
        PERFORM capacity_move_node(p_node, 'broken', p_at, p_actor_kind, p_actor, p_reason);
    END IF;
    PERFORM capacity_note(p_pool, clk, 'outage_set', NULL, NULL, 0, p_period, p_at, p_actor, p_reason);
    PERFORM capacity_journal(
        'outage.open', public_id('out', p_public_id), '', 'open', p_at, p_actor_kind, p_actor, p_reason,
        pool.provider_id, NULL, jsonb_build_object('kind', p_kind, 'node_count', p_node_count)
    );
    IF p_kind = 'failed' AND NOT isempty(ahead) THEN
        PERFORM capacity_report_shortage(p_pool, ahead, clk, p_at, p_actor_kind, p_actor, p_reason);
    END IF;
    RETURN out_id;
END $$;

-- A node is not back when it was expected: until somebody says so it is out for good, and what
-- that puts in danger is reported. False where that was done before, or it is back.
CREATE FUNCTION capacity_overdue_outage(
    p_outage bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    o inventory_outage;
    pool bigint;
    clk timestamptz;
    for_good tstzrange;
BEGIN
    SELECT pool_id INTO STRICT pool FROM inventory_outage WHERE id = p_outage;
    clk := capacity_lock(pool, p_at, p_replay);
    SELECT * INTO STRICT o FROM inventory_outage WHERE id = p_outage FOR NO KEY UPDATE;
    IF o.state <> 'open' OR o.kind <> 'failed' OR upper(o.period) > p_at THEN
        RETURN false;
    END IF;
    for_good := tstzrange(lower(o.period), '2200-01-01Z');
    UPDATE inventory_outage SET period = for_good WHERE id = o.id;
    PERFORM capacity_note(o.pool_id, clk, 'outage_set', NULL, NULL, 0, for_good, p_at, p_actor, 'overdue');
    PERFORM capacity_journal(
        'outage.overdue', public_id('out', o.public_id), 'open', 'open', p_at, p_actor_kind, p_actor,
        o.reason, (SELECT provider_id FROM inventory_pool WHERE id = o.pool_id), NULL,
        jsonb_build_object('expected_at', upper(o.period))
    );
    PERFORM capacity_report_shortage(
        o.pool_id, tstzrange(clk, '2200-01-01Z'), clk, p_at, p_actor_kind, p_actor, 'a node is overdue'
    );
    RETURN true;
END $$;

-- A planned outage begins: it picks nodes that nothing occupies until its end. False where
-- too few are free yet: what stands in the way is journalled, once.
CREATE FUNCTION capacity_start_outage(
    p_outage bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    o inventory_outage;
    pool bigint;
    clk timestamptz;
    picked bigint[];
BEGIN
    SELECT pool_id INTO STRICT pool FROM inventory_outage WHERE id = p_outage;
    clk := capacity_lock(pool, p_at, p_replay);
    SELECT * INTO STRICT o FROM inventory_outage WHERE id = p_outage FOR NO KEY UPDATE;
    IF o.state <> 'open' OR o.kind <> 'planned' OR o.node_id IS NOT NULL
       OR NOT o.period @> p_at THEN
        RETURN o.node_id IS NOT NULL;
    END IF;
    picked := ARRAY(
        SELECT n.id FROM inventory_node n
        WHERE n.pool_id = o.pool_id AND n.state = 'serviceable'
          AND NOT EXISTS (
              SELECT FROM inventory_binding b
              WHERE int8range(b.node_id, b.node_id, '[]') && int8range(n.id, n.id, '[]')
                AND b.during && tstzrange(p_at, upper(o.period))
          )
          AND NOT EXISTS (
              SELECT FROM inventory_outage x
              WHERE x.node_id = n.id AND x.state = 'open' AND x.period && o.period
          )
        ORDER BY n.leaf, n.id LIMIT o.node_count
    );
    IF cardinality(picked) < o.node_count THEN
        IF NOT EXISTS (SELECT FROM inventory_journalentry
                       WHERE object_id = public_id('out', o.public_id) AND event = 'outage.waiting') THEN
            PERFORM capacity_journal(
                'outage.waiting', public_id('out', o.public_id), 'open', 'open', p_at, p_actor_kind,
                p_actor, 'too few nodes are empty',
                (SELECT provider_id FROM inventory_pool WHERE id = o.pool_id), NULL,
                (SELECT jsonb_build_object('allocations', jsonb_agg(DISTINCT public_id('alc', a.public_id)))
                 FROM inventory_binding b
                 JOIN inventory_allocation a ON a.id = b.allocation_id
                 WHERE a.pool_id = o.pool_id AND b.during && tstzrange(p_at, upper(o.period)))
            );
        END IF;
        RETURN false;
    END IF;
    UPDATE inventory_outage SET node_id = picked[1], node_count = 1 WHERE id = o.id;
    INSERT INTO inventory_outage
        (public_id, pool_id, kind, node_id, node_count, period, state, reason, created_at)
    SELECT fresh_uuid(), o.pool_id, 'planned', node, 1, o.period, 'open', o.reason, p_at
    FROM unnest(picked[2:]) AS node;
    PERFORM capacity_note(o.pool_id, clk, 'outage_set', NULL, NULL, 0, o.period, p_at, p_actor, 'nodes picked');
    PERFORM capacity_journal(
        'outage.started', public_id('out', o.public_id), 'open', 'open', p_at, p_actor_kind, p_actor, '',
        (SELECT provider_id FROM inventory_pool WHERE id = o.pool_id), NULL,
        (SELECT jsonb_build_object('nodes', jsonb_agg(public_id('nod', public_id)))
         FROM inventory_node WHERE id = ANY (picked))
    );
    RETURN true;
END $$;

CREATE FUNCTION capacity_close_outage(
    p_outage bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    o inventory_outage;
    pool bigint;
    clk timestamptz;
BEGIN
    SELECT pool_id INTO STRICT pool FROM inventory_outage WHERE id = p_outage;
    clk := capacity_lock(pool, p_at, p_replay);
    SELECT * INTO STRICT o FROM inventory_outage WHERE id = p_outage FOR NO KEY UPDATE;
    IF o.state = 'closed' THEN
        RETURN false;
    END IF;
    -- A node with a machine that nobody has wiped would count and could never be bound.
    IF o.kind = 'failed' AND EXISTS (
        SELECT FROM inventory_binding b JOIN inventory_instance i ON i.binding_id = b.id
        WHERE int8range(b.node_id, b.node_id, '[]') && int8range(o.node_id, o.node_id, '[]')
          AND i.state IN ('provision_failed', 'releasing', 'release_failed')
    ) THEN
        PERFORM capacity_refuse('node_not_clean', '{}');
    END IF;
    UPDATE inventory_outage SET state = 'closed', closed_at = p_at WHERE id = o.id;
    IF o.kind = 'failed' AND NOT EXISTS (
        SELECT FROM inventory_outage WHERE node_id = o.node_id AND kind = 'failed' AND state = 'open'
    ) AND (SELECT state FROM inventory_node WHERE id = o.node_id) = 'broken' THEN
        PERFORM capacity_move_node(o.node_id, 'serviceable', p_at, p_actor_kind, p_actor, p_reason);
    END IF;
    PERFORM capacity_note(o.pool_id, clk, 'outage_closed', NULL, NULL, 0, o.period, p_at, p_actor, p_reason);
    PERFORM capacity_journal(
        'outage.closed', public_id('out', o.public_id), 'open', 'closed', p_at, p_actor_kind, p_actor, p_reason,
        (SELECT provider_id FROM inventory_pool WHERE id = o.pool_id), NULL, '{}'
    );
    RETURN true;
END $$;

-- A node leaves for good, where the pool's commitments fit on the others.
CREATE FUNCTION capacity_retire_node(
    p_node bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    n inventory_node;
    pool inventory_pool;
    clk timestamptz;
    room bigint;
    outages uuid[];
    step uuid;
BEGIN
    SELECT * INTO STRICT n FROM inventory_node WHERE id = p_node;
    clk := capacity_lock(n.pool_id, p_at, p_replay);
    SELECT * INTO STRICT n FROM inventory_node WHERE id = p_node FOR NO KEY UPDATE;
    IF n.state = 'retired' THEN
        RETURN false;
    END IF;
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = n.pool_id;
    room := capacity_room(n.pool_id, tstzrange(clk, NULL), clk);
    IF n.state <> 'broken' AND capacity_failing(n.pool_id) THEN
        room := least(room, capacity_failure_room(n.pool_id, tstzrange(clk, NULL), clk));
    END IF;
    IF room < pool.cards_per_node / pool.unit_cards THEN
        PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room, 0)));
    END IF;
    IF EXISTS (SELECT FROM inventory_binding WHERE node_id = n.id AND upper(during) > p_at) THEN
        PERFORM capacity_refuse('node_in_use', '{}');
    END IF;
    WITH over AS (
        UPDATE inventory_outage SET state = 'closed', closed_at = p_at
        WHERE node_id = n.id AND state = 'open' RETURNING public_id
    )
    SELECT array_agg(public_id) INTO outages FROM over;
    FOREACH step IN ARRAY coalesce(outages, '{}') LOOP
        PERFORM capacity_journal(
            'outage.closed', public_id('out', step), 'open', 'closed', p_at, p_actor_kind, p_actor,
            'the node is retired', n.provider_id, NULL, '{}'
        );
    END LOOP;
    PERFORM capacity_move_node(n.id, 'retired', p_at, p_actor_kind, p_actor, p_reason);
    PERFORM capacity_note(n.pool_id, clk, 'nodes_changed', NULL, NULL, 0, NULL, p_at, p_actor, p_reason);
    RETURN true;
END $$;

-- An empty pool is gone for good, its nodes with it.
CREATE FUNCTION capacity_retire_pool(
    p_pool bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    clk timestamptz;
    pool inventory_pool;
    n bigint;
    step text;
BEGIN
    clk := capacity_lock(p_pool, p_at, p_replay);
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool FOR NO KEY UPDATE;
    IF EXISTS (SELECT FROM inventory_claim
               WHERE pool_id = p_pool AND state IN ('held', 'confirmed') AND upper(blocking) > clk
                 AND (state = 'confirmed' OR held_until > clk))
       OR EXISTS (SELECT FROM inventory_binding b JOIN inventory_node k ON k.id = b.node_id
                  WHERE k.pool_id = p_pool AND upper(b.during) > clk) THEN
        PERFORM capacity_refuse('capacity_taken', '{"free_units": 0}');
    END IF;
    FOR n IN SELECT id FROM inventory_block WHERE pool_id = p_pool AND state = 'open' ORDER BY id LOOP
        PERFORM capacity_turn_block(n, 'closed', p_at, p_replay, p_actor_kind, p_actor);
    END LOOP;
    FOR n IN SELECT id FROM inventory_node WHERE pool_id = p_pool AND state <> 'retired' ORDER BY id LOOP
        PERFORM capacity_move_node(n, 'retired', p_at, p_actor_kind, p_actor, p_reason);
    END LOOP;
    FOREACH step IN ARRAY CASE pool.state
        WHEN 'active' THEN ARRAY['draining', 'retired']
        WHEN 'draining' THEN ARRAY['retired'] ELSE '{}'::text[] END
    LOOP
        UPDATE inventory_pool SET state = step WHERE id = p_pool;
        PERFORM capacity_journal(
            'pool.' || step, public_id('pool', pool.public_id), pool.state, step, p_at, p_actor_kind,
            p_actor, p_reason, pool.provider_id, NULL, '{}'
        );
        pool.state := step;
    END LOOP;
    PERFORM capacity_note(p_pool, clk, 'nodes_changed', NULL, NULL, 0, NULL, p_at, p_actor, p_reason);
END $$;
