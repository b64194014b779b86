-- Which nodes and cards serve an allocation: decided at its start, packed close together.

-- Chooses units of the pool that nothing occupies from an instant on, and binds them.
-- A node is out while it is broken or retired, while an outage has picked it, and where an
-- instance outlived its binding, because its cards are not clean. Of the others those that are
-- well and run the pool's usual software are taken where they suffice, then all that are well,
-- and only then all: counting promised nodes, not their condition, and binding always succeeds.
-- Whole nodes come from as few leaves as possible, slices from nodes already cut into.
CREATE OR REPLACE FUNCTION capacity_pick(
    p_allocation bigint, p_pool bigint, p_units integer, p_during tstzrange,
    p_nodes bigint[], p_at timestamptz
) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pool inventory_pool;
    per_node integer;
    bound integer;
BEGIN
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    per_node := pool.cards_per_node / pool.unit_cards;
    WITH unclean AS MATERIALIZED (
        SELECT b.node_id, b.cards
        FROM inventory_allocation a
        JOIN inventory_binding b ON b.allocation_id = a.id
        JOIN inventory_instance i ON i.binding_id = b.id
        WHERE a.pool_id = p_pool AND i.state NOT IN ('released', 'handed_over') AND upper(b.during) <= p_at
          AND a.state IN ('delivering', 'active', 'releasing', 'release_failed')
    ), usual AS (
        SELECT n.driver_version, n.runtime_version, n.framework_version
        FROM inventory_node n WHERE n.pool_id = p_pool AND n.state = 'serviceable'
        GROUP BY 1, 2, 3 ORDER BY count(*) DESC, 1, 2, 3 LIMIT 1
    ), free AS MATERIALIZED (
        SELECT n.id AS node_id, n.leaf, s.slot,
               CASE WHEN EXISTS (SELECT FROM inventory_nodehealth h WHERE h.node_id = n.id
                                 AND h.state IN ('jittering', 'degraded', 'down')) THEN 2
                    WHEN (n.driver_version, n.runtime_version, n.framework_version)
                         IS DISTINCT FROM (SELECT (u.driver_version, u.runtime_version,
                                                   u.framework_version) FROM usual u) THEN 1
                    ELSE 0 END AS worse
        FROM inventory_node n
        CROSS JOIN generate_series(0, per_node - 1) AS s (slot)
        WHERE n.pool_id = p_pool AND n.state = 'serviceable'
          AND (p_nodes IS NULL OR n.id = ANY (p_nodes))
          AND NOT EXISTS (
              SELECT FROM inventory_binding b
              WHERE int8range(b.node_id, b.node_id, '[]') && int8range(n.id, n.id, '[]')
                AND b.cards && int4range(s.slot * pool.unit_cards, (s.slot + 1) * pool.unit_cards)
                AND b.during && p_during
          )
          AND NOT EXISTS (
              SELECT FROM unclean u
              WHERE u.node_id = n.id
                AND u.cards && int4range(s.slot * pool.unit_cards, (s.slot + 1) * pool.unit_cards)
          )
          AND NOT EXISTS (
              SELECT FROM inventory_outage o
              WHERE o.node_id = n.id AND o.state = 'open' AND o.period && p_during
          )
    ), fit AS (
        SELECT f.* FROM free f
        WHERE f.worse <= (
            SELECT min(t) FROM generate_series(0, 2) AS t
            WHERE t = 2 OR (SELECT count(*) FROM free w WHERE w.worse <= t) >= p_units)
    ), grouped AS (
        SELECT f.*,
               count(*) OVER (PARTITION BY CASE WHEN per_node = 1 THEN f.leaf ELSE f.node_id::text END)
                   AS group_free
        FROM fit f
    ), chosen AS (
        SELECT node_id, slot FROM grouped
        ORDER BY
            group_free < p_units,                                           -- fits in one group,
            CASE WHEN group_free >= p_units THEN group_free END,            -- the tightest of them;
            per_node > 1 AND group_free = per_node,                         -- else cut nodes first,
            CASE WHEN group_free < p_units THEN -group_free END,            -- the roomiest groups
            leaf, node_id, slot
        LIMIT p_units
    ), islands AS (
        SELECT node_id, slot, slot - row_number() OVER (PARTITION BY node_id ORDER BY slot) AS island
        FROM chosen
    )
    INSERT INTO inventory_binding (public_id, allocation_id, node_id, cards, during, created_at)
    SELECT fresh_uuid(), p_allocation, node_id,
           int4range((min(slot) * pool.unit_cards)::int, ((max(slot) + 1) * pool.unit_cards)::int),
           p_during, p_at
    FROM islands
    GROUP BY node_id, island
    ORDER BY node_id, min(slot);
    SELECT coalesce(sum(upper(cards) - lower(cards)), 0) / pool.unit_cards INTO bound
    FROM inventory_binding WHERE allocation_id = p_allocation AND during = p_during;
    RETURN bound;
END $$;

-- Binds an allocation whose blocking period has begun. False where it was bound already.
CREATE OR REPLACE FUNCTION capacity_bind(
    p_allocation bigint, p_nodes bigint[],
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    bound integer;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF EXISTS (SELECT FROM inventory_binding WHERE allocation_id = a.id AND upper(during) > p_at) THEN
        RETURN false;
    END IF;
    IF a.state NOT IN ('scheduled', 'delivering', 'active') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'bound'));
    END IF;
    IF p_at < lower(a.blocking) OR p_at >= upper(a.blocking) THEN
        PERFORM capacity_refuse('not_due', '{}');
    END IF;
    -- From now on, not from the period's start: before now the cards served somebody else.
    bound := capacity_pick(a.id, a.pool_id, a.unit_count, tstzrange(p_at, upper(a.blocking)), p_nodes, p_at);
    IF bound < a.unit_count THEN
        PERFORM capacity_refuse(CASE WHEN p_nodes IS NULL THEN 'no_node_free' ELSE 'node_in_use' END,
                                jsonb_build_object('found_units', bound));
    END IF;
    PERFORM capacity_note(a.pool_id, l.clk, 'bound', NULL, NULL, 0, tstzrange(p_at, upper(a.blocking)),
                          p_at, p_actor, public_id('alc', a.public_id));
    PERFORM capacity_journal(
        'allocation.bound', public_id('alc', a.public_id), a.state, a.state, p_at, p_actor_kind, p_actor,
        '', a.provider_id, a.tenant_id,
        (SELECT jsonb_build_object('nodes', jsonb_agg(DISTINCT public_id('nod', n.public_id)))
         FROM inventory_binding b JOIN inventory_node n ON n.id = b.node_id
         WHERE b.allocation_id = a.id AND upper(b.during) > p_at)
    );
    RETURN true;
END $$;

-- Another node takes over what one binding served.
CREATE OR REPLACE FUNCTION capacity_rebind(
    p_binding bigint, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS SETOF bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    old inventory_binding;
    unit_cards integer;
    units integer;
    bound integer;
    before bigint;
BEGIN
    SELECT * INTO STRICT old FROM inventory_binding WHERE id = p_binding;
    -- As long as the old one: over what follows too, where the allocation goes on as another.
    l := capacity_lock_allocation(old.allocation_id, p_at, p_replay);
    a := l.a;
    SELECT * INTO STRICT old FROM inventory_binding WHERE id = p_binding FOR NO KEY UPDATE;
    IF a.state NOT IN ('scheduled', 'delivering', 'active') OR upper(old.during) <= p_at THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'rebound'));
    END IF;
    SELECT p.unit_cards INTO STRICT unit_cards FROM inventory_pool p WHERE id = a.pool_id;
    units := (upper(old.cards) - lower(old.cards)) / unit_cards;
    SELECT coalesce(max(id), 0) INTO before FROM inventory_binding;
    -- First, so that the node itself can be picked again: where no other is free, and once it
    -- is clean and serviceable.
    UPDATE inventory_binding
    SET during = tstzrange(lower(during), greatest(p_at, lower(during) + interval '1 microsecond'))
    WHERE id = old.id;
    PERFORM capacity_pick(
        a.id, a.pool_id, units, tstzrange(p_at, upper(old.during)),
        ARRAY(SELECT id FROM inventory_node WHERE pool_id = a.pool_id AND id <> old.node_id), p_at
    );
    SELECT coalesce(sum(upper(cards) - lower(cards)), 0) / unit_cards INTO bound
    FROM inventory_binding WHERE allocation_id = a.id AND id > before;
    IF bound < units THEN
        PERFORM capacity_pick(
            a.id, a.pool_id, units - bound, tstzrange(p_at, upper(old.during)), NULL, p_at
        );
        SELECT coalesce(sum(upper(cards) - lower(cards)), 0) / unit_cards INTO bound
        FROM inventory_binding WHERE allocation_id = a.id AND id > before;
    END IF;
    IF bound < units THEN
        PERFORM capacity_refuse('no_node_free', jsonb_build_object('found_units', bound));
    END IF;
    PERFORM capacity_note(a.pool_id, l.clk, 'bound', NULL, NULL, 0, tstzrange(p_at, upper(old.during)),
                          p_at, p_actor, public_id('alc', a.public_id));
    PERFORM capacity_journal(
        'allocation.rebound', public_id('alc', a.public_id), a.state, a.state, p_at, p_actor_kind,
        p_actor, p_reason, a.provider_id, a.tenant_id,
        jsonb_build_object('from_node', (SELECT public_id('nod', public_id) FROM inventory_node WHERE id = old.node_id))
    );
    RETURN QUERY SELECT id FROM inventory_binding WHERE allocation_id = a.id AND id > before ORDER BY id;
END $$;
