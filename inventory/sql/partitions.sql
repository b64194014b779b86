-- Monthly partitions of the journal, the usage and the telemetry hours, and one DEFAULT each, so that no
-- instant is ever refused. Runs as the owner, so that the runtime role needs no DDL. Rows of
-- a month that stayed in DEFAULT keep that month from being made: reported, not an error.

CREATE OR REPLACE FUNCTION ensure_partitions(p_from timestamptz, p_until timestamptz)
RETURNS TABLE (partition text, made boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC'
-- Behind a long transaction it gives up: all that is journalled would wait behind it.
SET lock_timeout = '2s' AS $$
DECLARE
    parent text;
    month timestamptz;
    name text;
BEGIN
    IF p_until > p_from + interval '40 years' THEN
        RAISE EXCEPTION 'more than forty years of partitions';
    END IF;
    -- One at a time: two workers that make the same month would collide.
    PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY[
        'inventory_journalentry', 'inventory_usagehour', 'inventory_telemetryhour',
        'inventory_meterreading'
    ] LOOP
        name := parent || '_default';
        IF to_regclass(name) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', name, parent);
            EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', name);
            PERFORM hide_partition(name);
        END IF;
        month := date_trunc('month', p_from);
        WHILE month < p_until LOOP
            name := parent || to_char(month, '_YYYY_MM');
            IF to_regclass(name) IS NULL THEN
                partition := name;
                BEGIN
                    EXECUTE format(
                        'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                        name, parent, month, month + interval '1 month'
                    );
                    PERFORM hide_partition(name);
                    made := true;
                EXCEPTION WHEN check_violation THEN
                    made := false;
                END;
                RETURN NEXT;
            END IF;
            month := month + interval '1 month';
        END LOOP;
    END LOOP;
END $$;

-- A partition is reached through its parent only, whose rights are the ones that count.
CREATE OR REPLACE FUNCTION hide_partition(p_name text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT a.grantee::regrole::text
        FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = to_regclass(p_name) AND a.grantee <> 0 AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %I FROM %s', p_name, grantee);
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION hide_partition(text) FROM PUBLIC;
