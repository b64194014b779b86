"""A payout over Stripe, from two persons to the provider's balance, and back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pytest_django import Settings

from billing import chart, ledger, payout_sending, receivables
from billing.fakestripe import connect
from billing.models import LedgerTransaction, Payout, Transfer
from billing.psp import transfers
from tests import world
from tests.billing import books, online, paying, test_receivables
from tests.billing.online import hands
from tests.world import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)
    settings.PAYOUT_RAILS = {"stripe": "billing.psp.rail.StripeRail"}
    paying.terms(method="stripe")


def step(at: datetime | None = None) -> None:
    """The payouts' sweep, the one to Stripe, and the payouts' again when it asks the rail."""
    at = at or online.now()
    payout_sending.step_due(at=at, limit=10)
    online.send()
    payout_sending.step_due(at=at + timedelta(hours=7), limit=10)


def ready() -> None:
    """Money is available at Stripe, and the provider can be paid there."""
    online.paid(200_000)
    hands.mature()
    online.account()


def pay() -> Payout:
    row = paying.plan(at=online.now())
    paying.approve(row, at=online.now())
    step()
    row.refresh_from_db()
    return row


def agree() -> bool:
    return not online.differences() and not books.differences()


def owed() -> int:
    return ledger.posted(chart.provider_receivable(world.provider(), "CNY"))


def ask(transfer: Transfer, amount_minor: int) -> None:
    transfers.reverse(
        transfer_public_id=transfer.public_id,
        amount_minor=amount_minor,
        reason="paid to the wrong account",
        at=online.now(),
        actor=SYSTEM,
    )
    online.send()
    online.deliver()


def test_it_leaves_as_a_transfer_and_is_booked_under_its_name() -> None:
    ready()
    settlement = paying.settled()

    row = pay()

    settlement.refresh_from_db()
    assert (row.state, settlement.state) == ("paid", "paid")
    transfer = Transfer.objects.get()
    assert (transfer.payout_id, transfer.amount_minor) == (row.public_id, row.amount_minor)
    booked = LedgerTransaction.objects.get(payout=row)
    assert booked.external_reference == transfer.transfer_id == row.rail_reference
    assert agree()


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_transfer_taken_back_whole_is_a_returned_payout(by_hand: bool) -> None:
    ready()
    settlement = paying.settled()
    row = pay()
    transfer = Transfer.objects.get()

    if by_hand:
        connect.reverse_transfer(str(transfer.transfer_id), {"amount": str(row.amount_minor)})
        online.deliver()
    else:
        ask(transfer, row.amount_minor)
    assert payout_sending.return_due(at=online.now()) == 1
    assert payout_sending.return_due(at=online.now()) == 0

    row.refresh_from_db()
    settlement.refresh_from_db()
    back = transfer.reversals.get()
    assert (row.state, row.last_error, settlement.state) == ("returned", back.reason, "settled")
    returned = LedgerTransaction.objects.get(kind="payout_returned")
    assert returned.external_reference == back.reversal_id
    assert not LedgerTransaction.objects.filter(kind="transfer_reversed").exists()
    assert agree()

    again = pay()

    settlement.refresh_from_db()
    assert (again.state, again.amount_minor, settlement.state) == ("paid", row.amount_minor, "paid")
    assert Transfer.objects.count() == 2
    assert agree()


def test_a_part_taken_back_by_hand_is_an_exception_and_nobodys() -> None:
    ready()
    paying.settled()
    row = pay()
    transfer = Transfer.objects.get()

    connect.reverse_transfer(str(transfer.transfer_id), {"amount": "1000"})
    online.deliver()

    assert not transfer.reversals.exists()
    assert payout_sending.return_due(at=online.now()) == 0
    row.refresh_from_db()
    assert row.state == "paid"
    assert [text for text in online.differences() if text.startswith("CNY")]
    assert not books.differences()


def test_a_part_is_clawed_back_for_what_the_provider_owes_and_for_nothing_else() -> None:
    ready()
    demand = test_receivables.demanded()
    assert pay().state == "paid"  # the month before the debt
    transfer = Transfer.objects.get()
    debt = -demand.net_minor
    assert owed() == debt

    with pytest.raises(transfers.MoreThanTransferred):
        ask(transfer, transfer.amount_minor + 1)
    with pytest.raises(transfers.MoreThanOwed):
        ask(transfer, debt + 1)
    ask(transfer, debt - 100)

    assert owed() == 100
    assert receivables.follow_claw_backs(at=online.now(), actor=SYSTEM) == 0
    ask(transfer, 100)
    assert receivables.follow_claw_backs(at=online.now(), actor=SYSTEM) == 1
    assert receivables.follow_claw_backs(at=online.now(), actor=SYSTEM) == 0
    demand.refresh_from_db()
    assert (demand.state, owed()) == ("paid_back", 0)
    with pytest.raises(transfers.MoreThanOwed):
        ask(transfer, 1)
    assert payout_sending.return_due(at=online.now()) == 0
    assert agree()


def test_what_a_claw_back_waits_for_is_paid_by_nothing_else() -> None:
    ready()
    demand = test_receivables.demanded()
    pay()
    transfer = Transfer.objects.get()
    debt = -demand.net_minor
    transfers.reverse(
        transfer_public_id=transfer.public_id, amount_minor=debt - 300, reason="a debt",
        at=online.now(), actor=SYSTEM,
    )  # fmt: skip
    paying.earn(20)

    row = books.settle(4)

    assert row is not None
    assert (row.paid_back_minor, owed()) == (300, debt - 300)
    assert not books.differences()
    online.send()
    assert owed() == 0
    assert receivables.follow_claw_backs(at=online.now(), actor=SYSTEM) == 1
    assert agree()


def test_a_refused_claw_back_leaves_the_debt_as_it_was() -> None:
    ready()
    demand = test_receivables.demanded()
    pay()
    transfer = Transfer.objects.get()
    everything = {"amount": str(transfer.amount_minor), "currency": "cny"}
    connect.create_payout(everything, account=str(transfer.account.account_id))

    ask(transfer, 500)

    assert transfer.reversals.get().state == "failed"
    assert owed() == -demand.net_minor
    code = chart.provider_receivable(world.provider(), "CNY")
    assert ledger.lock([code])[code] == -demand.net_minor
    assert agree()
