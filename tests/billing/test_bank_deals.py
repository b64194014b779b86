"""Deals that money came for: the sweep meets what others do to them at the same time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing import bank_deals, checkout
from billing.models import BankDeal
from tests import world
from tests.billing import books
from tests.billing.test_bank_holds import DEPOSIT, DUE, GROSS, bank_hold
from tests.billing.test_bank_rail import account, pay
from tests.world import T0, hours

pytestmark = pytest.mark.django_db


def test_a_hold_that_lapses_under_the_sweep_is_held_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read without a lock, so that another sweep may end it before it is confirmed."""
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    pay(row, held, GROSS - DEPOSIT, T0 + hours(1))
    read = bank_deals._deal

    def then_it_lapses(deal: BankDeal) -> object:
        found = read(deal)
        assert checkout.expire_due(at=DUE, limit=10) == 1
        return found

    monkeypatch.setattr(bank_deals, "_deal", then_it_lapses)
    assert bank_deals.confirm_paid(at=DUE - timedelta(seconds=1), limit=10) == 0
    deal = BankDeal.objects.get()
    assert (deal.state, deal.waits_for) == ("waiting", "invalid_state")

    monkeypatch.setattr(bank_deals, "_deal", read)
    assert bank_deals.confirm_paid(at=DUE + timedelta(minutes=1), limit=10) == 1

    deal.refresh_from_db()
    held.refresh_from_db()
    assert (deal.state, held.state) == ("confirmed", "expired")
    assert books.available() == 0
    assert not books.differences()


def test_a_hold_that_its_tenant_gave_back_is_given_up() -> None:
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    pay(row, held, GROSS - DEPOSIT, T0 + hours(1))
    checkout.cancel(
        reservation_public_id=held.public_id,
        at=T0 + hours(2),
        actor=world.actor(held.tenant),
        reason="",
    )

    assert bank_deals.confirm_paid(at=T0 + hours(3), limit=10) == 0

    assert BankDeal.objects.get().state == "withdrawn"
    assert books.available() == GROSS
