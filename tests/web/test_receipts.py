"""A bank transfer: recorded by one person, decided by another, and both are named."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing import ledger
from billing.models import BankReceipt
from tests.web.conftest import Market, keyed
from tests.web.test_leases import plain


def line(market: Market, **changes: Any) -> dict[str, Any]:
    """One line of the statement, as a person types it."""
    fields = {
        "tenant": market.tenant.public_id,
        "amount": "1200.50",
        "received_date": "2026-01-02",
        "late_reason": "found late",
        "bank_reference": "ICBC-7",
        "payer_name": "Borealis",
        "payer_account": "0101",
    }
    return keyed(**{**fields, **changes})


def address(receipt: BankReceipt) -> str:
    return reverse("receipt", args=[receipt.public_id])


def test_one_records_another_approves_and_both_are_shown(market: Market) -> None:
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    assert first.post(reverse("receipts"), line(market)).status_code == 302
    receipt = BankReceipt.objects.get()

    same = first.post(address(receipt), keyed(verdict="approve"))
    assert same.status_code == 422
    assert ledger.balance(market.tenant).posted_minor == 0
    done = second.post(address(receipt), keyed(verdict="approve"), follow=True)

    assert "¥1,200.50 is in the wallet of Borealis." in plain(done)
    assert ledger.balance(market.tenant).posted_minor == 120_050
    receipt.refresh_from_db()
    assert receipt.decided_by is not None
    for page in (done, second.get(address(receipt))):
        text = plain(page)
        assert receipt.recorded_by.email in text
        assert receipt.decided_by.email in text
    again = second.post(address(receipt), keyed(verdict="reject", reason="late"))
    assert again.status_code == 422
    assert "cannot become" in plain(again)


def test_a_rejection_says_why(market: Market) -> None:
    receipt = market.receipt(50_000)
    client = market.client(market.operator, "finance")

    silent = client.post(address(receipt), keyed(verdict="reject", reason=""))
    assert silent.status_code == 422
    assert "Say why" in plain(silent)
    client.post(address(receipt), keyed(verdict="reject", reason="not ours"))

    receipt.refresh_from_db()
    assert (receipt.state, ledger.balance(market.tenant).posted_minor) == ("rejected", 0)
    assert "not ours" in plain(client.get(address(receipt)))


@pytest.mark.parametrize(
    ("written", "minor"),
    [("34,000.00", 3_400_000), ("¥34，000.5", 3_400_050), ("１２００．５０", 120_050), ("7", 700)],
)
def test_amounts_are_read_as_people_write_them(market: Market, written: str, minor: int) -> None:
    market.client(market.operator).post(reverse("receipts"), line(market, amount=written))

    assert BankReceipt.objects.get().amount_minor == minor


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": "-5"}, "cannot be negative"),
        ({"amount": "0"}, "more than zero"),
        ({"amount": "1,20"}, "A comma separates thousands"),
        ({"amount": "1.234"}, "At most 2 decimals"),
        ({"amount": "a lot"}, "This is not a number"),
        ({"tenant": "org_1"}, "Select a valid choice"),
        ({"received_date": "2199-01-01"}, "future"),
        ({"bank_reference": " "}, "required"),
    ],
)
def test_each_mistake_is_named(market: Market, changes: dict[str, str], says: str) -> None:
    reply = market.client(market.operator).post(reverse("receipts"), line(market, **changes))

    assert reply.status_code == 422
    assert says in plain(reply)
    assert BankReceipt.objects.count() == 0


def test_a_reference_is_recorded_once(market: Market) -> None:
    client = market.client(market.operator)
    client.post(reverse("receipts"), line(market))

    reply = client.post(reverse("receipts"), line(market, bank_reference="ｉｃｂｃ-7"))

    assert "ICBC-7 is recorded already" in plain(reply)
    assert BankReceipt.objects.count() == 1


def test_no_tenant_is_chosen_for_you(market: Market) -> None:
    reply = market.client(market.operator).get(reverse("receipts"))

    assert reply.context["form"]["tenant"].value() is None
    assert '<option value="" selected>choose</option>' in reply.content.decode()


def test_every_receipt_is_in_the_file(market: Market) -> None:
    market.fund(120_050)
    market.receipt(700)

    reply = market.client(market.operator, "viewer").get(reverse("receipts_csv"))

    lines = reply.getvalue().decode().splitlines()
    assert len(lines) == 3
    assert ",7.00,CNY,recorded," in lines[1]
    assert ",1200.50,CNY,approved," in lines[2]


def test_who_may_not_decide_only_reads(market: Market) -> None:
    receipt = market.receipt()
    viewer = market.client(market.operator, "viewer")

    assert viewer.get(address(receipt)).status_code == 200
    assert viewer.post(address(receipt), keyed(verdict="approve")).status_code == 403
    for other in (market.tenant, market.provider):
        assert market.client(other).get(address(receipt)).status_code == 404
    assert viewer.get(reverse("receipt", args=["rcp_" + "0" * 32])).status_code == 404


def test_rows_do_not_multiply_statements(
    market: Market, django_assert_max_num_queries: Any
) -> None:
    for _number in range(3):
        market.receipt()
    client: Client = market.client(market.operator)
    client.get(reverse("receipts"))

    with django_assert_max_num_queries(14):
        client.get(reverse("receipts"))


def test_the_first_page_says_what_waits_and_never_offers_ones_own(market: Market) -> None:
    recorder, approver = market.client(market.operator), market.client(market.operator, "finance")
    waits = "1 bank receipt waits for a second person: until then the money is in no wallet."
    assert "Waiting for the operator" not in plain(approver.get(reverse("audit")))

    recorder.post(reverse("receipts"), line(market))

    assert f"{waits} Decide" in plain(approver.get(reverse("audit")))
    assert waits not in plain(recorder.get(reverse("audit")))
    assert f"{waits} Look" in plain(market.client(market.operator, "viewer").get(reverse("audit")))
