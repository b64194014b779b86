-- The beginning of a request's transaction: its limits, its instant and, where it names a key,
-- that key's lock and the reply stored for it.
--
-- VOLATILE, so that the reply is read by a statement that begins after the lock was granted:
-- read together with it, a reply committed in between would be overlooked. The lock is tried,
-- never awaited.
CREATE OR REPLACE FUNCTION entry_begin(
    p_lock_timeout text, p_statement_timeout text, p_lock bigint, p_organisation bigint, p_key text,
    OUT at timestamptz, OUT granted boolean, OUT request_sha256 bytea, OUT status smallint,
    OUT content_type text, OUT body bytea, OUT location text
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('lock_timeout', p_lock_timeout, true),
            set_config('statement_timeout', p_statement_timeout, true);
    at := clock_timestamp();
    granted := p_lock IS NULL OR pg_try_advisory_xact_lock(p_lock);
    IF granted AND p_lock IS NOT NULL THEN
        SELECT r.request_sha256, r.status, r.content_type, r.body, r.location
        INTO request_sha256, status, content_type, body, location
        FROM marketplace_idempotencyrecord r
        WHERE r.organisation_id = p_organisation AND r.key = p_key;
    END IF;
END $$;
