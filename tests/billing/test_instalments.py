"""Months ahead and in arrears: what is taken when, to the fen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import (
    chart,
    checkout,
    closing,
    collecting,
    credit,
    dunning,
    ledger,
    quotes,
    rating,
    write_offs,
)
from billing.models import Charge, Dunning, Instalment, LeaseTally
from billing.payments import DebtOpen, SamePerson
from inventory.models import Allocation
from inventory.periods import HOUR, Period, ceil_hour
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
State = Instalment.State

# 00:00 of 1 June in Shanghai, where the months turn; the world begins eight hours later.
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
            world.tenant(), currency="CNY", limit_minor=10**9, at=T0, actor=SYSTEM,
        )  # fmt: skip
    end = {1: 30, 2: 61, 3: 92, 4: 122, 5: 153, 6: 183}[months] * 24 + START
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
    return collecting.note_cleared(at=at, limit=100) + collecting.collect_due(at=at, limit=100)


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
    assert not Lease.objects.filter(pk=row.pk, closed_at__isnull=False).exists()
    for month in (7, 8, 9):
        collect(datetime(2026, month, 15, 16, tzinfo=UTC))

    closing.close_leases(at=datetime(2026, 9, 16, tzinfo=UTC), limit=10)

    row.refresh_from_db()
    assert row.closed_at is not None
    assert sum(amount for kind, _, amount in rows(row) if kind == "arrears") == row.gross_minor
    assert books.available() - 10**9 == 10**9 - row.gross_minor
    assert (security > 0, posted(chart.security)) == (True, 0)
    assert books.differences() == []


def test_beyond_its_credit_no_deal_in_arrears_is_made() -> None:
    books.top_up(world.tenant(), 10**9)
    ledger.set_credit_limit(
        world.tenant(), currency="CNY", limit_minor=1_000_000, at=T0, actor=SYSTEM
    )
    held = books.hold(listing("arrears", net_days=15), start=START, end=START + 24 * 92)

    with scene.refused(credit.CreditExceeded) as refusal:
        books.confirm(held)

    assert isinstance(refusal.value, credit.CreditExceeded)
    assert refusal.value.fields()["limit_minor"] == 1_000_000
    assert Instalment.objects.count() == Lease.objects.count() == 0


def unpaid_debt() -> tuple[Lease, datetime]:
    """June was used and nobody pays for it: the grace is over five days after it fell due."""
    row = lease("arrears", months=3, money=0, net_days=10, grace_days=5, notice_days=3,
                suspension_days=7)  # fmt: skip
    due = datetime(2026, 7, 10, 16, tzinfo=UTC)
    run(row, due)
    ledger.place_hold(
        key="elsewhere", account=chart.wallet(world.tenant(), "CNY"), amount_minor=10**9,
        expires_at=None, at=T0,
    )  # fmt: skip
    assert collect(due) == 1
    assert rows(row)[0][1] == "unpaid"
    return row, due + timedelta(days=5)


def test_what_nobody_pays_is_a_debt_a_notice_a_suspension_and_an_end() -> None:
    row, late = unpaid_debt()
    june = rows(row)[0][2]
    assert collect(late) == 1
    assert (posted(chart.receivable), posted(chart.arrears)) == (
        june, tally(row).gross_minor - june,
    )  # fmt: skip

    assert dunning.sweep(at=late, limit=10) == 1
    assert dunning.sweep(at=late + timedelta(days=3) - timedelta(seconds=1), limit=10) == 0
    assert Allocation.objects.get(pk=row.allocation_id).suspended_at is None
    assert dunning.sweep(at=late + timedelta(days=3), limit=10) == 1
    assert Allocation.objects.get(pk=row.allocation_id).suspended_at is not None
    assert books.differences() == []
    assert dunning.sweep(at=late + timedelta(days=10), limit=10) == 1

    row.refresh_from_db()
    assert row.end_reason == "unpaid"
    assert row.end_evidence == row.instalments.get(state="overdue").public_id
    assert Dunning.objects.get(lease=row).state == "ended"
    assert books.differences() == []


def test_who_pays_is_let_in_again_and_its_instalment_is_paid() -> None:
    row, late = unpaid_debt()
    collect(late)
    for days in (0, 3):
        dunning.sweep(at=late + timedelta(days=days), limit=10)

    ledger.release_hold(key="elsewhere", at=T0)
    books.top_up(world.tenant(), 2 * PRICE, reference="B-2")
    assert collect(late + timedelta(days=4)) == 1
    assert dunning.sweep(at=late + timedelta(days=4), limit=10) == 1

    assert rows(row)[0][1] == "collected"
    assert Allocation.objects.get(pk=row.allocation_id).suspended_at is None
    assert Dunning.objects.get(lease=row).state == "settled"
    assert dunning.sweep(at=late + timedelta(days=4), limit=10) == 0
    assert books.differences() == []


def test_a_cancelled_one_gives_its_security_back_and_keeps_by_the_terms() -> None:
    row = lease("advance", months=5)
    ahead = row.due_minor - row.security_minor

    checkout.cancel(
        reservation_public_id=row.reservation.public_id, at=T0 + hours(12),
        actor=world.actor(world.tenant()), reason="changed plans",
    )  # fmt: skip

    assert books.available() == 10**9 - (ahead + 1) // 2
    assert [state for _, state, _ in rows(row)] == ["collected", "collected", "waived"]
    assert posted(chart.security) == posted(chart.deposit) == 0
    assert books.differences() == []


def change(row: Lease, kind: str, end: datetime, at: datetime, who: Any) -> None:
    quote = quotes.ask(
        lease_public_id=row.public_id, kind=kind, end=end, at=at, actor=who, reason="r"
    )
    quotes.accept(quote_public_id=quote.public_id, at=at, actor=who)
    row.refresh_from_db()


def test_left_early_what_was_paid_for_time_not_used_goes_back_by_the_terms() -> None:
    row = lease("advance", months=5)
    at = start_of(row) + timedelta(days=40)
    run(row, at)
    ahead = row.due_minor - row.security_minor

    change(row, "leave", at + timedelta(days=5), at, world.actor(world.tenant()))
    rest = ahead - row.gross_minor
    back = rest - round(rest * 7_000 / 10_000)
    assert rows(row)[-1][1] == "waived"
    assert books.differences() == []
    run(row, at + timedelta(days=5))
    finish(row)

    kept = Charge.objects.get(lease=row, kind="leaving").gross_minor
    assert (kept, tally(row).gross_minor) == (rest - back, row.gross_minor)
    assert books.available() == 10**9 - row.gross_minor - kept
    assert books.differences() == []


def test_extended_its_months_are_asked_anew_and_none_twice() -> None:
    row = lease("advance", months=5)
    at = start_of(row) + timedelta(days=100)
    run(row, at)
    collect(at)
    longer = Period.of(row.period).end + timedelta(days=60)

    change(row, "extend", longer, at, world.actor(world.tenant()))

    paid = tally(row).paid_minor
    asked = sum(each.open_minor for each in Instalment.objects.filter(lease=row))
    assert paid + asked == row.gross_minor
    assert books.differences() == []
    run(row, longer)
    collect(longer)
    finish(row)
    assert row.closed_at is not None
    assert books.available() == 10**9 - row.gross_minor
    assert books.differences() == []


def test_withdrawn_by_its_provider_the_rest_comes_back_whole_with_a_compensation() -> None:
    row = lease("advance", months=5)
    at = start_of(row) + timedelta(days=40)
    run(row, at)
    before = row.gross_minor

    change(row, "withdraw", at + timedelta(days=5), at, world.actor(world.provider()))
    run(row, at + timedelta(days=5))
    finish(row)

    compensation = round((before - row.gross_minor) * 1_000 / 10_000)
    assert books.available() == 10**9 - row.gross_minor + compensation
    assert books.differences() == []


def test_who_is_late_extends_nothing() -> None:
    row, late = unpaid_debt()
    end = Period.of(row.period).end + timedelta(days=30)

    with scene.refused(DebtOpen):
        change(row, "extend", end, late, world.actor(world.tenant()))


@pytest.mark.parametrize("rule", ["time", "day", "thirty"])
def test_by_every_rule_of_parts_of_months_it_comes_to_its_quote(rule: str) -> None:
    row = lease("advance", months=2, pro_rata=rule)
    run(row, Period.of(row.period).end)
    finish(row)

    days = {"time": 29 / 30, "day": 29 / 30, "thirty": 29 / 30}[rule]
    assert tally(row).gross_minor == row.gross_minor
    assert row.gross_minor == round(PRICE * (days + 1 + {"time": 1 / 31, "day": 1 / 31,
                                                         "thirty": 1 / 30}[rule]))  # fmt: skip
    assert books.differences() == []


def test_another_end_changes_what_a_part_of_a_month_costs_and_nothing_is_lost() -> None:
    row = lease("advance", months=2, pro_rata="thirty")
    at = Period.of(row.period).end - hours(12)
    run(row, at)

    change(row, "extend", at + timedelta(days=20, hours=12), at, world.actor(world.tenant()))
    run(row, Period.of(row.period).end)
    finish(row)

    assert tally(row).gross_minor == row.gross_minor
    assert books.differences() == []


def test_withdrawn_before_its_start_everything_comes_back_and_nothing_is_asked() -> None:
    row = lease("advance", months=5)
    at = T0 - timedelta(days=3)

    change(row, "withdraw", start_of(row), at, world.actor(world.provider()))
    assert collect(T0) == 0
    closing.close_leases(at=T0, limit=10)

    assert {state for _, state, _ in rows(row)} == {"collected", "waived"}
    paid = Charge.objects.get(lease=row, kind="compensation").gross_minor
    assert books.available() == 10**9 - paid
    assert posted(chart.security) == posted(chart.deposit) == 0
    assert books.differences() == []


def test_a_debt_is_given_up_by_two_persons_and_owed_no_more() -> None:
    row, late = unpaid_debt()
    collect(late)
    debt = Instalment.objects.get(lease=row, state=State.OVERDUE)
    first, second = books.people()
    operator = world.actor(world.operator())
    facts: dict[str, Any] = {"instalment_public_id": debt.public_id, "at": late, "actor": operator}
    write_offs.ask(**facts, user=first, reason="insolvent")

    with scene.refused(SamePerson):
        write_offs.approve(**facts, user=first)
    write_offs.approve(**facts, user=second)

    debt.refresh_from_db()
    assert debt.state == "written_off"
    assert posted(chart.receivable) == 0
    assert ledger.posted(chart.bad_debt("CNY")) == debt.amount_minor
    assert books.differences() == []
