"""Webhooks: signed, kept once, applied whatever their order; everything else is refused."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from billing import gateway, ledger
from billing.fakestripe import events as messages
from billing.gateway import signatures
from billing.models import GatewayEvent, LedgerTransaction
from billing.psp import events
from tests import world
from tests.billing import books, online
from tests.billing.online import hands

pytestmark = pytest.mark.django_db
PLATFORM = "/webhooks/stripe/platform/"


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


def body(**changes: Any) -> str:
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "payment_intent.succeeded",
        "created": int(online.now().timestamp()),
        "api_version": gateway.API_VERSION,
        "data": {"object": {"id": "pi_of_nobody", "object": "payment_intent"}},
    }
    return json.dumps({**event, **changes})


def post(
    text: str | bytes,
    *,
    secret: str = online.SECRET,
    off: float = 0,
    address: str = PLATFORM,
    header: str | None = None,
) -> int:
    at = online.now() + timedelta(seconds=off)
    if header is None:
        header = signatures.sign(text if isinstance(text, str) else "", secret, at=at)
    reply = Client().post(
        address, text, content_type="application/json", headers={"Stripe-Signature": header}
    )
    return reply.status_code


def test_an_event_is_kept_once_and_answered_each_time() -> None:
    assert [post(body()), post(body()), post(body())] == [200, 200, 200]

    row = GatewayEvent.objects.get()
    assert (row.event_id, row.endpoint, row.state) == ("evt_1", "platform", "received")
    online.apply()
    row.refresh_from_db()
    assert row.state == "ignored"  # no such payment at Stripe


@pytest.mark.parametrize("off", [-301, -3600, 301, 3600])
def test_a_time_too_far_from_ours_is_refused_on_both_sides(off: float) -> None:
    assert post(body(), off=off) == 400
    assert not GatewayEvent.objects.exists()


def test_each_endpoint_has_its_own_secrets_and_rolls_them(settings: Settings) -> None:
    connect = "/webhooks/stripe/connect/"
    assert post(body(), secret=online.CONNECT_SECRET) == 400
    assert post(body(), address=connect) == 400
    assert post(body(), secret=online.CONNECT_SECRET, address=connect) == 200

    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new", online.SECRET]
    assert post(body(id="evt_2"), secret="whsec_new") == 200
    assert post(body(id="evt_3")) == 200
    settings.STRIPE_WEBHOOK_SECRETS = ["whsec_new"]
    assert post(body(id="evt_4")) == 400
    settings.STRIPE_WEBHOOK_SECRETS = []
    assert post(body(id="evt_5"), secret="whsec_new") == 400


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "1", '"evt_1"', body(object="v2.core.event"), body(id="evt\x00"),
        body(id=7), body(id=""), body(type="x" * 81), body(created="soon"), body(created=10**30),
        body(data={}), body(data={"object": []}), body(data={"object": {"id": "é"}}),
        body(account={"id": 1}), "[" * 100_000, '{"a":' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_what_is_signed_and_still_no_event_is_refused(text: str) -> None:
    assert post(text) == 400
    assert not GatewayEvent.objects.exists()


@pytest.mark.parametrize(
    "header", ["", "t=,v1=", "t=abc,v1=00", "v1=00", "t=1", "=,=", "t=" + "9" * 4000, "\u00e9"]
)
def test_garbage_for_a_signature_is_refused(header: str) -> None:
    assert post(body(), header=header) == 400


def test_bytes_that_are_no_text_and_bodies_too_large_are_refused() -> None:
    assert post(b"\xff\xfe\x00", header="t=1,v1=00") == 400
    assert post("x" * (512 * 1024 + 1)) == 400
    assert Client().get(PLATFORM).status_code == 405
    assert post(body(), address="/webhooks/stripe/nobody/") == 404


def test_a_type_nobody_knows_is_kept_and_ignored() -> None:
    post(body(type="climate.order.created", id="evt_9"))

    online.apply()

    assert GatewayEvent.objects.get().state == "ignored"


def test_twice_late_and_in_any_order_comes_to_the_same() -> None:
    for seed in range(4):
        top_up = online.start(100_000)
        hands.pay(str(top_up.intent_id), late=seed % 2 == 1)
        if seed % 2:
            hands.book(str(top_up.intent_id))
        chance = random.Random(seed)
        for _ in range(6):
            online.deliver(chance)
    online.deliver()

    assert ledger.balance(world.tenant()).posted_minor == 400_000
    assert not online.differences()
    assert not books.differences()

    before = LedgerTransaction.objects.count()
    GatewayEvent.objects.all()
    for message in messages.log():
        assert not online.hand_in(message)
    online.apply()
    assert LedgerTransaction.objects.count() == before


def test_an_event_that_cannot_be_applied_is_tried_later_and_parked_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post(body())

    def silent(*_: object, **__: object) -> None:
        raise gateway.Unanswered("timeout")

    with monkeypatch.context() as patched:
        patched.setattr(gateway, "fetch", silent)
        assert events.apply_due(at=online.now(), limit=10) == 1
        assert events.apply_due(at=online.now(), limit=10) == 0
        for hours in range(1, 40):
            events.apply_due(at=online.later(hours=3 * hours), limit=10)
    row = GatewayEvent.objects.get()
    assert (row.state, row.attempt_count) == ("parked", events.PARKED_AFTER)

    events.retry(event_id=row.event_id, at=online.now())
    online.apply()
    row.refresh_from_db()
    assert row.state == "ignored"
