"""A provider is paid: planned by one, approved by another, sent in a file; what comes back."""

from __future__ import annotations

from typing import Any

from django.test import Client
from django.urls import reverse

from billing.models import Payout, PayoutFile
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


def decide(client: Client, row: Payout, verdict: str, **fields: str) -> Any:
    address = reverse("payout", args=[row.public_id])
    return client.post(address, keyed(verdict=verdict, **fields))


def plan(client: Client, provider: str = "") -> Any:
    return client.post(reverse("payouts"), keyed(provider=provider, currency="CNY"))


def test_one_plans_another_approves_and_the_file_sends_it(market: Market) -> None:
    money.payee(market)
    money.account(market, market.operator)
    settlement = money.settled(market, 88_000)
    planner = market.client(market.operator)
    approver = market.client(market.operator, "finance")

    assert plan(planner).status_code == 302
    row = Payout.objects.get()
    assert (row.state, row.amount_minor) == ("planned", 88_000)
    page = planner.get(reverse("payout", args=[row.public_id]))
    assert "You planned this payout" in plain(page)
    assert decide(planner, row, "approve").status_code == 422
    assert decide(approver, row, "approve").status_code == 302
    made = planner.post(reverse("payout_files"), keyed(currency="CNY", layout="plain"))
    assert made.status_code == 302
    file = PayoutFile.objects.get()
    content = planner.get(reverse("payout_file", args=[file.public_id])).content
    assert (content, b"880.00" in content) == (bytes(file.content), True)
    assert decide(planner, row, "paid").status_code == 422
    assert decide(planner, row, "paid", reference="ICBC-1").status_code == 302

    row.refresh_from_db()
    settlement.refresh_from_db()
    assert (row.state, row.rail_reference, settlement.state) == ("paid", "ICBC-1", "paid")
    own = market.client(market.provider)
    assert "¥880.00" in plain(own.get(reverse("payouts")))
    seen = plain(own.get(reverse("payout", args=[row.public_id])))
    assert row.planned_by.get_full_name() not in seen
    assert decide(own, row, "returned", reason="r").status_code == 403
    for other in (market.stranger, market.tenant):
        address = reverse("payout", args=[row.public_id])
        assert market.client(other).get(address).status_code == 404


def test_what_comes_back_waits_to_be_planned_anew(market: Market) -> None:
    row = money.approved(market, 88_000)
    money.account(market, market.operator)
    client = market.client(market.operator)
    client.post(reverse("payout_files"), keyed(currency="CNY", layout="plain"))

    assert decide(client, row, "failed", reason="no such account").status_code == 302

    page = client.get(reverse("payouts"))
    assert list(page.context["came_back"]) == [row]
    assert "no such account" in plain(page)
    assert "no such account" in plain(market.client(market.provider).get(reverse("payouts")))
    assert plan(client, market.provider.public_id).status_code == 302
    assert not client.get(reverse("payouts")).context["came_back"]


def test_a_returned_one_is_paid_again(market: Market) -> None:
    row = money.approved(market, 88_000)
    money.account(market, market.operator)
    client = market.client(market.operator)
    client.post(reverse("payout_files"), keyed(currency="CNY", layout="plain"))
    decide(client, row, "paid", reference="ICBC-1")

    assert decide(client, row, "returned", reason="account closed").status_code == 302

    assert list(client.get(reverse("payouts")).context["came_back"]) == [row]
    plan(client)
    assert Payout.objects.exclude(pk=row.pk).get().amount_minor == 88_000


def test_why_somebody_cannot_be_paid_is_said_at_the_form(market: Market) -> None:
    client = market.client(market.operator)

    nothing = plan(client)
    money.settled(market)
    everybody, one = plan(client), plan(client, market.provider.public_id)

    assert "Nothing is settled" in plain(nothing)
    assert "Choose one provider" in plain(everybody)
    assert "no verified bank account" in plain(one)
    assert {nothing.status_code, everybody.status_code, one.status_code} == {422}
    assert Payout.objects.count() == 0


def test_a_viewer_of_the_operator_plans_and_downloads_nothing(market: Market) -> None:
    row = money.approved(market)
    money.account(market, market.operator)
    client = market.client(market.operator, "viewer")
    market.client(market.operator).post(
        reverse("payout_files"), keyed(currency="CNY", layout="plain")
    )
    file = PayoutFile.objects.get()

    assert plan(client).status_code == 403
    assert decide(client, row, "failed", reason="r").status_code == 403
    assert client.get(reverse("payout_file", args=[file.public_id])).status_code == 403
    assert client.get(reverse("payout_files")).status_code == 200


def test_a_tenant_has_no_page_of_payouts(market: Market) -> None:
    for name in ("payouts", "payouts_csv", "payout_terms", "input_fapiaos"):
        assert market.client(market.tenant).get(reverse(name)).status_code == 404, name
