-- The books recomputed from rows alone, without any function that wrote them. Each query finds
-- what contradicts its title; none may find anything. A credit raises liabilities and revenue;
-- that is written out again here, so that a wrong `ledger_normal` shows.

-- check: every transaction has two entries or more and sums to zero per currency
SELECT t.id, t.kind, e.currency, count(e.id) AS entries, sum(e.amount_minor) AS total
FROM billing_ledgertransaction t LEFT JOIN billing_ledgerentry e ON e.transaction_id = t.id
GROUP BY t.id, t.kind, e.currency
HAVING count(e.id) < 1 OR sum(e.amount_minor) <> 0
UNION ALL
SELECT transaction_id, 'too few', '', count(*), 0 FROM billing_ledgerentry
GROUP BY transaction_id HAVING count(*) < 2;

-- check: all entries of a currency sum to zero
SELECT currency, sum(amount_minor) FROM billing_ledgerentry GROUP BY currency HAVING sum(amount_minor) <> 0;

-- check: an entry is in the currency of its account
SELECT e.id, e.currency, a.code FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id WHERE a.currency <> e.currency;

-- check: a balance is the sum of its entries
SELECT a.code, b.posted, coalesce((CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END) * sum(e.amount_minor), 0) AS entries
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN billing_ledgerentry e ON e.account_id = a.id
GROUP BY a.id, a.code, a.kind, b.posted
HAVING b.posted <> coalesce((CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END) * sum(e.amount_minor), 0);

-- check: accounts that must never fall are guarded
SELECT a.code FROM billing_ledgeraccount a
LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id AND b.guarded
WHERE a.purpose IN ('wallet', 'deposit', 'security', 'tenant_arrears', 'tenant_receivable',
    'provider_settling', 'provider_reserve', 'provider_receivable')
  AND b.account_id IS NULL;

-- check: no guarded account is below its floor
SELECT a.code, b.posted, b.held, b.floor_minor FROM billing_ledgerbalance b
JOIN billing_ledgeraccount a ON a.id = b.account_id
WHERE b.guarded AND b.posted::numeric - b.held + b.floor_minor < 0;

-- check: what is held is the sum of open holds
SELECT a.code, b.held, coalesce(sum(h.amount_minor), 0) AS holds
FROM billing_ledgerbalance b JOIN billing_ledgeraccount a ON a.id = b.account_id
LEFT JOIN billing_ledgerhold h ON h.account_id = a.id AND h.state = 'open'
GROUP BY a.code, b.held HAVING b.held <> coalesce(sum(h.amount_minor - h.captured_minor), 0);

-- check: an open hold belongs to a held reservation
SELECT h.idempotency_key, r.state FROM billing_ledgerhold h
LEFT JOIN marketplace_reservation r
       ON h.idempotency_key = 'hold:rsv_' || replace(r.public_id::text, '-', '')
WHERE h.state = 'open' AND h.idempotency_key LIKE 'hold:rsv_%'
  AND (r.state IS DISTINCT FROM 'held' OR r.hold_deposit_minor <> h.amount_minor);

-- check: an open hold of a basket is what its reservations keep aside
SELECT h.idempotency_key, b.state, h.amount_minor, r.amount FROM billing_ledgerhold h
LEFT JOIN marketplace_basket b
       ON h.idempotency_key = 'hold:bsk_' || replace(b.public_id::text, '-', '')
LEFT JOIN LATERAL (SELECT sum(hold_deposit_minor) AS amount FROM marketplace_reservation
                   WHERE basket_id = b.id AND state = 'held') r ON true
WHERE h.state = 'open' AND h.idempotency_key LIKE 'hold:bsk_%'
  AND (b.state IS DISTINCT FROM 'held' OR b.hold_deposit_minor <> h.amount_minor
       OR r.amount IS DISTINCT FROM h.amount_minor);

-- check: what lies in a basket stands where the basket stands
SELECT b.id, b.state, r.id, r.state FROM marketplace_basket b
JOIN marketplace_reservation r ON r.basket_id = b.id
WHERE r.state <> b.state AND NOT (b.state = 'confirmed' AND r.state = 'cancelled')
   OR (r.tenant_id, r.expires_at, r.currency) <> (b.tenant_id, b.expires_at, b.currency);

-- check: what a hold was captured of is the sum of its captures, each as it was booked
SELECT h.id, h.captured_minor, coalesce(sum(c.amount_minor), 0) AS captures
FROM billing_ledgerhold h LEFT JOIN billing_ledgercapture c ON c.hold_id = h.id
GROUP BY h.id HAVING h.captured_minor <> coalesce(sum(c.amount_minor), 0)
UNION ALL
SELECT c.hold_id, c.amount_minor, coalesce(sum(e.amount_minor), 0)
FROM billing_ledgercapture c JOIN billing_ledgerhold h ON h.id = c.hold_id
JOIN billing_ledgeraccount a ON a.id = h.account_id
LEFT JOIN billing_ledgerentry e
    ON e.transaction_id = c.transaction_id AND e.account_id = h.account_id
GROUP BY c.transaction_id, c.hold_id, c.amount_minor, a.kind
HAVING c.amount_minor <> coalesce(sum(e.amount_minor), 0)
    * CASE WHEN a.kind IN ('asset', 'expense') THEN -1 ELSE 1 END;

-- check: a checkpoint is the sum and the number of the entries up to it
SELECT a.code, c.through_entry, c.posted, c.entries, x.total, x.entries
FROM billing_ledgercheckpoint c JOIN billing_ledgeraccount a ON a.id = c.account_id
CROSS JOIN LATERAL (
    SELECT count(*) AS entries, coalesce(sum(e.amount_minor), 0)
        * CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END AS total
    FROM billing_ledgerentry e WHERE e.account_id = a.id AND e.id <= c.through_entry) x
WHERE (c.posted, c.entries) <> (x.total, x.entries);

-- check: entries were written with their header, before it was sealed
SELECT t.id, t.xid, e.id FROM billing_ledgerentry e
LEFT JOIN billing_ledgertransaction t ON t.id = e.transaction_id
LEFT JOIN billing_ledgeraccount a ON a.id = e.account_id
WHERE t.id IS NULL OR a.id IS NULL;

-- check: nothing was posted into a closed period after it closed
SELECT t.id, t.kind, t.effective_at, t.created_at, p.month FROM billing_accountingperiod p
JOIN billing_ledgertransaction t ON t.effective_at < p.ends_at
WHERE p.state = 'closed' AND t.created_at > p.closed_at;

-- check: periods are whole months, closed one after the other and by two persons
SELECT p.id, p.month, p.state, p.starts_at, p.ends_at FROM billing_accountingperiod p
WHERE p.starts_at <> p.month::timestamp AT TIME ZONE p.zone
OR p.ends_at <> (p.month + interval '1 month')::timestamp AT TIME ZONE p.zone
OR p.state = 'closed' AND (p.closed_at < p.ends_at OR p.closed_by_id = p.closing_by_id
    OR EXISTS (SELECT FROM billing_accountingperiod e WHERE e.state = 'closed'
        AND e.ends_at < p.starts_at AND NOT EXISTS (
            SELECT FROM billing_accountingperiod n
            WHERE n.state = 'closed' AND n.ends_at = p.starts_at)));

-- check: an exchange is what its posting moved over fx, in two currencies
SELECT x.transaction_id, x.sold_minor, s.sold, x.bought_minor, s.bought
FROM billing_ledgerexchange x CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount_minor) FILTER (WHERE e.currency = x.sold_currency), 0) AS sold,
           coalesce(-sum(e.amount_minor) FILTER (WHERE e.currency = x.bought_currency), 0)
               AS bought,
           count(*) AS legs
    FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
    WHERE e.transaction_id = x.transaction_id AND a.purpose = 'fx') s
WHERE (x.sold_minor, x.bought_minor, 2) <> (s.sold, s.bought, s.legs);

-- check: a reversal is the exact opposite
SELECT t.id, t.reverses_id FROM billing_ledgertransaction t
WHERE t.reverses_id IS NOT NULL AND EXISTS (
    SELECT account_id FROM billing_ledgerentry WHERE transaction_id IN (t.id, t.reverses_id)
    GROUP BY account_id HAVING sum(amount_minor) <> 0);

-- check: a charge splits, and is paid, to the minor unit
SELECT id, gross_minor, provider_minor, fee_minor, vat_minor, deposit_minor, wallet_minor,
       receivable_minor FROM billing_charge
WHERE gross_minor <> provider_minor + fee_minor + vat_minor
   OR gross_minor <> deposit_minor + wallet_minor + receivable_minor
   OR (ledger_transaction_id IS NULL AND gross_minor <> 0);

-- check: the ledger's legs are the sums of the charges they book
WITH charged AS (
    SELECT c.ledger_transaction_id AS id, v.purpose, v.owner_id, sum(v.amount) AS amount
    FROM billing_charge c CROSS JOIN LATERAL (VALUES
        ('provider_accrued', c.provider_id, c.provider_minor),
        ('fee', NULL, c.fee_minor),
        ('vat', NULL, c.vat_minor),
        ('deposit', c.tenant_id,
         CASE WHEN c.kind = 'usage' THEN -c.deposit_minor ELSE 0 END),
        ('wallet', c.tenant_id, CASE WHEN c.kind = 'usage' THEN -c.wallet_minor ELSE 0 END),
        ('tenant_receivable', c.tenant_id, c.receivable_minor)
    ) AS v (purpose, owner_id, amount)
    WHERE c.ledger_transaction_id IS NOT NULL
    GROUP BY 1, 2, 3
), booked AS (
    SELECT e.transaction_id AS id, a.purpose, a.owner_id,
           sum((CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END) * e.amount_minor) AS amount
    FROM billing_ledgerentry e
    JOIN billing_ledgeraccount a ON a.id = e.account_id
    JOIN billing_ledgertransaction t ON t.id = e.transaction_id
    WHERE t.kind = 'usage_charged' OR (t.kind IN ('deal_cancelled', 'deal_shortened')
      AND a.purpose NOT IN ('deposit', 'wallet'))
    GROUP BY 1, 2, 3
)
SELECT coalesce(c.id, b.id), coalesce(c.purpose, b.purpose), c.amount, b.amount
FROM charged c FULL JOIN booked b ON b.id = c.id AND b.purpose = c.purpose
 AND b.owner_id IS NOT DISTINCT FROM c.owner_id
WHERE coalesce(c.amount, 0) <> coalesce(b.amount, 0);

-- check: a charge is of a usage hour, with its card-seconds
SELECT c.id, c.allocation_id, c.hour, c.revision, c.card_seconds, u.card_seconds
FROM billing_charge c LEFT JOIN inventory_usagehour u ON u.allocation_id = c.allocation_id
 AND u.hour = c.hour AND u.revision = c.revision
WHERE c.kind = 'usage' AND u.card_seconds IS DISTINCT FROM c.card_seconds;

-- check: every usage hour of a lease that rating has passed is charged
SELECT l.id, u.hour, u.revision, u.card_seconds FROM inventory_usagehour u
JOIN marketplace_lease l ON l.allocation_id = u.allocation_id
JOIN billing_leasetally t ON t.lease_id = l.id
WHERE u.card_seconds <> 0 AND u.hour < t.rated_until
  AND (u.revision = 0 OR u.recorded_at < now() - interval '2 days')  -- or the sweep is on its way
  AND NOT EXISTS (SELECT FROM billing_charge c WHERE c.allocation_id = u.allocation_id
      AND c.hour = u.hour AND c.revision = u.revision AND c.kind = 'usage');

-- check: a lease is charged from its start, at the price it was confirmed with
SELECT l.id, l.period, s.from_at, s.price_id, l.price_id AS agreed FROM marketplace_lease l
LEFT JOIN LATERAL (SELECT from_at, price_id, discount_bps FROM marketplace_leaseprice
                   WHERE lease_id = l.id ORDER BY from_at LIMIT 1) s ON true
WHERE s.from_at IS DISTINCT FROM date_trunc('hour', lower(l.period), 'UTC')
   OR (s.price_id, s.discount_bps) IS DISTINCT FROM (l.price_id, l.discount_bps);

-- check: every later price of a lease is what a signed amendment says
SELECT s.lease_id, s.from_at, s.price_id, s.amendment_id FROM marketplace_leaseprice s
JOIN marketplace_priceversion v ON v.id = s.price_id
JOIN marketplace_lease l ON l.id = s.lease_id
JOIN marketplace_priceversion f ON f.id = l.price_id
LEFT JOIN marketplace_amendment a ON a.id = s.amendment_id
WHERE EXISTS (SELECT FROM marketplace_leaseprice e
              WHERE e.lease_id = s.lease_id AND e.from_at < s.from_at)
  AND ((a.lease_id, a.kind, a.state, a.price_from_at, a.price_basis, a.price_amount_micro,
        a.price_tax_inclusive, v.purpose, s.discount_bps)
       IS DISTINCT FROM (s.lease_id, 'price', 'signed', s.from_at, v.basis, v.amount_micro,
        v.tax_inclusive, 'agreed', 0)
    OR (v.currency, v.vat_code, v.vat_bps, v.fee_bps, v.schedule, v.deposit_bps, v.billing_zone)
    <> (f.currency, f.vat_code, f.vat_bps, f.fee_bps, f.schedule, f.deposit_bps, f.billing_zone));

-- check: a signed change of price has given its lease that price, before the hour came
SELECT a.id, a.lease_id, a.price_from_at, a.signed_at FROM marketplace_amendment a
LEFT JOIN marketplace_leaseprice s ON s.amendment_id = a.id
WHERE a.kind = 'price' AND ((a.state = 'signed') <> (s.id IS NOT NULL)
   OR a.signed_at >= a.price_from_at OR a.kept_gross_minor + a.compensation_minor <> 0);

-- check: a lease whose price was changed comes to its hours, each at its own price
WITH spans AS (
    SELECT lease_id, price_id, discount_bps, from_at, lead(from_at, 1, 'infinity') OVER (
        PARTITION BY lease_id ORDER BY from_at) AS until_at FROM marketplace_leaseprice)
SELECT l.id, l.gross_minor, round(sum(x.exact), 6) AS exact FROM marketplace_lease l
JOIN spans s ON s.lease_id = l.id AND s.from_at < upper(l.period) AND s.until_at > lower(l.period)
JOIN marketplace_priceversion v ON v.id = s.price_id
JOIN inventory_allocation a ON a.id = l.allocation_id
JOIN inventory_pool p ON p.id = a.pool_id
CROSS JOIN LATERAL generate_series(
    date_trunc('month', lower(l.period) AT TIME ZONE v.billing_zone),
    upper(l.period) AT TIME ZONE v.billing_zone, interval '1 month') AS m (month)
CROSS JOIN LATERAL (
    SELECT m.month AT TIME ZONE v.billing_zone AS since,
           (m.month + interval '1 month') AT TIME ZONE v.billing_zone AS until) b
CROSS JOIN LATERAL (
    SELECT greatest(0, extract(epoch FROM least(upper(l.period), s.until_at, b.until)
                                          - greatest(lower(l.period), s.from_at, b.since)))
           * l.card_count / CASE v.basis
               WHEN 'card_hour' THEN 3600
               WHEN 'node_hour' THEN 3600 * p.cards_per_node
               ELSE p.cards_per_node * extract(epoch FROM b.until - b.since)
           END * v.amount_micro / 10000 * (10000 - s.discount_bps) / 10000
           * CASE WHEN v.tax_inclusive THEN 1 ELSE 1 + v.vat_bps / 10000.0 END AS exact) x
WHERE l.currency IN ('CNY', 'USD', 'EUR', 'HKD')  -- two decimals
  AND l.gross_minor > 0  -- else nothing remained of it
  AND EXISTS (SELECT FROM marketplace_leaseprice e
              WHERE e.lease_id = l.id AND e.amendment_id IS NOT NULL)
GROUP BY l.id, l.gross_minor
HAVING abs(l.gross_minor - sum(x.exact)) > 0.500001 * count(DISTINCT s.from_at);

-- check: an hour is charged at the price its lease had then
WITH spans AS (
    SELECT lease_id, price_id, from_at, lead(from_at, 1, 'infinity') OVER (
        PARTITION BY lease_id ORDER BY from_at) AS until_at FROM marketplace_leaseprice)
SELECT c.id, c.lease_id, c.hour, c.price_id, s.price_id AS agreed FROM billing_charge c
LEFT JOIN spans s ON s.lease_id = c.lease_id AND s.from_at <= c.hour AND c.hour < s.until_at
WHERE c.kind = 'usage' AND c.price_id IS DISTINCT FROM s.price_id;

-- check: the charges at each price of a lease are its delivered time, within half a minor unit
WITH spans AS (
    SELECT id, lease_id, discount_bps, from_at, lead(from_at, 1, 'infinity') OVER (
        PARTITION BY lease_id ORDER BY from_at) AS until_at FROM marketplace_leaseprice)
SELECT s.lease_id, s.from_at, sum(c.gross_minor) AS charged, round(sum(x.exact), 6) AS exact
FROM billing_charge c
JOIN spans s ON s.lease_id = c.lease_id AND s.from_at <= c.hour AND c.hour < s.until_at
JOIN marketplace_priceversion v ON v.id = c.price_id
JOIN inventory_allocation a ON a.id = c.allocation_id
JOIN inventory_pool p ON p.id = a.pool_id
CROSS JOIN LATERAL (
    SELECT date_trunc('month', c.hour AT TIME ZONE v.billing_zone) AS month) m
CROSS JOIN LATERAL (
    SELECT c.card_seconds::numeric / CASE v.basis
               WHEN 'card_hour' THEN 3600
               WHEN 'node_hour' THEN 3600 * p.cards_per_node
               ELSE p.cards_per_node * extract(epoch FROM
                   (m.month + interval '1 month') AT TIME ZONE v.billing_zone
                   - m.month AT TIME ZONE v.billing_zone)
           END * v.amount_micro / 10000 * (10000 - s.discount_bps) / 10000
           * CASE WHEN v.tax_inclusive THEN 1 ELSE 1 + v.vat_bps / 10000.0 END AS exact) x
WHERE c.kind = 'usage' AND c.currency IN ('CNY', 'USD', 'EUR', 'HKD')  -- two decimals
GROUP BY s.id, s.lease_id, s.from_at
HAVING abs(sum(c.gross_minor) - sum(x.exact)) > 0.500001;

-- check: the total at each price of a lease is the sum of its charges
WITH spans AS (
    SELECT id, lease_id, from_at, lead(from_at, 1, 'infinity') OVER (
        PARTITION BY lease_id ORDER BY from_at) AS until_at FROM marketplace_leaseprice)
SELECT s.lease_id, s.from_at, t.gross_minor, sum(c.gross_minor), t.card_seconds, sum(c.card_seconds)
FROM spans s LEFT JOIN billing_pricetally t ON t.price_id = s.id
LEFT JOIN billing_charge c ON c.lease_id = s.lease_id AND c.kind = 'usage'
 AND s.from_at <= c.hour AND c.hour < s.until_at
GROUP BY s.id, s.lease_id, s.from_at, t.price_id
HAVING (coalesce(t.gross_minor, 0), coalesce(t.vat_minor, 0), coalesce(t.fee_minor, 0),
        coalesce(t.card_seconds, 0))
    <> (coalesce(sum(c.gross_minor), 0), coalesce(sum(c.vat_minor), 0),
        coalesce(sum(c.fee_minor), 0), coalesce(sum(c.card_seconds), 0));

-- check: a lease's tally is the sum of its charges
SELECT l.id, t.gross_minor, s.gross, t.deposit_left_minor, s.deposit
FROM billing_leasetally t JOIN marketplace_lease l ON l.id = t.lease_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(gross_minor) FILTER (WHERE kind = 'usage'), 0) AS gross,
           coalesce(sum(deposit_minor), 0) AS deposit
    FROM billing_charge WHERE lease_id = l.id) s
WHERE t.gross_minor <> s.gross
   OR t.deposit_left_minor
      <> CASE WHEN l.closed_at IS NULL THEN l.due_minor - s.deposit ELSE 0 END;

-- check: a lease is what was confirmed, or what its last amendment says
SELECT l.id, l.period, l.gross_minor, l.due_minor, l.amendment_id FROM marketplace_lease l
JOIN marketplace_reservation r ON r.id = l.reservation_id
LEFT JOIN marketplace_amendment a ON a.id = l.amendment_id
WHERE (l.period, l.gross_minor, l.due_minor) IS DISTINCT FROM (
        coalesce(a.period, r.period), coalesce(a.gross_minor, r.gross_minor),
        coalesce(a.due_minor, r.due_minor))
   OR a.lease_id <> l.id OR a.state <> 'signed';

-- check: signed amendments of a lease follow each other without a gap, the last one in force
SELECT a.id, a.lease_id, a.previous_id FROM marketplace_amendment a
JOIN marketplace_lease l ON l.id = a.lease_id
JOIN marketplace_reservation r ON r.id = l.reservation_id
LEFT JOIN marketplace_amendment p ON p.id = a.previous_id
LEFT JOIN marketplace_amendment n ON n.previous_id = a.id AND n.state = 'signed'
WHERE a.state = 'signed' AND (
    (p.id IS NOT NULL AND (p.lease_id <> a.lease_id OR p.state <> 'signed'))
    OR (n.id IS NULL AND l.amendment_id IS DISTINCT FROM a.id)
    OR (a.before_period, a.before_gross_minor, a.before_due_minor) IS DISTINCT FROM (
        coalesce(p.period, r.period), coalesce(p.gross_minor, r.gross_minor),
        coalesce(p.due_minor, r.due_minor)));

-- check: an amendment is booked as it was signed, and not before
SELECT a.id, a.kind, a.state, x.deposit, x.wallet, x.provider, x.fee, x.vat
FROM marketplace_amendment a
CROSS JOIN LATERAL (
    SELECT coalesce(sum(-e.amount_minor) FILTER (WHERE c.purpose = 'deposit'), 0) AS deposit,
           coalesce(sum(-e.amount_minor) FILTER (WHERE c.purpose = 'wallet'), 0) AS wallet,
           coalesce(sum(-e.amount_minor) FILTER (WHERE c.purpose = 'provider_accrued'), 0) AS provider,
           coalesce(sum(-e.amount_minor) FILTER (WHERE c.purpose = 'fee'), 0) AS fee,
           coalesce(sum(-e.amount_minor) FILTER (WHERE c.purpose = 'vat'), 0) AS vat
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount c ON c.id = e.account_id
    WHERE t.idempotency_key IN (
        SELECT 'amendment:amd_' || replace(a.public_id::text, '-', '') || ':' || kind
        FROM unnest(ARRAY['deal_extended', 'deal_shortened', 'deal_repriced']) AS kind)
) x
WHERE (x.deposit, x.wallet, x.provider, x.fee, x.vat) <> (
    SELECT (signed * (a.pay_minor - a.refund_minor - a.kept_gross_minor))::numeric,
           (signed * (a.refund_minor + a.compensation_minor - a.pay_minor))::numeric,
           (signed * (a.kept_provider_minor - a.compensation_minor))::numeric,
           (signed * a.kept_fee_minor)::numeric, (signed * a.kept_vat_minor)::numeric
    FROM (SELECT CASE WHEN a.state = 'signed' THEN 1 ELSE 0 END AS signed) s);

-- check: an accepted quote came to what it promised
SELECT q.id, q.kind, q.amendment_id FROM billing_quote q
JOIN marketplace_amendment a ON a.id = q.amendment_id
WHERE (q.lease_id, q.period, q.gross_minor, q.due_minor, q.pay_minor, q.refund_minor,
       q.kept_gross_minor, q.compensation_minor)
      IS DISTINCT FROM
      (a.lease_id, a.period, a.gross_minor, a.due_minor, a.pay_minor, a.refund_minor,
       a.kept_gross_minor, a.compensation_minor)
   OR q.accepted_at >= q.expires_at;

-- check: the machines of a running lease are kept for its period
SELECT l.id, l.period, a.period FROM marketplace_lease l
JOIN inventory_allocation a ON a.id = l.allocation_id
WHERE l.state IN ('scheduled', 'delivering', 'active') AND l.end_reason = ''
  AND a.period <> l.period
  -- Or to the hour from which on a lease that a trial was converted into has, or had, them.
  AND NOT (lower(a.period) = lower(l.period) AND upper(a.period) < upper(l.period) AND EXISTS (
      SELECT FROM inventory_allocation n
      WHERE n.continues_id = a.id AND lower(n.period) = upper(a.period)));

-- check: every lease has a tally
SELECT l.id FROM marketplace_lease l LEFT JOIN billing_leasetally t ON t.lease_id = l.id WHERE t.lease_id IS NULL;

-- check: a tenant's deposit account is what its leases have left
SELECT a.code, b.posted, coalesce(s.rest, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT l.tenant_id, l.currency, sum(t.deposit_left_minor) AS rest
           FROM billing_leasetally t JOIN marketplace_lease l ON l.id = t.lease_id
           GROUP BY 1, 2) s ON s.tenant_id = a.owner_id AND s.currency = a.currency
WHERE a.purpose = 'deposit' AND b.posted <> coalesce(s.rest, 0);

-- check: what a tenant owes is what its charges left open and no top-up has cleared
SELECT a.code, b.posted FROM billing_ledgeraccount a
JOIN billing_ledgerbalance b ON b.account_id = a.id
WHERE a.purpose = 'tenant_receivable' AND b.posted <>
    (SELECT coalesce(sum(c.receivable_minor), 0) FROM billing_charge c
      WHERE c.tenant_id = a.owner_id AND c.currency = a.currency)
  + (SELECT coalesce(sum(e.amount_minor), 0) FROM billing_ledgerentry e
      JOIN billing_ledgertransaction t ON t.id = e.transaction_id
      WHERE e.account_id = a.id AND t.kind = 'receivable_cleared');

-- check: a receipt is booked as it was recorded and decided
SELECT r.id, r.state, r.amount_minor, x.bank, x.unmatched, x.wallet FROM billing_bankreceipt r
CROSS JOIN LATERAL (
    SELECT coalesce(sum(e.amount_minor) FILTER (WHERE a.purpose = 'bank'), 0) AS bank,
           coalesce(sum(e.amount_minor) FILTER (WHERE a.purpose = 'unmatched_receipts'), 0) AS unmatched,
           coalesce(sum(e.amount_minor) FILTER (
               WHERE a.purpose = 'wallet' AND a.owner_id = r.tenant_id), 0) AS wallet
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.currency = r.currency
    WHERE t.idempotency_key IN (
        SELECT 'receipt:rcp_' || replace(r.public_id::text, '-', '') || ':' || step
        FROM unnest(ARRAY['recorded', 'approved', 'rejected']) AS step)
) x
WHERE (x.bank, x.unmatched, x.wallet) <> CASE r.state
    WHEN 'recorded' THEN (r.amount_minor::numeric, -r.amount_minor::numeric, 0::numeric)
    WHEN 'approved' THEN (r.amount_minor::numeric, 0::numeric, -r.amount_minor::numeric)
    ELSE (0::numeric, 0::numeric, 0::numeric) END;

-- check: unmatched receipts are those nobody has decided on
SELECT a.code, -coalesce(sum(e.amount_minor), 0), (
    SELECT coalesce(sum(r.amount_minor), 0) FROM billing_bankreceipt r
     WHERE r.state = 'recorded' AND r.currency = a.currency)
FROM billing_ledgeraccount a LEFT JOIN billing_ledgerentry e ON e.account_id = a.id
WHERE a.purpose = 'unmatched_receipts' GROUP BY a.id, a.code, a.currency
HAVING -coalesce(sum(e.amount_minor), 0) <> (
    SELECT coalesce(sum(r.amount_minor), 0) FROM billing_bankreceipt r
     WHERE r.state = 'recorded' AND r.currency = a.currency);

-- check: each charge is settled once, with its provider, in its currency
SELECT charge_id, count(*) FROM billing_settlementline GROUP BY 1 HAVING count(*) > 1
UNION ALL
SELECT l.charge_id, 0 FROM billing_settlementline l
JOIN billing_settlement s ON s.id = l.settlement_id JOIN billing_charge c ON c.id = l.charge_id
WHERE (c.provider_id, c.currency) <> (s.provider_id, s.currency)
   OR c.hour >= upper(s.period);

-- check: a settlement is the sum of its lines, and is booked
SELECT s.id, s.net_minor, x.net, e.amount_minor FROM billing_settlement s
LEFT JOIN LATERAL (
    SELECT count(*) AS lines, sum(c.card_seconds) AS card_seconds,
           sum(c.gross_minor) AS gross, sum(c.vat_minor) AS vat,
           sum(c.fee_minor) AS fee, sum(c.provider_minor) AS net
    FROM billing_settlementline l JOIN billing_charge c ON c.id = l.charge_id
    WHERE l.settlement_id = s.id) x ON true
LEFT JOIN billing_ledgerentry e ON e.transaction_id = s.ledger_transaction_id
 AND e.amount_minor < 0
WHERE (s.line_count, s.card_seconds, s.gross_minor, s.vat_minor, s.fee_minor, s.net_minor)
      IS DISTINCT FROM (x.lines, x.card_seconds, x.gross, x.vat, x.fee, x.net)
   OR e.amount_minor IS DISTINCT FROM -s.net_minor;

-- check: what a provider has accrued is what no settlement has consumed
SELECT a.code, b.posted, sum(c.provider_minor)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN billing_charge c ON c.provider_id = a.owner_id AND c.currency = a.currency
 AND NOT EXISTS (SELECT FROM billing_settlementline s WHERE s.charge_id = c.id)
WHERE a.purpose = 'provider_accrued'
GROUP BY a.code, b.posted HAVING b.posted <> coalesce(sum(c.provider_minor), 0);

-- check: what is committed under quotas is what the reservations commit
SELECT tenant_id, project_id, api_key, currency, month, sum(minor), sum(card_seconds) FROM (
    SELECT tenant_id, project_id, api_key, currency, month, minor, card_seconds
    FROM marketplace_commitment
    UNION ALL
    SELECT tenant_id, project_id, CASE WHEN actor LIKE 'key\_%' THEN actor ELSE '' END, currency,
           date_trunc('month', created_at AT TIME ZONE 'Asia/Shanghai')::date,
           -committed_minor, -committed_card_seconds
    FROM marketplace_reservation) x
GROUP BY 1, 2, 3, 4, 5 HAVING sum(minor) <> 0 OR sum(card_seconds) <> 0;

-- check: a reservation commits its price, nothing, or what was charged for it
SELECT r.id, r.state, r.committed_minor, r.gross_minor FROM marketplace_reservation r
LEFT JOIN marketplace_lease l ON l.reservation_id = r.id
LEFT JOIN billing_leasetally t ON t.lease_id = l.id
WHERE (r.state = 'held' AND r.committed_minor <> r.gross_minor)
   OR (r.state = 'cancelled' AND l.id IS NULL AND r.committed_minor <> 0);
