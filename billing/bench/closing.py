"""A month closed, for more and more leases, beside the bare rows it leaves behind.

The leases are copies of one that was bought through checkout, each with so many hours, which are
charged before the clock starts: in a market they are, hour by hour. What is timed is what
`close_month` does: charges come onto invoices, invoices get their numbers, statements and
settlements are made, lines matched, then the checklist with every check of the books. Each load is
added to the ones before it. The floor writes the rows that were made once more, table by table,
into tables with their primary keys and nothing else, in one commit each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connections

from billing import closing_checklist, closing_months, invoices, rating
from billing.bench import charging, pgbench, processes, world
from billing.bench.measure import Row, ratio
from billing.models import Invoice
from inventory.models import Organisation
from inventory.periods import HOUR, Period
from marketplace import money
from marketplace.models import Lease

LEASES_OF_A_TENANT = 10
WARM_UP = 100
Progress = Callable[[str], None]
# What a closing writes: the documents first, then everything that hangs on them.
DOCUMENTS = ("billing_invoice", "billing_invoiceline", "billing_billedcharge")
REST = (
    "billing_statement",
    "billing_settlement",
    "billing_settlementline",
    "billing_ledgertransaction",
    "billing_ledgerentry",
)
# Tables without a number of their own are counted by what they belong to.
_KEYS = {"billing_billedcharge": "charge_id"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Loads of so many leases, each with so many charged hours."""

    leases: Sequence[int] = (1_000, 10_000)
    hours: int = 24


@dataclass
class Took:
    """Seconds of a load's parts, and the processor time of all of them."""

    leases: int
    documents: float = 0.0  # charges onto lines, and numbers
    work: float = 0.0  # all that is run, documents included
    checklist: float = 0.0
    python_cpu: float = 0.0
    database_cpu: float | None = None
    written: dict[str, int] = field(default_factory=dict)
    floor_documents: float = 0.0
    floor_work: float = 0.0

    @property
    def total(self) -> float:
        return self.work + self.checklist


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """Four rows a load. Needs both roles of a database with nothing real in it."""
    at = world.now()
    progress("a lease bought through checkout")
    first = charging.first_lease(at)
    Organisation.objects.get_or_create(  # who issues the invoices
        is_operator=True, defaults={"name": "国测运营", "state": "verified", "created_at": at}
    )
    start = Period.of(first.period).start
    last = money.month_of(start + asked.hours * HOUR, settings.BILLING_ZONE)
    closes_at = last.end + timedelta(days=settings.SETTLE_AFTER_DAYS + 1)
    found = []
    for turn, leases in enumerate([WARM_UP, *asked.leases]):
        _prepare(first, leases, asked.hours, turn, at, progress)
        took = _close(leases, closes_at, progress)
        _floors(took)
        if turn:
            found.append(took)
    smallest = min(found, key=lambda each: each.leases)
    return [row for took in found for row in _rows(took, smallest)]


def _rows(took: Took, smallest: Took) -> list[Row]:
    per_lease, least = took.total / took.leases, smallest.total / smallest.leases
    name = f"close a month of {took.leases} leases"
    database = took.database_cpu
    return [
        Row(
            case=name,
            operations=took.leases,
            per_second=round(took.leases / took.total, 1),
            seconds=round(took.total, 2),
            python_cpu_ms=round(took.python_cpu * 1000 / took.leases, 3),
            db_cpu_ms=None if database is None else round(database * 1000 / took.leases, 3),
            of_smaller=None if took is smallest else ratio(per_lease, least),
        ),
        Row(
            case=f"{name}: invoices and lines",
            operations=sum(took.written[table] for table in DOCUMENTS),
            seconds=round(took.documents, 2),
            floor_seconds=round(took.floor_documents, 3),
            of_floor_seconds=ratio(took.documents, took.floor_documents),
        ),
        Row(
            case=f"{name}: all that is written",
            operations=sum(took.written.values()),
            seconds=round(took.work, 2),
            floor_seconds=round(took.floor_documents + took.floor_work, 3),
            of_floor_seconds=ratio(took.work, took.floor_documents + took.floor_work),
        ),
        Row(case=f"{name}: the checklist", seconds=round(took.checklist, 2)),
    ]


def _prepare(
    first: Lease, leases: int, hours: int, turn: int, at: datetime, progress: Progress
) -> None:
    """The leases, their hours, and the charges of those."""
    progress(f"{leases} leases, {leases * hours} usage hours charged")
    count = max(1, leases // LEASES_OF_A_TENANT)
    tenants = charging.payers(first=1_000_000 * (turn + 1), count=count, at=at)
    charging.copy(first, tenants, leases=leases, hours=hours, turn=turn)
    made = len(rating.rate_due(at=Period.of(first.period).start + (hours + 2) * HOUR, limit=10**9))
    if made < leases * hours:
        raise RuntimeError(f"{made} of {leases * hours} usage hours were charged")
    with connections["owner"].cursor() as cursor:
        cursor.execute("ANALYZE billing_charge, billing_ledgerentry, billing_ledgertransaction")


def _close(leases: int, at: datetime, progress: Progress) -> Took:
    before = _last_rows()
    took = Took(leases)
    cpu, database = time.process_time(), processes.cpu_seconds(processes.postmaster())
    began = time.perf_counter()

    def said(what: str, done: int, of: int) -> None:
        if what == "statements" and not took.documents:
            took.documents = time.perf_counter() - began
        progress(f"{what}: {done:,} of {of:,}" if of > 1 else what)

    closing_months.run(at=at, progress=said)
    took.work = time.perf_counter() - began
    month = money.month_of(at - timedelta(days=20), settings.BILLING_ZONE).start.date()
    progress("the checklist")
    list(closing_checklist.items(month=month, at=at, verify=True))
    took.checklist = time.perf_counter() - began - took.work
    took.python_cpu = time.process_time() - cpu
    after = processes.cpu_seconds(processes.postmaster())
    if database is not None and after is not None:
        took.database_cpu = after - database
    if invoices.outlook(at=at).charges or Invoice.objects.filter(state="draft").exists():
        raise RuntimeError("charges or drafts are left over")
    took.written = _written(before)
    return took


def _last_rows() -> dict[str, int]:
    """The highest number of each table before."""
    found = {}
    with connections["owner"].cursor() as cursor:
        for table in (*DOCUMENTS, *REST):
            cursor.execute(f"SELECT coalesce(max({_KEYS.get(table, 'id')}), 0) FROM {table}")
            found[table] = cursor.fetchone()[0]
    return found


def _written(before: dict[str, int]) -> dict[str, int]:
    """How many rows of each are new; they are kept aside for the floor."""
    counts = {}
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {pgbench.SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {pgbench.SCHEMA}")
        for table, last in before.items():
            key = _KEYS.get(table, "id")
            cursor.execute(
                f"CREATE TABLE {pgbench.SCHEMA}.new_{table} AS SELECT * FROM {table}"
                f" WHERE {key} > %s",
                [last],
            )
            counts[table] = cursor.rowcount
    return counts


def _floors(took: Took) -> None:
    """The same rows once more, into tables with a primary key each."""
    took.floor_documents = sum(map(_copied, DOCUMENTS))
    took.floor_work = sum(map(_copied, REST))


def _copied(table: str) -> float:
    own, bare = f"{pgbench.SCHEMA}.new_{table}", f"{pgbench.SCHEMA}.bare_{table}"
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"CREATE TABLE {bare} (LIKE {own})")
        cursor.execute(f"ALTER TABLE {bare} ADD PRIMARY KEY ({_KEYS.get(table, 'id')})")
        began = time.perf_counter()
        cursor.execute(f"INSERT INTO {bare} SELECT * FROM {own}")
        return time.perf_counter() - began
