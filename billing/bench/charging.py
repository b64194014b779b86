"""A batch of usage hours charged, beside the bare rows of one posting an hour.

The leases are copies of one that was bought through checkout: rows alone, made by the owner.
What is timed is `rating.rate_due`, which reads the hours, prices them, writes a charge for each
and books one transaction per wallet and hour; and, apart, the postings it made, posted once more
under other keys by `ledger.post_many`. The floor writes one header and three legs for every
usage hour, set by set, into tables with their keys and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from statistics import median

from django.db import connections, transaction
from django.db.models import Max

from billing import chart, checkout, ledger, rating
from billing.bench import pgbench, purses, world
from billing.bench.measure import Row, ratio
from billing.bench.postings import BARE
from billing.demo.people import SEED
from billing.ledger import Kind, Posting
from billing.models import LedgerTransaction
from inventory.actors import Actor
from inventory.models import Organisation
from inventory.periods import HOUR, Period
from marketplace.models import Lease

TENANTS = 50
CHUNK = 5_000  # headers of a commit of the floor, as in spec/billing.md
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """So many leases, each with so many hours nobody has charged."""

    leases: int = 1_000
    hours: int = 100
    rounds: int = 3


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """A row a way to charge. Needs both roles of a database with nothing real in it."""
    at = world.now()
    progress("a lease bought through checkout")
    first = first_lease(at)
    tenants = payers(first=20_000, count=TENANTS, at=at)
    floors, rated, posted = [], [], []
    count = asked.leases * asked.hours
    for turn in range(asked.rounds):
        progress(f"round {turn + 1} of {asked.rounds}: {count} usage hours")
        copy(first, tenants, leases=asked.leases, hours=asked.hours, turn=turn)
        floors.append(_floor(count))
        due = Period.of(first.period).start + (asked.hours + 2) * HOUR
        since = LedgerTransaction.objects.aggregate(last=Max("pk"))["last"] or 0
        took, made = _timed(partial(_rate, due))
        if made != count:
            raise RuntimeError(f"{made} of {count} usage hours were charged")
        rated.append(took)
        posted.append(_post_again(turn, since))
    return [
        _row("rating.rate_due", count, rated, floors),
        _row("ledger.post_many of its postings", count, posted, floors),
    ]


def _row(case: str, count: int, took: list[float], floors: list[float]) -> Row:
    return Row(
        case=case,
        operations=count,
        per_second=round(count / median(took), 1),
        seconds=round(median(took), 2),
        floor_seconds=round(median(floors), 2),
        of_floor_seconds=ratio(
            median(one / two for one, two in zip(took, floors, strict=True)), 1.0
        ),
    )


def _rate(at: datetime) -> int:
    return len(rating.rate_due(at=at, limit=10**9))


def _timed(work: Callable[[], int]) -> tuple[float, int]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


def payers(*, first: int, count: int, at: datetime) -> list[Organisation]:
    """So many tenants with full wallets."""
    tenants = purses.organisations(first=first, count=count, at=at, is_tenant=True)
    purses.fill(tenants, at)
    return tenants


def first_lease(at: datetime) -> Lease:
    """One bought through checkout, to be copied."""
    scene = world.small(pool_count=1, buyer_count=1, at=at)
    buyer = Actor(kind="system", label="bench", organisation_id=scene.buyers[0].organisation_pk)
    with transaction.atomic():
        held = checkout.hold(
            offer_token=scene.goods[0].offer(0, at), project_id=None, at=at, actor=buyer
        )
        lease = checkout.confirm(reservation_public_id=held.public_id, at=at, actor=buyer)
    return lease


def copy(lease: Lease, tenants: list[Organisation], *, leases: int, hours: int, turn: int) -> None:
    """So many leases like the first, their deposits paid, their hours delivered."""
    base = 10**9 + turn * 10**6
    paid_minor = 2 * lease.due_minor * leases // len(tenants) + lease.due_minor
    ledger.post_many(
        [
            Posting(
                kind=Kind.DEAL_FUNDED,
                key=f"bench:deposit:{tenant.public_id}:{turn}",
                entries=[
                    (chart.wallet(tenant, "CNY"), paid_minor),
                    (chart.deposit(tenant, "CNY"), -paid_minor),
                ],
                effective_at=lease.created_at,
            )
            for tenant in tenants
        ],
        at=lease.created_at,
        actor=SEED,
    )
    start = Period.of(lease.period).start
    copied = {
        "inventory_allocation": (lease.allocation_id, "'state', 'active'"),
        "marketplace_reservation": (lease.reservation_id, "'allocation_id', c.id"),
        "marketplace_lease": (
            lease.pk,
            "'allocation_id', c.id, 'reservation_id', c.id, 'state', 'active'",
        ),
    }
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(
            "CREATE TEMP TABLE copies ON COMMIT DROP AS SELECT %s + n AS id,"
            " (%s::bigint[])[1 + n %% %s] AS tenant_id FROM generate_series(1, %s) n",
            [base, [tenant.pk for tenant in tenants], len(tenants), leases],
        )
        for table, (key, changed) in copied.items():
            cursor.execute(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(r, jsonb_build_object("
                f"'id', c.id, 'public_id', gen_random_uuid(), 'tenant_id', c.tenant_id, {changed}"
                f"))).* FROM {table} r, copies c WHERE r.id = %s",
                [key],
            )
        cursor.execute(
            "INSERT INTO marketplace_leaseprice SELECT (jsonb_populate_record(r,"
            " jsonb_build_object('id', c.id, 'lease_id', c.id))).*"
            " FROM marketplace_leaseprice r, copies c WHERE r.lease_id = %s",
            [lease.pk],
        )
        cursor.execute(
            "INSERT INTO billing_leasetally (lease_id, gross_minor, deposit_left_minor,"
            " paid_minor, security_minor, arrears_minor) SELECT id, 0, %s, %s, 0, 0 FROM copies",
            [lease.due_minor, lease.due_minor],
        )
        cursor.execute(
            "INSERT INTO inventory_meteringcursor (allocation_id, metered_until)"
            " SELECT id, %s FROM copies",
            [start + hours * HOUR],
        )
        cursor.execute(
            "INSERT INTO inventory_usagehour (allocation_id, hour, revision, card_seconds,"
            " gap_card_seconds, recorded_at)"
            " SELECT id, %s + h * interval '1 hour', 0, %s - h %% 7, h %% 7, %s"
            " FROM copies, generate_series(0, %s) h",
            [start, lease.card_count * 3600, start, hours - 1],
        )
        cursor.execute("ANALYZE inventory_usagehour, billing_leasetally, marketplace_lease")


def _floor(count: int) -> float:
    """One header and three legs an hour, set by set, a commit each."""
    pgbench.make_schema(*(statement.format(schema=pgbench.SCHEMA) for statement in BARE))
    began = time.perf_counter()
    with connections["owner"].cursor() as cursor:
        for first in range(0, count, CHUNK):
            cursor.execute(
                "WITH h AS (INSERT INTO bench.header (idempotency_key, request_sha256, kind,"
                " external_reference, effective_at, created_at, actor, reason)"
                " SELECT 'usage:' || n, sha256('x'), 'usage_charged', '', now(), now(), 'bench',"
                " '' FROM generate_series(%s, %s) n RETURNING id)"
                " INSERT INTO bench.leg (transaction_id, account_id, currency, amount_minor)"
                " SELECT h.id, v.a, 'CNY', v.m FROM h,"
                " (VALUES (1, 680), (2, -612), (3, -68)) v (a, m)",
                [first, min(first + CHUNK, count) - 1],
            )
    return time.perf_counter() - began


def _post_again(turn: int, since: int) -> float:
    """The postings of a round once more, under other keys."""
    rows = LedgerTransaction.objects.filter(pk__gt=since, kind=Kind.USAGE_CHARGED)
    postings = [
        Posting(
            kind=Kind.USAGE_CHARGED,
            key=f"again:{turn}:{row.pk}",
            entries=[(entry.account.code, entry.amount_minor) for entry in row.entries.all()],
            effective_at=row.effective_at,
        )
        for row in rows.prefetch_related("entries__account")
    ]
    at = world.now()
    took, _ = _timed(lambda: len(ledger.post_many(postings, at=at, actor=SEED)))
    return took
