"""Refunds and disputes: what left Stripe has left the wallet, what came back is back."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from billing import chart, ledger
from billing.ledger import InsufficientFunds
from billing.models import Dispute, LedgerTransaction
from billing.psp import refunds, topups
from tests import world
from tests.billing import books, online
from tests.billing.online import hands

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


def wallet() -> tuple[int, int]:
    found = ledger.balance(world.tenant())
    return found.posted_minor, found.held_minor


def agree() -> None:
    assert not online.differences()
    assert not books.differences()
    assert online.unlocked()


def test_a_card_is_refunded_at_once() -> None:
    top_up = online.paid(100_000)

    row = online.refund(top_up, 40_000)

    assert (row.state, wallet()) == ("succeeded", (60_000, 0))
    assert refunds.refundable(top_up) == 60_000
    online.deliver()
    agree()


def test_the_amount_is_kept_aside_until_stripe_has_it() -> None:
    top_up = online.paid(100_000)

    refunds.ask(
        top_up_public_id=top_up.public_id,
        amount_minor=40_000,
        at=online.now(),
        actor=world.SYSTEM,
    )

    assert wallet() == (100_000, 40_000)
    online.send()
    assert wallet() == (60_000, 0)


def test_an_asynchronous_refund_takes_days_and_may_come_back() -> None:
    hands.settle_in("cny", "hkd", 1.0837)
    top_up = online.paid(100_000, method="alipay")
    row = online.refund(top_up, 100_000)
    assert (row.state, wallet()) == ("pending", (0, 0))
    agree()

    hands.finish_refund(str(row.refund_id), ok=False)
    online.deliver()

    row.refresh_from_db()
    assert (row.state, row.failure_reason) == ("failed", "expired_or_canceled_card")
    assert wallet() == (100_000, 0)
    assert refunds.refundable(top_up) == 100_000
    agree()


def test_one_that_comes_back_after_it_had_succeeded_is_in_the_wallet_again() -> None:
    top_up = online.paid(100_000, method="alipay")
    row = online.refund(top_up, 30_000)
    hands.finish_refund(str(row.refund_id), ok=True)
    online.deliver()
    row.refresh_from_db()
    assert row.state == "succeeded"

    hands.finish_refund(str(row.refund_id), ok=False)
    online.deliver()

    row.refresh_from_db()
    assert (row.state, wallet()) == ("failed", (100_000, 0))
    agree()


def test_refunds_of_a_payment_stay_within_it_and_within_the_wallet() -> None:
    top_up = online.paid(100_000)
    online.refund(top_up, 70_000)

    with pytest.raises(refunds.MoreThanPaid) as refused:
        online.refund(top_up, 30_001)
    assert refused.value.fields() == {"left_minor": 30_000}

    ledger.place_hold(
        key="kept", account=chart.wallet(world.tenant(), "CNY"), amount_minor=1, expires_at=None,
        at=online.now(),
    )  # fmt: skip
    with pytest.raises(InsufficientFunds):
        online.refund(top_up, 30_000)
    agree()


def test_what_is_not_paid_is_not_refunded() -> None:
    with pytest.raises(refunds.NotRefundable):
        online.refund(online.start(), 10_000)


def test_stripes_refusal_frees_the_money() -> None:
    top_up = online.paid(100_000)
    hands.dispute(str(top_up.intent_id), amount=1_000)  # of which we have not heard yet

    row = online.refund(top_up, 50_000)

    assert (row.state, row.failure_reason) == ("failed", "charge_disputed")
    assert wallet() == (100_000, 0)


def test_a_dispute_takes_the_money_and_holds_the_wallet() -> None:
    top_up = online.paid(100_000)

    hands.dispute(str(top_up.intent_id))
    online.deliver()

    row = Dispute.objects.get()
    assert (row.state, row.held_minor) == ("open", 100_000)
    assert wallet() == (100_000, 100_000)
    assert ledger.posted(chart.dispute_receivable("CNY")) == 100_000
    assert ledger.posted(chart.psp_fee("CNY")) == 2_930 + 1_500
    with pytest.raises(topups.TopUpsFrozen):
        online.start()
    with pytest.raises(refunds.NotRefundable):
        online.refund(top_up, 1_000)
    agree()


def test_a_won_dispute_leaves_nothing_but_its_fee() -> None:
    top_up = online.paid(100_000)
    made = hands.dispute(str(top_up.intent_id))
    online.deliver()

    hands.decide(made["id"], won=True)
    online.deliver()

    assert Dispute.objects.get().state == "won"
    assert wallet() == (100_000, 0)
    assert ledger.posted(chart.dispute_receivable("CNY")) == 0
    online.start()
    agree()


def test_a_lost_one_is_the_tenants_from_its_wallet_and_then_as_a_debt() -> None:
    hands.settle_in("cny", "hkd", 1.0837)
    top_up = online.paid(100_000)
    made = hands.dispute(str(top_up.intent_id))
    tenant = world.tenant()
    ledger.post(
        kind="adjusted",
        key="spent before we heard",
        entries=[
            (chart.wallet(tenant, "CNY"), 70_000),
            (chart.adjustment("CNY"), -70_000),
        ],
        at=online.now(),
        actor=world.SYSTEM,
    )
    online.deliver()
    assert wallet() == (30_000, 30_000)

    hands.decide(made["id"], won=False)
    online.deliver()

    assert (Dispute.objects.get().state, wallet()) == ("lost", (0, 0))
    assert ledger.posted(chart.receivable(tenant, "CNY")) == 70_000
    assert ledger.posted(chart.dispute_receivable("HKD")) == 0
    with pytest.raises(topups.TopUpsFrozen):
        online.start()
    agree()


def test_an_inquiry_moves_nothing_until_it_is_a_dispute() -> None:
    top_up = online.paid(100_000)
    made = hands.dispute(str(top_up.intent_id), inquiry=True)
    online.deliver()
    assert (Dispute.objects.get().state, wallet()) == ("inquiry", (100_000, 0))

    hands.escalate(made["id"])
    online.deliver()
    assert (Dispute.objects.get().state, wallet()) == ("open", (100_000, 100_000))
    agree()


def test_one_that_comes_to_nothing_is_closed() -> None:
    top_up = online.paid(100_000)
    made = hands.dispute(str(top_up.intent_id), inquiry=True)
    online.deliver()

    hands.decide(made["id"], won=True)
    online.deliver()

    assert Dispute.objects.get().state == "closed"
    assert not LedgerTransaction.objects.filter(kind__startswith="dispute").exists()
