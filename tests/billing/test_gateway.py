"""What is sent to Stripe: held against its own types, in its own units, or not sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import transaction
from pytest_django import Settings

from billing import gateway
from billing.gateway import currencies
from billing.gateway.contract import UnknownToStripe
from billing.gateway.currencies import AmountRefused
from tests.billing import online

PAYMENT: dict[str, Any] = {
    "amount": 1_000,
    "currency": "cny",
    "customer": "cus_1",
    "allowed_payment_method_types": ["card", "alipay", "wechat_pay"],
    "metadata": {"subject": "top_1"},
}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("payment_intent.create", PAYMENT),
        ("refund.create", {"payment_intent": "pi_1", "amount": 1}),
        ("transfer.create", {"amount": 1, "currency": "hkd", "destination": "acct_1"}),
        ("transfer.reverse", {"target": "tr_1", "amount": 1}),
        ("payout.create", {"amount": 1, "currency": "hkd"}),
    ],
)
def test_good_requests_pass(operation: str, parameters: dict[str, Any]) -> None:
    gateway.check(operation, parameters)


@pytest.mark.parametrize(
    ("operation", "change"),
    [
        ("payment_intent.create", {"payment_method_types": ["card"]}),  # gone since 16.0
        ("payment_intent.create", {"amount": "1000"}),
        ("payment_intent.create", {"amount": 10.5}),
        ("payment_intent.create", {"allowed_payment_method_types": ["card_"]}),
        ("payment_intent.create", {"metadata": {"a": 1}}),
        ("payment_intent.create", {"capture_method": "auto"}),
        ("payment_intent.create", {"idempotency_key": "x"}),
        ("refund.create", {"reason": "sorry"}),
        ("transfer.create", {"currency": "hkd"}),  # no destination
        ("payout.create", {"method": "slow"}),
        ("account.create", {"controller": {"losses": {"payments": "nobody"}}}),
    ],
)
def test_each_mistake_is_found_before_it_is_sent(operation: str, change: dict[str, Any]) -> None:
    start = PAYMENT if operation == "payment_intent.create" else {"amount": 1}
    with pytest.raises(UnknownToStripe):
        gateway.check(operation, {**start, **change})


@pytest.mark.parametrize(
    ("amount_minor", "code", "sent"),
    [
        (500, "CNY", 500), (99_999_999, "CNY", 99_999_999), (50, "JPY", 50),
        (50, "USD", 50), (17_500, "MXN", 17_500),
    ],
)  # fmt: skip
def test_a_payment_in_stripes_units(amount_minor: int, code: str, sent: int) -> None:
    assert currencies.payment(amount_minor, code) == sent


@pytest.mark.parametrize(
    ("amount_minor", "code"),
    [
        (499, "CNY"), (49, "JPY"), (0, "USD"), (-5, "USD"), (100_000_000, "CNY"),
        (9 * 10**18, "USD"), (5_000, "ISK"), (50_000, "KWD"),
    ],
)  # fmt: skip
def test_a_payment_stripe_would_refuse(amount_minor: int, code: str) -> None:
    with pytest.raises(AmountRefused):
        currencies.payment(amount_minor, code)


def test_currencies_with_rules_of_their_own() -> None:
    assert currencies.movement(5, "ISK") == 500  # no decimals, written with two
    assert currencies.movement(5, "UGX") == 500
    assert currencies.minor(500, "ISK") == 5
    assert currencies.movement(1_045, "HUF") == 1_045
    assert currencies.payout(1_000, "HUF") == 1_000
    assert currencies.movement(5_120, "KWD") == 5_120
    for refused in (
        lambda: currencies.payout(1_045, "HUF"),
        lambda: currencies.payout(1_050, "TWD"),
        lambda: currencies.movement(5_124, "KWD"),
        lambda: currencies.minor(550, "ISK"),
    ):
        with pytest.raises(AmountRefused):
            refused()


@pytest.mark.django_db
def test_stripe_is_never_called_within_a_transaction(settings: Settings) -> None:
    online.switch_on(settings)
    gateway.balance()

    with transaction.atomic(), pytest.raises(AssertionError):
        gateway.balance()
