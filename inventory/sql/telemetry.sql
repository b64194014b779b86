-- What telemetry saw of a node in an hour; partitioned by month, keyed by fact.

CREATE TABLE inventory_telemetryhour (
    node_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    sealed_at timestamptz,
    card_count smallint NOT NULL CHECK (card_count BETWEEN 1 AND 64),
    seen_slots smallint[] NOT NULL,
    unhealthy_slots smallint[] NOT NULL,
    busy_slots smallint[] NOT NULL,
    busy_permille_sum int[] NOT NULL,
    memory_slots smallint[] NOT NULL,
    memory_permille_sum int[] NOT NULL,
    power_slots smallint[] NOT NULL,
    power_watt_sum int[] NOT NULL,
    temperature_max smallint[] NOT NULL,
    last_error int[] NOT NULL,
    error_slots smallint[] NOT NULL,
    link_down_slots smallint[] NOT NULL,
    slots bytea NOT NULL,
    fact_slots bytea NOT NULL,
    replica text NOT NULL DEFAULT '',
    PRIMARY KEY (node_id, hour),
    CONSTRAINT telemetry_hour_on_the_hour
        CHECK (hour = date_trunc('hour', hour AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'),
    CONSTRAINT telemetry_hour_one_element_per_card CHECK (
        cardinality(seen_slots) = card_count AND cardinality(unhealthy_slots) = card_count
        AND cardinality(busy_slots) = card_count AND cardinality(busy_permille_sum) = card_count
        AND cardinality(memory_slots) = card_count
        AND cardinality(memory_permille_sum) = card_count
        AND cardinality(power_slots) = card_count AND cardinality(power_watt_sum) = card_count
        AND cardinality(temperature_max) = card_count AND cardinality(last_error) = card_count
        AND cardinality(error_slots) = card_count AND cardinality(link_down_slots) = card_count
        AND length(slots) = card_count * 15),
    CONSTRAINT telemetry_hour_within_its_slots CHECK (
        0 <= ALL (seen_slots) AND 120 >= ALL (seen_slots)
        AND 0 <= ALL (unhealthy_slots) AND 120 >= ALL (unhealthy_slots)
        AND 0 <= ALL (busy_slots) AND 120 >= ALL (busy_slots)
        AND 0 <= ALL (busy_permille_sum) AND 120000 >= ALL (busy_permille_sum)
        AND 0 <= ALL (memory_permille_sum) AND 120000 >= ALL (memory_permille_sum)
        AND 0 <= ALL (power_watt_sum))
) PARTITION BY RANGE (hour);

CREATE INDEX telemetry_hour_by_hour ON inventory_telemetryhour (hour);
CREATE INDEX telemetry_hour_unsealed ON inventory_telemetryhour (hour) WHERE sealed_at IS NULL;

-- A sealed hour is what bills and disputes point at: nobody adds to it or takes it away.
CREATE FUNCTION keep_sealed_telemetry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'telemetry of an hour that is sealed' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER telemetry_hour_sealed BEFORE UPDATE OR DELETE ON inventory_telemetryhour
    FOR EACH ROW WHEN (OLD.sealed_at IS NOT NULL) EXECUTE FUNCTION keep_sealed_telemetry();
