"""Where a provider is paid, seen by two; by which terms; against which fapiaos."""

from __future__ import annotations

import io
from typing import Any

from django.urls import reverse

from billing.models import BankAccount, InputFapiao, PayoutTerms
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain

ACCOUNT = {
    "currency": "CNY",
    "bank_name": "中国工商银行兰州新区支行",
    "bank_code": "102821000015",
    "number": "6222 0202 0001 1223 344",
}


def test_a_provider_enters_an_account_and_two_persons_see_it(market: Market) -> None:
    own = market.client(market.provider)
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    index = reverse("bank_accounts")

    fields = {**ACCOUNT, "holder_name": market.provider.name}
    assert own.post(index, keyed(**fields)).status_code == 302
    other = own.post(index, keyed(**{**fields, "holder_name": "Somebody Else"}))
    assert (other.status_code, "own name" in plain(other)) == (422, True)
    row = BankAccount.objects.get(owner=market.provider)
    assert (row.number, row.state) == ("6222020200011223344", "proposed")
    address = reverse("bank_account", args=[row.public_id])
    assert first.post(address, keyed(verdict="check")).status_code == 302
    assert "You have seen this account" in plain(first.get(address))
    assert first.post(address, keyed(verdict="verify")).status_code == 422
    assert second.post(address, keyed(verdict="verify")).status_code == 302

    row.refresh_from_db()
    assert row.state == "verified"
    assert "Paid to from" in plain(own.get(address))
    assert market.client(market.stranger).get(address).status_code == 404


def test_a_rejected_account_needs_a_reason(market: Market) -> None:
    row = money.proposed_account(market, market.provider)
    client = market.client(market.operator)
    address = reverse("bank_account", args=[row.public_id])

    bare = client.post(address, keyed(verdict="reject"))
    assert (bare.status_code, "Needed here." in plain(bare)) == (422, True)
    assert client.post(address, keyed(verdict="reject", reason="not theirs")).status_code == 302

    row.refresh_from_db()
    assert row.state == "rejected"


def test_terms_are_versions_that_the_provider_reads(market: Market) -> None:
    client = market.client(market.operator)
    address = reverse("organisation_payout_terms", args=[market.provider.public_id])
    fields = {
        "currency": "CNY",
        "settle_after_days": "10",
        "minimum": "100",
        "reserve_percent": "5",
        "reserve_days": "30",
        "method": "bank",
        "needs_fapiao": "on",
        "reason": "agreed",
    }
    assert "standard terms" in plain(client.get(address))

    assert client.post(address, keyed(**fields)).status_code == 302
    wrong = client.post(address, keyed(**{**fields, "reserve_days": "0"}))

    row = PayoutTerms.objects.get()
    assert (row.minimum_minor, row.reserve_bps, row.needs_fapiao) == (10_000, 500, True)
    assert (wrong.status_code, "at least a day" in plain(wrong)) == (422, True)
    seen = plain(market.client(market.provider).get(reverse("payout_terms")))
    assert "10 days after its end" in seen
    assert "5% of each net, kept for 30 days" in seen
    assert "¥100.00" in seen


def test_a_reserve_is_shown_with_its_end(market: Market) -> None:
    row = money.settled(market, 100_000, reserve_bps=1000)

    page = market.client(market.provider).get(reverse("payout_terms"))

    assert list(page.context["reserves"]) == [row]
    assert "¥100.00" in plain(page)


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
