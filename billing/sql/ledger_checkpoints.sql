-- Balances of accounts without a balance row: a checkpoint, and the sum of the entries after it.

-- Every such account with at least `p_every` entries since its last checkpoint gets the next
-- one; how many did. A checkpoint says: the entries up to this id sum to so much. It is true for
-- ever only if no smaller id can still commit, and ids commit in any order. So the ids given out
-- so far are noted first, then every transaction that may have taken one of them is waited for:
-- a transaction has its xid (from its header) before it takes an id for an entry. Nothing is
-- locked meanwhile. After `p_patience` it gives up, and the next sweep tries again.
CREATE OR REPLACE FUNCTION ledger_take_checkpoints(
    p_every integer, p_at timestamptz, p_patience interval
) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    v_through bigint;
    v_next xid8;
    v_until timestamptz := clock_timestamp() + p_patience;
    v_count integer;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'checkpoints need a new snapshot for each statement'
            USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtext('ledger checkpoints')) THEN
        RETURN 0;  -- another one is at it
    END IF;
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO v_through
      FROM billing_ledgerentry_id_seq;
    v_next := pg_snapshot_xmax(pg_current_snapshot());
    WHILE EXISTS (SELECT FROM pg_snapshot_xip(pg_current_snapshot()) x WHERE x < v_next) LOOP
        IF clock_timestamp() >= v_until THEN
            RETURN 0;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    INSERT INTO billing_ledgercheckpoint (account_id, through_entry, entries, posted, at)
    SELECT a.id, v_through, coalesce(c.entries, 0) + tail.entries,
           coalesce(c.posted, 0) + ledger_normal(a.kind) * tail.total, p_at
      FROM billing_ledgeraccount a
      LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id
      LEFT JOIN LATERAL (
          SELECT through_entry, entries, posted FROM billing_ledgercheckpoint
           WHERE account_id = a.id ORDER BY through_entry DESC LIMIT 1) c ON true
     CROSS JOIN LATERAL (
          SELECT count(*) AS entries, coalesce(sum(amount_minor), 0) AS total
            FROM billing_ledgerentry
           WHERE account_id = a.id AND id > coalesce(c.through_entry, 0) AND id <= v_through) tail
     WHERE b.account_id IS NULL AND tail.entries >= p_every;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
