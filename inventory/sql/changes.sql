-- A deal changes in place: it grows, shrinks, ends.

-- The allocation ends later. What it holds already is not asked for again; each piece is
-- swept against the others' claims. `p_blocks` names adjoining blocks it grows into.
CREATE OR REPLACE FUNCTION capacity_extend(
    p_allocation bigint, p_end timestamptz, p_blocks bigint[],
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    l record;
    a inventory_allocation;
    longer tstzrange;
    wide tstzrange;
    cut record;
    c inventory_claim;
    grown tstzrange;
    free bigint;
    least_free bigint;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.state NOT IN ('held', 'scheduled', 'delivering', 'active') OR a.kind <> 'sale' THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'extended'));
    END IF;
    IF p_end <= upper(a.period) OR upper(a.period) <= l.clk THEN
        PERFORM capacity_refuse('invalid_end', '{}');
    END IF;
    IF EXISTS (SELECT FROM inventory_claim
               WHERE allocation_id = a.id AND state = 'held' AND held_until <= l.clk) THEN
        PERFORM capacity_refuse('hold_expired', '{}');
    END IF;
    IF EXISTS (SELECT FROM inventory_pool WHERE id = a.pool_id AND state <> 'active') THEN
        PERFORM capacity_refuse('not_offered', '{"why": "pool_draining"}');
    END IF;
    longer := tstzrange(lower(a.period), p_end);
    wide := tstzrange(lower(a.blocking), p_end + make_interval(secs => a.turnaround_seconds));
    cut := capacity_pieces(
        a.pool_id,
        ARRAY(SELECT block_id FROM inventory_claim
              WHERE allocation_id = a.id AND state IN ('held', 'confirmed')
              UNION SELECT unnest(p_blocks)),
        longer, wide
    );
    IF cut.problem IS NOT NULL THEN
        PERFORM capacity_refuse('not_offered', jsonb_build_object('why', cut.problem));
    END IF;
    FOR i IN 1 .. cardinality(cut.blocks) LOOP
        free := cut.counts[i] - capacity_peak(
            cut.blocks[i], cut.pieces[i], l.clk, a.id, cut.counts[i] - a.unit_count
        );
        least_free := least(free, least_free);
    END LOOP;
    IF least_free >= a.unit_count AND capacity_failing(a.pool_id) THEN
        least_free := least(
            least_free,
            capacity_failure_room(a.pool_id, tstzrange(upper(a.blocking), upper(wide)), l.clk)
        );
    END IF;
    IF least_free < a.unit_count THEN
        PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(least_free, 0)));
    END IF;

    UPDATE inventory_allocation SET period = longer, blocking = wide WHERE id = a.id;
    FOR i IN 1 .. cardinality(cut.blocks) LOOP
        SELECT * INTO c FROM inventory_claim
        WHERE allocation_id = a.id AND block_id = cut.blocks[i] AND state IN ('held', 'confirmed')
        FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            INSERT INTO inventory_claim
                (public_id, allocation_id, pool_id, block_id, unit_count, blocking, state, held_until)
            SELECT fresh_uuid(), a.id, a.pool_id, cut.blocks[i], a.unit_count, cut.pieces[i],
                   k.state, k.held_until
            FROM inventory_claim k
            WHERE k.allocation_id = a.id AND k.state IN ('held', 'confirmed') LIMIT 1
            RETURNING * INTO c;
            PERFORM capacity_note(a.pool_id, l.clk, 'extended', c.block_id, c.id, c.unit_count,
                                  c.blocking, p_at, p_actor, '');
        ELSIF upper(cut.pieces[i]) > upper(c.blocking) THEN
            grown := tstzrange(upper(c.blocking), upper(cut.pieces[i]));
            UPDATE inventory_claim SET blocking = cut.pieces[i] WHERE id = c.id;
            PERFORM capacity_note(a.pool_id, l.clk, 'extended', c.block_id, c.id, c.unit_count,
                                  grown, p_at, p_actor, '');
        ELSIF upper(cut.pieces[i]) < upper(c.blocking) THEN
            -- Its turnaround reached past the block's edge; the next block carries that now.
            grown := tstzrange(upper(cut.pieces[i]), upper(c.blocking));
            UPDATE inventory_claim SET blocking = cut.pieces[i] WHERE id = c.id;
            PERFORM capacity_note(a.pool_id, l.clk, 'shortened', c.block_id, c.id, -c.unit_count,
                                  grown, p_at, p_actor, 'moved to the adjoining block');
        END IF;
    END LOOP;
    UPDATE inventory_binding SET during = tstzrange(lower(during), upper(wide))
    WHERE allocation_id = a.id AND upper(during) = upper(a.blocking);
    PERFORM capacity_journal(
        'allocation.extended', public_id('alc', a.public_id), a.state, a.state, p_at, p_actor_kind,
        p_actor, '', a.provider_id, a.tenant_id,
        jsonb_build_object('from_end', upper(a.period), 'end', p_end)
    );
END $$;

-- What live claims block after an instant is given back; the rest stays.
CREATE OR REPLACE FUNCTION capacity_cut_claims(
    a inventory_allocation, p_until timestamptz, p_kind text, p_clock timestamptz,
    p_at timestamptz, p_actor text, p_reason text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c inventory_claim;
BEGIN
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = a.id AND state IN ('held', 'confirmed')
               AND upper(blocking) > p_until
             ORDER BY id FOR NO KEY UPDATE
    LOOP
        IF lower(c.blocking) >= p_until THEN
            UPDATE inventory_claim SET state = 'released' WHERE id = c.id;
            PERFORM capacity_note(a.pool_id, p_clock, p_kind, c.block_id, c.id, -c.unit_count,
                                  c.blocking, p_at, p_actor, p_reason);
        ELSE
            UPDATE inventory_claim SET blocking = tstzrange(lower(blocking), p_until) WHERE id = c.id;
            PERFORM capacity_note(a.pool_id, p_clock, p_kind, c.block_id, c.id, -c.unit_count,
                                  tstzrange(p_until, upper(c.blocking)), p_at, p_actor, p_reason);
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION capacity_shorten(
    p_allocation bigint, p_end timestamptz, p_reason text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    until timestamptz;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.state NOT IN ('held', 'scheduled', 'delivering', 'active') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'shortened'));
    END IF;
    IF p_end >= upper(a.period) OR p_end <= lower(a.period) OR p_end < p_at THEN
        PERFORM capacity_refuse('invalid_end', '{}');
    END IF;
    -- Where another allocation takes the machines over it blocks nothing after its end.
    until := least(p_end + make_interval(secs => a.turnaround_seconds), upper(a.blocking));
    PERFORM capacity_cut_claims(a, until, 'shortened', l.clk, p_at, p_actor, p_reason);
    UPDATE inventory_binding SET during = tstzrange(lower(during), until)
    WHERE allocation_id = a.id AND upper(during) > until AND lower(during) < until;
    UPDATE inventory_allocation
    SET period = tstzrange(lower(period), p_end), blocking = tstzrange(lower(blocking), until),
        -- The reconcile loop wakes at the new end, not at the old one.
        next_step_at = CASE WHEN next_step_at > p_end THEN p_end ELSE next_step_at END
    WHERE id = a.id;
    PERFORM capacity_journal(
        'allocation.shortened', public_id('alc', a.public_id), a.state, a.state, p_at, p_actor_kind,
        p_actor, p_reason, a.provider_id, a.tenant_id,
        jsonb_build_object('from_end', upper(a.period), 'end', p_end)
    );
END $$;

-- The nodes are clean: claims and bindings end, and what was blocked beyond is free.
CREATE OR REPLACE FUNCTION capacity_finish(
    p_allocation bigint, p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    a inventory_allocation;
    c inventory_claim;
    kept tstzrange;
    live boolean := false;
BEGIN
    l := capacity_lock_allocation(p_allocation, p_at, p_replay);
    a := l.a;
    IF a.state IN ('held', 'expired') THEN
        PERFORM capacity_refuse('invalid_state', jsonb_build_object('current', a.state, 'wanted', 'ended'));
    END IF;
    FOR c IN SELECT * FROM inventory_claim
             WHERE allocation_id = a.id AND state = 'confirmed' ORDER BY id FOR NO KEY UPDATE
    LOOP
        live := true;
        IF lower(c.blocking) >= p_at THEN
            UPDATE inventory_claim SET state = 'released' WHERE id = c.id;
            PERFORM capacity_note(a.pool_id, l.clk, 'released', c.block_id, c.id, -c.unit_count,
                                  c.blocking, p_at, p_actor, 'ended before its time');
        ELSE
            kept := tstzrange(lower(c.blocking), least(p_at, upper(c.blocking)));
            UPDATE inventory_claim SET state = 'ended', blocking = kept WHERE id = c.id;
            PERFORM capacity_note(
                a.pool_id, l.clk, 'ended', c.block_id, c.id,
                CASE WHEN p_at < upper(c.blocking) THEN -c.unit_count ELSE 0 END,
                CASE WHEN p_at < upper(c.blocking) THEN tstzrange(p_at, upper(c.blocking))
                     ELSE c.blocking END,
                p_at, p_actor, ''
            );
        END IF;
    END LOOP;
    UPDATE inventory_binding
    SET during = tstzrange(lower(during), greatest(p_at, lower(during) + interval '1 microsecond'))
    WHERE allocation_id = a.id AND upper(during) > p_at;
    RETURN live;
END $$;
