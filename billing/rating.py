"""Delivered time becomes charges, once per usage hour and revision.

A sweep pulls what metering left. An allocation's hours arrive in order, so a lease's tally
keeps how far it is charged; a correction comes later, for an hour already behind, and is
found by its missing charge. Each hour is charged at the price its lease had then, and moves
that price's total. The unique fact of a charge is the last word against doubling.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Sum

from billing import chart, ledger, selling
from billing.charge_rows import Made, NewCharge, insert, new_id
from billing.draws import Purses
from billing.ledger import Posting
from billing.models import Charge, LeaseTally, LedgerTransaction, PriceTally
from billing.totals import Totals
from inventory import actors
from inventory.errors import Busy, DomainError
from inventory.periods import HOUR, Period
from marketplace import lease_prices, money
from marketplace.models import Lease
from marketplace.money import Price

logger = logging.getLogger(__name__)
ACTOR = actors.system("rating")
USAGE = Charge.Kind.USAGE.value
# In one transaction, since the wallets of its leases stay locked while it lasts.
LEASES_AT_ONCE = 50
HOURS_AT_ONCE = 24 * 7  # of one lease
CORRECTIONS_AT_ONCE = 500
# Corrections reach 35 days back and are few; the rest is the time rating may have stood still.
CORRECTIONS_REACH = timedelta(days=400)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Fact:
    """One revision of one usage hour of a lease's allocation."""

    hour: datetime
    lease_id: int
    revision: int
    card_seconds: int


def rate_due(*, at: datetime, limit: int) -> Made:
    """Usage hours nobody has charged yet are charged, about `limit` of them at most.

    Works in transactions of some leases, each complete in itself: killed in between, nothing
    is lost or doubled. Locks tallies (those another rater works on are skipped), then
    balances. Idempotent by fact. Returns the charges it made.
    """
    made = Made()
    stuck: set[int] = set()
    while len(made) < limit:
        charges, leases = _rate_batch(at, stuck, LEASES_AT_ONCE)
        if not leases:
            break
        made = made + charges
    while len(made) < limit:
        with transaction.atomic():
            charges = _rate_corrections(at)
        made = made + charges
        if not charges:
            break
    return made


def _rate_batch(at: datetime, stuck: set[int], size: int) -> tuple[Made, list[int]]:
    """The next hours of up to `size` leases in one transaction: their charges, and the leases.

    Where that is refused they are tried one by one, and one that cannot be rated by itself is
    left out for the rest of this run, added to `stuck` and logged.
    """
    leases: list[int] = []
    try:
        with transaction.atomic():
            tallies = _lock_due(stuck, size)
            leases = list(tallies)
            return (_rate_hours(tallies, at) if tallies else Made()), leases
    except Busy:
        logger.info("leases %s are rated by a later run: their accounts are busy", leases)
        stuck.update(leases)
        return Made(), leases
    except DomainError as error:
        if size > 1:
            made = Made()
            for _ in leases:
                made = made + _rate_batch(at, stuck, 1)[0]
            return made, leases
        logger.error("lease %s cannot be rated: %s", leases, error)
        stuck.update(leases)
        return Made(), leases


def _lock_due(stuck: set[int], size: int) -> dict[int, LeaseTally]:
    """Tallies behind their allocation's metering, longest waiting first, locked."""
    rows = LeaseTally.objects.raw(
        """
        SELECT t.* FROM billing_leasetally t
        JOIN marketplace_lease l ON l.id = t.lease_id
        JOIN inventory_meteringcursor c ON c.allocation_id = l.allocation_id
        WHERE l.closed_at IS NULL AND NOT t.lease_id = ANY (%s)
          AND (t.rated_until IS NULL OR t.rated_until < c.metered_until)
        -- A tenant's leases together: they share the transactions of its wallet.
        ORDER BY t.rated_until NULLS FIRST, l.tenant_id, t.lease_id
        LIMIT %s
        FOR NO KEY UPDATE OF t SKIP LOCKED
        """,
        [list(stuck), size],
    )
    return {tally.lease_id: tally for tally in rows}


def _rate_hours(tallies: dict[int, LeaseTally], at: datetime) -> Made:
    """The next hours of these leases, as far as they are metered."""
    facts: dict[int, list[Fact]] = defaultdict(list)
    metered: dict[int, datetime] = {}
    with connection.cursor() as cursor:
        # One statement, so that the cursor and the hours below it are of one snapshot.
        cursor.execute(
            """
            SELECT t.lease_id, c.metered_until, u.hour, u.revision, u.card_seconds
            FROM billing_leasetally t
            JOIN marketplace_lease l ON l.id = t.lease_id
            JOIN inventory_meteringcursor c ON c.allocation_id = l.allocation_id
            LEFT JOIN LATERAL (
                SELECT hour, revision, card_seconds FROM inventory_usagehour
                WHERE allocation_id = l.allocation_id AND card_seconds <> 0
                  AND hour >= coalesce(t.rated_until, lower(l.period) - interval '1 hour')
                  AND hour < c.metered_until
                ORDER BY hour, revision LIMIT %s
            ) u ON true
            WHERE t.lease_id = ANY(%s)
            """,
            [HOURS_AT_ONCE, list(tallies)],
        )
        for lease_id, metered_until, hour, revision, card_seconds in cursor.fetchall():
            metered[lease_id] = metered_until
            if hour is not None:
                facts[lease_id].append(Fact(hour, lease_id, revision, card_seconds))
    for lease_id, tally in tallies.items():
        cut = len(facts[lease_id]) == HOURS_AT_ONCE
        # A later revision of the hour at a cut is a correction of an hour already charged.
        tally.rated_until = facts[lease_id][-1].hour + HOUR if cut else metered[lease_id]
    return _charge([fact for rows in facts.values() for fact in rows], tallies, at)


def _rate_corrections(at: datetime) -> Made:
    """Revisions of hours that are charged already: each is a charge of its own, either way."""
    where = """
        FROM inventory_usagehour u
        JOIN marketplace_lease l ON l.allocation_id = u.allocation_id
        JOIN billing_leasetally t ON t.lease_id = l.id
        WHERE u.revision > 0 AND u.card_seconds <> 0
          AND u.hour >= %(since)s AND u.hour < %(at)s AND u.hour < t.rated_until
          AND NOT EXISTS (
              SELECT FROM billing_charge c
              WHERE c.allocation_id = u.allocation_id AND c.hour = u.hour
                AND c.revision = u.revision AND c.kind = 'usage')
    """
    parameters: dict[str, Any] = {
        "since": at - CORRECTIONS_REACH,
        "at": at,
        "limit": CORRECTIONS_AT_ONCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT l.id {where} LIMIT %(limit)s", parameters)
        lease_ids = [row[0] for row in cursor.fetchall()]
        if not lease_ids:
            return Made()
        rows = LeaseTally.objects.select_for_update(no_key=True, skip_locked=True)
        tallies = {t.lease_id: t for t in rows.filter(lease__in=lease_ids).order_by("lease")}
        # Again, now that nobody else charges these leases.
        cursor.execute(
            "SELECT u.hour, l.id, u.revision, u.card_seconds"
            f" {where} AND l.id = ANY(%(leases)s) ORDER BY u.hour, l.id, u.revision"
            " LIMIT %(limit)s",
            {**parameters, "leases": list(tallies)},
        )
        facts = [Fact(*row) for row in cursor.fetchall()]
    return _charge(facts, tallies, at)


def _charge(facts: Iterable[Fact], tallies: dict[int, LeaseTally], at: datetime) -> Made:
    """Prices the facts in order of time, takes the money, books it, moves the tallies."""
    leases = Lease.objects.select_related(
        "price", "provider", "tenant", "allocation__pool"
    ).in_bulk(tallies)
    totals = Totals(tallies)
    ordered = sorted(facts, key=lambda fact: (fact.hour, fact.lease_id, fact.revision))
    purses = Purses(leases[fact.lease_id] for fact in ordered)
    charges = [
        _price(fact, leases[fact.lease_id], tallies[fact.lease_id], totals, purses, at)
        for fact in ordered
    ]
    _book(charges, leases, at)
    made = insert(charges)
    totals.save()
    LeaseTally.objects.bulk_update(
        tallies.values(), ["rated_until", "gross_minor", "deposit_left_minor", "arrears_minor"]
    )
    return made


def reweigh(*, lease: Lease, before: Period) -> None:
    """The locked lease has another period than `before`: what a part of a month costs has
    changed with it, and its next charge makes up for the hours of it that are charged already.

    The caller holds the lease's tally.
    """
    after, pool = Period.of(lease.period), lease.allocation.pool
    prices = lease_prices.of(lease)
    for row, until in zip(prices, [*(p.from_at for p in prices[1:]), None], strict=True):
        price = Price.agreed(row)
        tally = PriceTally.objects.filter(price=row).first()
        if tally is None or price.basis != "node_month" or price.pro_rata == "time":
            continue
        for month in {
            money.month_of(p.end - _INSTANT, price.billing_zone) for p in (before, after)
        }:
            hours = Charge.objects.filter(
                lease=lease,
                kind=Charge.Kind.USAGE,
                hour__gte=max(month.start, row.from_at),
                hour__lt=min(month.end, until or month.end),
            )
            used = hours.aggregate(seconds=Sum("card_seconds", default=0))["seconds"]
            then, now = (
                money.hour_fraction(
                    price=price,
                    cards_per_node=pool.cards_per_node,
                    hour=month.start,
                    card_seconds=used,
                    whole=period,
                )
                for period in (before, after)
            )
            tally.exact = tally.exact + now - then
        tally.save(update_fields=["exact_numerator", "exact_denominator"])


def _price(
    fact: Fact, lease: Lease, tally: LeaseTally, totals: Totals, purses: Purses, at: datetime
) -> NewCharge:
    """A charge is what the hour adds to the rounded total of its price."""
    total = totals.at(fact.lease_id, fact.hour)
    fee_before = total.fee_minor
    amounts = total.add(lease, fact.hour, fact.card_seconds)
    fee_vat_minor = selling.fee_vat_minor(
        lease, before_minor=fee_before, after_minor=fee_before + amounts.fee_minor
    )
    tally.gross_minor += amounts.gross_minor
    draw = purses.draw(lease, tally, amounts.gross_minor)
    return NewCharge(
        public_id=new_id(),
        lease_id=fact.lease_id,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        price_id=total.row.price_id,
        kind=USAGE,
        allocation_id=lease.allocation_id,
        hour=fact.hour,
        revision=fact.revision,
        card_seconds=fact.card_seconds,
        currency=lease.currency,
        selling=lease.selling,
        gross_minor=amounts.gross_minor,
        vat_minor=amounts.vat_minor,
        fee_minor=amounts.fee_minor,
        provider_minor=amounts.provider_minor,
        fee_vat_minor=fee_vat_minor,
        deposit_minor=draw.deposit_minor,
        wallet_minor=draw.wallet_minor,
        receivable_minor=draw.receivable_minor,
        arrears_minor=draw.arrears_minor,
        direct_minor=draw.direct_minor,
        created_at=at,
    )


def _book(charges: Sequence[NewCharge], leases: dict[int, Lease], at: datetime) -> None:
    """One ledger transaction per wallet and hour; a correction has one of its own."""
    groups: dict[tuple[object, ...], list[NewCharge]] = defaultdict(list)
    for charge in charges:
        own = (charge.lease_id, charge.revision) if charge.revision else ()
        groups[(charge.tenant_id, charge.currency, charge.hour, *own)].append(charge)
    parties = {key: Parties(lease) for key, lease in leases.items()}
    booked: list[list[NewCharge]] = []
    postings: list[Posting] = []
    for group in groups.values():
        entries = _entries(group, parties)
        if entries:  # else all of it rounds to nothing yet
            booked.append(group)
            postings.append(
                Posting(
                    kind=LedgerTransaction.Kind.USAGE_CHARGED,
                    key=_key(leases[group[0].lease_id], group),
                    entries=entries,
                    effective_at=group[0].hour,
                )
            )
    for group, transaction_id in zip(
        booked, ledger.post_many(postings, at=at, actor=ACTOR), strict=True
    ):
        for charge in group:
            charge.ledger_transaction_id = transaction_id


class Parties:
    """The accounts that charges of a lease move, named once."""

    def __init__(self, lease: Lease) -> None:
        tenant, provider, currency = lease.tenant, lease.provider, lease.currency
        self.deposit = chart.deposit(tenant, currency)
        self.wallet = chart.wallet(tenant, currency)
        self.receivable = chart.receivable(tenant, currency)
        self.arrears = chart.arrears(tenant, currency)
        self.provider = provider


def _entries(group: Sequence[NewCharge], parties: dict[int, Parties]) -> list[ledger.Entry]:
    """Debits of what the tenant pays with, credits of those who get it; zeros left out."""
    totals: dict[str, int] = defaultdict(int)
    for charge in group:
        accounts = parties[charge.lease_id]
        totals[accounts.deposit] += charge.deposit_minor
        totals[accounts.wallet] += charge.wallet_minor
        totals[accounts.receivable] += charge.receivable_minor
        totals[accounts.arrears] += charge.arrears_minor
        for code, amount in selling.earned(charge, accounts.provider):
            totals[code] += amount
    return [(code, amount) for code, amount in totals.items() if amount]


def _key(lease: Lease, group: Sequence[NewCharge]) -> str:
    """Derived from the facts, so that the same ones can never be booked twice."""
    hour = group[0].hour
    facts = sorted(f"{c.allocation_id}|{c.revision}" for c in group)
    digest = hashlib.sha256("\n".join([hour.isoformat(), *facts]).encode()).hexdigest()[:32]
    at = hour.astimezone(UTC)
    return f"usage:{lease.tenant.public_id}:{lease.currency}:{at:%Y-%m-%dT%HZ}:{digest}"
