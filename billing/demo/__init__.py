"""The demo world: a small country, made by the product's own verbs with instants in the past.

The same seed makes the same world. What the first page needs comes first; the other pools'
pasts follow while the product runs, each in a transaction of its own, so that a run that was
cut off goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from billing import closing, invoices, rating, settlement, statements
from billing.demo import people, places
from billing.demo.catalogue import (
    CENTRES,
    FIRST_POOLS,
    OPERATOR,
    TENANT,
    TENANTS,
    DemoPool,
)
from billing.demo.history import DAYS, PoolHistory
from inventory import chips, partitions
from inventory.models import Organisation, Pool, Verification
from inventory.periods import Period, floor_hour
from marketplace import money
from marketplace.utilisation import rollups

Progress = Callable[[str], None]
BATCH = 5_000
ZONE = settings.BILLING_ZONE


def lay_ground(*, seed: int, now: datetime, progress: Progress) -> None:
    """Everybody and everything exists; the first pools have their past, and are charged for."""
    at = floor_hour(now) - timedelta(days=DAYS + 15)
    if not Organisation.objects.filter(name=OPERATOR[0]).exists():
        with transaction.atomic(durable=True):
            partitions.ensure_partitions(at=at)
            chips.load_catalogue()
            rows = people.populate(at=at, now=now)
            places.build(owners=rows, at=at, seed=seed)
        progress(f"{len(rows)} organisations, {len(CENTRES)} centres with their nodes")
    if _play(Pool.objects.filter(name__in=FIRST_POOLS), seed, now, progress):
        _charge_all(now, progress)
        _count(now, progress)


def play_the_rest(*, seed: int, now: datetime, progress: Progress) -> None:
    """Every pool has its past, every delivered hour is charged, finished months are invoiced
    and settled."""
    _play(Pool.objects.all(), seed, now, progress)
    _charge_all(now, progress)
    _invoice(now, progress)
    _settle(now, progress)
    _count(now, progress)


def _count(now: datetime, progress: Progress) -> None:
    """The audit's pages have something to show before the first sweep."""
    done = rollups.sweep(at=now)
    progress(f"{done.pool_day_count} days of pools counted")


def _play(pools: QuerySet[Pool], seed: int, now: datetime, progress: Progress) -> int:
    """Returns how many pools had no past yet."""
    # The first tenant is the one whose key is printed: chance spends nobody's money but others'.
    tenants = list(Organisation.objects.filter(name__in=TENANTS).order_by("pk"))
    own = next(row for row in tenants if row.name == TENANT)
    tenants.remove(own)
    plans: dict[str, DemoPool] = {plan.name: plan for centre in CENTRES for plan in centre.pools}
    todo = list(
        pools.filter(listings__isnull=True).order_by("pk").select_related("provider", "chip")
    )
    for pool in todo:
        history = PoolHistory(
            plan=plans[pool.name], pool=pool, tenants=tenants, own_tenant=own, now=now, seed=seed
        )
        with transaction.atomic(durable=True):
            count = history.play()
        progress(f"pool {pool.name}: {count} deals in {DAYS} days")
    return len(todo)


def _charge_all(now: datetime, progress: Progress) -> None:
    while True:
        with transaction.atomic(durable=True):
            count = len(rating.rate_due(at=now, limit=BATCH))
        if not count:
            break
        progress(f"{count} hours charged")
    closing.close_leases(at=now, limit=BATCH)


def _invoice(now: datetime, progress: Progress) -> None:
    """Each month's invoices became final some days after it, and its tenants read statements."""
    this = money.month_of(now, ZONE)
    last = _month_before(this)
    for month in (_month_before(last), last):
        at = month.end + timedelta(hours=settings.INVOICE_FINALISE_HOURS + 1)
        if at <= now:
            done = invoices.finalise_due(at=at, limit=BATCH)
            statements.issue_due(at=at, limit=BATCH)
            local = month.start.astimezone(ZoneInfo(ZONE))
            progress(f"{done.invoices} invoices for {local:%Y-%m}")
    invoices.refresh(at=now, limit=10**6)


def _settle(now: datetime, progress: Progress) -> None:
    """The two months before this one, for every provider that may be paid, the older first.

    By now somebody may be looking at the demo world, and have rejected one.
    """
    last = _month_before(money.month_of(now, ZONE))
    for month in (_month_before(last), last):
        paid = Organisation.objects.filter(is_provider=True, state=Verification.VERIFIED)
        for provider in paid.order_by("pk"):
            with transaction.atomic(durable=True):
                row = settlement.settle(
                    provider_id=provider.pk,
                    period=month,
                    currency="CNY",
                    at=now,
                    actor=people.SEED,
                )
            if row is not None:
                local = month.start.astimezone(ZoneInfo(ZONE))
                progress(f"{provider.name} settled for {local:%Y-%m}")


def _month_before(month: Period) -> Period:
    return money.month_of(month.start - timedelta(days=1), ZONE)
