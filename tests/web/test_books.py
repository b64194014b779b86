"""The operator's accountants: what disagrees is shown, booked by two persons, and closed."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import translation

from billing import bank_statements, reconciliation, verification
from billing.models import (
    AccountingPeriod,
    BankLine,
    LedgerTransaction,
    ReconciliationMatch,
    Voucher,
)
from tests import world
from tests.billing.test_bank_rail import account
from tests.billing.test_vouchers import FEES, post, propose
from tests.web.conftest import Market, keyed
from tests.web.money import last_month
from tests.web.test_leases import plain
from tests.world import SYSTEM

MONTH = "2026-06"


@pytest.fixture
def fee(market: Market) -> BankLine:
    """A line of the statement that nobody booked: the bank's own fee."""
    bank_statements.bring_in(
        account_public_id=account().public_id,
        content=b"date,in,out,reference,name,text\n2026-06-20,,3.00,F1,Bank 1,fee\n",
        file_name="june.csv",
        at=market.at,
        actor=SYSTEM,
        user=world.member(market.operator, "finance"),
        late_reason="found late",
    )
    return BankLine.objects.get()


def voucher_fields(**changes: Any) -> dict[str, Any]:
    fields = {
        "entries": "expense:bank_fee:CNY 1,003.00\n\nasset:bank:CNY -1003",
        "effective_date": "2026-06-20",
        "reason": "account fee of June",
        "evidence": "statement of June, line 1",
        "external_reference": "F1",
    }
    return keyed(**{**fields, **changes})


def test_a_line_that_nobody_booked_is_shown_with_both_figures_and_its_age(
    market: Market, fee: BankLine
) -> None:
    client = market.client(market.operator)

    text = plain(client.get(reverse("reconciliation")))

    assert "missing in the books" in text
    assert fee.public_id in text
    assert "1 open, 1 of them too old" in text
    rows = list(csv.reader(io.StringIO(_file(client.get(reverse("reconciliation_csv"))))))
    assert rows[1][:6] == ["missing in the books", "asset:bank:CNY", "CNY", "0.00", "-3.00", "3.00"]
    before = plain(client.get(reverse("reconciliation"), {"day": "2026-06-19"}))
    assert "Books and outside at the end of" in before
    with translation.override("zh-hans"):
        client.post(reverse("set_language"), {"language": "zh-hans", "next": "/"})
    assert "对账差异" in plain(client.get(reverse("reconciliation")))


def test_a_voucher_is_proposed_by_one_and_posted_by_another(market: Market, fee: BankLine) -> None:
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    made = first.post(reverse("vouchers"), voucher_fields(entries="\n".join(
        ["expense:bank_fee:CNY 3.00", "asset:bank:CNY −3.00"]
    )))  # fmt: skip
    assert made.status_code == 302
    row = Voucher.objects.get()
    address = reverse("voucher", args=[row.public_id])

    own = first.post(address, keyed(verdict="post"))
    assert own.status_code == 422
    assert "Another person decides." in plain(first.get(address))
    assert not LedgerTransaction.objects.exists()
    assert second.post(address, keyed(verdict="post")).status_code == 302

    row.refresh_from_db()
    assert row.ledger_transaction is not None
    reconciliation.match_due(at=market.at)
    text = plain(second.get(reverse("reconciliation")))
    assert "Everything agrees." in text
    assert row.ledger_transaction.idempotency_key in text


def test_a_voucher_with_a_file_is_rejected_with_a_reason(market: Market) -> None:
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    file = io.BytesIO(b"%PDF-1.7 letter")
    file.name = "letter.pdf"
    first.post(reverse("vouchers"), {**voucher_fields(), "file": file})
    row = Voucher.objects.get()
    address = reverse("voucher", args=[row.public_id])

    got = first.get(reverse("voucher_file", args=[row.public_id]))
    assert (got.content, got["Content-Type"]) == (b"%PDF-1.7 letter", "application/pdf")
    silent = second.post(address, keyed(verdict="reject", reason=""))
    assert silent.status_code == 422
    assert second.post(address, keyed(verdict="reject", reason="no")).status_code == 302

    row.refresh_from_db()
    assert (row.state, LedgerTransaction.objects.count()) == ("rejected", 0)
    bare = propose()
    assert first.get(reverse("voucher_file", args=[bare.public_id])).status_code == 404


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("expense:bank_fee:CNY", "Line 1: an account and an amount are wanted"),
        ("asset:bank:CNY 1\nasset:bank:CNY x", "Line 2: x is no amount"),
        ("asset:bank:CNY 1.234\nasset:bank:CNY -1.234", "Line 1: 1.234 is no amount"),
        ("asset:bank:CNY 1\nliability:wallet:CNY -1", "No voucher is posted on this account"),
        ("asset:bank:CNY 1\nexpense:bank_fee:CNY -2", "do not sum to zero"),
    ],
)
def test_entries_that_are_none_are_refused_in_words(
    market: Market, entries: str, words: str
) -> None:
    reply = market.client(market.operator).post(
        reverse("vouchers"), voucher_fields(entries=entries)
    )

    assert reply.status_code == 422
    assert words in plain(reply)
    assert not Voucher.objects.exists()


def test_a_match_is_made_by_hand_and_undone(market: Market, fee: BankLine) -> None:
    client = market.client(market.operator, "finance")
    row = post(propose(FEES))
    assert row.ledger_transaction is not None
    key = row.ledger_transaction.idempotency_key
    fields = {"line": fee.public_id, "transaction": key, "reason": "the bank says so"}

    unknown = client.post(reverse("reconciliation"), keyed(**{**fields, "transaction": "nothing"}))
    assert "There is no transaction of that key." in plain(unknown)
    nowhere = client.post(reverse("reconciliation"), keyed(**{**fields, "line": "bln_1"}))
    assert "There is no such line" in plain(nowhere)
    assert client.post(reverse("reconciliation"), keyed(**fields)).status_code == 302
    (match,) = ReconciliationMatch.objects.all()
    address = reverse("reconciliation_undo", args=[match.public_id])
    client.post(address, keyed(reason=""))
    assert ReconciliationMatch.objects.live().count() == 1
    text = plain(client.post(address, keyed(reason="mistaken"), follow=True))

    assert "Undone; both sides are open again." in text
    assert not ReconciliationMatch.objects.live().exists()


def test_two_movements_that_cancel_each_other_are_matched_by_their_keys(market: Market) -> None:
    client = market.client(market.operator, "finance")
    keys = []
    for sign in (1, -1):
        row = post(propose([(code, sign * minor) for code, minor in FEES]))
        assert row.ledger_transaction is not None
        keys.append(row.ledger_transaction.idempotency_key)

    reply = client.post(
        reverse("reconciliation"), keyed(line=keys[0], transaction=keys[1], reason="booked twice")
    )

    assert reply.status_code == 302
    assert ReconciliationMatch.objects.get().offset is not None


def test_the_trial_balance_leads_from_a_kind_down_to_the_legs(market: Market) -> None:
    client = market.client(market.operator)
    row = post(propose(FEES))
    assert row.ledger_transaction is not None
    asked = {"month": MONTH, "currency": "CNY"}

    text = plain(client.get(reverse("trial_balance"), asked))
    assert "Openings and closings sum to zero; debits and credits are both ¥3.00." in text
    assert "Fees of the bank" in text
    found = client.get(reverse("ledger_account", args=["asset:bank:CNY"]), asked)
    key = row.ledger_transaction.idempotency_key
    assert key in plain(found)
    whole = plain(client.get(reverse("ledger_transaction", args=[key])))
    assert "expense:bank_fee:CNY" in whole
    assert "account fee" in whole
    rows = list(csv.reader(io.StringIO(_file(client.get(reverse("trial_balance_csv"), asked)))))
    assert rows[-1][3:] == ["0.00", "3.00", "3.00", "0.00"]
    assert ["asset:bank:CNY", "At the bank", "CNY", "0.00", "0.00", "3.00", "-3.00"] in rows
    assert client.get(reverse("ledger_account", args=["asset:gold:CNY"])).status_code == 404
    assert client.get(reverse("ledger_transaction", args=["no/such:key"])).status_code == 404


def test_a_month_is_exported_or_the_refusal_is_said(market: Market) -> None:
    client = market.client(market.operator)
    post(propose(FEES))
    asked = {"month": MONTH, "currency": "CNY", "layout": "yonyou_u8", "rate": ""}

    made = client.get(reverse("voucher_export"), asked)
    assert made.content.decode("gb18030").startswith("填制凭证,V800\r\n2026-06-01,")
    assert "vouchers-2026-06-CNY-yonyou_u8.txt" in made["Content-Disposition"]
    wrong = client.get(reverse("voucher_export"), {**asked, "rate": "NaN"}, follow=True)
    assert "A rate is a positive number" in plain(wrong)
    nothing = client.get(reverse("voucher_export"), {**asked, "layout": "x"}, follow=True)
    assert "Choose a month, a currency and an accounting system." in plain(nothing)


def test_a_month_is_closed_by_two_persons_once_everything_is_done(market: Market) -> None:
    first, second = market.client(market.operator), market.client(market.operator, "finance")
    month = last_month(market)
    page = reverse("closing")
    text = plain(first.get(page, {"month": month}))
    assert "The month cannot be closed before everything is done." in text
    refused = first.post(reverse("closing_ask"), keyed(month=month), follow=True)
    assert "The month is not ready to be closed" in plain(refused)
    assert not AccountingPeriod.objects.exists()

    verification.report(at=datetime.now(UTC) - timedelta(minutes=1))
    asked = first.post(reverse("closing_ask"), keyed(month=month), follow=True)
    assert "Another person closes it." in plain(asked)
    row = AccountingPeriod.objects.get()
    again = first.post(reverse("closing_close", args=[row.public_id]), keyed(), follow=True)
    assert "Another person has to decide" in plain(again)
    done = second.post(reverse("closing_close", args=[row.public_id]), keyed(), follow=True)

    assert "Closed: nothing is posted into that month any more." in plain(done)
    row.refresh_from_db()
    assert row.state == "closed"


def test_a_month_is_put_off_for_a_reason(market: Market) -> None:
    client = market.client(market.operator)
    verification.report(at=datetime.now(UTC) - timedelta(minutes=1))
    client.post(reverse("closing_ask"), keyed(month=last_month(market)))
    row = AccountingPeriod.objects.get()
    address = reverse("closing_put_off", args=[row.public_id])

    client.post(address, keyed(reason=""))
    row.refresh_from_db()
    assert row.state == "closing"
    client.post(address, keyed(reason="a fapiao is missing"))
    row.refresh_from_db()
    assert row.state == "open"


def test_who_only_looks_sees_no_forms_and_nobody_else_sees_anything(
    market: Market, fee: BankLine
) -> None:
    auditor = market.client(market.operator, "viewer")
    pages = ("reconciliation", "vouchers", "trial_balance", "closing")

    for name in pages:
        assert auditor.get(reverse(name)).status_code == 200
        assert market.client(market.provider).get(reverse(name)).status_code == 404
    assert auditor.post(reverse("vouchers"), voucher_fields()).status_code == 403
    assert not Voucher.objects.exists()


def _file(reply: Any) -> str:
    return b"".join(reply).decode("utf-8-sig")
