-- An allocation goes on as another one on the same machines: split now, handed over at the seam.

-- From the seam on the allocation's claims are those of a new one, which ends at `p_end`. It
-- grows or shrinks to that end first, by the verbs for it, so that admission is theirs. Its
-- bindings stay as they are, over both periods: at the seam the nodes are still nobody else's.
CREATE OR REPLACE FUNCTION capacity_convert(
    p_allocation bigint, p_seam timestamptz, p_end timestamptz, p_blocks bigint[], p_public_id uuid,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    c inventory_claim;
    moved tstzrange;
    alc bigint;
    clm bigint;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.state <> 'active' OR a.kind <> 'sale' OR EXISTS (
        SELECT FROM inventory_allocation WHERE continues_id = a.id AND state <> 'cancelled') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'converted'));
    END IF;
    IF p_seam <= l.clk OR p_seam <= lower(a.period) OR p_seam > upper(a.period) OR p_end <= p_seam THEN
        PERFORM capacity_refuse('invalid_end', '{}');
    END IF;
    IF p_end > upper(a.period) THEN
        PERFORM capacity_extend(a.id, p_end, p_blocks, p_at, p_replay, p_actor_kind, p_actor);
    ELSIF p_end < upper(a.period) THEN
        PERFORM capacity_shorten(a.id, p_end, 'converted', p_at, p_replay, p_actor_kind, p_actor);
    END IF;
    SELECT * INTO STRICT a FROM inventory_allocation WHERE id = p_allocation;

    INSERT INTO inventory_allocation
        (public_id, pool_id, kind, provider_id, tenant_id, unit_count, period, blocking,
         lead_seconds, turnaround_seconds, state, note, failure_code, ssh_keys, created_at,
         next_step_at, continues_id)
    VALUES
        (p_public_id, a.pool_id, 'sale', a.provider_id, a.tenant_id, a.unit_count,
         tstzrange(p_seam, p_end), tstzrange(p_seam, upper(a.blocking)), 0, a.turnaround_seconds,
         'scheduled', '', '', a.ssh_keys, p_at, p_seam, a.id)
    RETURNING id INTO alc;
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = a.id AND state = 'confirmed' AND upper(blocking) > p_seam
             ORDER BY id FOR NO KEY UPDATE
    LOOP
        moved := c.blocking * tstzrange(p_seam, NULL);
        IF lower(c.blocking) >= p_seam THEN
            UPDATE inventory_claim SET state = 'released' WHERE id = c.id;
        ELSE
            UPDATE inventory_claim SET blocking = tstzrange(lower(blocking), p_seam) WHERE id = c.id;
        END IF;
        PERFORM capacity_note(a.pool_id, l.clk, 'shortened', c.block_id, c.id, -c.unit_count, moved,
                              p_at, p_actor, 'converted');
        INSERT INTO inventory_claim
            (public_id, allocation_id, pool_id, block_id, unit_count, blocking, state)
        VALUES (fresh_uuid(), alc, a.pool_id, c.block_id, c.unit_count, moved, 'confirmed')
        RETURNING id INTO clm;
        PERFORM capacity_note(a.pool_id, l.clk, 'confirmed', c.block_id, clm, c.unit_count, moved,
                              p_at, p_actor, 'converted');
    END LOOP;
    UPDATE inventory_allocation
    SET period = tstzrange(lower(period), p_seam), blocking = tstzrange(lower(blocking), p_seam),
        next_step_at = least(next_step_at, p_seam)
    WHERE id = a.id;
    PERFORM capacity_journal(
        'allocation.converted', public_id('alc', a.public_id), a.state, a.state, p_at, p_actor_kind,
        p_actor, '', a.provider_id, a.tenant_id,
        jsonb_build_object('from_at', p_seam, 'end', p_end, 'into', public_id('alc', p_public_id))
    );
    PERFORM capacity_journal(
        'allocation.scheduled', public_id('alc', p_public_id), '', 'scheduled', p_at, p_actor_kind,
        p_actor, '', a.provider_id, a.tenant_id,
        jsonb_build_object('unit_count', a.unit_count, 'continues', public_id('alc', a.public_id))
    );
    RETURN alc;
END $$;

-- A continuing allocation that is called off gives its predecessor the time after its end back
-- in which machines are wiped. Called before its own claims are released, under the pool's lock.
CREATE OR REPLACE FUNCTION capacity_take_back(
    a inventory_allocation, p_clock timestamptz, p_at timestamptz, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    before inventory_allocation;
    c inventory_claim;
    wide tstzrange;
    clm bigint;
BEGIN
    SELECT * INTO STRICT before FROM inventory_allocation WHERE id = a.continues_id FOR NO KEY UPDATE;
    IF before.state <> 'active' OR upper(before.period) <> lower(a.period) THEN
        RETURN;
    END IF;
    wide := tstzrange(
        lower(before.blocking), upper(before.period) + make_interval(secs => before.turnaround_seconds)
    );
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = a.id AND state = 'confirmed' AND blocking && wide ORDER BY id
    LOOP
        -- One claim per block, as every verb finds it.
        UPDATE inventory_claim SET blocking = tstzrange(lower(blocking), upper(c.blocking * wide))
        WHERE allocation_id = before.id AND block_id = c.block_id AND state = 'confirmed'
          AND upper(blocking) = lower(c.blocking)
        RETURNING id INTO clm;
        IF NOT FOUND THEN
            INSERT INTO inventory_claim
                (public_id, allocation_id, pool_id, block_id, unit_count, blocking, state)
            VALUES (fresh_uuid(), before.id, a.pool_id, c.block_id, c.unit_count, c.blocking * wide,
                    'confirmed')
            RETURNING id INTO clm;
        END IF;
        PERFORM capacity_note(a.pool_id, p_clock, 'extended', c.block_id, clm, c.unit_count,
                              c.blocking * wide, p_at, p_actor, 'not converted after all');
    END LOOP;
    UPDATE inventory_allocation SET blocking = wide WHERE id = before.id;
    UPDATE inventory_binding SET during = tstzrange(lower(during), upper(wide))
    WHERE allocation_id = before.id AND upper(during) > upper(wide) AND lower(during) < upper(wide);
END $$;

-- At the seam: the nodes that serve the one serve the other from then on. Returns the bindings
-- in pairs, the old one and what takes its place.
CREATE OR REPLACE FUNCTION capacity_hand_over(
    p_allocation bigint, p_into bigint,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    next inventory_allocation;
    b inventory_binding;
    since timestamptz;
    bnd bigint;
    pairs jsonb := '[]';
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    SELECT * INTO STRICT next FROM inventory_allocation WHERE id = p_into FOR NO KEY UPDATE;
    IF next.continues_id IS DISTINCT FROM a.id OR next.state <> 'scheduled' OR a.state <> 'active' THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', next.state, 'wanted', 'handed_over'));
    END IF;
    IF l.clk < lower(next.period) OR lower(next.period) <> upper(a.period) THEN
        PERFORM capacity_refuse('not_due', '{}');
    END IF;
    FOR b IN SELECT * FROM inventory_binding
             WHERE allocation_id = a.id AND upper(during) > p_at ORDER BY id FOR NO KEY UPDATE
    LOOP
        since := greatest(lower(next.period), lower(b.during) + interval '1 microsecond');
        UPDATE inventory_binding SET during = tstzrange(lower(during), since) WHERE id = b.id;
        INSERT INTO inventory_binding (public_id, allocation_id, node_id, cards, during, created_at)
        VALUES (fresh_uuid(), next.id, b.node_id, b.cards, tstzrange(since, upper(next.blocking)), p_at)
        RETURNING id INTO bnd;
        pairs := pairs || jsonb_build_array(jsonb_build_array(b.id, bnd));
    END LOOP;
    PERFORM capacity_note(a.pool_id, l.clk, 'bound', NULL, NULL, 0, next.blocking,
                          p_at, p_actor, public_id('alc', next.public_id));
    PERFORM capacity_journal(
        'allocation.bound', public_id('alc', next.public_id), next.state, next.state, p_at,
        p_actor_kind, p_actor, '', a.provider_id, a.tenant_id,
        jsonb_build_object('from', public_id('alc', a.public_id))
    );
    RETURN pairs;
END $$;
