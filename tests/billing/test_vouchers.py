"""What an accountant posts by hand has a reason, evidence and two persons."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing import chart, ledger, vouchers
from billing.ledger import Entry
from billing.models import LedgerTransaction, Voucher
from billing.vouchers import Evidence
from inventory.errors import Invalid
from inventory.models import JournalEntry
from tests import world
from tests.billing import books
from tests.billing.test_accounting_periods import OCTOBER, TURN, close
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
BANK, FEE = chart.bank("CNY"), chart.bank_fee("CNY")
FEES: list[Entry] = [(FEE, 300), (BANK, -300)]


def propose(entries: list[Entry] | None = None, **changes: Any) -> Voucher:
    first, _second = books.people()
    facts: dict[str, Any] = {
        "effective_date": T0.date(),
        "reason": "a month's account fee",
        "evidence": Evidence("statement of June, line 3"),
        "at": T0,
        "user": first,
        **changes,
    }
    return vouchers.propose(entries=entries or FEES, actor=SYSTEM, **facts)


def post(row: Voucher, at: datetime = T0) -> Voucher:
    _first, second = books.people()
    return vouchers.post(voucher_public_id=row.public_id, at=at, actor=SYSTEM, user=second)


def test_a_second_person_posts_what_the_first_proposed() -> None:
    row = propose(external_reference="bln_1")
    assert (row.state, LedgerTransaction.objects.count()) == ("proposed", 0)

    row = post(row)

    posted = LedgerTransaction.objects.get()
    assert row.ledger_transaction == posted
    assert (row.state, row.posted_at) == ("posted", T0)
    assert (posted.kind, posted.external_reference, posted.reason) == (
        "adjusted",
        "bln_1",
        "a month's account fee",
    )
    assert (ledger.posted(BANK), ledger.posted(FEE)) == (-300, 300)
    events = JournalEntry.objects.filter(object_id=row.public_id).order_by("pk")
    assert [entry.event for entry in events] == ["voucher.proposed", "voucher.posted"]
    assert books.differences() == []


def test_the_first_person_does_not_decide_and_the_database_says_so_too() -> None:
    row = propose()
    first, _second = books.people()

    with refused(vouchers.SamePersonPosts):
        vouchers.post(voucher_public_id=row.public_id, at=T0, actor=SYSTEM, user=first)
    with refused(vouchers.SamePersonPosts):
        vouchers.reject(
            voucher_public_id=row.public_id, reason="x", at=T0, actor=SYSTEM, user=first
        )
    with pytest.raises(IntegrityError, match="voucher_needs_two_persons"), transaction.atomic():
        Voucher.objects.filter(pk=row.pk).update(state="rejected", decided_by=first)
    assert not LedgerTransaction.objects.exists()


def test_a_rejected_voucher_is_in_no_book_and_a_decided_one_stays_decided() -> None:
    row = propose()
    _first, second = books.people()

    with refused(Invalid):
        vouchers.reject(
            voucher_public_id=row.public_id, reason=" ", at=T0, actor=SYSTEM, user=second
        )
    row = vouchers.reject(
        voucher_public_id=row.public_id, reason="no evidence", at=T0, actor=SYSTEM, user=second
    )

    assert row.state == "rejected"
    with refused(vouchers.VoucherDecided):
        post(row)
    assert not LedgerTransaction.objects.exists()


def test_it_is_posted_at_the_end_of_its_day_and_never_in_the_future() -> None:
    at = datetime(2026, 6, 3, 2, tzinfo=UTC)
    earlier = post(propose(effective_date=date(2026, 6, 1), at=at), at)
    today = post(propose(effective_date=date(2026, 6, 3), at=at), at + timedelta(hours=1))

    assert earlier.ledger_transaction is not None
    assert today.ledger_transaction is not None
    # The end of 1 June in +08:00.
    assert earlier.ledger_transaction.effective_at == datetime(
        2026, 6, 1, 15, 59, 59, 999_999, tzinfo=UTC
    )
    assert today.ledger_transaction.effective_at == at + timedelta(hours=1)
    with refused(Invalid):
        propose(effective_date=date(2026, 6, 4), at=at)


def test_a_closed_month_takes_no_voucher_also_where_it_closed_in_between() -> None:
    late = TURN + timedelta(days=20)
    row = propose(effective_date=date(2026, 10, 31), at=late)
    close(OCTOBER, at=late)

    with refused(ledger.PeriodClosed):
        post(row, late)
    with refused(ledger.PeriodClosed):
        propose(effective_date=date(2026, 10, 31), at=late)
    assert Voucher.objects.get().state == "proposed"
    assert not LedgerTransaction.objects.exists()
    assert post(propose(effective_date=date(2026, 11, 1), at=late), late).state == "posted"


@pytest.mark.parametrize(
    "code",
    [
        "liability:unmatched_receipts:CNY",
        "asset:bank",
        "asset:bank:CN",
        "asset:bank:XXX",
        "asset:gold:CNY",
        "asset:bank:org_00000000000000000000000000000001:CNY",
        "liability:wallet:CNY",
        "liability:wallet:org_00000000000000000000000000000001:CNY",
        "liability:bank:CNY",
        "",
    ],
)
def test_an_account_that_documents_answer_for_or_that_is_none_is_refused_by_name(
    code: str,
) -> None:
    with refused(vouchers.AccountNotByHand) as refusal:
        propose([(code, 300), (BANK, -300)])

    assert isinstance(refusal.value, vouchers.AccountNotByHand)
    assert refusal.value.fields() == {"account": code}
    assert not Voucher.objects.exists()


def test_a_tenants_deposit_is_corrected_by_documents_only() -> None:
    with refused(vouchers.AccountNotByHand):
        propose([(chart.deposit(world.tenant(), "CNY"), 300), (BANK, -300)])

    row = post(
        propose([(chart.adjustment("CNY"), 300), (chart.wallet(world.tenant(), "CNY"), -300)])
    )
    assert row.state == "posted"
    assert books.available() == 300
    assert books.differences() == []


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ([(FEE, 300), (BANK, -299)], ledger.Unbalanced),
        ([(FEE, 300)], ledger.Unbalanced),
        ([(FEE, 0), (BANK, 0)], ledger.Unbalanced),
        ([(FEE, 10**18), (BANK, -(10**18))], ledger.AmountOutOfRange),
        ([(FEE, 300), (chart.bank("USD"), -300)], ledger.Unbalanced),
        ([(FEE, 1), (BANK, -1)] * 101, Invalid),
    ],
)
def test_what_does_not_sum_to_zero_in_each_currency_is_refused(
    entries: list[Entry], error: type[Exception]
) -> None:
    with refused(error):
        propose(entries)

    assert not Voucher.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": " "},
        {"evidence": Evidence("")},
        {"evidence": Evidence("x", "x.exe", b"MZ")},
        {"evidence": Evidence("x", "x.pdf", b"%PDF-" + b"0" * 2 * 1024 * 1024)},
    ],
)
def test_a_voucher_has_a_reason_and_evidence(changes: dict[str, Any]) -> None:
    with refused(Invalid):
        propose(**changes)

    assert not Voucher.objects.exists()


def test_the_evidence_is_kept_as_it_was_handed_in() -> None:
    row = propose(evidence=Evidence("letter", "a\x00/letter.pdf", b"%PDF-1.7 letter"))

    row = Voucher.objects.get(pk=row.pk)
    assert (row.file_name, row.content_type) == ("a/letter.pdf", "application/pdf")
    assert bytes(row.content or b"") == b"%PDF-1.7 letter"


def test_a_voucher_that_would_take_more_than_there_is_is_refused_when_it_is_posted() -> None:
    row = propose([(chart.wallet(world.tenant(), "CNY"), 300), (chart.adjustment("CNY"), -300)])

    with refused(ledger.InsufficientFunds):
        post(row)

    assert Voucher.objects.get().state == "proposed"
