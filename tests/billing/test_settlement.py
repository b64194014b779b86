"""A provider's month: settled once, each charge consumed once, what is negative carried."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import chart, earnings, ledger, rating, settlement
from billing.models import Charge, SettledMark, SettlementLine
from inventory.models import JournalEntry
from inventory.periods import Period
from marketplace import money
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db

GROSS = 680 * 8 * 10
CARDS_HOUR = 8 * 3600
LATER = T0 + hours(3000)


def rate() -> list[Charge]:
    return list(rating.rate_due(at=LATER, limit=100_000))


def test_a_settlement_consumes_each_charge_once() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(15))
    rate()
    provider = world.provider()

    row = books.settle()

    assert row is not None
    assert (row.line_count, row.gross_minor) == (5, 5 * 5440)
    assert row.net_minor == sum(c.provider_minor for c in Charge.objects.all())
    assert row.gross_minor == row.net_minor + row.fee_minor + row.vat_minor
    books.meter(lease, until=T0 + hours(18))
    rate()
    assert books.settle() == row
    rest = books.settle(1)
    assert rest is not None
    assert rest.line_count == 3
    assert SettlementLine.objects.count() == 8
    assert ledger.posted(chart.provider_accrued(provider, "CNY")) == 0
    settling = ledger.posted(chart.provider_settling(provider, "CNY"))
    assert settling == row.net_minor + rest.net_minor
    assert not books.differences()


def test_a_negative_net_is_carried() -> None:
    books.top_up(world.tenant(), GROSS)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(11))
    rate()

    assert books.settle() is not None
    books.correct(lease, T0 + hours(10), -CARDS_HOUR)
    rate()
    assert [books.settle(1), books.settle(1)] == [None, None]
    assert JournalEntry.objects.get(event="settlement.carried").data["net_minor"] < 0
    assert SettlementLine.objects.count() == 1

    books.meter(lease, until=T0 + hours(13))
    rate()
    later = books.settle(2)
    assert later is not None
    assert (later.line_count, later.gross_minor) == (3, 5440)
    assert not books.differences()


def test_the_month_is_settled_once_it_is_over_and_earnings_show_it() -> None:
    books.top_up(world.tenant(), GROSS)
    books.live(books.lease(scene.listing()))
    provider = world.provider()
    june_end = datetime(2026, 6, 30, 16, tzinfo=UTC)

    before = earnings.earnings(provider_id=provider.pk, period=Period(T0, T0 + hours(1000)))
    assert settlement.settle_month(at=june_end + timedelta(days=6)) == 0
    assert settlement.settle_month(at=june_end + timedelta(days=7)) == 1
    assert settlement.settle_month(at=june_end + timedelta(days=8)) == 0

    assert [(m.gross_minor, m.card_seconds) for m in before.months] == [(GROSS, 80 * 3600)]
    month = before.months[0]
    assert month.month.end == june_end
    assert month.gross_minor == month.fee_minor + month.vat_minor + month.net_minor
    after = earnings.earnings(provider_id=provider.pk, period=Period(T0, T0 + hours(1000)))
    assert [(p.accrued_minor, p.settling_minor) for p in before.payable] == [(month.net_minor, 0)]
    assert [(p.accrued_minor, p.settling_minor) for p in after.payable] == [(0, month.net_minor)]
    assert not books.differences()


def test_only_a_month_that_is_over_is_settled() -> None:
    provider = world.provider()
    month = money.month_of(T0, "Asia/Shanghai")

    def settle(period: Period, at: datetime) -> None:
        settlement.settle(
            provider_id=provider.pk, period=period, currency="CNY", at=at, actor=SYSTEM
        )

    with pytest.raises(settlement.MonthNotOver):
        settle(month, month.end + timedelta(days=7, microseconds=-1))
    with pytest.raises(settlement.NotAMonth):
        settle(Period(month.start, month.end - timedelta(hours=1)), month.end)


def test_what_the_tenant_has_not_paid_is_not_settled_until_it_has() -> None:
    books.top_up(world.tenant(), GROSS // 10)
    price: dict[str, Any] = {"schedule": "deposit_hourly", "deposit_bps": 1000}
    lease = books.activate(books.lease(scene.listing(**price)))
    books.meter(lease, until=T0 + hours(15))
    rate()
    unpaid = Charge.objects.filter(receivable_minor__gt=0)
    assert (unpaid.count(), Charge.objects.count()) == (4, 5)

    first = books.settle()
    assert first is not None
    assert first.line_count == 1
    books.top_up(world.tenant(), GROSS, "B-2")
    second = books.settle(1)

    assert second is not None
    assert second.line_count == 4
    assert not books.differences()


@pytest.mark.parametrize("unpaid", [False, True])
def test_a_settlement_reads_on_from_what_the_one_before_left_and_what_came_late(
    unpaid: bool,
) -> None:
    """Without the late ones, the correction of an hour long settled would be lost."""
    books.top_up(world.tenant(), GROSS // 10 if unpaid else GROSS)
    price: dict[str, Any] = {"schedule": "deposit_hourly", "deposit_bps": 1000}
    lease = books.activate(books.lease(scene.listing(**price)))
    books.meter(lease, until=T0 + hours(15), gaps={T0 + hours(10): CARDS_HOUR // 2})
    rating.rate_due(at=T0 + hours(16), limit=100)
    assert not books.differences()

    first = books.settle()

    month_end = money.month_of(T0, "Asia/Shanghai").end
    left_out = Charge.objects.filter(settlement_line=None).order_by("hour").first()
    mark = SettledMark.objects.get()
    assert mark.hour == (left_out.hour if left_out else month_end - timedelta(days=1))
    assert (left_out is not None) == unpaid
    books.correct(lease, T0 + hours(10), CARDS_HOUR // 2)
    books.top_up(world.tenant(), GROSS, "B-2")
    assert [charge.hour for charge in rate()] == [T0 + hours(10)]
    second = books.settle(1)

    assert first is not None
    assert second is not None
    assert first.line_count + second.line_count == Charge.objects.count() == 6
    assert not books.differences()
    SettledMark.objects.update(hour=LATER)
    books.meter(lease, until=T0 + hours(16))
    rating.rate_due(at=T0 + hours(17), limit=100)
    assert any("mark" in line for line in books.differences())
