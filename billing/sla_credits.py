"""What a month of a lease lacked of its service level, given back by its terms, once.

A month is counted by the first sweep after it is over and the lease is rated to its end (or to
the month's), which is before its invoice becomes final: the credit is a line of that invoice.
A correction, which may come for 35 days, counts the month again, and what differs moves: by
then as a credit note, or as a line of the next invoice where some of it is taken back. Both ways
are those of any charge, and so is the settlement that takes it from the provider.

Hours that were not delivered were never charged; the credit comes on top, out of what was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, QuerySet, Sum

from billing import ledger, rating, selling
from billing.draws import Draw, Purses
from billing.ledger import Kind
from billing.models import Charge, LeaseTally, SlaMonth
from inventory import actors, journal
from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import money, sla
from marketplace.models import Lease
from marketplace.money import Amounts
from marketplace.sla import Delivery, Promise

logger = logging.getLogger(__name__)
ACTOR = actors.system("sla")
# Months of leases that ended longer ago were all counted, or wait for a person to look.
BACK = timedelta(days=400)
YOUNG = timedelta(days=1)

# The next month of each lease that promises one and was in use in it.
_NEXT = """
    FROM marketplace_lease l
    JOIN marketplace_termsversion t ON t.id = l.terms_id AND t.sla_availability_bps > 0
    JOIN inventory_allocation a ON a.id = l.allocation_id
    JOIN billing_leasetally y ON y.lease_id = l.id
    LEFT JOIN LATERAL (
        SELECT max(month) AS month FROM billing_slamonth WHERE lease_id = l.id) s ON true
    CROSS JOIN LATERAL (SELECT coalesce(
        s.month + interval '1 month',
        date_trunc('month', lower(l.period) AT TIME ZONE %(zone)s)) AS month) m
    CROSS JOIN LATERAL (SELECT
        m.month AT TIME ZONE %(zone)s AS starts,
        (m.month + interval '1 month') AT TIME ZONE %(zone)s AS ends) i
    WHERE upper(a.period) > %(oldest)s
      AND i.starts < least(upper(a.period), a.failed_at) AND i.ends <= %(at)s
"""
# Of those, the ones that are rated to the end.
_DUE = f"""
    SELECT l.id, m.month::date {_NEXT} AND NOT l.id = ANY (%(stuck)s)
      AND y.rated_until >= least(i.ends, upper(a.period), a.failed_at)
    ORDER BY m.month, l.id LIMIT %(limit)s
"""

# One that never began has no hours to be held against.
_UNCOUNTED = f"""
    SELECT count(*) {_NEXT} AND i.starts < %(end)s
      AND EXISTS (SELECT FROM inventory_meteringcursor c WHERE c.allocation_id = a.id)
"""  # noqa: S608

# Months counted already whose usage was corrected since the cursor.
_CORRECTED = """
    SELECT DISTINCT c.lease_id, s.month FROM billing_charge c
    JOIN billing_slamonth s ON s.lease_id = c.lease_id AND s.revision = 0
     AND c.hour >= lower(s.period) AND c.hour < upper(s.period)
    WHERE c.id > (SELECT coalesce(max(charge_id), 0) FROM billing_slacursor)
      AND c.kind = 'usage' AND c.revision > 0
    ORDER BY 2, 1 LIMIT %(limit)s
"""

# By hour, so that what is excluded can never be more than what that hour lacked.
_DELIVERY = """
    WITH hours AS (
        SELECT hour, sum(card_seconds) AS delivered, sum(gap_card_seconds) AS gap
        FROM inventory_usagehour
        WHERE allocation_id = %(allocation)s AND hour >= %(start)s AND hour < %(end)s
        GROUP BY hour
    ), excused AS (
        -- Maintenance of a node that serves the lease, or served it until it began, announced
        -- in time and not called off.
        SELECT tstzrange(lower(o.period), least(upper(o.period), o.closed_at)) AS during,
               upper(b.cards) - lower(b.cards) AS cards
        FROM inventory_binding b
        JOIN inventory_outage o ON o.node_id = b.node_id AND o.kind = 'planned'
        WHERE b.allocation_id = %(allocation)s AND %(notice)s > 0
          AND o.created_at <= lower(o.period) - %(notice)s * interval '1 hour'
          AND (o.closed_at IS NULL OR o.closed_at > lower(o.period))
          AND o.period && tstzrange(lower(b.during), upper(b.during) + interval '1 hour')
        UNION ALL
        SELECT tstzrange(suspended_at, coalesce(least(settled_at, ended_at), 'infinity')),
               %(cards)s
        FROM billing_dunning WHERE lease_id = %(lease)s AND suspended_at IS NOT NULL
        UNION ALL
        -- What passed its test waits for the tenant's signature, not for the provider.
        SELECT tstzrange(t.passed_at, a.active_at), %(cards)s
        FROM inventory_acceptance t JOIN inventory_allocation a ON a.id = t.allocation_id
        WHERE t.allocation_id = %(allocation)s AND t.state IN ('accepted', 'deemed')
          AND t.passed_at < a.active_at
    )
    SELECT coalesce(sum(h.delivered), 0), coalesce(sum(h.gap), 0),
           coalesce(sum(least(h.gap, coalesce(x.card_seconds, 0))), 0)
    FROM hours h LEFT JOIN LATERAL (
        SELECT sum(e.cards * greatest(0,
            floor(extract(epoch FROM least(upper(e.during), h.hour + interval '1 hour')))
          - floor(extract(epoch FROM greatest(lower(e.during), h.hour)))))::bigint AS card_seconds
        FROM excused e WHERE e.during && tstzrange(h.hour, h.hour + interval '1 hour')) x ON true
"""


@dataclass(frozen=True, slots=True)
class _Charged:
    """What a month was charged for its usage, and where a credit of it belongs."""

    amounts: Amounts
    fee_vat_minor: int
    hour: datetime | None  # the last one that was charged
    price_id: int


def credit_due(*, at: datetime, limit: int) -> int:
    """Months that are over and rated are held against their terms, and corrected ones again.

    Returns how many rows it wrote. One transaction for each lease and month, so that one that
    cannot be counted holds up no other. Locks the lease's tally, then balances. Idempotent by
    fact: (lease, month, revision), and a month that comes to the same writes nothing.
    """
    written, stuck = 0, set[int]()
    while written < limit:
        due = _find(_DUE, at, stuck, min(500, limit - written))
        if not due:
            break
        for lease_id, month in due:
            done = _attempt(lease_id, month, at)
            written += bool(done)
            if not done:
                stuck.add(lease_id)
    for lease_id, month in _find(_CORRECTED, at, stuck, limit):
        written += bool(_attempt(lease_id, month, at))
    _move_cursor(at)
    return written


def uncounted(*, month: Period, at: datetime) -> int:
    """Leases that promise a service level and are not held against it up to the month's end."""
    with connection.cursor() as cursor:
        cursor.execute(
            _UNCOUNTED,
            {"zone": settings.BILLING_ZONE, "oldest": at - BACK, "at": at, "end": month.end},
        )
        (found,) = cursor.fetchone()
    return int(found)


def count(*, lease_id: int, month: date, at: datetime) -> SlaMonth | None:
    """The lease's month is held against its terms; what its credit differs by is posted.

    None where it comes to what the last revision says, or its terms promise nothing. Locks the
    lease's tally, which rating holds too, then balances. Idempotent.
    """
    with transaction.atomic():
        tally = LeaseTally.objects.select_for_update(no_key=True).get(lease_id=lease_id)
        lease = Lease.objects.select_related("terms", "tenant", "provider", "price").get(
            pk=lease_id
        )
        promise = Promise.of(lease.terms)
        if promise is None:
            return None
        period = _period(month)
        delivery, charged = _delivery(lease, period), _charged(lease, period)
        bps = sla.credit_bps(promise, delivery)
        whole = sla.credit(charged.amounts, bps)
        last = SlaMonth.objects.filter(lease=lease, month=month).order_by("-revision").first()
        fee_vat = _fee_vat(charged, whole)
        if last is not None and last.credit_minor == whole.gross_minor:
            whole, fee_vat = last.amounts, last.fee_vat_minor  # the parts move with the whole alone
        row = SlaMonth(
            lease=lease,
            terms_id=lease.terms_id,
            provider_id=lease.provider_id,
            tenant_id=lease.tenant_id,
            month=month,
            period=period.range,
            revision=last.revision + 1 if last else 0,
            delivered_card_seconds=delivery.delivered,
            missing_card_seconds=delivery.missing,
            excluded_card_seconds=delivery.excluded,
            availability_bps=delivery.availability_bps,
            credit_bps=bps,
            currency=lease.currency,
            charged_minor=charged.amounts.gross_minor,
            credit_minor=whole.gross_minor,
            vat_minor=whole.vat_minor,
            fee_minor=whole.fee_minor,
            fee_vat_minor=fee_vat,
            created_at=at,
        )
        if last is not None and _facts(row) == _facts(last):
            return None
        row.charge = _post(row, last, lease, tally, charged, at)
        row.save(force_insert=True)
        _journal(row, lease, at)
    return row


def newest(lease: Lease) -> QuerySet[SlaMonth]:
    """Each of its months as last counted, the newest first."""
    rows = SlaMonth.objects.filter(lease=lease).order_by("-month", "-revision")
    return rows.distinct("month")


def _attempt(lease_id: int, month: date, at: datetime) -> SlaMonth | None:
    try:
        return count(lease_id=lease_id, month=month, at=at)
    except DomainError as error:
        logger.warning("month %s of lease %s is not credited: %s", month, lease_id, error)
        return None


def _find(sql: str, at: datetime, stuck: set[int], limit: int) -> list[tuple[int, date]]:
    facts: dict[str, Any] = {
        "zone": settings.BILLING_ZONE,
        "at": at,
        "oldest": at - BACK,
        "stuck": list(stuck),
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, facts)
        found: list[tuple[int, date]] = cursor.fetchall()
    return found


def _period(month: date) -> Period:
    noon = datetime(month.year, month.month, 15, tzinfo=ZoneInfo(settings.BILLING_ZONE))
    return money.month_of(noon, settings.BILLING_ZONE)


def _delivery(lease: Lease, period: Period) -> Delivery:
    with connection.cursor() as cursor:
        cursor.execute(
            _DELIVERY,
            {
                "allocation": lease.allocation_id,
                "lease": lease.pk,
                "cards": lease.card_count,
                "notice": lease.terms.sla_notice_hours,
                "start": period.start,
                "end": period.end,
            },
        )
        delivered, gap, excluded = map(int, cursor.fetchone())
    return Delivery(delivered, gap - excluded, excluded)


def _charged(lease: Lease, period: Period) -> _Charged:
    rows = Charge.objects.filter(
        lease=lease, kind=Charge.Kind.USAGE, hour__gte=period.start, hour__lt=period.end
    )
    sums = rows.aggregate(
        gross=Sum("gross_minor", default=0),
        vat=Sum("vat_minor", default=0),
        fee=Sum("fee_minor", default=0),
        fee_vat=Sum("fee_vat_minor", default=0),
        hour=Max("hour"),
    )
    price_id = lease.price_id
    if sums["hour"] is not None:
        price_id = rows.filter(hour=sums["hour"]).values_list("price_id", flat=True)[0]
    gross, vat, fee = int(sums["gross"]), int(sums["vat"]), int(sums["fee"])
    amounts = Amounts(gross, vat, fee, gross - vat - fee)
    return _Charged(amounts, int(sums["fee_vat"]), sums["hour"], price_id)


def _fee_vat(charged: _Charged, whole: Amounts) -> int:
    """Of the VAT on a direct lease's fee, the part that goes back with the fee."""
    fee = charged.amounts.fee_minor
    return money.half_up_of(charged.fee_vat_minor * whole.fee_minor, fee) if fee > 0 else 0


def _facts(row: SlaMonth) -> tuple[int, ...]:
    return (
        row.delivered_card_seconds, row.missing_card_seconds, row.excluded_card_seconds,
        row.charged_minor, row.credit_minor, row.vat_minor, row.fee_minor, row.fee_vat_minor,
    )  # fmt: skip


def _post(
    row: SlaMonth,
    last: SlaMonth | None,
    lease: Lease,
    tally: LeaseTally,
    charged: _Charged,
    at: datetime,
) -> Charge | None:
    """The charge that moves what this revision's credit differs by; None where nothing does."""
    before = last.amounts if last else Amounts(0, 0, 0, 0)
    fee_vat = row.fee_vat_minor - (last.fee_vat_minor if last else 0)
    back = row.amounts - before
    if back.gross_minor == 0 or charged.hour is None:
        return None
    draw = Purses([lease]).credit(lease, tally, back.gross_minor)
    charge = Charge(
        lease=lease,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        price_id=charged.price_id,
        kind=Charge.Kind.SLA_CREDIT,
        allocation_id=lease.allocation_id,
        hour=charged.hour,
        revision=row.revision,
        card_seconds=0,
        currency=lease.currency,
        selling=lease.selling,
        gross_minor=-back.gross_minor,
        vat_minor=-back.vat_minor,
        fee_minor=-back.fee_minor,
        provider_minor=-back.provider_minor,
        fee_vat_minor=-fee_vat,
        deposit_minor=0,
        wallet_minor=draw.wallet_minor,
        receivable_minor=draw.receivable_minor,
        arrears_minor=draw.arrears_minor,
        direct_minor=draw.direct_minor,
        created_at=at,
    )
    entries = _entries(charge, lease, draw)
    if entries:
        charge.ledger_transaction_id = ledger.post(
            kind=Kind.SLA_CREDITED,
            key=f"sla:{lease.public_id}:{row.month:%Y-%m}:{row.revision}",
            entries=entries,
            at=at,
            actor=ACTOR,
            effective_at=charge.hour,  # it lessens the month it is about, while that is open
            external_reference=row.public_id,
        )
    charge.save(force_insert=True)
    if draw.arrears_minor:
        tally.save(update_fields=["arrears_minor"])
    return charge


def _entries(charge: Charge, lease: Lease, draw: Draw) -> list[ledger.Entry]:
    """Who gives it: provider, fee and VAT, in the proportion they had got it."""
    parties = rating.Parties(lease)
    entries: dict[str, int] = {}
    for code, amount in (
        (parties.wallet, draw.wallet_minor),
        (parties.receivable, draw.receivable_minor),
        (parties.arrears, draw.arrears_minor),
        *selling.earned(charge, lease.provider),
    ):
        entries[code] = entries.get(code, 0) + amount
    return [(code, amount) for code, amount in entries.items() if amount]


def _journal(row: SlaMonth, lease: Lease, at: datetime) -> None:
    journal.record(
        event="sla.credited" if row.credit_minor else "sla.counted",
        object_id=lease.public_id,
        actor=ACTOR,
        at=at,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        data={
            "sla_month": row.public_id,
            "month": row.month.isoformat(),
            "revision": row.revision,
            "availability_bps": row.availability_bps,
            "credit_bps": row.credit_bps,
            "credit_minor": row.credit_minor,
            "currency": row.currency,
        },
    )


def _move_cursor(at: datetime) -> None:
    """To the last charge older than a day: what was still being written then is there by now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE billing_slacursor SET charge_id = greatest(charge_id, coalesce(("
            " SELECT c.id - 1 FROM billing_charge c WHERE c.id > billing_slacursor.charge_id"
            " AND c.created_at > %s ORDER BY c.id LIMIT 1),"
            " (SELECT max(id) FROM billing_charge), 0))",
            [at - YOUNG],
        )
