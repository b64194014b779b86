"""A tenant's wallet: what it says about topping up, and what is on its way."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.urls import reverse

from billing import ledger
from tests import world
from tests.web.conftest import Market
from tests.web.test_leases import plain


@pytest.fixture
def _account(settings: LazySettings) -> None:
    settings.OPERATOR_ACCOUNT_NAME = "Delta Operations"
    settings.OPERATOR_BANK_NAME = "Example Bank, Branch 7"
    settings.OPERATOR_ACCOUNT_NUMBER = "0000 1111"


@pytest.mark.usefixtures("_account")
def test_it_says_where_to_transfer_and_what_to_write(market: Market) -> None:
    reply = market.client(market.tenant).get(reverse("wallet"))

    text = plain(reply)
    for fact in ("Delta Operations", "Example Bank, Branch 7", "0000 1111"):
        assert fact in text
    own = f'<span class="copyable">{market.tenant.public_id}</span>'
    assert own in reply.content.decode()


@pytest.mark.usefixtures("_account")
@pytest.mark.parametrize(
    "missing", ["OPERATOR_ACCOUNT_NAME", "OPERATOR_BANK_NAME", "OPERATOR_ACCOUNT_NUMBER"]
)
def test_half_an_account_is_none(market: Market, settings: LazySettings, missing: str) -> None:
    setattr(settings, missing, "")

    text = plain(market.client(market.tenant).get(reverse("wallet")))

    assert "Ask the operator for its bank account" in text
    assert market.tenant.public_id in text
    assert "0000 1111" not in text


def test_a_transfer_is_shown_until_it_is_decided(market: Market) -> None:
    client = market.client(market.tenant, "viewer")
    market.fund(700)
    market.receipt(120_050)

    reply = client.get(reverse("wallet"))

    assert [row.amount_minor for row in reply.context["receipts"]] == [120_050]
    text = plain(reply)
    assert "¥1,200.50 received 2026-01-01" in text
    stranger = market.client(market.stranger).get(reverse("wallet"))
    assert list(stranger.context["receipts"]) == []


def test_a_credit_limit_is_said(market: Market) -> None:
    client = market.client(market.tenant)
    assert "no credit limit" in plain(client.get(reverse("wallet")))
    ledger.set_credit_limit(
        market.tenant, currency="CNY", limit_minor=5_000_000, at=market.at, actor=world.SYSTEM
    )

    text = plain(client.get(reverse("wallet")))

    assert "¥50,000.00 with a credit limit of ¥50,000.00" in text
