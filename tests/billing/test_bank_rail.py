"""The bank rail end to end: statement → receipt → wallet → lease, and back out again."""

from __future__ import annotations

import csv
import io
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from billing import (
    bank_accounts,
    bank_deals,
    bank_statements,
    chart,
    checkout,
    ledger,
    payments,
    receipts,
    references,
    refunds,
)
from billing.models import (
    BankAccount,
    BankDeal,
    BankLine,
    BankReceipt,
    BankStatement,
    Refund,
    VirtualAccount,
)
from inventory.errors import Invalid, NotFound
from inventory.models import Organisation
from inventory.transitions import IllegalTransition
from marketplace.models import Reservation
from tests import world
from tests.billing import books
from tests.billing.test_bank_holds import DEPOSIT, DUE, GROSS, bank_hold
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
DAY = T0.date().isoformat()
COOLED = T0 - hours(72)  # verified then, an account is paid to at T0


def account(
    owner: Organisation | None = None, number: str = "0200001", **facts: Any
) -> BankAccount:
    owner = owner or world.operator()
    first, second = books.people()
    if owner.is_operator:
        facts = {"virtual_prefix": "99", "virtual_digits": 4, **facts}
    row = bank_accounts.propose(
        owner=owner,
        holder_name=owner.name,
        bank_name="Bank 1",
        number=number,
        currency="CNY",
        at=COOLED,
        actor=SYSTEM,
        user=first,
        **facts,
    )
    return bank_accounts.decide(
        account_public_id=row.public_id, verified=True, at=COOLED, actor=SYSTEM, user=second
    )


def statement(*lines: dict[str, str]) -> bytes:
    out = io.StringIO()
    names = ["date", "in", "out", "reference", "name", "account", "text", "virtual account"]
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    for number, line in enumerate(lines, start=1):
        writer.writerow({"date": DAY, "reference": f"S{number}", **line})
    return out.getvalue().encode()


def bring_in(
    row: BankAccount, *lines: dict[str, str], at: datetime = T0
) -> bank_statements.Imported:
    return bank_statements.bring_in(
        account_public_id=row.public_id,
        content=statement(*lines),
        file_name="june.csv",
        at=at,
        actor=SYSTEM,
        user=books.people()[0],
    )


def line(
    text: str = "", amount: str = "100.00", name: str = "Borealis", **more: str
) -> dict[str, str]:
    return {"in": amount, "name": name, "text": text, **more}


def approve(receipt: BankReceipt, at: datetime = T0) -> BankReceipt:
    return receipts.approve(
        receipt_public_id=receipt.public_id, at=at, actor=SYSTEM, user=books.people()[1]
    )


def wallet_reference() -> str:
    return references.of(world.tenant().public_id)


def pay(row: BankAccount, held: Reservation, minor: int, at: datetime, **more: str) -> BankReceipt:
    bring_in(
        row,
        line(references.of(held.public_id), f"{minor / 100:.2f}", **{"reference": "P1", **more}),
        at=at,
    )
    return approve(BankReceipt.objects.latest("pk"), at)


# whose it is


def test_a_reference_brings_the_money_into_its_tenants_wallet() -> None:
    done = bring_in(account(), line(f"租金 {wallet_reference()}"))

    receipt = BankReceipt.objects.get()
    assert (done.proposed_count, done.exception_count) == (1, 0)
    assert (receipt.tenant, receipt.matched_by) == (world.tenant(), "reference")
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 10_000
    approve(receipt)
    assert books.available() == 10_000
    assert not books.differences()


def test_the_importer_does_not_approve() -> None:
    bring_in(account(), line(wallet_reference()))
    receipt = BankReceipt.objects.get()

    with refused(payments.SamePerson):
        receipts.approve(
            receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=books.people()[0]
        )


def test_money_of_a_third_party_is_in_nobodys_wallet_until_a_person_says_so() -> None:
    bring_in(account(), line(wallet_reference(), name="Somebody Else Ltd"))
    receipt = BankReceipt.objects.get()

    assert (receipt.tenant, receipt.doubt) == (None, "third_party")
    assert receipt.candidate == world.tenant()
    with refused(receipts.Unattributed):
        approve(receipt)
    first, second = books.people()
    receipts.attribute(
        receipt_public_id=receipt.public_id,
        whose=receipts.Whose(world.tenant()),
        at=T0,
        actor=SYSTEM,
        user=second,
        reason="letter of the parent company",
    )
    for person in (first, second):
        with refused(payments.SamePerson):
            receipts.approve(receipt_public_id=receipt.public_id, at=T0, actor=SYSTEM, user=person)
    with pytest.raises(IntegrityError, match="two_persons"), transaction.atomic():
        BankReceipt.objects.filter(pk=receipt.pk).update(state="approved", decided_by=second)


@pytest.mark.parametrize(
    ("facts", "doubt"),
    [
        ({"text": "thanks"}, "unknown_payer"),
        ({"text": "CHW000000000100"}, "reference_typo"),
        ({"text": ""}, "unknown_payer"),
    ],
)
def test_what_nobody_can_be_found_for_is_an_exception(facts: dict[str, str], doubt: str) -> None:
    done = bring_in(account(), line(**facts))

    assert done.exception_count == 1
    assert BankReceipt.objects.exceptions().get().doubt == doubt


def test_two_tenants_in_one_text_are_ambiguous() -> None:
    other = references.of(world.stranger().public_id)

    bring_in(account(), line(f"{wallet_reference()} {other}"))

    assert BankReceipt.objects.get().doubt == "ambiguous"


def test_the_virtual_account_and_the_own_account_name_their_tenant() -> None:
    row = account()
    tenant = world.tenant()
    account(tenant, "7777701")
    assert bank_accounts.assign_virtual_accounts(at=T0, limit=10) == 1
    assert bank_accounts.assign_virtual_accounts(at=T0, limit=10) == 0
    number = VirtualAccount.objects.get().number
    assert number == "990001"

    bring_in(
        row,
        {**line(), "virtual account": number},
        line(account="7777 701"),
        line(name="BOREALIS（基本户）", account="7777701"),
        {**line(name="Other"), "virtual account": number},
    )

    found = BankReceipt.objects.order_by("pk").values_list("matched_by", "doubt")
    assert list(found) == [
        ("virtual_account", ""), ("payer", ""), ("payer", ""), ("", "third_party"),
    ]  # fmt: skip


# once


def test_the_same_file_and_the_same_line_again_change_nothing() -> None:
    row = account()
    bring_in(row, line(wallet_reference()))

    again = bring_in(row, line(wallet_reference()))
    longer = bring_in(row, line(wallet_reference()), line("next"))

    assert again.was_known
    assert (longer.statement.new_count, BankLine.objects.count()) == (1, 2)
    assert ledger.posted(chart.bank("CNY")) == 20_000
    assert BankStatement.objects.count() == 2


def test_the_same_reference_of_two_banks_is_two_receipts() -> None:
    bring_in(account(), line(wallet_reference()))
    bring_in(account(number="0200002"), line(wallet_reference()))

    assert BankReceipt.objects.count() == 2


def test_one_recorded_by_hand_is_the_line_of_the_statement() -> None:
    row = account()
    books.top_up(world.tenant(), 10_000, "S1")

    bring_in(row, line(wallet_reference()))

    receipt = BankReceipt.objects.get()
    assert receipt.line is not None
    assert ledger.posted(chart.bank("CNY")) == 10_000


def test_one_perhaps_recorded_by_hand_before_is_an_exception() -> None:
    row = account()
    books.top_up(world.tenant(), 10_000, "typed otherwise")

    bring_in(row, line(wallet_reference()))

    assert BankReceipt.objects.get(line__isnull=False).doubt == "maybe_recorded"


def test_what_stands_on_a_statement_is_not_rejected() -> None:
    bring_in(account(), line(wallet_reference()))

    with refused(receipts.OnStatement):
        receipts.reject(
            receipt_public_id=BankReceipt.objects.get().public_id,
            at=T0,
            actor=SYSTEM,
            user=books.people()[1],
            reason="no",
        )


def test_an_old_transfer_needs_a_reason() -> None:
    row = account()
    old = {**line(wallet_reference()), "date": "2026-01-05"}

    with refused(Invalid):
        bring_in(row, old)

    assert not BankLine.objects.exists()


# a deal


def test_a_hold_becomes_a_lease_on_its_approved_transfers() -> None:
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    rest = GROSS - DEPOSIT

    pay(row, held, rest - 1, T0 + hours(1))
    assert bank_deals.confirm_paid(at=T0 + hours(1), limit=10) == 0
    deal = BankDeal.objects.get()
    assert (deal.state, deal.waits_for) == ("waiting", "insufficient_funds")
    pay(row, held, 3, T0 + hours(2), reference="P2")

    assert bank_deals.confirm_paid(at=T0 + hours(2), limit=10) == 1
    assert bank_deals.confirm_paid(at=T0 + hours(2), limit=10) == 0
    held.refresh_from_db()
    deal.refresh_from_db()
    assert (held.state, deal.state) == ("confirmed", "confirmed")
    assert books.available() == 2  # what was over stays
    assert not books.differences()


def test_a_worker_killed_between_approval_and_confirmation_loses_nothing() -> None:
    """The approval commits with the row that the sweep finds; nothing else is needed."""
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    pay(row, held, GROSS - DEPOSIT, T0 + hours(1))

    def killed() -> None:
        with transaction.atomic():
            bank_deals.confirm_paid(at=T0 + hours(1), limit=10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    held.refresh_from_db()
    assert held.state == "held"

    assert bank_deals.confirm_paid(at=T0 + hours(1), limit=10) == 1
    held.refresh_from_db()
    assert held.state == "confirmed"


def test_too_late_the_deal_is_made_again_at_its_price_where_there_is_room() -> None:
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    assert checkout.expire_due(at=DUE, limit=10) == 1

    pay(row, held, GROSS, DUE)

    assert bank_deals.confirm_paid(at=DUE, limit=10) == 1
    deal = BankDeal.objects.get()
    assert deal.again_reservation is not None
    assert deal.again_reservation.price_id == held.price_id
    assert deal.again_reservation.state == "confirmed"
    assert books.available() == DEPOSIT


def test_too_late_and_sold_to_another_the_money_stays_in_the_wallet() -> None:
    row = account()
    listing = scene.listing(units=1)
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold(listing)
    checkout.expire_due(at=DUE, limit=10)
    other = world.tenant("Umbra")
    books.top_up(other, GROSS, "U-1")
    books.confirm(books.hold(listing, tenant=other, at=DUE, start=200, end=210), at=DUE)

    pay(row, held, GROSS, DUE)

    assert bank_deals.confirm_paid(at=DUE, limit=10) == 0
    assert BankDeal.objects.get().state == "missed"
    assert books.available() == DEPOSIT + GROSS


def test_a_hold_given_back_leaves_the_money_in_the_wallet() -> None:
    row = account()
    books.top_up(world.tenant(), DEPOSIT, "B-1")
    held = bank_hold()
    checkout.cancel(
        reservation_public_id=held.public_id, at=T0, actor=world.actor(world.tenant()), reason=""
    )

    pay(row, held, GROSS, T0 + hours(1))
    bank_deals.confirm_paid(at=T0 + hours(1), limit=10)

    assert BankDeal.objects.get().state == "withdrawn"
    assert books.available() == DEPOSIT + GROSS


def test_a_basket_is_paid_by_its_reference() -> None:
    row = account()
    listing = scene.listing()
    books.top_up(world.tenant(), GROSS, "B-1")
    basket = books.basket(
        scene.offer(listing, start=24, end=25), scene.offer(listing, start=30, end=31)
    )
    bring_in(row, line(references.of(basket.public_id), "1.00"))
    approve(BankReceipt.objects.latest("pk"))

    assert bank_deals.confirm_paid(at=T0, limit=10) == 1
    basket.refresh_from_db()
    assert basket.state == "confirmed"


# back out


def ask(amount: int = 4_000, row: BankAccount | None = None) -> Refund:
    tenant = world.tenant()
    row = row or account(tenant, "7777701")
    return refunds.ask(
        tenant=tenant,
        account_public_id=row.public_id,
        amount_minor=amount,
        currency="CNY",
        reason="not needed",
        at=T0,
        actor=world.actor(tenant),
    )


def let_go(row: Refund) -> Refund:
    first, second = books.people()
    facts: dict[str, Any] = {"refund_public_id": row.public_id, "at": T0, "actor": SYSTEM}
    refunds.check(user=first, **facts)
    return refunds.approve(user=second, **facts)


def sent(own: BankAccount, row: Refund) -> Refund:
    refunds.make_file(
        refund_public_ids=[row.public_id],
        account_public_id=own.public_id,
        at=T0,
        actor=SYSTEM,
        user=books.people()[0],
    )
    row.refresh_from_db()
    return row


def test_unused_money_goes_back_by_file_and_the_statement_tells() -> None:
    own = account()
    books.top_up(world.tenant(), 10_000)
    row = ask()
    assert books.available() == 6_000
    row = sent(own, let_go(row))
    assert row.file is not None
    assert row.reference.encode() in bytes(row.file.content)
    assert books.available() == 6_000
    assert ledger.balance(world.tenant()).posted_minor == 10_000

    done = bring_in(own, {"out": "40.00", "name": "Borealis", "text": f"{row.reference} 退款"})

    row.refresh_from_db()
    assert (done.paid_count, row.state) == (1, "done")
    assert ledger.balance(world.tenant()).posted_minor == 6_000
    assert ledger.posted(chart.bank("CNY")) == 6_000
    with refused(IllegalTransition):
        refunds.complete(refund_public_id=row.public_id, at=T0, actor=SYSTEM)
    assert not books.differences()


def test_a_refund_that_comes_back_is_in_the_wallet_again_once() -> None:
    own = account()
    books.top_up(world.tenant(), 10_000)
    row = sent(own, let_go(ask()))
    bring_in(own, {"out": "40.00", "text": row.reference})

    bring_in(own, line(f"退汇 {row.reference}", "40.00", name="Bank", reference="S9"))
    receipt = BankReceipt.objects.latest("pk")
    assert receipt.matched_by == "refund"
    approve(receipt)

    row.refresh_from_db()
    assert row.state == "came_back"
    assert books.available() == 10_000
    assert ledger.posted(chart.bank("CNY")) == 10_000
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 0
    assert not books.differences()


def test_two_persons_let_a_refund_go_and_the_database_says_so() -> None:
    books.top_up(world.tenant(), 10_000)
    row = ask()
    first, _ = books.people()
    refunds.check(refund_public_id=row.public_id, at=T0, actor=SYSTEM, user=first)

    with refused(payments.SamePerson):
        refunds.approve(refund_public_id=row.public_id, at=T0, actor=SYSTEM, user=first)
    with pytest.raises(IntegrityError, match="two_persons"), transaction.atomic():
        Refund.objects.filter(pk=row.pk).update(state="approved", approved_by=first)


def test_a_refund_refused_withdrawn_or_failed_frees_the_money() -> None:
    own = account()
    books.top_up(world.tenant(), 10_000)
    target = account(world.tenant(), "7777701")
    one, two, three = ask(1000, target), ask(1000, target), ask(1000, target)

    refunds.refuse(refund_public_id=one.public_id, at=T0, actor=SYSTEM, reason="no")
    with refused(NotFound):
        refunds.withdraw(refund_public_id=two.public_id, at=T0, actor=world.actor(world.stranger()))
    refunds.withdraw(refund_public_id=two.public_id, at=T0, actor=world.actor(world.tenant()))
    sent(own, let_go(three))
    refunds.fail(refund_public_id=three.public_id, at=T0, actor=SYSTEM, reason="account closed")

    assert books.available() == 10_000


def test_only_unused_money_goes_and_only_to_an_own_verified_account() -> None:
    tenant = world.tenant()
    books.top_up(tenant, 10_000)
    ledger.set_credit_limit(tenant, currency="CNY", limit_minor=50_000, at=T0, actor=SYSTEM)
    own = account(tenant, "7777701")

    with refused(ledger.InsufficientFunds):
        ask(10_001, own)
    with refused(NotFound):
        ask(1, account(world.stranger(), "8888801"))
    with refused(Invalid):
        bank_accounts.propose(
            owner=tenant,
            holder_name="Somebody Else",
            bank_name="B",
            number="7777702",
            currency="CNY",
            at=T0,
            actor=SYSTEM,
            user=books.people()[0],
        )


def test_a_transfer_of_nobody_goes_back_to_its_sender() -> None:
    own = account()
    bring_in(own, line("?", name="Stray Ltd", account="555501"))
    receipt = BankReceipt.objects.get()
    first, second = books.people()

    row = refunds.send_back(
        receipt_public_id=receipt.public_id,
        payee_bank="Bank 5",
        reason="nobody's",
        at=T0,
        actor=SYSTEM,
        user=first,
    )
    with refused(IllegalTransition):
        refunds.send_back(
            receipt_public_id=receipt.public_id,
            payee_bank="Bank 5",
            reason="again",
            at=T0,
            actor=SYSTEM,
            user=first,
        )
    refunds.approve(refund_public_id=row.public_id, at=T0, actor=SYSTEM, user=second)
    sent(own, row)
    bring_in(own, {"out": "100.00", "text": row.reference})

    receipt.refresh_from_db()
    assert receipt.state == "returned"
    assert ledger.posted(chart.bank("CNY")) == 0
    assert ledger.posted(chart.unmatched_receipts("CNY")) == 0


def test_exceptions_are_aged() -> None:
    bring_in(account(), line("?"))

    assert receipts.aged(at=T0 + timedelta(days=5)) == []
    assert len(receipts.aged(at=T0 + timedelta(days=5, seconds=1))) == 1
