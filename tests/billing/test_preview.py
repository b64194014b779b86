"""What settling a month would come to, shown before it is done."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import settlement
from billing.models import SettlementLine
from billing.settlement import NotAMonth
from inventory.periods import Period
from marketplace import money
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0

pytestmark = pytest.mark.django_db
MONTH = money.month_of(T0 + timedelta(days=14), "Asia/Shanghai")


def shown(month: Period = MONTH) -> tuple[int, int, int, bool]:
    row = settlement.preview(provider_id=world.provider().pk, period=month, currency="CNY")
    return row.line_count, row.gross_minor, row.net_minor, row.pk is None


def test_it_is_what_settling_then_makes() -> None:
    books.top_up(world.tenant(), 54_400)
    books.live(books.lease(scene.listing()))

    ahead = shown()
    assert SettlementLine.objects.count() == 0
    made = books.settle()
    assert made is not None

    assert ahead == (10, made.gross_minor, made.net_minor, True)
    assert shown() == (10, made.gross_minor, made.net_minor, False)


def test_nothing_comes_to_nothing() -> None:
    assert shown() == (0, 0, 0, True)


def test_half_a_month_is_no_month() -> None:
    with pytest.raises(NotAMonth):
        shown(Period(T0, T0 + timedelta(hours=5)))
