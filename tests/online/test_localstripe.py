"""Payment, refund and a signed webhook against somebody else's Stripe, as a process of its own.

It speaks Stripe's wire format and was not written by us. It cannot judge a payment method's
list (it knows none of that parameter, which is taken off here after it was checked), a key used
twice, a refund of more than was paid, the least amount, or anything of Connect; and it sends no
webhook of payments and refunds, so the signed one here is of a customer.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from billing import gateway
from billing.gateway import client
from billing.models import GatewayEvent
from tests.billing import online

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN_TO_IT = {"allowed_payment_method_types", "expand"}


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.online.localstripe_server", str(port)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            _wait(port)
            settings.STRIPE_FAKE = False
            settings.STRIPE_API_KEY = "sk_test_12345"
            settings.STRIPE_API_BASE = f"http://127.0.0.1:{port}"
            settings.STRIPE_WEBHOOK_SECRETS = [online.SECRET]
            yield settings.STRIPE_API_BASE
        finally:
            process.kill()
            process.wait()


def _wait(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("localstripe does not start")


@pytest.fixture(autouse=True)
def _strip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layer one sees everything; this server sees what it knows."""
    for name in ("payment_intent.create", "refund.create", "customer.create"):
        known = client.OPERATIONS[name]

        def sender(v1: Any, known: Any = known) -> Any:
            send = known.send(v1)
            return lambda asked, options: send(
                {key: asked[key] for key in asked if key not in UNKNOWN_TO_IT}, options
            )

        stripped = client.Operation(known.parameters, sender, known.read, known.find, ())
        monkeypatch.setitem(client.OPERATIONS, name, stripped)


def _post(address: str, path: str, **fields: str) -> Any:
    body = "&".join(f"{name}={value}" for name, value in fields.items()).encode()
    request = urllib.request.Request(
        address + path, body, {"Authorization": "Bearer sk_test_12345"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read() or b"{}")


@pytest.mark.django_db
def test_a_customer_pays_and_is_refunded(address: str) -> None:
    customer = gateway.call("customer.create", {"name": "Borealis"}, key="c1")
    card = {"number": "4242424242424242", "exp_month": "12", "exp_year": "2099", "cvc": "123"}
    method = _post(
        address,
        "/v1/payment_methods",
        type="card",
        **{f"card[{name}]": value for name, value in card.items()},
    )
    _post(address, f"/v1/payment_methods/{method['id']}/attach", customer=customer.id)
    # It takes a method when the payment is made, not when it is confirmed.
    intent = gateway.call(
        "payment_intent.create",
        {
            "amount": 100_000,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method["id"],
            "allowed_payment_method_types": ["card"],
            "metadata": {"subject": "top_1"},
        },
        key="p1",
    )
    assert (intent.status, intent.amount_minor, intent.currency) == (
        "requires_confirmation", 100_000, "EUR",
    )  # fmt: skip
    assert intent.client_secret

    _post(address, f"/v1/payment_intents/{intent.id}/confirm")
    paid = gateway.fetch("payment_intent", intent.id)
    assert (paid.status, paid.amount_minor, paid.metadata["subject"]) == (
        "succeeded", 100_000, "top_1",
    )  # fmt: skip

    refund = gateway.call(
        "refund.create", {"payment_intent": intent.id, "amount": 40_000}, key="r1"
    )
    assert (refund.status, refund.amount_minor) == ("succeeded", 40_000)
    with pytest.raises(gateway.Refused):
        gateway.fetch("payment_intent", "pi_of_nobody")


@pytest.mark.django_db(transaction=True)
def test_its_signed_webhook_is_taken_by_our_own_view(address: str, live_server: LiveServer) -> None:
    _post(
        address,
        "/_config/webhooks/w1",
        url=f"{live_server.url}/webhooks/stripe/platform/",
        secret=online.SECRET,
    )

    customer = gateway.call("customer.create", {"name": "Borealis"}, key="c1")

    for _ in range(100):
        row = GatewayEvent.objects.filter(object_id=customer.id).first()
        if row is not None:
            break
        time.sleep(0.1)
    assert row is not None
    assert (row.type, row.endpoint, row.state) == ("customer.created", "platform", "received")
