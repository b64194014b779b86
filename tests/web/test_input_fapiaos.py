"""Fapiaos that a provider issues to the operator: handed in, accepted, counted."""

from __future__ import annotations

import io
from typing import Any

from django.urls import reverse

from billing.models import InputFapiao
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


def hand_in(market: Market, **changes: Any) -> Any:
    fields = {
        "number": "26112000000012345678",
        "issued_date": market.at.date().isoformat(),
        "currency": "CNY",
        "amount": "530",
        "vat": "30",
        "file": io.BytesIO(b"%PDF-1.7 fapiao"),
    }
    client = market.client(market.provider)
    return client.post(reverse("input_fapiaos"), keyed(**{**fields, **changes}))


def test_a_fapiao_is_handed_in_accepted_and_covers_a_payout(market: Market) -> None:
    money.settled(market, 100_000, needs_fapiao=True)
    own, client = market.client(market.provider), market.client(market.operator)
    (cover,) = own.get(reverse("input_fapiaos")).context["covers"]
    assert cover.uncovered_minor == 100_000

    assert hand_in(market).status_code == 302
    row = InputFapiao.objects.get()
    address = reverse("input_fapiao", args=[row.public_id])
    assert client.post(address, keyed(verdict="accept")).status_code == 302

    (cover,) = own.get(reverse("input_fapiaos")).context["covers"]
    assert cover.uncovered_minor == 100_000 - 53_000
    assert own.get(address).status_code == 200
    file = own.get(reverse("input_fapiao_file", args=[row.public_id]))
    assert (file.content, "attachment" in file["Content-Disposition"]) == (
        b"%PDF-1.7 fapiao",
        True,
    )
    assert own.post(address, keyed(verdict="reject", reason="r")).status_code == 403
    for other in (market.stranger, market.tenant):
        assert market.client(other).get(address).status_code == 404


def test_what_is_no_fapiao_is_refused_in_words(market: Market) -> None:
    for changes, words in (
        ({"number": "12"}, "8 or 20 digits"),
        ({"vat": "600"}, "The tax is a part of the amount"),
        ({"file": io.BytesIO(b"MZ")}, "a PDF, an OFD, an XML or a picture"),
    ):
        reply = hand_in(market, **changes)
        assert (reply.status_code, words in plain(reply)) == (422, True), changes
    assert InputFapiao.objects.count() == 0
