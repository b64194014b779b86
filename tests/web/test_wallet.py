"""A tenant's wallet: what it says about topping up, and what is on its way."""

from __future__ import annotations

from django.urls import reverse

from billing import bank_accounts, ledger, references
from tests import world
from tests.billing.test_bank_rail import account
from tests.web.conftest import Market
from tests.web.test_leases import plain
from tests.world import T0


def test_it_says_where_to_transfer_and_what_to_write(market: Market) -> None:
    row = account(world.operator())
    bank_accounts.assign_virtual_accounts(at=T0, limit=100)
    number = row.virtual_accounts.get(tenant=market.tenant).number

    reply = market.client(market.tenant).get(reverse("wallet"))

    text = plain(reply)
    for fact in (row.holder_name, row.bank_name, row.number, number):
        assert fact in text
    own = f'<span class="copyable">{references.of(market.tenant.public_id)}</span>'
    assert own in reply.content.decode()


def test_an_account_that_nobody_checked_is_none(market: Market) -> None:
    text = plain(market.client(market.tenant).get(reverse("wallet")))

    assert "Ask the operator for its bank account" in text
    assert references.of(market.tenant.public_id) in text


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
