-- What both meters say of an allocation's hour; partitioned by month, keyed by the fact.

CREATE TABLE inventory_meterreading (
    allocation_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    owed_card_seconds bigint NOT NULL,
    history_card_seconds bigint NOT NULL,
    telemetry_card_seconds bigint NOT NULL,
    unwatched_card_seconds bigint NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (allocation_id, hour),
    CONSTRAINT meter_reading_on_the_hour
        CHECK (hour = date_trunc('hour', hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'),
    CONSTRAINT meter_reading_within_the_hour CHECK (
        0 <= history_card_seconds AND history_card_seconds <= owed_card_seconds
        AND 0 <= telemetry_card_seconds AND 0 <= unwatched_card_seconds
        AND telemetry_card_seconds + unwatched_card_seconds <= owed_card_seconds)
) PARTITION BY RANGE (hour);

CREATE TRIGGER meter_reading_append_only BEFORE UPDATE OR DELETE ON inventory_meterreading
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
