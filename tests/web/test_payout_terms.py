"""By which terms a provider is paid, and what of it is kept back."""

from __future__ import annotations

from django.urls import reverse

from billing.models import PayoutTerms
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


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
