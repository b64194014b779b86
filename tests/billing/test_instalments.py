"""Months ahead and in arrears: what is taken when, to the fen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import (
    chart,
    closing,
    instalments,
    ledger,
    rating,
)
from billing.models import Instalment, LeaseTally
from inventory.periods import HOUR, Period, ceil_hour
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
State = Instalment.State

# 00:00 of 1 June in Shanghai, where the months turn; the world begins eight hours later.
MONTH = {6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30}
PRICE = 3_100_000  # a node and month, in fen: divisible by no month's hours
START = 16  # 00:00 of 2 June in Shanghai: a start as any other


def listing(schedule: str, **price: Any) -> Listing:
    return scene.listing(
        sellable=world.period(0, 24 * 400),
        basis="node_month",
        amount=PRICE / 100,
        schedule=schedule,
        terms=TermsInput(cancellation=((24, 10_000), (1, 5_000)), leaving=((0, 3_000),),
                         withdrawal=((24, 1_000),)),
        **price,
    )  # fmt: skip


def lease(schedule: str, *, months: int = 5, money: int = 10**9, **price: Any) -> Lease:
    """From 2 June on, so many months."""
    if money:
        books.top_up(world.tenant(), money)
    if schedule == "arrears":
        ledger.set_credit_limit(
            world.tenant(), currency="CNY", limit_minor=10**9 if money else 10**9, at=T0,
            actor=SYSTEM,
        )  # fmt: skip
    end = {1: 30, 2: 61, 3: 92, 4: 122, 5: 153, 6: 183}[months] * 24 + START - 0
    return books.lease(listing(schedule, **price), start=START, end=end)


def start_of(row: Lease) -> datetime:
    return Period.of(row.period).start


def run(row: Lease, until: datetime, **gaps: Any) -> None:
    """Delivered, metered and charged up to an instant."""
    if row.state == Lease.State.SCHEDULED:
        books.activate(row)
    books.meter(row, until=until, **gaps)
    rating.rate_due(at=until + HOUR, limit=100_000)
    row.refresh_from_db()


def rows(row: Lease, *kinds: str) -> list[tuple[str, str, int]]:
    found = Instalment.objects.filter(lease=row).order_by("due_at", "pk")
    if kinds:
        found = found.filter(kind__in=kinds)
    return [(str(each.kind), str(each.state), each.amount_minor) for each in found]


def tally(row: Lease) -> LeaseTally:
    return LeaseTally.objects.get(lease=row)


def posted(code: Any) -> int:
    return ledger.posted(code(world.tenant(), "CNY"))


def finish(row: Lease, at: datetime | None = None) -> None:
    """Over, charged to the end, and closed as far as it can be."""
    finish_at = at or Period.of(row.period).end
    books.meter(row, until=ceil_hour(finish_at))
    if row.state == Lease.State.ACTIVE:
        books.end(row, at=finish_at)
    rating.rate_due(at=finish_at + HOUR, limit=100_000)
    closing.close_leases(at=finish_at + HOUR, limit=100)
    row.refresh_from_db()


def collect(at: datetime) -> int:
    return instalments.note_cleared(at=at, limit=100) + instalments.collect_due(at=at, limit=100)


def test_the_security_and_the_first_months_are_paid_when_it_is_confirmed() -> None:
    row = lease("advance", months=5)

    # 2 June to 2 July is 29 days of June and one of July; and so on.
    first = round(PRICE * (29 / 30 + 1 / 31))
    quarter = round(PRICE * (29 / 30 + 1 + 1 + 1 / 30))
    assert row.security_minor == first
    assert row.due_minor == first + quarter
    assert rows(row) == [
        ("security", "collected", first),
        ("advance", "collected", quarter),
        ("advance", "planned", row.gross_minor - quarter),
    ]
    assert posted(chart.security) == first
    assert posted(chart.deposit) == quarter
    assert books.available() == 10**9 - first - quarter
    assert books.differences() == []


def test_an_undisturbed_lease_pays_its_quote_and_gets_its_security_back() -> None:
    row = lease("advance", months=5)
    begin = start_of(row)

    run(row, begin + timedelta(days=92))
    assert collect(begin + timedelta(days=92)) == 1
    run(row, Period.of(row.period).end)
    finish(row)

    assert row.closed_at is not None
    assert tally(row).gross_minor == row.gross_minor
    assert books.available() == 10**9 - row.gross_minor
    assert [posted(each) for each in (chart.security, chart.deposit, chart.arrears)] == [0, 0, 0]
    assert all(state == "collected" for _, state, _ in rows(row))
    assert books.differences() == []


def test_nothing_is_collected_twice_or_before_it_is_due() -> None:
    row = lease("advance", months=5)
    due = start_of(row) + timedelta(days=92)

    assert collect(due - timedelta(seconds=1)) == 0
    assert collect(due) == 1
    assert collect(due) == 0
    assert Instalment.objects.filter(lease=row, state=State.COLLECTED).count() == 3
    assert books.differences() == []


def test_what_is_used_before_a_late_instalment_is_paid_by_it() -> None:
    row = lease("advance", months=5)
    ahead = row.due_minor - row.security_minor
    spare = books.available()
    ledger.place_hold(
        key="elsewhere", account=chart.wallet(world.tenant(), "CNY"), amount_minor=spare,
        expires_at=None, at=T0,
    )  # fmt: skip
    due = start_of(row) + timedelta(days=92)
    run(row, due + timedelta(days=2))

    assert collect(due + timedelta(days=2)) == 1
    used = tally(row).arrears_minor
    assert used == tally(row).gross_minor - ahead > 0
    assert rows(row, "advance")[-1][1] == "unpaid"
    assert books.differences() == []

    ledger.release_hold(key="elsewhere", at=T0)
    assert collect(due + timedelta(days=3)) == 1
    found = Instalment.objects.get(lease=row, due_at=due)
    assert (found.used_minor, found.deposit_minor) == (used, found.amount_minor - used)
    assert tally(row).arrears_minor == 0
    assert books.differences() == []


def test_in_arrears_each_month_is_paid_so_many_days_after_it() -> None:
    row = lease("arrears", months=2, net_days=15)
    assert row.due_minor == 0
    assert [state for _, state, _ in rows(row)] == ["planned", "planned", "planned"]
    july = datetime(2026, 6, 30, 16, tzinfo=UTC)  # 00:00 in Shanghai
    run(row, july + timedelta(days=16))

    assert collect(july + timedelta(days=15) - timedelta(seconds=1)) == 0
    assert posted(chart.arrears) == tally(row).gross_minor
    assert collect(july + timedelta(days=15)) == 1

    june = rows(row)[0]
    assert june == ("arrears", "collected", round(PRICE * 29 / 30))
    assert books.available() - 10**9 == 10**9 - june[2]
    assert posted(chart.arrears) == tally(row).gross_minor - june[2]
    assert books.differences() == []


def test_a_lease_in_arrears_comes_to_its_quote_and_closes_when_its_last_month_is_paid() -> None:
    row = lease("arrears", months=2, net_days=15, security_months=1)
    security = row.security_minor
    end = Period.of(row.period).end
    run(row, end)
    finish(row)
    assert row.closed_at is None
    for month in (7, 8, 9):
        collect(datetime(2026, month, 15, 16, tzinfo=UTC))

    closing.close_leases(at=datetime(2026, 9, 16, tzinfo=UTC), limit=10)

    row.refresh_from_db()
    assert row.closed_at is not None
    assert sum(amount for kind, _, amount in rows(row) if kind == "arrears") == row.gross_minor
    assert books.available() - 10**9 == 10**9 - row.gross_minor
    assert (security > 0, posted(chart.security)) == (True, 0)
    assert books.differences() == []
