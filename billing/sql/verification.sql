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
FROM billing_ledgerexchange x LEFT JOIN (
    SELECT o.transaction_id, count(*) AS legs,
           sum(e.amount_minor) FILTER (WHERE e.currency = o.sold_currency) AS sold,
           -sum(e.amount_minor) FILTER (WHERE e.currency = o.bought_currency) AS bought
    FROM billing_ledgerexchange o
    JOIN billing_ledgerentry e ON e.transaction_id = o.transaction_id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.purpose = 'fx'
    GROUP BY 1) s USING (transaction_id)
WHERE (x.sold_minor, x.bought_minor, 2) IS DISTINCT FROM (s.sold, s.bought, s.legs);

-- check: a reversal is the exact opposite
SELECT t.id, t.reverses_id FROM billing_ledgertransaction t
WHERE t.reverses_id IS NOT NULL AND EXISTS (
    SELECT account_id FROM billing_ledgerentry WHERE transaction_id IN (t.id, t.reverses_id)
    GROUP BY account_id HAVING sum(amount_minor) <> 0);

-- check: a charge splits, and is paid, to the minor unit
SELECT id, gross_minor, provider_minor, fee_minor, vat_minor, deposit_minor, wallet_minor,
       receivable_minor, arrears_minor FROM billing_charge
WHERE gross_minor <> provider_minor + fee_minor + vat_minor
   OR gross_minor <> deposit_minor + wallet_minor + receivable_minor + arrears_minor + direct_minor
   OR (selling = 'direct' AND direct_minor <> gross_minor)
   OR (selling <> 'direct' AND (direct_minor <> 0 OR fee_vat_minor <> 0))
   OR (ledger_transaction_id IS NULL AND accrued_minor <> 0);

-- check: a charge is sold as its lease is
SELECT c.id, c.selling, l.selling FROM billing_charge c JOIN marketplace_lease l ON l.id = c.lease_id
WHERE c.selling <> l.selling;

-- check: a lease sold directly was confirmed by its centre, and by nobody else
SELECT l.id, l.selling, d.amount_minor, r.due_minor FROM marketplace_lease l
JOIN marketplace_reservation r ON r.id = l.reservation_id
LEFT JOIN billing_directreceipt d ON d.reservation_id = r.id
WHERE (l.selling = 'direct') <> (d.id IS NOT NULL) OR l.selling <> r.selling
   OR (d.provider_id, d.tenant_id, d.amount_minor, d.currency)
      <> (r.provider_id, r.tenant_id, r.due_minor, r.currency);

-- check: the VAT on a direct fee is that of the fees of its hours, within rounding
SELECT l.id, l.fee_vat_bps, sum(c.fee_minor), sum(c.fee_vat_minor) FROM billing_charge c
JOIN marketplace_lease l ON l.id = c.lease_id
WHERE c.selling = 'direct'
GROUP BY l.id, l.fee_vat_bps
HAVING abs(sum(c.fee_vat_minor) - sum(c.fee_minor) * l.fee_vat_bps / 10000.0)
    > 0.500001 * (count(DISTINCT c.price_id) + count(*) FILTER (WHERE c.kind <> 'usage'))
    -- A credit takes back tax and fee as its line had them, which was rounded at both its ends.
    + 1.1 * count(*) FILTER (WHERE c.kind IN ('credit', 'sla_credit'));

-- check: the ledger's legs are the sums of the charges they book
WITH charged AS (
    SELECT c.ledger_transaction_id AS id, v.purpose, v.owner_id, sum(v.amount) AS amount
    FROM billing_charge c CROSS JOIN LATERAL (VALUES
        ('provider_accrued', c.provider_id, CASE c.selling
            WHEN 'direct' THEN -c.fee_minor - c.fee_vat_minor ELSE c.provider_minor END),
        ('fee', NULL, CASE c.selling WHEN 'resale' THEN 0 ELSE c.fee_minor END),
        ('sales', NULL, CASE c.selling WHEN 'resale' THEN c.gross_minor - c.vat_minor ELSE 0 END),
        ('cost_of_sales', NULL,
         CASE c.selling WHEN 'resale' THEN c.provider_minor ELSE 0 END),
        ('vat', NULL, CASE c.selling WHEN 'direct' THEN c.fee_vat_minor ELSE c.vat_minor END),
        ('deposit', c.tenant_id,
         CASE WHEN c.kind IN ('usage', 'credit', 'sla_credit') THEN -c.deposit_minor ELSE 0 END),
        ('wallet', c.tenant_id,
         CASE WHEN c.kind IN ('usage', 'credit', 'sla_credit') THEN -c.wallet_minor ELSE 0 END),
        ('tenant_receivable', c.tenant_id, c.receivable_minor),
        ('tenant_arrears', c.tenant_id, c.arrears_minor)
    ) AS v (purpose, owner_id, amount)
    WHERE c.ledger_transaction_id IS NOT NULL
    GROUP BY 1, 2, 3
), booked AS (
    SELECT e.transaction_id AS id, a.purpose, a.owner_id,
           sum((CASE WHEN a.kind IN ('asset', 'expense') THEN 1 ELSE -1 END) * e.amount_minor) AS amount
    FROM billing_ledgerentry e
    JOIN billing_ledgeraccount a ON a.id = e.account_id
    JOIN billing_ledgertransaction t ON t.id = e.transaction_id
    WHERE t.kind IN ('usage_charged', 'credit_note_issued', 'sla_credited') OR (t.kind IN ('deal_cancelled', 'deal_shortened')
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

-- check: an hour whose meters differ is counted by the lower one, or as it was decided
SELECT d.id, d.state, d.hour, d.history_card_seconds, d.telemetry_card_seconds, u.card_seconds
FROM inventory_meterdispute d
JOIN inventory_meteringcursor c ON c.allocation_id = d.allocation_id
CROSS JOIN LATERAL (SELECT sum(card_seconds) AS card_seconds FROM inventory_usagehour
                    WHERE allocation_id = d.allocation_id AND hour = d.hour) u
WHERE c.corrected_since IS NULL  -- else the sweep is on its way
  AND CASE d.state WHEN 'for_provider' THEN u.card_seconds < d.telemetry_card_seconds
                   ELSE u.card_seconds > d.telemetry_card_seconds END;

-- check: every usage hour of a lease that rating has passed is charged
SELECT l.id, u.hour, u.revision, u.card_seconds FROM inventory_usagehour u
JOIN marketplace_lease l ON l.allocation_id = u.allocation_id
JOIN billing_leasetally t ON t.lease_id = l.id
WHERE u.card_seconds <> 0 AND u.hour < t.rated_until
  AND (u.revision = 0 OR u.recorded_at < now() - interval '2 days')  -- or the sweep is on its way
  AND NOT EXISTS (SELECT FROM billing_charge c WHERE c.allocation_id = u.allocation_id
      AND c.hour = u.hour AND c.revision = u.revision AND c.kind = 'usage');

-- check: the credits of a lease's month are what its last count says, and not above its charges
SELECT s.lease_id, s.month, s.credit_minor, x.credited, s.charged_minor FROM billing_slamonth s
CROSS JOIN LATERAL (
    SELECT coalesce(-sum(c.gross_minor), 0) AS credited FROM billing_charge c
    WHERE c.lease_id = s.lease_id AND c.kind = 'sla_credit'
      AND c.hour >= lower(s.period) AND c.hour < upper(s.period)) x
WHERE NOT EXISTS (SELECT FROM billing_slamonth n WHERE (n.lease_id, n.month) = (s.lease_id, s.month)
                  AND n.revision > s.revision)
  AND (s.credit_minor <> x.credited OR x.credited > greatest(0, s.charged_minor));

-- check: every service level credit belongs to one count of a month
SELECT c.id, c.lease_id FROM billing_charge c
LEFT JOIN billing_slamonth s ON s.charge_id = c.id
WHERE (c.kind = 'sla_credit') <> (s.id IS NOT NULL);

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
    OR (v.currency, v.vat_code, v.vat_bps, v.fee_bps, v.schedule, v.deposit_bps, v.billing_zone,
        v.pro_rata, v.security_months, v.advance_months, v.net_days, v.grace_days,
        v.notice_days, v.suspension_days)
    <> (f.currency, f.vat_code, f.vat_bps, f.fee_bps, f.schedule, f.deposit_bps, f.billing_zone,
        f.pro_rata, f.security_months, f.advance_months, f.net_days, f.grace_days,
        f.notice_days, f.suspension_days));

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
    SELECT greatest(lower(l.period), b.since) AS since,
           greatest(least(upper(l.period), b.until), b.since) AS until) q
-- What a second of the month costs, of its price: by the rule where the lease has a part of it.
CROSS JOIN LATERAL (
    SELECT CASE WHEN v.pro_rata = 'time' OR q.until <= q.since OR (q.since, q.until) = (b.since, b.until)
                THEN 1 / extract(epoch FROM b.until - b.since)
                WHEN v.pro_rata = 'thirty'
                THEN least(30, d.days) / 30.0 / extract(epoch FROM q.until - q.since)
                ELSE d.days::numeric / extract(day FROM m.month + interval '1 month - 1 day')
                     / extract(epoch FROM q.until - q.since) END AS share
    FROM (SELECT ((q.until - interval '1 microsecond') AT TIME ZONE v.billing_zone)::date
               - (q.since AT TIME ZONE v.billing_zone)::date + 1 AS days) d) w
CROSS JOIN LATERAL (
    SELECT greatest(0, extract(epoch FROM least(upper(l.period), s.until_at, b.until)
                                          - greatest(lower(l.period), s.from_at, b.since)))
           * l.card_count / CASE v.basis
               WHEN 'card_hour' THEN 3600
               WHEN 'node_hour' THEN 3600 * p.cards_per_node
               ELSE p.cards_per_node / w.share
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
JOIN marketplace_lease l ON l.id = c.lease_id
JOIN spans s ON s.lease_id = c.lease_id AND s.from_at <= c.hour AND c.hour < s.until_at
JOIN marketplace_priceversion v ON v.id = c.price_id
JOIN inventory_allocation a ON a.id = c.allocation_id
JOIN inventory_pool p ON p.id = a.pool_id
CROSS JOIN LATERAL (
    SELECT date_trunc('month', c.hour AT TIME ZONE v.billing_zone) AS month) m
CROSS JOIN LATERAL (
    SELECT m.month AT TIME ZONE v.billing_zone AS since,
           (m.month + interval '1 month') AT TIME ZONE v.billing_zone AS until) b
CROSS JOIN LATERAL (
    SELECT greatest(lower(l.period), b.since) AS since,
           greatest(least(upper(l.period), b.until), b.since) AS until) q
CROSS JOIN LATERAL (
    SELECT CASE WHEN v.pro_rata = 'time' OR q.until <= q.since OR (q.since, q.until) = (b.since, b.until)
                THEN 1 / extract(epoch FROM b.until - b.since)
                WHEN v.pro_rata = 'thirty'
                THEN least(30, d.days) / 30.0 / extract(epoch FROM q.until - q.since)
                ELSE d.days::numeric / extract(day FROM m.month + interval '1 month - 1 day')
                     / extract(epoch FROM q.until - q.since) END AS share
    FROM (SELECT ((q.until - interval '1 microsecond') AT TIME ZONE v.billing_zone)::date
               - (q.since AT TIME ZONE v.billing_zone)::date + 1 AS days) d) w
CROSS JOIN LATERAL (
    SELECT c.card_seconds::numeric / CASE v.basis
               WHEN 'card_hour' THEN 3600
               WHEN 'node_hour' THEN 3600 * p.cards_per_node
               ELSE p.cards_per_node / w.share
           END * v.amount_micro / 10000 * (10000 - s.discount_bps) / 10000
           * CASE WHEN v.tax_inclusive THEN 1 ELSE 1 + v.vat_bps / 10000.0 END AS exact) x
WHERE c.kind = 'usage' AND c.currency IN ('CNY', 'USD', 'EUR', 'HKD')  -- two decimals
  -- Another end makes a part of a month cost something else; the next charge makes up for it.
  AND (v.pro_rata = 'time' OR NOT EXISTS (
      SELECT FROM marketplace_amendment e
      WHERE e.lease_id = l.id AND e.state = 'signed' AND e.period <> e.before_period
        AND e.signed_at >= (SELECT max(created_at) FROM billing_charge n WHERE n.lease_id = l.id)))
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

-- check: a lease's tally is the sum of its charges and instalments
SELECT l.id, t.gross_minor, s.gross, t.paid_minor, t.deposit_left_minor, s.deposit,
       t.security_minor, t.arrears_minor, s.arrears
FROM billing_leasetally t JOIN marketplace_lease l ON l.id = t.lease_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(gross_minor) FILTER (WHERE kind = 'usage'), 0) AS gross,
           coalesce(sum(deposit_minor) FILTER (WHERE kind = 'usage'), 0) AS deposit,
           coalesce(sum(deposit_minor) FILTER (WHERE kind <> 'usage'), 0) AS kept,
           coalesce(sum(arrears_minor), 0) AS arrears,
           coalesce(sum(direct_minor) FILTER (WHERE kind NOT IN ('compensation', 'credit', 'sla_credit')), 0)
               AS direct
    FROM billing_charge WHERE lease_id = l.id) s
CROSS JOIN LATERAL (
    SELECT coalesce(sum(deposit_minor + used_minor) FILTER (
               WHERE kind IN ('whole', 'deposit', 'advance')), 0) AS ahead,
           coalesce(sum(deposit_minor) FILTER (WHERE kind <> 'security'), 0) AS deposit,
           coalesce(sum(used_minor + receivable_minor), 0) AS used
    FROM billing_instalment WHERE lease_id = l.id) i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(refund_minor), 0) AS refund FROM marketplace_amendment
    WHERE lease_id = l.id AND state = 'signed') a
WHERE t.gross_minor <> s.gross
   OR t.arrears_minor <> s.arrears - i.used
   OR (l.closed_at IS NULL AND l.selling <> 'direct' AND (t.paid_minor <> i.ahead - a.refund - s.kept
       OR t.deposit_left_minor <> i.deposit - a.refund - s.kept - s.deposit))
   OR (l.closed_at IS NULL AND l.selling = 'direct'
       AND t.deposit_left_minor <> greatest(0, l.due_minor - s.direct))
   OR (l.closed_at IS NOT NULL AND t.deposit_left_minor + t.arrears_minor <> 0)
   OR t.security_minor <> CASE WHEN l.closed_at IS NULL THEN l.security_minor ELSE 0 END;

-- check: an instalment took what it says, and nothing twice
SELECT i.id, i.state, i.amount_minor, x.wallet, x.deposit, x.arrears, x.receivable
FROM billing_instalment i
LEFT JOIN (
    SELECT split_part(t.idempotency_key, ':', 2) AS id,
           sum(e.amount_minor) FILTER (WHERE c.purpose = 'wallet') AS wallet,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'deposit') AS deposit,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'tenant_arrears') AS arrears,
           sum(e.amount_minor) FILTER (
               WHERE c.purpose = 'tenant_receivable' AND t.kind = 'arrears_overdue') AS receivable
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount c ON c.id = e.account_id
    WHERE t.idempotency_key LIKE 'instalment:ist\_%'
      AND split_part(t.idempotency_key, ':', 3)
          IN ('instalment_collected', 'arrears_collected', 'arrears_overdue')
    GROUP BY 1) x ON x.id = 'ist_' || replace(i.public_id::text, '-', '')
WHERE i.kind IN ('advance', 'arrears') AND i.due_at > i.created_at  -- the others at confirmation
  AND (coalesce(x.wallet, 0), coalesce(x.deposit, 0), coalesce(x.arrears, 0),
       coalesce(x.receivable, 0)) <> (
    (i.deposit_minor + i.used_minor)::numeric, i.deposit_minor::numeric,
    (i.used_minor + i.receivable_minor)::numeric, i.receivable_minor::numeric);

-- check: what a tenant's instalments paid ahead is what was moved into its deposits
SELECT x.tenant_id, x.currency, x.collected, y.moved FROM (
    SELECT tenant_id, currency, sum(deposit_minor) AS collected FROM billing_instalment
    WHERE kind <> 'security' GROUP BY 1, 2) x
FULL JOIN (
    SELECT a.owner_id AS tenant_id, a.currency, sum(-e.amount_minor) AS moved
    FROM billing_ledgerentry e JOIN billing_ledgeraccount a ON a.id = e.account_id
    JOIN billing_ledgertransaction t ON t.id = e.transaction_id
    WHERE a.purpose = 'deposit' AND e.amount_minor < 0 AND t.kind IN
        ('deal_funded', 'deal_extended', 'deal_repriced', 'instalment_collected')
    GROUP BY 1, 2) y USING (tenant_id, currency)
WHERE coalesce(x.collected, 0) <> coalesce(y.moved, 0);

-- check: what a running lease pays ahead, paid and to come, is its price
SELECT l.id, l.gross_minor, t.paid_minor, x.open FROM marketplace_lease l
JOIN billing_leasetally t ON t.lease_id = l.id
JOIN marketplace_priceversion p ON p.id = l.price_id AND p.schedule = 'advance'
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount_minor), 0) AS open FROM billing_instalment
    WHERE lease_id = l.id AND kind = 'advance' AND state IN ('planned', 'unpaid', 'overdue')) x
WHERE l.state IN ('scheduled', 'delivering', 'active') AND l.end_reason = '' AND l.selling <> 'direct'
  AND greatest(t.paid_minor, l.gross_minor) <> t.paid_minor + x.open;

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
-- Of a lease sold directly only the fee is booked, which its charge says.
JOIN marketplace_lease l ON l.id = a.lease_id AND l.selling <> 'direct'
LEFT JOIN (
    SELECT split_part(t.idempotency_key, ':', 2) AS id,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'deposit') AS deposit,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'wallet') AS wallet,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'provider_accrued') AS provider,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'fee') AS fee,
           sum(-e.amount_minor) FILTER (WHERE c.purpose = 'vat') AS vat
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount c ON c.id = e.account_id
    WHERE t.idempotency_key LIKE 'amendment:amd\_%'
      AND split_part(t.idempotency_key, ':', 3)
          IN ('deal_extended', 'deal_shortened', 'deal_repriced')
    GROUP BY 1) x ON x.id = 'amd_' || replace(a.public_id::text, '-', '')
WHERE (coalesce(x.deposit, 0), coalesce(x.wallet, 0), coalesce(x.provider, 0),
       coalesce(x.fee, 0), coalesce(x.vat, 0)) <> (
    SELECT (signed * (a.pay_minor - a.refund_minor - a.kept_gross_minor))::numeric,
           (signed * (a.refund_minor + a.compensation_minor - a.pay_minor))::numeric,
           (signed * (a.kept_provider_minor - a.compensation_minor))::numeric,
           (CASE l.selling WHEN 'agency' THEN signed * a.kept_fee_minor ELSE 0 END)::numeric,
           (signed * a.kept_vat_minor)::numeric
    FROM (SELECT CASE WHEN a.state = 'signed' THEN 1 ELSE 0 END AS signed) s);

-- check: what a lease's changes kept and paid back is charged
SELECT l.id, l.selling, a.kept, a.vat, a.fee, a.compensation, c.kept, c.vat, c.fee, c.compensation
FROM marketplace_lease l
JOIN LATERAL (
    SELECT coalesce(sum(kept_gross_minor), 0) AS kept, coalesce(sum(kept_vat_minor), 0) AS vat,
           coalesce(sum(kept_fee_minor), 0) AS fee,
           coalesce(sum(compensation_minor), 0) AS compensation
    FROM marketplace_amendment WHERE lease_id = l.id AND state = 'signed') a ON true
JOIN LATERAL (
    SELECT coalesce(sum(gross_minor) FILTER (WHERE kind = 'leaving'), 0) AS kept,
           coalesce(sum(vat_minor) FILTER (WHERE kind = 'leaving'), 0) AS vat,
           coalesce(sum(fee_minor) FILTER (WHERE kind = 'leaving'), 0) AS fee,
           coalesce(-sum(gross_minor) FILTER (WHERE kind = 'compensation'), 0) AS compensation
    FROM billing_charge WHERE lease_id = l.id) c ON true
WHERE (a.kept, a.vat, a.fee, a.compensation) <> (c.kept, c.vat, c.fee, c.compensation);

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
           WHERE l.selling <> 'direct'  -- that lies with the centre
           GROUP BY 1, 2) s ON s.tenant_id = a.owner_id AND s.currency = a.currency
WHERE a.purpose = 'deposit' AND b.posted <> coalesce(s.rest, 0);

-- check: what lies as security, and what is used and not due, is what the leases say
SELECT a.code, b.posted, coalesce(s.rest, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT l.tenant_id, l.currency, v.purpose, sum(v.minor) AS rest
           FROM billing_leasetally t JOIN marketplace_lease l ON l.id = t.lease_id
           CROSS JOIN LATERAL (VALUES ('security', t.security_minor),
                                      ('tenant_arrears', t.arrears_minor)) AS v (purpose, minor)
           GROUP BY 1, 2, 3) s
       ON s.tenant_id = a.owner_id AND s.currency = a.currency AND s.purpose = a.purpose
WHERE a.purpose IN ('security', 'tenant_arrears') AND b.posted <> coalesce(s.rest, 0);

-- check: what a tenant owes is what charges, instalments, lost disputes left and none cleared
SELECT a.code, b.posted FROM billing_ledgeraccount a
JOIN billing_ledgerbalance b ON b.account_id = a.id
WHERE a.purpose = 'tenant_receivable' AND b.posted <>
    (SELECT coalesce(sum(c.receivable_minor), 0) FROM billing_charge c
      WHERE c.tenant_id = a.owner_id AND c.currency = a.currency)
  + (SELECT coalesce(sum(i.receivable_minor), 0) FROM billing_instalment i
      WHERE i.tenant_id = a.owner_id AND i.currency = a.currency)
  + (SELECT coalesce(sum(e.amount_minor), 0) FROM billing_ledgerentry e
      JOIN billing_ledgertransaction t ON t.id = e.transaction_id
      WHERE e.account_id = a.id
        AND t.kind IN ('receivable_cleared', 'security_returned', 'bad_debt_written_off',
                       'dispute_lost'));

-- check: who is shut out is dunned for it, and who is not dunned is not shut out
SELECT l.id, a.suspended_at, d.state FROM marketplace_lease l
JOIN inventory_allocation a ON a.id = l.allocation_id
LEFT JOIN billing_dunning d ON d.lease_id = l.id AND d.state IN ('noticed', 'suspended')
WHERE l.state = 'active' AND l.end_reason = ''
  AND (a.suspended_at IS NOT NULL) <> (coalesce(d.state, '') = 'suspended');

-- check: a receipt is booked as it was recorded and decided
WITH steps AS (
    SELECT r.id, 'receipt:rcp_' || replace(r.public_id::text, '-', '') || step.name AS key
    FROM billing_bankreceipt r
    CROSS JOIN (VALUES (':recorded'), (':approved'), (':rejected')) AS step (name)
    UNION ALL  -- it went back to its sender
    SELECT f.receipt_id, 'refund:rfd_' || replace(f.public_id::text, '-', '') || ':done'
    FROM billing_refund f WHERE f.receipt_id IS NOT NULL
    UNION ALL  -- it is a refund that came back
    SELECT r.id, 'refund:rfd_' || replace(f.public_id::text, '-', '') || ':came_back'
    FROM billing_bankreceipt r JOIN billing_refund f ON f.id = r.refund_id
    WHERE r.matched_by = 'refund'
), booked AS (
    SELECT r.id, sum(e.amount_minor) FILTER (WHERE a.purpose = 'bank') AS bank,
           sum(e.amount_minor) FILTER (WHERE a.purpose = 'unmatched_receipts') AS unmatched,
           sum(e.amount_minor) FILTER (
               WHERE a.purpose = 'wallet' AND a.owner_id = r.tenant_id) AS wallet
    FROM steps s JOIN billing_bankreceipt r ON r.id = s.id
    JOIN billing_ledgertransaction t ON t.idempotency_key = s.key
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.currency = r.currency
    GROUP BY 1
)
SELECT r.id, r.state, r.amount_minor, x.bank, x.unmatched, x.wallet
FROM billing_bankreceipt r LEFT JOIN booked x ON x.id = r.id
WHERE (coalesce(x.bank, 0), coalesce(x.unmatched, 0), coalesce(x.wallet, 0)) <> CASE r.state
    WHEN 'returning' THEN (r.amount_minor::numeric, -r.amount_minor::numeric, 0::numeric)
    WHEN 'recorded' THEN (r.amount_minor::numeric, -r.amount_minor::numeric, 0::numeric)
    WHEN 'approved' THEN (r.amount_minor::numeric, 0::numeric, -r.amount_minor::numeric)
    ELSE (0::numeric, 0::numeric, 0::numeric) END;

-- check: unmatched receipts are those nobody has decided on
SELECT a.code, -coalesce(sum(e.amount_minor), 0), (
    SELECT coalesce(sum(r.amount_minor), 0) FROM billing_bankreceipt r
     WHERE r.state IN ('recorded', 'returning') AND r.currency = a.currency)
FROM billing_ledgeraccount a LEFT JOIN billing_ledgerentry e ON e.account_id = a.id
WHERE a.purpose = 'unmatched_receipts' GROUP BY a.id, a.code, a.currency
HAVING -coalesce(sum(e.amount_minor), 0) <> (
    SELECT coalesce(sum(r.amount_minor), 0) FROM billing_bankreceipt r
     WHERE r.state IN ('recorded', 'returning') AND r.currency = a.currency);

-- check: each charge is settled once, with its provider, in its currency
SELECT charge_id, count(*) FROM billing_settlementline GROUP BY 1 HAVING count(*) > 1
UNION ALL
SELECT l.charge_id, 0 FROM billing_settlementline l
JOIN billing_settlement s ON s.id = l.settlement_id JOIN billing_charge c ON c.id = l.charge_id
WHERE (c.provider_id, c.currency) <> (s.provider_id, s.currency)
   OR c.hour >= upper(s.period);

-- check: a settlement is the sum of its lines, and is booked
SELECT s.id, s.net_minor, x.net, e.accrued, e.settling, e.reserve, e.receivable
FROM billing_settlement s
LEFT JOIN (
    SELECT l.settlement_id AS id, count(*) AS lines, sum(c.card_seconds) AS card_seconds,
           sum(c.gross_minor) AS gross, sum(c.vat_minor) AS vat,
           sum(c.fee_minor) AS fee, sum(c.accrued_minor) AS net
    FROM billing_settlementline l JOIN billing_charge c ON c.id = l.charge_id
    GROUP BY 1) x ON x.id = s.id
LEFT JOIN (
    SELECT o.id, sum(e.amount_minor) FILTER (WHERE a.purpose = 'provider_accrued') AS accrued,
           -coalesce(sum(e.amount_minor) FILTER (WHERE a.purpose = 'provider_settling'), 0) AS settling,
           -coalesce(sum(e.amount_minor) FILTER (WHERE a.purpose = 'provider_reserve'), 0) AS reserve,
           coalesce(sum(e.amount_minor) FILTER (WHERE a.purpose = 'provider_receivable'), 0) AS receivable
    FROM billing_settlement o
    JOIN billing_ledgerentry e ON e.transaction_id = o.ledger_transaction_id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.owner_id = o.provider_id
    GROUP BY 1) e ON e.id = s.id
WHERE (s.line_count, s.card_seconds, s.gross_minor, s.vat_minor, s.fee_minor, s.net_minor)
      IS DISTINCT FROM (x.lines, x.card_seconds, x.gross, x.vat, x.fee, x.net)
   OR e.accrued IS DISTINCT FROM s.net_minor
   OR (e.settling, e.reserve, e.receivable) IS DISTINCT FROM (
        greatest(s.net_minor, 0) - s.reserve_minor::numeric, s.reserve_minor::numeric,
        greatest(-s.net_minor, 0)::numeric);

-- check: what a provider has in reserve is what its settlements keep back
SELECT a.code, b.posted, coalesce(s.kept, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT provider_id, currency, sum(reserve_minor) AS kept FROM billing_settlement
           WHERE reserve_released_at IS NULL GROUP BY 1, 2) s
  ON s.provider_id = a.owner_id AND s.currency = a.currency
WHERE a.purpose = 'provider_reserve' AND b.posted <> coalesce(s.kept, 0);

-- check: what a provider owes is what was demanded, and neither paid back nor clawed back
SELECT a.code, b.posted, coalesce(s.demanded, 0), coalesce(r.paid, 0), coalesce(t.taken, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT provider_id, currency, -sum(net_minor) AS demanded FROM billing_settlement
           WHERE net_minor < 0 GROUP BY 1, 2) s
  ON s.provider_id = a.owner_id AND s.currency = a.currency
LEFT JOIN (SELECT provider_id, currency, sum(amount_minor) AS paid FROM billing_repayment
           WHERE state = 'approved' GROUP BY 1, 2) r
  ON r.provider_id = a.owner_id AND r.currency = a.currency
LEFT JOIN (SELECT v.provider_id, f.currency, sum(v.amount_minor) AS taken
           FROM billing_transferreversal v JOIN billing_transfer f ON f.id = v.transfer_id
           WHERE v.state = 'succeeded' AND v.amount_minor < f.amount_minor GROUP BY 1, 2) t
  ON t.provider_id = a.owner_id AND t.currency = a.currency
WHERE a.purpose = 'provider_receivable'
  AND b.posted <> coalesce(s.demanded, 0) - coalesce(r.paid, 0) - coalesce(t.taken, 0);

-- check: what is kept of a provider's debt for claw-backs is what they ask for
SELECT a.code, b.held, coalesce(t.asked, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT v.provider_id, f.currency, sum(v.amount_minor) AS asked
           FROM billing_transferreversal v JOIN billing_transfer f ON f.id = v.transfer_id
           WHERE v.state = 'planned' AND v.amount_minor < f.amount_minor GROUP BY 1, 2) t
  ON t.provider_id = a.owner_id AND t.currency = a.currency
WHERE a.purpose = 'provider_receivable' AND b.held <> coalesce(t.asked, 0);

-- check: a demand is paid back when repayments and claw-backs cover it, the oldest first
SELECT id, state, covered, taken FROM (
    SELECT s.id, s.state,
           coalesce((SELECT sum(r.amount_minor) FROM billing_repayment r
                      WHERE r.provider_id = s.provider_id AND r.currency = s.currency
                        AND r.state = 'approved'), 0)
           + sum(s.net_minor) OVER (PARTITION BY s.provider_id, s.currency ORDER BY s.id) AS covered,
           coalesce((SELECT sum(v.amount_minor) FROM billing_transferreversal v
                      JOIN billing_transfer f ON f.id = v.transfer_id
                      WHERE v.provider_id = s.provider_id AND f.currency = s.currency
                        AND v.state = 'succeeded' AND v.amount_minor < f.amount_minor), 0) AS taken
    FROM billing_settlement s WHERE s.net_minor < 0) x
-- Of what was clawed back a sweep tells the demands.
WHERE state = 'paid_back' AND covered + taken < 0 OR state <> 'paid_back' AND covered >= 0;

-- check: what waits in settling is what was settled or released, and in no payout that is paid
SELECT a.code, b.posted, coalesce(s.owed, 0), coalesce(p.paid, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT provider_id, currency,
                  sum(net_minor - paid_back_minor
                      - CASE WHEN reserve_released_at IS NULL THEN reserve_minor ELSE 0 END) AS owed
           FROM billing_settlement WHERE net_minor > 0 GROUP BY 1, 2) s
  ON s.provider_id = a.owner_id AND s.currency = a.currency
LEFT JOIN (SELECT provider_id, currency, sum(amount_minor) AS paid FROM billing_payout
           WHERE state = 'paid' GROUP BY 1, 2) p
  ON p.provider_id = a.owner_id AND p.currency = a.currency
WHERE a.purpose = 'provider_settling' AND b.posted <> coalesce(s.owed, 0) - coalesce(p.paid, 0);

-- check: what is held in settling is what is approved and has not left
SELECT a.code, b.held, coalesce(p.held, 0)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN (SELECT provider_id, currency, sum(amount_minor) AS held FROM billing_payout
           WHERE state IN ('approved', 'sending', 'sent') GROUP BY 1, 2) p
  ON p.provider_id = a.owner_id AND p.currency = a.currency
WHERE a.purpose = 'provider_settling' AND b.held <> coalesce(p.held, 0);

-- check: a payout is the sum of its lines, and a captured hold once it is paid
SELECT p.id, p.state, p.amount_minor, l.amount, h.state, h.captured_minor, e.amount
FROM billing_payout p
LEFT JOIN LATERAL (
    SELECT sum(amount_minor) AS amount, bool_and(is_live) AS all_live, bool_or(is_live) AS any_live
    FROM billing_payoutline WHERE payout_id = p.id) l ON true
LEFT JOIN billing_ledgerhold h
  ON h.idempotency_key = 'payout:pay_' || replace(p.public_id::text, '-', '')
LEFT JOIN (
    SELECT o.id, sum(e.amount_minor) AS amount FROM billing_payout o
    JOIN billing_ledgerentry e ON e.transaction_id = o.ledger_transaction_id
    JOIN billing_ledgeraccount a ON a.id = e.account_id
     AND a.purpose = 'provider_settling' AND a.owner_id = o.provider_id
    GROUP BY 1) e ON e.id = p.id
WHERE l.amount IS DISTINCT FROM p.amount_minor
   OR (p.state IN ('planned', 'approved', 'sending', 'sent', 'paid') AND NOT l.all_live)
   OR (p.state IN ('failed', 'returned', 'cancelled') AND l.any_live)
   OR (p.state IN ('paid', 'returned') AND (h.state, h.captured_minor::numeric, e.amount)
       IS DISTINCT FROM ('captured', p.amount_minor::numeric, p.amount_minor::numeric))
   OR (p.state IN ('approved', 'sending', 'sent') AND h.state IS DISTINCT FROM 'open')
   OR (p.state = 'failed' AND h.state IS DISTINCT FROM 'released')
   OR (p.state = 'planned' AND h.id IS NOT NULL)
   OR (p.state = 'cancelled' AND h.state = 'open');

-- check: each part of a settlement is paid once, whole, and when it may be
SELECT l.id, l.part, l.amount_minor FROM billing_payoutline l
JOIN billing_settlement s ON s.id = l.settlement_id JOIN billing_payout p ON p.id = l.payout_id
WHERE (s.provider_id, s.currency) <> (p.provider_id, p.currency)
   OR (l.part = 'net'
       AND l.amount_minor <> s.net_minor - s.reserve_minor - s.paid_back_minor)
   OR (l.part = 'reserve'
       AND (l.amount_minor <> s.reserve_minor OR s.reserve_released_at IS NULL));

-- check: a settlement is paid when nothing of it is left to pay
SELECT s.id, s.state, x.paid FROM billing_settlement s
LEFT JOIN (
    SELECT l.settlement_id AS id, sum(l.amount_minor) AS paid FROM billing_payoutline l
    JOIN billing_payout p ON p.id = l.payout_id AND p.state = 'paid'
    WHERE l.is_live GROUP BY 1) x ON x.id = s.id
WHERE s.net_minor > 0
  AND (s.state = 'paid') <> (coalesce(x.paid, 0) = s.net_minor - s.paid_back_minor);

-- check: what a provider has accrued is what no settlement has consumed
SELECT a.code, b.posted, sum(c.accrued_minor)
FROM billing_ledgeraccount a JOIN billing_ledgerbalance b ON b.account_id = a.id
LEFT JOIN billing_charge c ON c.provider_id = a.owner_id AND c.currency = a.currency
 AND NOT EXISTS (SELECT FROM billing_settlementline s WHERE s.charge_id = c.id)
WHERE a.purpose = 'provider_accrued'
GROUP BY a.code, b.posted HAVING b.posted <> coalesce(sum(c.accrued_minor), 0);

-- check: what lies before a provider's mark is settled, but for what came late
SELECT m.provider_id, m.hour, c.id
FROM billing_settledmark m
JOIN billing_charge c ON c.provider_id = m.provider_id AND c.currency = m.currency
WHERE c.hour < m.hour AND c.created_at - c.hour <= interval '1 day'
  AND NOT EXISTS (SELECT FROM billing_settlementline s WHERE s.charge_id = c.id);

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

-- check: an open hold of a refund belongs to one that has not left, and each such has its hold
SELECT f.id, f.state, h.amount_minor FROM billing_refund f
FULL JOIN (SELECT * FROM billing_ledgerhold
            WHERE state = 'open' AND idempotency_key LIKE 'refund:rfd_%') h
       ON h.idempotency_key = 'refund:rfd_' || replace(f.public_id::text, '-', '')
WHERE (f.receipt_id IS NULL AND f.state IN ('asked', 'checked', 'approved', 'sent'))
      IS DISTINCT FROM (h.id IS NOT NULL)
   OR h.amount_minor <> f.amount_minor;
-- check: a charge is on one line, of its own lease, price and month
SELECT c.id, b.line_id, l.lease_id, l.month FROM billing_billedcharge b
JOIN billing_charge c ON c.id = b.charge_id
JOIN billing_invoiceline l ON l.id = b.line_id
WHERE (c.lease_id, c.price_id, c.kind) <> (l.lease_id, l.price_id, l.kind)
   OR (c.kind <> 'credit'
       AND l.month <> date_trunc('month', c.hour AT TIME ZONE 'Asia/Shanghai')::date);

-- check: every charge is on a line, or the sweep is on its way
SELECT c.id, c.created_at FROM billing_charge c
WHERE c.created_at < now() - interval '2 days'
  AND EXISTS (SELECT FROM billing_invoice)
  AND c.id <= (SELECT charge_id FROM billing_billedcursor)
  AND NOT EXISTS (SELECT FROM billing_billedcharge b WHERE b.charge_id = c.id);

-- check: a line is the sum of its charges
SELECT l.id, i.state, l.net_minor, s.net, l.vat_minor, s.vat, l.card_seconds, s.card_seconds
FROM billing_invoiceline l JOIN billing_invoice i ON i.id = l.invoice_id
LEFT JOIN (
    SELECT b.line_id, sum(CASE WHEN i.subject = 'fee' THEN c.fee_minor
                               ELSE c.provider_minor + c.fee_minor END) AS net,
           sum(CASE WHEN i.subject = 'fee' THEN c.fee_vat_minor ELSE c.vat_minor END) AS vat,
           sum(c.card_seconds) AS card_seconds
    FROM billing_billedcharge b JOIN billing_charge c ON c.id = b.charge_id
    JOIN billing_invoiceline l ON l.id = b.line_id JOIN billing_invoice i ON i.id = l.invoice_id
    GROUP BY 1) s ON s.line_id = l.id
-- What waits for a second person, or was not approved, has none yet.
WHERE NOT (i.requested_by_id IS NOT NULL AND i.state <> 'finalised' AND s.line_id IS NULL)
  AND (l.net_minor, l.vat_minor, l.card_seconds)
   <> (coalesce(s.net, 0), coalesce(s.vat, 0), coalesce(s.card_seconds, 0));

-- check: an invoice is the sum of its lines
SELECT i.id, i.state, i.total_minor, s.gross FROM billing_invoice i
CROSS JOIN LATERAL (
    SELECT coalesce(sum(net_minor), 0) AS net, coalesce(sum(vat_minor), 0) AS vat,
           coalesce(sum(gross_minor), 0) AS gross, coalesce(sum(card_seconds), 0) AS card_seconds
    FROM billing_invoiceline WHERE invoice_id = i.id) s
WHERE (i.net_minor, i.vat_minor, i.total_minor, i.card_seconds)
   <> (s.net, s.vat, s.gross, s.card_seconds);

-- check: an invoice's party is who was charged
SELECT i.id, i.party_id, c.tenant_id, c.provider_id FROM billing_invoice i
JOIN billing_invoiceline l ON l.invoice_id = i.id
JOIN billing_billedcharge b ON b.line_id = l.id JOIN billing_charge c ON c.id = b.charge_id
WHERE i.currency <> c.currency
   OR i.party_id <> CASE WHEN i.subject = 'fee' THEN c.provider_id ELSE c.tenant_id END;

-- check: the numbers of a series run from one without a gap
SELECT s.id, s.last_number, count(i.id), max(i.number) FROM billing_invoiceseries s
LEFT JOIN billing_invoice i ON (i.issuer_id, i.kind) = (s.issuer_id, s.kind)
 AND i.number IS NOT NULL
GROUP BY s.id, s.last_number
HAVING count(i.id) <> s.last_number OR coalesce(max(i.number), 0) <> s.last_number;

-- check: credit notes take back no more than persons may
SELECT l.id, l.gross_minor, sum(n.gross_minor) FROM billing_invoiceline l
JOIN billing_invoiceline n ON n.corrects_id = l.id AND n.kind = 'credit'
JOIN billing_invoice i ON i.id = n.invoice_id AND i.state <> 'discarded'
GROUP BY l.id, l.gross_minor HAVING l.gross_minor + sum(n.gross_minor) < 0;

-- check: the fapiaos of an invoice are not above it
SELECT i.id, i.total_minor, sum(p.amount_minor) FROM billing_fapiaopart p
JOIN billing_fapiao f ON f.id = p.fapiao_id JOIN billing_invoice i ON i.id = p.invoice_id
WHERE f.state IN ('requested', 'issued')
GROUP BY i.id, i.total_minor HAVING sum(p.amount_minor) > i.total_minor;

-- check: an online payment is in its tenant's wallet, whole and once, when it is paid and only then
SELECT p.id, p.state, p.amount_minor, x.wallet FROM billing_topup p
LEFT JOIN (
    SELECT o.id, sum(e.amount_minor) AS wallet FROM billing_topup o
    JOIN billing_ledgertransaction t ON t.idempotency_key = 'stripe:' || o.charge_id || ':captured'
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.purpose = 'wallet'
     AND a.owner_id = o.tenant_id AND a.currency = o.currency
    GROUP BY 1) x ON x.id = p.id
WHERE coalesce(x.wallet, 0) <> CASE p.state WHEN 'succeeded' THEN -p.amount_minor ELSE 0 END;

-- check: a refund has left the wallet while it is with the payer, and is back where it failed
SELECT r.id, r.state, r.amount_minor, x.wallet FROM billing_walletrefund r
LEFT JOIN (
    SELECT o.id, sum(e.amount_minor) AS wallet FROM billing_walletrefund o
    CROSS JOIN (VALUES (':refunded'), (':failed')) AS step (name)
    JOIN billing_ledgertransaction t ON t.idempotency_key = 'stripe:' || o.refund_id || step.name
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id AND a.purpose = 'wallet'
     AND a.owner_id = o.tenant_id AND a.currency = o.currency
    GROUP BY 1) x ON x.id = r.id
WHERE (r.state IN ('held', 'failed') AND coalesce(x.wallet, 0) <> 0)
   OR (r.state = 'succeeded' AND coalesce(x.wallet, 0) <> r.amount_minor);

-- check: a voucher is in the ledger as it was proposed, once it is posted and only then
SELECT v.id, v.state, x.account_code, x.proposed, x.posted FROM billing_voucher v
JOIN (
    SELECT id, account_code, sum(proposed) AS proposed, sum(posted) AS posted FROM (
        SELECT voucher_id AS id, account_code, amount_minor AS proposed, NULL::bigint AS posted
        FROM billing_voucherentry
        UNION ALL
        SELECT o.id, a.code, NULL, e.amount_minor FROM billing_voucher o
        JOIN billing_ledgerentry e ON e.transaction_id = o.ledger_transaction_id
        JOIN billing_ledgeraccount a ON a.id = e.account_id) legs
    GROUP BY 1, 2) x ON x.id = v.id
WHERE (v.state = 'posted' AND x.proposed IS DISTINCT FROM x.posted)
   OR (v.state <> 'posted' AND x.posted IS NOT NULL);

-- check: a match is of one amount, and neither of its sides is in another
SELECT m.id, m.net_minor, v.net_minor, coalesce(l.amount_minor, p.net_minor, s.opening_minor,
       -w.net_minor) AS outside
FROM reconciliation_live m
LEFT JOIN reconciliation_movement v
       ON v.account_id = m.account_id AND v.transaction_id = m.transaction_id
LEFT JOIN reconciliation_movement w
       ON w.account_id = m.account_id AND w.transaction_id = m.offset_id
LEFT JOIN billing_bankline l ON l.id = m.bank_line_id
LEFT JOIN billing_pspbalancetransaction p ON p.transaction_id = m.psp_line_id
LEFT JOIN billing_bankstatement s ON s.id = m.opening_id
WHERE m.net_minor IS DISTINCT FROM v.net_minor
   OR m.net_minor IS DISTINCT FROM coalesce(l.amount_minor, p.net_minor, s.opening_minor, -w.net_minor)
   OR EXISTS (SELECT FROM reconciliation_live o WHERE o.id <> m.id AND (
        (o.account_id = m.account_id AND (o.transaction_id = m.transaction_id
         OR o.offset_id = m.transaction_id OR o.offset_id = m.offset_id))
        OR o.bank_line_id = m.bank_line_id OR o.psp_line_id = m.psp_line_id
        OR o.opening_id = m.opening_id));
