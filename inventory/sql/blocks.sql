-- Blocks: opened, resized, closed and opened again under the pool's lock.

-- How far a sellable window may be widened on one side: as far as the pool has room for the
-- units, counted from the window outwards, and not at all over a block that touches it.
CREATE OR REPLACE FUNCTION capacity_widened(
    p_pool bigint, p_units integer, p_sellable tstzrange, p_clock timestamptz
) RETURNS tstzrange LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pool inventory_pool;
    installed bigint;
    first_at timestamptz := lower(p_sellable);
    last_at timestamptz := upper(p_sellable);
    margin tstzrange;
    barrier timestamptz;
BEGIN
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    SELECT count(*) INTO installed FROM inventory_node WHERE pool_id = p_pool AND state <> 'retired';
    IF pool.lead_seconds > 0 AND NOT EXISTS (
        SELECT FROM inventory_block
        WHERE pool_id = p_pool AND state = 'open' AND upper(sellable) = first_at
    ) THEN
        margin := tstzrange(first_at - make_interval(secs => pool.lead_seconds), first_at);
        SELECT max(ends) INTO barrier FROM capacity_levels(p_pool, margin, p_clock) l
        WHERE (installed - pool.spare_count - l.planned) * (pool.cards_per_node / pool.unit_cards)
              - l.committed < p_units;
        first_at := coalesce(barrier, lower(margin));
    END IF;
    IF pool.turnaround_seconds > 0 AND NOT EXISTS (
        SELECT FROM inventory_block
        WHERE pool_id = p_pool AND state = 'open' AND lower(sellable) = last_at
    ) THEN
        margin := tstzrange(last_at, last_at + make_interval(secs => pool.turnaround_seconds));
        SELECT min(starts) INTO barrier FROM capacity_levels(p_pool, margin, p_clock) l
        WHERE (installed - pool.spare_count - l.planned) * (pool.cards_per_node / pool.unit_cards)
              - l.committed < p_units;
        last_at := coalesce(barrier, upper(margin));
    END IF;
    RETURN tstzrange(first_at, last_at);
END $$;

-- Other blocks reach into a range only by their margins: they give back what no claim uses.
CREATE OR REPLACE FUNCTION capacity_trim_margins(
    p_pool bigint, p_range tstzrange, p_clock timestamptz, p_at timestamptz, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    b record;
    slim tstzrange;
BEGIN
    FOR b IN
        SELECT k.id, k.period, k.sellable, k.pool_id,
               min(lower(c.blocking)) AS first_at, max(upper(c.blocking)) AS last_at
        FROM inventory_block k
        LEFT JOIN inventory_claim c
          ON c.block_id = k.id AND c.state IN ('held', 'confirmed')
         AND (c.state = 'confirmed' OR c.held_until > p_clock)
        WHERE k.pool_id = p_pool AND k.state = 'open'
          AND k.period && p_range AND NOT k.sellable && p_range
        GROUP BY k.id
    LOOP
        slim := CASE
            WHEN upper(b.sellable) <= lower(p_range) THEN
                tstzrange(lower(b.period), greatest(lower(p_range), b.last_at))
            ELSE
                tstzrange(least(upper(p_range), b.first_at), upper(b.period))
        END;
        IF slim <> b.period THEN
            UPDATE inventory_block SET period = slim WHERE id = b.id;
            PERFORM capacity_note(b.pool_id, p_clock, 'block_resized', b.id, NULL, 0, slim,
                                  p_at, p_actor, 'margin given to an adjoining block');
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION capacity_open_block(
    p_pool bigint, p_units integer, p_sellable tstzrange, p_public_id uuid,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS bigint LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    clk timestamptz;
    pool inventory_pool;
    room bigint;
    wide tstzrange;
    blk bigint;
BEGIN
    clk := capacity_lock(p_pool, p_at, p_replay);
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = p_pool;
    IF pool.state <> 'active' THEN
        PERFORM capacity_refuse('not_offered', jsonb_build_object('why', 'pool_' || pool.state));
    END IF;
    IF upper(p_sellable) <= clk THEN
        PERFORM capacity_refuse('not_offered', '{"why": "in_the_past"}');
    END IF;
    room := capacity_room(p_pool, p_sellable, clk);
    IF room < p_units THEN
        PERFORM capacity_trim_margins(p_pool, p_sellable, clk, p_at, p_actor);
        room := capacity_room(p_pool, p_sellable, clk);
    END IF;
    IF room < p_units THEN
        PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room, 0)));
    END IF;
    wide := capacity_widened(p_pool, p_units, p_sellable, clk);
    INSERT INTO inventory_block (public_id, pool_id, unit_count, period, sellable, state, created_at)
    VALUES (p_public_id, p_pool, p_units, wide, p_sellable, 'open', p_at)
    RETURNING id INTO blk;
    PERFORM capacity_note(p_pool, clk, 'block_opened', blk, NULL, 0, wide, p_at, p_actor, '');
    PERFORM capacity_journal(
        'block.open', public_id('blk', p_public_id), '', 'open', p_at, p_actor_kind, p_actor, '',
        pool.provider_id, NULL, jsonb_build_object('unit_count', p_units)
    );
    RETURN blk;
END $$;

CREATE OR REPLACE FUNCTION capacity_lock_block(
    p_block bigint, p_at timestamptz, p_replay boolean, OUT clk timestamptz, OUT b inventory_block
) LANGUAGE plpgsql VOLATILE SET lock_timeout = '2s' AS $$
DECLARE
    pool bigint;
BEGIN
    SELECT pool_id INTO STRICT pool FROM inventory_block WHERE id = p_block;
    clk := capacity_lock(pool, p_at, p_replay);
    SELECT * INTO STRICT b FROM inventory_block WHERE id = p_block FOR NO KEY UPDATE;
END $$;

-- The whole life of the block is looked at, not only what is to come: a smaller count must
-- still cover every claim the block carries.
CREATE OR REPLACE FUNCTION capacity_resize_block(
    p_block bigint, p_units integer,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    l record;
    b inventory_block;
    room bigint;
    taken integer;
    ahead tstzrange;
BEGIN
    l := capacity_lock_block(p_block, p_at, p_replay);
    b := l.b;
    taken := capacity_peak(b.id, b.period, l.clk, NULL, p_units);
    IF taken > p_units THEN
        PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', 0, 'sold_units', taken));
    END IF;
    ahead := tstzrange(greatest(lower(b.period), l.clk), greatest(upper(b.period), l.clk));
    IF p_units > b.unit_count AND b.state = 'open' AND NOT isempty(ahead) THEN
        room := capacity_room(b.pool_id, ahead, l.clk);
        IF room < p_units - b.unit_count THEN
            PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room, 0)));
        END IF;
    END IF;
    UPDATE inventory_block SET unit_count = p_units WHERE id = b.id;
    PERFORM capacity_note(b.pool_id, l.clk, 'block_resized', b.id, NULL, 0, b.period, p_at, p_actor, '');
    PERFORM capacity_journal(
        'block.resized', public_id('blk', b.public_id), b.state, b.state, p_at, p_actor_kind, p_actor,
        '', (SELECT provider_id FROM inventory_pool WHERE id = b.pool_id), NULL,
        jsonb_build_object('from_unit_count', b.unit_count, 'unit_count', p_units)
    );
END $$;

-- A closed block keeps what it sold and gives the rest back to the pool.
CREATE OR REPLACE FUNCTION capacity_turn_block(
    p_block bigint, p_to text,
    p_at timestamptz, p_replay boolean, p_actor_kind text, p_actor text
) RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
DECLARE
    l record;
    b inventory_block;
    pool inventory_pool;
    room bigint;
    ahead tstzrange;
BEGIN
    l := capacity_lock_block(p_block, p_at, p_replay);
    b := l.b;
    IF b.state = p_to THEN
        RETURN false;
    END IF;
    SELECT * INTO STRICT pool FROM inventory_pool WHERE id = b.pool_id;
    IF p_to = 'open' AND pool.state <> 'active' THEN
        PERFORM capacity_refuse('not_offered', jsonb_build_object('why', 'pool_' || pool.state));
    END IF;
    UPDATE inventory_block SET state = p_to WHERE id = b.id;
    IF p_to = 'open' THEN
        ahead := tstzrange(greatest(lower(b.period), l.clk), greatest(upper(b.period), l.clk));
        room := CASE WHEN isempty(ahead) THEN 0 ELSE capacity_room(b.pool_id, ahead, l.clk) END;
        IF room < 0 THEN
            PERFORM capacity_refuse('capacity_taken', jsonb_build_object('free_units', greatest(room + b.unit_count, 0)));
        END IF;
    END IF;
    PERFORM capacity_note(b.pool_id, l.clk, CASE p_to WHEN 'open' THEN 'block_opened' ELSE 'block_closed' END,
                          b.id, NULL, 0, b.period, p_at, p_actor, '');
    PERFORM capacity_journal(
        'block.' || p_to, public_id('blk', b.public_id), b.state, p_to, p_at, p_actor_kind, p_actor,
        '', pool.provider_id, NULL, '{}'
    );
    RETURN true;
END $$;
