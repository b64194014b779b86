-- The two tables that Django cannot make: partitioned by month, keyed by fact.

CREATE TABLE inventory_journalentry (
    id bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),  -- the sealing order, with id
    at timestamptz NOT NULL,
    event varchar(60) NOT NULL,
    object_id varchar(40) NOT NULL,
    from_state varchar(20) NOT NULL DEFAULT '',
    to_state varchar(20) NOT NULL DEFAULT '',
    actor_kind varchar(8) NOT NULL,
    actor varchar(80) NOT NULL,
    reason varchar(500) NOT NULL DEFAULT '',
    data jsonb NOT NULL DEFAULT '{}',
    provider_id bigint,
    tenant_id bigint,
    PRIMARY KEY (id, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX journal_by_object ON inventory_journalentry (object_id, id);
CREATE INDEX journal_by_provider ON inventory_journalentry (provider_id, id);
CREATE INDEX journal_by_tenant ON inventory_journalentry (tenant_id, id);
CREATE INDEX journal_by_xid ON inventory_journalentry (xid, id);

CREATE TABLE inventory_usagehour (
    allocation_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    revision smallint NOT NULL DEFAULT 0 CHECK (revision >= 0),
    card_seconds bigint NOT NULL,
    gap_card_seconds bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),  -- consumers' cursor, below the snapshot's xmin
    PRIMARY KEY (allocation_id, hour, revision),
    CONSTRAINT usage_hour_on_the_hour
        CHECK (hour = date_trunc('hour', hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC')
) PARTITION BY RANGE (hour);

CREATE INDEX usage_hour_by_hour ON inventory_usagehour (hour);
-- Few: how rating finds corrections of hours long charged.
CREATE INDEX usage_hour_corrections ON inventory_usagehour (hour) WHERE revision > 0;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON inventory_journalentry
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER usage_hour_append_only BEFORE UPDATE OR DELETE ON inventory_usagehour
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER pool_event_append_only BEFORE UPDATE OR DELETE ON inventory_poolevent
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

ALTER TABLE inventory_poolevent ADD COLUMN xid xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE INDEX pool_event_by_xid ON inventory_poolevent (xid, id);

-- The locked row is never updated; the version row is updated by every verb, in place.
ALTER TABLE inventory_poolversion SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);
ALTER TABLE inventory_claim SET (fillfactor = 85);
-- Every pool is born with its lock and its version, whoever makes it.
CREATE FUNCTION equip_pool() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO inventory_poollock (pool_id) VALUES (NEW.id);
    INSERT INTO inventory_poolversion (pool_id, ver, clock, epoch) VALUES (NEW.id, 0, NEW.created_at, 0);
    RETURN NULL;
END $$;
CREATE TRIGGER pool_is_equipped AFTER INSERT ON inventory_pool
    FOR EACH ROW EXECUTE FUNCTION equip_pool();

CREATE FUNCTION refuse_lock_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a pool lock is never updated' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER pool_lock_never_updated BEFORE UPDATE ON inventory_poollock
    FOR EACH ROW EXECUTE FUNCTION refuse_lock_update();
