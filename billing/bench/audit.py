"""The operator's audit at national size: half a year of early 2024, looked at over any period.

Each page is asked for as a browser does, signed in, over periods of chance; the floor of the same
run is the bare read of the two readings a pool that any answer needs. The same country is then
made of ten times as many leases. What the sweep costs is told per lease-hour.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import connection, connections, transaction
from django.test import Client
from django.urls import reverse

from billing import nation
from billing.bench import world
from billing.bench.measure import Row, percentile, ratio
from billing.nation import EARLY_2024, Plan
from inventory.actors import Actor
from inventory.models import Membership, Organisation, UsageHour, User
from inventory.periods import Period
from marketplace import utilisation
from marketplace.models import PoolReading
from marketplace.utilisation import readings, rollups
from marketplace.utilisation.readings import Days

ACTOR = Actor(kind="system", label="bench", sees_everything=True)
AUDITOR = "auditor@bench.example"
SHARE = 0.56 / 1.7  # of what was on line in the first half of 2024
WITHIN = 0.0005
Progress = Callable[[str], None]


class AuditFailed(RuntimeError):
    """The pages do not say what is in the rows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run measures."""

    runs: int = 50
    leases_times: Sequence[int] = (1, 10)
    plan: Plan = EARLY_2024
    recount: bool = True  # the same funnel from its rows, once


@dataclass
class Looked:
    """What a page took, time after time."""

    ms: list[float]
    cpu_ms: list[float]
    queries: int
    rows_read: int
    kib: float


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """The rows of each country. Needs both roles of a database with nothing real in it.

    Raises AuditFailed where the funnel is not that of 2024, or not that of its rows.
    """
    rows: list[Row] = []
    for times in asked.leases_times:
        at = world.now()
        progress(f"half a year of usage, leases times {times}")
        nation.load_usage(plan=asked.plan, leases_times=times, now=at, progress=progress)
        rows += [*_sweeps(at, times, progress)]
        days = _all_days()
        rows += _figures(days, asked, progress)
        rows += [replace(row, claims=_lease_count()) for row in _pages(days, asked, at, progress)]
        if times != asked.leases_times[-1]:
            progress("the deals make room for shorter ones")
            _forget()
    return rows


def _sweeps(at: datetime, times: int, progress: Progress) -> Iterator[Row]:
    """All of the past at once, and one more sweep with nothing new, by lease-hour."""
    hours = UsageHour.objects.count()
    progress(f"{hours} lease-hours are counted")
    began = time.perf_counter()
    swept = rollups.sweep(at=at)
    took = time.perf_counter() - began
    yield Row(
        case=f"sweep of half a year, leases times {times}",
        operations=hours,
        per_second=round(hours / took, 1),
        seconds=round(took, 2),
        us_per_lease_hour=round(took * 1e6 / max(1, hours), 1),
    )
    with connections["owner"].cursor() as cursor:
        for table in ("marketplace_poolreading", "marketplace_poolhours"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    began = time.perf_counter()
    again = rollups.sweep(at=at + timedelta(hours=1))
    yield Row(
        case=f"sweep an hour later, {again.pool_day_count} pool-days of {swept.pool_day_count}",
        operations=again.pool_day_count,
        seconds=round(time.perf_counter() - began, 2),
    )


def _all_days() -> Days:
    days = PoolReading.objects.order_by("day").values_list("day", flat=True)
    first, last = days.first(), days.last()
    assert first is not None
    assert last is not None
    return Days(first, last)


def _figures(days: Days, asked: Asked, progress: Progress) -> Iterator[Row]:
    """The whole funnel, which must be that of 2024 and that of its rows."""
    sums = readings.total(readings.of_pools(days))
    share = sums["delivered"] / sums["installed"]
    progress(
        f"{sums['installed'] / 3.6e12:.3f} billion card-hours on line,"
        f" {sums['delivered'] / 3.6e12:.3f} used: {share:.2%}"
    )
    if asked.plan is EARLY_2024 and abs(share - SHARE) > WITHIN:
        raise AuditFailed(f"{share:.4%} was used, not {SHARE:.4%}")
    if not asked.recount:
        return
    until = readings.mark().counted_until
    assert until is not None
    first = rollups.midnight(days.first)
    began = time.perf_counter()
    row = utilisation.total(
        utilisation.funnel(period=Period(first, until), group_by="hub", actor=ACTOR)
    )
    took = time.perf_counter() - began
    for name in ("installed", "serviceable", "listed", "sold", "delivered"):
        if abs(getattr(row, name) - sums[name] / 3600) > 1:
            raise AuditFailed(f"{name}: {getattr(row, name)} from the rows")
    yield Row(case="the same funnel from its rows", operations=1, seconds=round(took, 2))


def _pages(days: Days, asked: Asked, at: datetime, progress: Progress) -> Iterator[Row]:
    client = _signed_in(at)
    chance = random.Random(1)
    spans = [_span(days, chance) for _run in range(asked.runs)]
    floor = percentile([_floor(span) for span in spans], 0.5)
    for case, name in (
        ("funnel and quadrant", "audit"),
        ("heatmaps and stack", "audit_map"),
    ):
        progress(f"{case}: {asked.runs} periods")
        looked = _look(client, reverse(name), spans)
        yield Row(
            case=case,
            operations=asked.runs,
            p50_ms=percentile(looked.ms, 0.5),
            p95_ms=percentile(looked.ms, 0.95),
            python_cpu_ms=percentile(looked.cpu_ms, 0.5),
            sql=looked.queries,
            rows_read=looked.rows_read,
            floor_ms=floor,
            of_floor_ms=ratio(percentile(looked.ms, 0.5), floor),
            mebibytes=round(looked.kib / 1024, 2),
        )


def _span(days: Days, chance: random.Random) -> Days:
    first, last = sorted(chance.randrange(days.count) for _edge in range(2))
    return Days(days.first + timedelta(days=first), days.first + timedelta(days=last))


def _look(client: Client, address: str, spans: Sequence[Days]) -> Looked:
    """Each period once, after one to warm up; statements and rows of the longest."""
    longest = max(spans, key=lambda span: span.count)
    _get(client, address, longest)
    took, worked, size = [], [], 0
    for span in spans:
        began, cpu = time.perf_counter(), time.process_time()
        size = max(size, len(_get(client, address, span)))
        took.append((time.perf_counter() - began) * 1000)
        worked.append((time.process_time() - cpu) * 1000)
    counter = _Counter()
    with transaction.atomic():  # whose own count nobody else adds to
        before = _rows_read()
        with connection.execute_wrapper(counter):
            _get(client, address, longest)
        rows_read = _rows_read() - before
    return Looked(took, worked, counter.count, rows_read, size / 1024)


class _Counter:
    """Counts the statements of a connection."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, execute: Callable[..., object], *args: object) -> object:
        self.count += 1
        return execute(*args)


def _get(client: Client, address: str, span: Days) -> bytes:
    reply = client.get(address, {"first": span.first.isoformat(), "last": span.last.isoformat()})
    if reply.status_code != 200:
        raise AuditFailed(f"{address} answered {reply.status_code}")
    return reply.content


def _rows_read() -> int:
    """Rows that this transaction took from tables and indexes, by PostgreSQL's own count."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))"
            " FROM pg_stat_xact_user_tables"
        )
        return int(cursor.fetchone()[0])


def _floor(span: Days) -> float:
    """The least that any answer needs: both readings of every pool, and nothing made of them."""
    began = time.perf_counter()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM marketplace_poolreading WHERE day = ANY(%s)",
            [[span.before, span.last]],
        )
        cursor.fetchall()
    return (time.perf_counter() - began) * 1000


def _signed_in(at: datetime) -> Client:
    operator = Organisation.objects.filter(is_operator=True).first() or Organisation.objects.create(
        name="国测压测000号", is_operator=True, state="verified", created_at=at
    )
    user = User.objects.filter(email=AUDITOR).first() or User.objects.create_user(AUDITOR, None)
    Membership.objects.get_or_create(
        user=user,
        organisation=operator,
        defaults={"role": Membership.Role.OWNER, "created_at": at},
    )
    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(user)
    return client


def _lease_count() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM inventory_allocation WHERE kind = 'sale'")
        return int(cursor.fetchone()[0])


def _forget() -> None:
    """The country's deals, usage and readings are gone, so that others can take their place."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "TRUNCATE inventory_usagehour, inventory_meteringcursor, marketplace_poolhours,"
            " marketplace_poolreading, marketplace_rollupcursor"
        )
        cursor.execute("SET session_replication_role = replica")
        cursor.execute("DELETE FROM inventory_claim WHERE block_id IS NOT NULL")
        cursor.execute("DELETE FROM inventory_allocation WHERE kind = 'sale'")
        cursor.execute("RESET session_replication_role")
        cursor.execute(
            "UPDATE marketplace_rollupmark SET event_xid = '0', event_id = 0, usage_xid = '0',"
            " usage_at = NULL, counted_until = NULL"
        )
