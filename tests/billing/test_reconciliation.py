"""Lines of the bank and of Stripe are movements of the books, each once, or exceptions."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from billing import (
    bank_statements,
    chart,
    ledger,
    payouts,
    receipts,
    reconciliation,
    reconciliation_report,
    references,
    refunds,
)
from billing.fakestripe import store
from billing.models import (
    BankAccount,
    BankLine,
    BankReceipt,
    BankStatement,
    LedgerTransaction,
    PspBalanceTransaction,
    ReconciliationMatch,
    Refund,
)
from billing.psp import sweeping, transfers, withdrawals
from billing.reconciliation_report import Equality
from billing.reconciliation_sides import start_of, zone
from inventory.errors import Invalid
from inventory.models import JournalEntry
from tests import world
from tests.billing import books, online, paying
from tests.billing.online import hands
from tests.billing.test_bank_rail import account, approve, bring_in, line, wallet_reference
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
DAY = T0.date()
BANK = chart.bank("CNY")


def post(minor: int, reference: str = "", key: str = "k", **facts: Any) -> LedgerTransaction:
    """So much into the bank account, by nobody's document."""
    number = ledger.post(
        kind="adjusted",
        key=key,
        entries=[(BANK, minor), (facts.pop("against", chart.bank_fee("CNY")), -minor)],
        at=facts.pop("at", T0),
        actor=SYSTEM,
        external_reference=reference,
        **facts,
    )
    return LedgerTransaction.objects.get(pk=number)


def out(text: str = "", amount: str = "100.00", name: str = "Bank 1") -> dict[str, str]:
    return {"out": amount, "name": name, "text": text}


def match(at: datetime = T0) -> int:
    return reconciliation.match_due(at=at)


def exceptions(at: datetime = T0) -> list[tuple[str, int, int]]:
    found = reconciliation_report.findings(at=at).exceptions
    return [(each.kind, each.books_minor, each.outside_minor) for each in found]


def equal(day: date = DAY, code: str = BANK) -> Equality:
    (found,) = [each for each in reconciliation_report.equality(day=day) if each.code == code]
    assert found.unexplained_minor == 0
    return found


def causes(found: Equality) -> dict[str, int]:
    return {item.kind: item.minor for item in found.items}


def by_hand(row: LedgerTransaction, to: Any, reason: str = "seen") -> ReconciliationMatch:
    return reconciliation.match_by_hand(
        transaction_id=row.pk, line=to, reason=reason, at=T0, actor=SYSTEM
    )


def wallet_refund(minor: int = 500) -> Refund:
    """Approved by two persons, of a wallet that has money."""
    tenant = world.tenant()
    own = account(tenant, number="7000001")
    first, second = books.people()
    row = refunds.ask(
        tenant=tenant,
        account_public_id=own.public_id,
        amount_minor=minor,
        currency="CNY",
        reason="unused",
        at=T0,
        actor=world.actor(tenant),
    )
    refunds.check(refund_public_id=row.public_id, at=T0, actor=SYSTEM, user=first)
    return refunds.approve(refund_public_id=row.public_id, at=T0, actor=SYSTEM, user=second)


def test_a_receipt_is_matched_with_its_line_once() -> None:
    bring_in(account(), line(wallet_reference()), line("who knows", name="Stray"))

    assert match() == 2
    assert match() == 0

    found = ReconciliationMatch.objects.order_by("net_minor", "pk")
    assert {row.bank_line_id for row in found} == set(BankLine.objects.values_list("pk", flat=True))
    assert all(row.transaction.kind == "bank_receipt_recorded" for row in found)
    assert {(row.matched_by, row.net_minor, row.currency) for row in found} == {
        ("rule", 10_000, "CNY")
    }
    assert exceptions(T0 + timedelta(days=9)) == []
    assert equal().is_equal


def test_a_receipt_recorded_by_hand_before_is_matched_with_the_line_that_came_later() -> None:
    first, _second = books.people()
    receipts.record(
        bank_reference="s1",
        payer_name="Borealis",
        amount_minor=10_000,
        currency="CNY",
        received_date=DAY,
        at=T0,
        actor=SYSTEM,
        user=first,
    )
    assert match() == 0
    assert causes(equal()) == {"missing_outside": 10_000}

    bring_in(account(), line(), at=T0 + hours(1))

    assert match() == 1
    assert equal().is_equal


def test_a_refund_leaves_by_the_line_that_bears_its_reference() -> None:
    books.top_up(world.tenant(), 10_000)
    row = wallet_refund()
    refunds.send_by_hand(refund_public_id=row.public_id, bank_reference="X1", at=T0, actor=SYSTEM)
    bring_in(account(), out(row.reference, "5.00"))

    assert match() == 1

    (made,) = ReconciliationMatch.objects.all()
    assert made.transaction.kind == "wallet_refunded"
    assert made.net_minor == -500


def test_a_refund_called_done_before_the_statement_came_is_found_by_its_reference() -> None:
    books.top_up(world.tenant(), 10_000)
    row = wallet_refund()
    refunds.send_by_hand(refund_public_id=row.public_id, bank_reference="X1", at=T0, actor=SYSTEM)
    refunds.complete(refund_public_id=row.public_id, at=T0, actor=SYSTEM)
    bring_in(account(), out(row.reference, "5.00"))

    assert match() == 1


def paid_out() -> Any:
    paying.settled()
    paying.payee()
    account()
    row = paying.approve(paying.plan())
    paying.send()
    return paying.paid(row)


def test_a_payout_is_found_by_its_reference_and_so_is_one_that_came_back() -> None:
    row = paid_out()
    at = paying.SETTLED_AT
    amount = f"{row.amount_minor / 100:.2f}"
    own = BankAccount.objects.get(owner=world.operator())
    name = references.of(row.public_id)
    day = at.date().isoformat()
    bring_in(own, {**out(name, amount, "Aurora"), "date": day}, at=at)
    assert match(at) == 1

    back = {**line(f"退汇 {name}", amount, "Aurora"), "date": day, "reference": "back"}
    bring_in(own, back, at=at)
    # It is nobody's receipt, and nothing is booked until somebody says that it came back.
    assert not BankReceipt.objects.filter(line__isnull=False).exists()
    assert match(at) == 0
    assert ("missing_in_books", 0, row.amount_minor) in exceptions(at)

    payouts.mark_returned(payout_public_id=row.public_id, reason="closed", at=at, actor=SYSTEM)
    assert match(at) == 1
    assert ("missing_in_books", 0, row.amount_minor) not in exceptions(at)
    assert books.differences() == []


def test_everything_that_stripe_moved_is_matched(settings: Settings) -> None:
    online.switch_on(settings)
    top_up, again = online.paid(100_000), online.paid(50_000)
    refund = online.refund(top_up, 30_000)
    hands.finish_refund(str(refund.refund_id), ok=False)
    hands.dispute(str(again.intent_id))
    hands.fee(700, "cny")
    online.deliver()
    sweeping.look_around(at=online.now())
    sweeping.import_lines(at=online.now())

    made = match(online.now())

    assert made == PspBalanceTransaction.objects.exclude(net_minor=0).count() >= 5
    assert reconciliation_report.findings(at=online.later(days=9)).exceptions == []
    assert reconciliation.note_balances(at=online.later(seconds=5)) == 1
    found = equal(online.later(days=2).date(), chart.stripe("CNY"))
    assert found.is_equal
    assert found.held_at[0].is_said
    assert found.books_minor == found.outside_minor == ledger.posted(chart.stripe("CNY"))


def test_a_line_that_was_not_imported_is_the_difference_to_what_stripe_says(
    settings: Settings,
) -> None:
    online.switch_on(settings)
    online.paid(100_000)
    sweeping.import_lines(at=online.now())
    match(online.now())
    hands.fee(700, "cny")
    reconciliation.note_balances(at=online.later(seconds=5))
    day = online.later(days=2).date()

    assert causes(equal(day, chart.stripe("CNY"))) == {"lines_not_imported": 700}

    sweeping.import_lines(at=online.now())
    match(online.now())
    assert equal(day, chart.stripe("CNY")).is_equal


def test_a_transfer_to_a_provider_and_what_is_taken_back_are_matched(settings: Settings) -> None:
    online.switch_on(settings)
    online.paid(900_000)
    hands.mature()
    online.account()
    settling = chart.provider_settling(world.provider(), "CNY")
    owed = [(chart.adjustment("CNY"), 50_000), (settling, -50_000)]
    ledger.post(kind="settled", key="owed", entries=owed, at=online.now(), actor=SYSTEM)
    row = transfers.plan(
        payout_id="pay_1",
        provider=world.provider(),
        amount_minor=50_000,
        currency="CNY",
        at=online.now(),
    )
    online.send()
    row.refresh_from_db()
    ledger.post(
        kind="paid_out",
        key="payout:1",
        entries=[(settling, 50_000), (chart.stripe("CNY"), -50_000)],
        at=online.now(),
        actor=SYSTEM,
        external_reference=str(row.transfer_id),
    )
    debt = chart.provider_receivable(world.provider(), "CNY")
    owes = [(debt, 20_000), (chart.adjustment("CNY"), -20_000)]
    ledger.post(kind="net_made_receivable", key="owes", entries=owes, at=online.now(), actor=SYSTEM)
    transfers.reverse(
        transfer_public_id=row.public_id,
        amount_minor=20_000,
        reason="x",
        at=online.now(),
        actor=SYSTEM,
    )
    online.send()
    sweeping.look_around(at=online.now())
    sweeping.import_lines(at=online.now())

    match(online.now())

    assert reconciliation_report.findings(at=online.later(days=9)).exceptions == []


def test_stripes_payout_that_arrives_at_the_bank_is_no_receipt(settings: Settings) -> None:
    online.switch_on(settings)
    online.paid(900_000)
    hands.mature()
    own = account()
    withdrawals.ask(
        operator=world.operator(),
        amount_minor=300_000,
        currency="CNY",
        at=online.now(),
        actor=SYSTEM,
    )
    online.send()
    online.deliver()
    made = store.each("payout")
    hands.arrive(next(iter(made))["id"], ok=True)
    online.deliver()
    sweeping.look_around(at=online.now())
    sweeping.import_lines(at=online.now())
    day = online.now().astimezone(zone()).date()
    bring_in(
        own,
        {**line("PAYOUT", "3000.00", "STRIPE PAYMENTS HK"), "date": day.isoformat()},
        {**line("a tenant of that name", "77.00", "Stripe Analytics"), "date": day.isoformat()},
        at=online.later(seconds=5),
    )

    match(online.later(seconds=9))

    assert BankReceipt.objects.get().amount_minor == 7_700
    matched = ReconciliationMatch.objects.get(bank_line__amount_minor=300_000)
    assert matched.transaction.kind == "stripe_paid_out"
    assert reconciliation_report.findings(at=online.later(days=9)).exceptions == []


@pytest.mark.parametrize("is_matched_first", [False, True])
def test_what_the_bank_told_us_before_stripe_did_is_rejected_as_a_receipt(
    settings: Settings, is_matched_first: bool
) -> None:
    online.switch_on(settings)
    online.paid(900_000)
    hands.mature()
    own = account()
    made = hands.pay_out("cny")  # by itself: nobody has told us yet
    assert made is not None
    hands.arrive(made["id"], ok=True)
    day = online.now().astimezone(zone()).date().isoformat()
    payout = {**line("PAYOUT", f"{made['amount'] / 100:.2f}", "STRIPE PAYMENTS HK"), "date": day}
    bring_in(own, payout, at=online.later(seconds=5))
    receipt = BankReceipt.objects.get()
    if is_matched_first:
        match(online.later(seconds=5))
    facts: dict[str, Any] = {
        "receipt_public_id": receipt.public_id,
        "at": online.later(seconds=6),
        "actor": SYSTEM,
        "user": books.people()[1],
        "reason": "Stripe's",
    }
    with refused(receipts.OnStatement):
        receipts.reject(**facts)

    online.deliver()
    sweeping.look_around(at=online.now())
    sweeping.import_lines(at=online.now())
    receipts.reject(**facts)
    match(online.later(seconds=9))

    matched = ReconciliationMatch.objects.live().get(bank_line__isnull=False)
    assert matched.transaction.kind == "stripe_paid_out"
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 0
    assert reconciliation_report.findings(at=online.later(days=9)).exceptions == []
    assert books.differences() == []


def test_a_line_that_nobody_booked_waits_until_a_posting_names_it() -> None:
    bring_in(account(), out("账户管理费", "3.00"))
    (fee,) = BankLine.objects.all()

    assert match() == 0
    assert exceptions() == [("missing_in_books", 0, -300)]
    assert causes(equal()) == {"missing_in_books": 300}

    post(-300, reference=fee.public_id)
    assert match() == 1
    assert exceptions() == []


def test_an_exception_is_an_alarm_when_it_is_too_old() -> None:
    bring_in(account(), out("fee", "3.00"), line("?", name="x"))
    BankReceipt.objects.get()
    start = start_of(DAY)
    match()

    (young,) = reconciliation_report.findings(at=start + timedelta(days=3)).exceptions
    (late,) = reconciliation_report.findings(at=start + timedelta(days=3, seconds=1)).exceptions

    assert (young.is_late, late.is_late) == (False, True)
    assert late.since == start
    assert reconciliation_report.warn(at=start + timedelta(days=2)) == 0
    # The fee, and the receipt that is nobody's since five days.
    assert reconciliation_report.warn(at=T0 + timedelta(days=5, seconds=1)) == 2
    entry = JournalEntry.objects.get(event="reconciliation.late")
    assert entry.data == {"exceptions": 1, "clearing": 1}


def test_what_was_posted_is_on_its_way_for_a_day_and_then_missing_at_the_bank() -> None:
    post(-500, against=chart.unmatched_receipts("CNY"))

    found = reconciliation_report.findings(at=T0 + timedelta(hours=24))
    assert (found.exceptions, len(found.in_flight)) == ([], 1)
    (missing,) = reconciliation_report.findings(at=T0 + timedelta(hours=25)).exceptions
    assert (missing.kind, missing.difference_minor) == ("missing_outside", -500)
    assert missing.limit == timedelta(days=5)  # what passes unmatched receipts
    assert causes(equal()) == {"missing_outside": -500}


def test_another_amount_under_the_same_reference_is_one_exception_and_no_match() -> None:
    bring_in(account(), {**out("", "3.00"), "reference": "FEE-9"})
    post(-310, reference="FEE-9")

    assert match() == 0
    assert exceptions(T0 + timedelta(days=2)) == [("amount_differs", -310, -300)]
    with refused(reconciliation.AmountsDiffer):
        by_hand(LedgerTransaction.objects.get(), BankLine.objects.get())
    assert not ReconciliationMatch.objects.exists()


def test_two_postings_that_fit_one_line_are_left_to_a_person() -> None:
    bring_in(account(), {**out("", "3.00"), "reference": "FEE-9"})
    first, second = post(-300, "FEE-9", "one"), post(-300, "FEE-9", "two")

    assert match() == 0
    made = by_hand(second, BankLine.objects.get())
    assert (made.net_minor, made.transaction, made.matched_by) == (-300, second, "hand")
    entry = JournalEntry.objects.get(event="reconciliationmatch.made")
    assert entry.data == {"amount_minor": -300, "currency": "CNY"}
    assert exceptions(T0 + timedelta(days=2)) == [("missing_outside", -300, 0)]
    assert first.pk not in ReconciliationMatch.objects.values_list("transaction_id", flat=True)


def test_a_line_of_a_type_that_nobody_knows_waits_for_a_person() -> None:
    PspBalanceTransaction.objects.create(
        transaction_id="txn_new",
        type="tax_fund",
        reporting_category="tax",
        amount_minor=-40,
        fee_minor=0,
        net_minor=-40,
        currency="CNY",
        source="tf_1",
        created_at=T0,
        available_on=T0,
        imported_at=T0,
    )
    number = ledger.post(
        kind="adjusted",
        key="tax",
        entries=[(chart.stripe("CNY"), -40), (chart.vat("CNY"), 40)],
        at=T0,
        actor=SYSTEM,
        external_reference="tf_1",
    )

    assert match() == 0
    assert exceptions() == [("unknown_type", 0, -40)]

    by_hand(LedgerTransaction.objects.get(pk=number), PspBalanceTransaction.objects.get())
    assert exceptions() == []


def test_a_rejected_receipt_and_its_reversal_cancel_each_other() -> None:
    first, second = books.people()
    row = receipts.record(
        bank_reference="typo",
        payer_name="x",
        amount_minor=7,
        currency="CNY",
        received_date=DAY,
        at=T0,
        actor=SYSTEM,
        user=first,
    )
    receipts.reject(
        receipt_public_id=row.public_id, reason="typo", at=T0, actor=SYSTEM, user=second
    )
    wrong = post(9, "x", "wrong")
    ledger.reverse(transaction_id=wrong.pk, key="undo", at=T0, actor=SYSTEM, reason="wrong")

    assert match() == 2
    assert exceptions(T0 + timedelta(days=9)) == []
    assert equal().is_equal


def test_two_postings_that_a_person_says_cancel_each_other() -> None:
    first, second, third = post(9, "a", "a"), post(-9, "b", "b"), post(-8, "c", "c")

    def offset(one: LedgerTransaction, two: LedgerTransaction) -> ReconciliationMatch:
        return reconciliation.offset_by_hand(
            transaction_ids=(one.pk, two.pk), account_code=BANK, reason="x", at=T0, actor=SYSTEM
        )

    with refused(reconciliation.AmountsDiffer):
        offset(first, third)
    with refused(reconciliation.NoMatch):
        offset(first, first)
    made = offset(second, first)
    assert (made.transaction, made.offset) == (second, first)
    with refused(reconciliation.AlreadyMatched):
        offset(first, second)
    # The earlier of the two is taken as well.
    bring_in(account(), {**line("", "0.09", "z"), "reference": "Z"})
    BankReceipt.objects.get()
    with refused(reconciliation.AlreadyMatched):
        by_hand(first, BankLine.objects.get())


def test_a_match_is_undone_by_a_row_and_never_made_again_by_a_rule() -> None:
    bring_in(account(), {**out("", "3.00"), "reference": "FEE-9"})
    wrong = post(-300, "FEE-9", "wrong")
    match()
    (row,) = ReconciliationMatch.objects.all()

    with refused(Invalid):
        reconciliation.undo(match_public_id=row.public_id, reason=" ", at=T0, actor=SYSTEM)
    reconciliation.undo(match_public_id=row.public_id, reason="another one", at=T0, actor=SYSTEM)
    with refused(reconciliation.AlreadyUndone):
        reconciliation.undo(match_public_id=row.public_id, reason="again", at=T0, actor=SYSTEM)

    assert match() == 0
    right = post(-300, "right", "right")
    again = by_hand(right, BankLine.objects.get())
    assert (again.line_round, again.movement_round) == (1, 0)
    with refused(reconciliation.AlreadyMatched):
        by_hand(wrong, BankLine.objects.get())
    assert list(ReconciliationMatch.objects.live()) == [again]


def test_a_match_that_a_person_makes_is_of_one_account_and_has_a_reason() -> None:
    bring_in(account(), out("", "3.00"))
    other = ledger.post(
        kind="adjusted",
        key="usd",
        entries=[(chart.bank("USD"), -300), (chart.bank_fee("USD"), 300)],
        at=T0,
        actor=SYSTEM,
    )

    with refused(reconciliation.NoMatch):
        by_hand(LedgerTransaction.objects.get(pk=other), BankLine.objects.get())
    with refused(Invalid):
        by_hand(LedgerTransaction.objects.get(pk=other), BankLine.objects.get(), " ")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_reconciliationmatch SET net_minor = 1",
        "DELETE FROM billing_reconciliationmatch",
        "INSERT INTO billing_reconciliationmatch (public_id, account_id, transaction_id,"
        " bank_line_id, net_minor, currency, movement_round, line_round, matched_by, actor,"
        " reason, created_at) SELECT gen_random_uuid(), account_id, transaction_id, bank_line_id,"
        " net_minor, currency, 7, 7, 'rule', 'x', '', created_at"
        " FROM billing_reconciliationmatch",
    ],
)
def test_the_database_keeps_a_match_as_it_is_and_lets_nobody_make_it_twice(statement: str) -> None:
    bring_in(account(), line(wallet_reference()))
    match()

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert ReconciliationMatch.objects.live().count() == 1


def test_what_is_booked_on_another_day_than_the_banks_is_named_at_the_cut() -> None:
    """The statement of the last day of a month is imported on the first of the next."""
    own = account()
    tomorrow = T0 + timedelta(days=1)
    bring_in(own, line(wallet_reference()), at=tomorrow)
    match(tomorrow)

    assert causes(equal()) == {"booked_later": -10_000}
    assert equal(tomorrow.date()).is_equal

    post(-300, "F", "early")
    day = tomorrow.date().isoformat()
    bring_in(own, {**out("", "3.00"), "reference": "F", "date": day}, at=tomorrow)
    match(tomorrow)
    assert causes(equal()) == {"booked_later": -10_000, "outside_later": -300}
    assert equal(tomorrow.date()).is_equal


CLOSES = "期初余额,{opening}\n期末余额,{closing}\ndate,in,out,reference\n{day},{amount},,{name}\n"


def said(own: BankAccount, opening: str, closing: str, amount: str, day: date, name: str) -> Any:
    content = CLOSES.format(opening=opening, closing=closing, amount=amount, day=day, name=name)
    return bank_statements.bring_in(
        account_public_id=own.public_id,
        content=content.encode(),
        file_name="x.csv",
        at=T0 + timedelta(days=3),
        actor=SYSTEM,
        user=books.people()[0],
    )


def test_an_opening_balance_is_a_line_of_its_own() -> None:
    said(account(), "50.00", "60.00", "10.00", DAY, "A")
    at = T0 + timedelta(days=3)
    assert match(at) == 1
    assert ("missing_in_books", 0, 5_000) in exceptions(at)

    first = BankStatement.objects.get()
    post(5_000, first.public_id, "opening", against=chart.adjustment("CNY"), at=at)

    assert match(at) == 1
    assert exceptions(at) == []
    found = equal(at.date())
    assert (found.books_minor, found.outside_minor, found.is_equal) == (6_000, 6_000, True)
    assert found.held_at[0].is_said


def test_a_statement_that_is_missing_between_two_shows_as_lines_not_imported() -> None:
    own = account()
    said(own, "0.00", "10.00", "10.00", DAY, "A")
    said(own, "17.00", "20.00", "3.00", DAY + timedelta(days=2), "C")
    at = T0 + timedelta(days=3)
    match(at)

    found = equal(at.date())

    assert (found.books_minor, found.outside_minor) == (1_300, 2_000)
    assert causes(found) == {"lines_not_imported": -700}
    assert equal(DAY).outside_minor == 1_000


def test_receipts_that_are_approved_move_nothing_outside() -> None:
    bring_in(account(), line(wallet_reference()))
    approve(BankReceipt.objects.get())

    assert match() == 1
    assert ReconciliationMatch.objects.get().transaction.kind == "bank_receipt_recorded"
