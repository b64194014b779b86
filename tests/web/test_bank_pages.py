"""Accounts, lines, instructions, refunds and what goes back to its sender."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from billing import bank_statements, receipts, references
from billing.models import BankAccount, BankReceipt, PaymentFile, Refund
from inventory.periods import ceil_hour
from marketplace import offers
from marketplace.models import Reservation
from marketplace.offers import OfferRequest
from tests import world
from tests.web import money
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain

ACCOUNT = {
    "currency": "CNY",
    "holder_name": "Borealis",
    "bank_name": "Bank 1",
    "bank_code": "",
    "number": "0200 1234",
}


def test_two_persons_of_the_operator_see_an_account(market: Market) -> None:
    own = market.client(market.tenant)
    first, second = market.client(market.operator), market.client(market.operator, "finance")

    somebody = own.post(reverse("bank_accounts"), keyed(**{**ACCOUNT, "holder_name": "X"}))
    assert (somebody.status_code, "own name" in plain(somebody)) == (422, True)
    assert own.post(reverse("bank_accounts"), keyed(**ACCOUNT)).status_code == 302
    row = BankAccount.objects.get()
    address = reverse("bank_account", args=[row.public_id])
    assert own.post(address, keyed(verdict="check")).status_code == 403
    assert first.post(address, keyed(verdict="check")).status_code == 302
    assert "another person verifies it" in plain(first.get(address))
    assert first.post(address, keyed(verdict="verify")).status_code == 422
    assert second.post(address, keyed(verdict="verify")).status_code == 302

    row.refresh_from_db()
    assert (row.state, row.number) == ("verified", "02001234")
    assert "Paid to from" in plain(own.get(address))
    assert market.client(market.stranger).get(address).status_code == 404
    assert own.post(address, keyed(verdict="close")).status_code == 302
    row.refresh_from_db()
    assert row.state == "closed"


def test_an_account_is_rejected_with_a_reason(market: Market) -> None:
    row = money.proposed_account(market, market.provider)
    client = market.client(market.operator)
    address = reverse("bank_account", args=[row.public_id])

    bare = client.post(address, keyed(verdict="reject"))
    assert (bare.status_code, "Needed here." in plain(bare)) == (422, True)
    assert client.post(address, keyed(verdict="reject", reason="not theirs")).status_code == 302

    row.refresh_from_db()
    assert row.state == "rejected"


def test_whoever_enters_an_account_of_the_operator_does_not_verify_it(market: Market) -> None:
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    fields = {
        **ACCOUNT, "holder_name": "Delta", "statement_layout": "icbc", "file_layout": "",
        "virtual_prefix": "99", "virtual_digits": "4",
    }  # fmt: skip

    assert first.post(reverse("bank_accounts"), keyed(**fields)).status_code == 302

    row = BankAccount.objects.get()
    address = reverse("bank_account", args=[row.public_id])
    assert (row.statement_layout, row.virtual_digits) == ("icbc", 4)
    assert "another person verifies it" in plain(first.get(address))
    assert first.post(address, keyed(verdict="verify")).status_code == 422
    assert second.post(address, keyed(verdict="verify")).status_code == 302


def test_unused_money_goes_back_by_two_persons_and_a_file(market: Market) -> None:
    market.fund(100_000)
    own = market.client(market.tenant)
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    debited = money.account(market, market.operator)
    account = money.account(market, market.tenant)
    fields = {"account": account.public_id, "amount": "300", "reason": "unused"}
    too_much = own.post(reverse("refunds"), keyed(**{**fields, "amount": "9000"}))
    assert (too_much.status_code, "¥1,000.00 available" in plain(too_much)) == (422, True)

    assert own.post(reverse("refunds"), keyed(**fields)).status_code == 302
    row = Refund.objects.get()
    address = reverse("refund", args=[row.public_id])
    assert first.post(address, keyed(verdict="check")).status_code == 302
    assert first.post(address, keyed(verdict="approve")).status_code == 422
    assert second.post(address, keyed(verdict="approve")).status_code == 302
    chosen = {"account": debited.public_id, "refunds": [row.public_id]}
    assert first.post(reverse("payment_files"), keyed(**chosen)).status_code == 302
    file = PaymentFile.objects.get()
    content = first.get(reverse("payment_file", args=[file.public_id])).content
    assert (content, b"300.00" in content) == (bytes(file.content), True)
    assert first.post(address, keyed(verdict="complete")).status_code == 302

    row.refresh_from_db()
    assert row.state == "done"
    assert plain(own.get(address)).count(row.reference) == 1
    assert market.client(market.stranger).get(address).status_code == 404


def test_a_tenant_withdraws_what_is_not_approved(market: Market) -> None:
    market.fund(100_000)
    row = money.refund(market)
    own = market.client(market.tenant)

    reply = own.post(reverse("refund", args=[row.public_id]), keyed(verdict="withdraw"))

    assert reply.status_code == 302

    row.refresh_from_db()
    assert row.state == "withdrawn"


def test_nobodys_money_goes_back_to_its_sender(market: Market) -> None:
    receipt = money.nobodys(market)
    client = market.client(market.operator)
    page = client.get(reverse("receipt", args=[receipt.public_id])).content.decode()
    address = reverse("receipt_send_back", args=[receipt.public_id])
    assert address in page

    done = client.post(address, keyed(payee_bank="Bank 2", reason="unknown"))

    row = Refund.objects.get()
    assert done["Location"] == reverse("refund", args=[row.public_id])
    assert (row.state, row.payee_account) == ("checked", receipt.payer_account)
    receipt.refresh_from_db()
    assert receipt.state == "returning"
    again = client.post(address, keyed(payee_bank="Bank 2", reason="unknown"))
    assert again.status_code == 422
    assert market.client(market.tenant).get(address).status_code == 404
    assert row not in market.client(market.tenant).get(reverse("refunds")).context["page"].rows


@pytest.fixture
def lines(market: Market) -> BankAccount:
    """Three lines: a tenant's money, nobody's, and money out that nothing of ours explains."""
    account = money.account(market, market.operator)
    day = market.at.date().isoformat()
    reference = references.of(market.tenant.public_id)
    rows = [
        "date,amount,reference,name,account,text",
        f"{day},100.00,B-1,Borealis,1,{reference}",
        f"{day},50.00,B-2,Nobody,2,hello",
        f"{day},-7.00,B-3,Bank,3,charges",
    ]
    bank_statements.bring_in(
        account_public_id=account.public_id,
        content="\n".join(rows).encode(),
        file_name="day.csv",
        at=market.at,
        actor=world.SYSTEM,
        user=money.people()[0],
    )
    return account


def test_lines_say_what_explains_them_and_how_long_they_wait(
    market: Market, lines: BankAccount
) -> None:
    client = market.client(market.operator)
    receipt = BankReceipt.objects.get(tenant=market.tenant)
    receipts.approve(
        receipt_public_id=receipt.public_id,
        at=market.at,
        actor=world.SYSTEM,
        user=money.people()[1],
    )

    everything = client.get(reverse("bank_lines")).context["seen"]
    page = client.get(reverse("bank_lines"), {"show": "open"})

    assert [each.is_explained for each in everything] == [False, False, True]
    assert [each.line.bank_reference for each in page.context["seen"]] == ["B-3", "B-2"]
    assert "nothing of ours" in plain(page)
    assert "open for 0 days" in plain(page)
    assert b"B-3" in client.get(reverse("bank_lines_csv")).getvalue()


def by_bank(market: Market) -> Reservation:
    """A hold with a pay-by date, as the page of offers makes it."""
    market.listing()
    start = ceil_hour(market.at) + timedelta(days=9)
    found = offers.search(
        request=OfferRequest(
            units=1, hours=24, earliest_start=start, latest_end=start + timedelta(days=2)
        ),
        actor=world.actor(market.tenant),
        at=market.at,
    )
    token = found.offers[0].token
    market.client(market.tenant).post(reverse("hold"), keyed(offer_token=token, pay_by="bank"))
    return Reservation.objects.get()


def test_a_held_deal_says_how_to_pay_it_by_bank(market: Market) -> None:
    market.fund()
    account = money.account(market, market.operator)
    row = by_bank(market)
    client = market.client(market.tenant)

    page = client.get(reverse("reservation_transfer", args=[row.public_id]))

    text = plain(page)
    assert row.pay_by == "bank"
    assert references.of(row.public_id) in text
    assert account.number in text
    transfer = page.context["transfer"]
    assert transfer.amount_minor == row.due_minor - row.hold_deposit_minor
    assert reverse("reservation_transfer", args=[row.public_id]) in (
        client.get(reverse("rented")).content.decode()
    )
    for other in (market.stranger, market.provider):
        address = reverse("reservation_transfer", args=[row.public_id])
        assert market.client(other).get(address).status_code == 404
