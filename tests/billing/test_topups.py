"""Paying online: written down, sent once, in the wallet when Stripe says what arrived."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import Settings

from billing import chart, gateway, ledger
from billing.gateway.currencies import AmountRefused
from billing.models import GatewayEvent, PspRequest, TopUp
from billing.psp import sending, sweeping, topups
from marketplace.money import UnknownCurrency
from tests import world
from tests.billing import books, online
from tests.billing.online import hands

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


def test_a_payment_is_in_the_wallet_less_nothing_and_its_fee_is_ours() -> None:
    row = online.start(100_000)
    assert (row.state, bool(row.client_secret)) == ("open", True)
    assert ledger.balance(world.tenant()).posted_minor == 0

    hands.pay(str(row.intent_id))
    online.deliver()

    row.refresh_from_db()
    assert (row.state, row.method, row.fee_minor) == ("succeeded", "card", 2_930)
    assert ledger.balance(world.tenant()).posted_minor == 100_000
    assert ledger.posted(chart.stripe("CNY")) == 97_070
    assert ledger.posted(chart.psp_fee("CNY")) == 2_930
    assert not online.differences()
    assert not books.differences()
    assert online.unlocked()


def test_another_currency_is_kept_by_stripe_and_both_amounts_are_its() -> None:
    hands.settle_in("cny", "hkd", 1.0837)

    row = online.paid(100_000)

    assert (row.settled_minor, row.settled_currency) == (108_370, "HKD")
    assert row.exchange_rate == Decimal("1.0837")
    assert ledger.balance(world.tenant()).posted_minor == 100_000
    assert ledger.posted(chart.stripe("HKD")) == 108_370 - (108_370 * 29 // 1000 + 30)
    assert ledger.posted(chart.fx("CNY")) == 100_000
    assert ledger.posted(chart.fx("HKD")) == -108_370
    assert not online.differences()
    assert not books.differences()


def test_a_payment_waits_for_its_balance_transaction() -> None:
    row = online.start()
    hands.pay(str(row.intent_id), late=True)
    online.deliver()
    row.refresh_from_db()
    assert row.state == "processing"
    assert ledger.balance(world.tenant()).posted_minor == 0

    hands.book(str(row.intent_id))
    online.deliver()

    row.refresh_from_db()
    assert row.state == "succeeded"
    assert ledger.balance(world.tenant()).posted_minor == 100_000


def test_what_is_owed_is_paid_first() -> None:
    tenant = world.tenant()
    owed = chart.receivable(tenant, "CNY")
    ledger.post(
        kind="usage_charged",
        key="debt",
        entries=[(owed, 30_000), (chart.fee("CNY"), -30_000)],
        at=online.now(),
        actor=world.SYSTEM,
    )

    online.paid(100_000)

    assert ledger.posted(owed) == 0
    assert ledger.balance(tenant).posted_minor == 70_000


def test_a_declined_card_leaves_the_payment_open_and_says_why() -> None:
    row = online.start()

    hands.decline(str(row.intent_id), "expired_card")
    online.deliver()

    row.refresh_from_db()
    assert (row.state, row.decline_code) == ("open", "expired_card")
    hands.pay(str(row.intent_id))
    online.deliver()
    row.refresh_from_db()
    assert row.state == "succeeded"


def test_a_lost_webhook_costs_minutes() -> None:
    row = online.start()
    hands.pay(str(row.intent_id))

    assert sweeping.look_around(at=online.now()) == 1
    assert sweeping.look_around(at=online.now()) == 0

    row.refresh_from_db()
    assert row.state == "succeeded"
    online.deliver()
    assert ledger.balance(world.tenant()).posted_minor == 100_000
    assert not GatewayEvent.objects.filter(state="received").exists()


def test_one_that_nobody_paid_is_cancelled() -> None:
    row = online.start()

    topups.cancel(
        top_up_public_id=row.public_id, at=online.now(), actor=world.actor(world.tenant())
    )
    online.send()

    row.refresh_from_db()
    assert row.state == "cancelled"
    assert gateway.fetch("payment_intent", str(row.intent_id)).status == "canceled"


def test_one_paid_in_the_moment_it_is_cancelled_stays_paid() -> None:
    row = online.start()
    topups.cancel(
        top_up_public_id=row.public_id, at=online.now(), actor=world.actor(world.tenant())
    )
    hands.pay(str(row.intent_id))

    online.send()
    online.deliver()

    row.refresh_from_db()
    assert row.state == "succeeded"
    assert [r.state for r in online.requests_of(row.public_id)] == ["succeeded", "failed"]


@pytest.mark.parametrize(
    ("amount", "currency", "error"),
    [
        (0, "CNY", AmountRefused),
        (-1, "CNY", AmountRefused),
        (499, "CNY", AmountRefused),
        (10**8, "CNY", AmountRefused),
        (9 * 10**18, "CNY", AmountRefused),
        (49, "JPY", AmountRefused),
        (10_000, "KWD", AmountRefused),
        (1_000, "XXX", UnknownCurrency),
    ],
)
def test_what_stripe_cannot_take_is_refused_before_any_call(
    amount: int, currency: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        topups.start(
            tenant_id=world.tenant().pk,
            amount_minor=amount,
            currency=currency,
            at=online.now(),
            actor=world.SYSTEM,
        )

    assert not PspRequest.objects.exists()
    assert not TopUp.objects.exists()


def test_without_a_key_there_is_no_online_payment(settings: Settings) -> None:
    settings.STRIPE_FAKE = False

    with pytest.raises(gateway.GatewayOff):
        topups.start(
            tenant_id=world.tenant().pk,
            amount_minor=10_000,
            currency="CNY",
            at=online.now(),
            actor=world.SYSTEM,
        )
    assert sweeping.look_around(at=online.now()) == 0
    assert sweeping.import_lines(at=online.now()) == 0


def test_ten_open_payments_are_enough() -> None:
    for _ in range(10):
        online.start()

    with pytest.raises(topups.TooManyOpen):
        online.start()


def test_an_old_request_is_looked_up_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    online.start()  # Stripe knows the tenant now
    made = gateway.call

    def lost(*args: object, **kwargs: object) -> None:
        made(*args, **kwargs)  # type: ignore[arg-type]
        raise gateway.Unanswered("timeout")

    second = topups.start(
        tenant_id=world.tenant().pk,
        amount_minor=20_000,
        currency="CNY",
        at=online.now(),
        actor=world.SYSTEM,
    )
    monkeypatch.setattr(gateway, "call", lost)
    online.send()
    request = PspRequest.objects.get(subject=second.public_id)
    assert (request.state, request.error_code) == ("unknown", "timeout")

    def never(*_: object, **__: object) -> None:
        raise AssertionError("sent blind")

    monkeypatch.setattr(gateway, "call", never)
    sending.send_due(at=online.now() + timedelta(hours=21), limit=10)

    request.refresh_from_db()
    assert request.state == "succeeded"
    second.refresh_from_db()
    assert (second.state, second.intent_id) == ("open", request.object_id)
