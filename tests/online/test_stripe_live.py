"""The real Stripe, in test mode: `STRIPE_TEST_KEY=sk_test_… pytest -m stripe_live`.

Skipped, and reported as skipped, without a key: then what is said here of Connect and of
balance transactions is proved against our own fake only.
"""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from billing import gateway

KEY = os.environ.get("STRIPE_TEST_KEY", "")
pytestmark = [
    pytest.mark.stripe_live,
    pytest.mark.django_db,
    pytest.mark.skipif(not KEY, reason="no STRIPE_TEST_KEY: the real Stripe was not asked"),
]


@pytest.fixture(autouse=True)
def _live(settings: Settings) -> None:
    assert KEY.startswith("sk_test_"), "never a live key"
    settings.STRIPE_FAKE = False
    settings.STRIPE_API_KEY = KEY
    settings.STRIPE_API_BASE = ""


def test_a_payment_is_asked_for_found_again_and_given_up() -> None:
    run = uuid.uuid4().hex
    customer = gateway.call("customer.create", {"name": "Borealis"}, key=f"c{run}")
    asked = {
        "amount": 1_000,
        "currency": "usd",
        "customer": customer.id,
        "allowed_payment_method_types": ["card"],
        "metadata": {"psp_request": run},
    }

    made = gateway.call("payment_intent.create", asked, key=f"p{run}")
    again = gateway.call("payment_intent.create", asked, key=f"p{run}")

    assert (made.id, made.status) == (again.id, "requires_payment_method")
    since = datetime.now(UTC) - timedelta(minutes=5)
    found = gateway.look_up("payment_intent.create", asked, request_id=run, since=since)
    assert found is not None
    assert found.id == made.id
    with pytest.raises(gateway.Refused):
        gateway.call("payment_intent.create", {**asked, "amount": 2_000}, key=f"p{run}")
    given_up = {"target": made.id, "cancellation_reason": "abandoned"}
    assert gateway.call("payment_intent.cancel", given_up, key=f"x{run}").status == "canceled"


def test_the_balance_is_the_sum_of_what_it_lists() -> None:
    assert isinstance(gateway.balance(), dict)
    for line in gateway.lines(since=datetime.now(UTC) - timedelta(days=1)):
        assert line.net_minor == line.amount_minor - line.fee_minor
