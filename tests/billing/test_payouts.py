"""A payout: two persons, a hold, a file, and the money back in settling where it fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

import pytest
from django.db import IntegrityError, transaction

from billing import (
    bank_accounts,
    chart,
    input_fapiaos,
    ledger,
    payout_files,
    payouts,
    reserves,
    settlement_paper,
)
from billing.models import BankAccount, Payout, PayoutFile, PayoutLine, Settlement
from billing.payments import SamePerson
from inventory import organisations
from inventory.models import JournalEntry
from inventory.transitions import IllegalTransition
from marketplace.policy import OrganisationUnverified
from tests import world
from tests.billing import books, paying
from tests.billing.paying import SETTLED_AT
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


def settling() -> tuple[int, int]:
    """Posted and available."""
    code = chart.provider_settling(world.provider(), "CNY")
    return ledger.posted(code), ledger.lock([code])[code]


def state(row: Payout | Settlement) -> str:
    row.refresh_from_db()
    return row.state


def test_two_persons_a_hold_a_file_and_it_has_left() -> None:
    settlement = paying.settled()
    account = paying.payee()

    row = paying.plan()
    assert (row.amount_minor, row.payee_account) == (settlement.net_minor, account.number)
    assert settling() == (settlement.net_minor, settlement.net_minor)
    paying.approve(row)
    assert settling() == (settlement.net_minor, 0)
    paying.send()
    assert (state(row), state(settlement)) == ("sent", "settled")
    assert not books.differences()
    paying.paid(row)
    assert paying.paid(row).state == "paid"

    assert (state(row), state(settlement)) == ("paid", "paid")
    assert settling() == (0, 0)
    # What came in from the tenant, less what left.
    assert ledger.posted(chart.bank("CNY")) == 54_400 - settlement.net_minor
    assert not books.differences()


def test_whoever_planned_it_does_not_approve_it() -> None:
    paying.settled()
    paying.payee()
    row = paying.plan()

    with pytest.raises(SamePerson):
        payouts.approve(
            payout_public_id=row.public_id, at=SETTLED_AT, actor=SYSTEM, user=row.planned_by
        )
    with pytest.raises(IntegrityError, match="payout_needs_two_persons"), transaction.atomic():
        Payout.objects.filter(pk=row.pk).update(approved_by=row.planned_by)
    with pytest.raises(IntegrityError, match="payout_leaves_approved_only"), transaction.atomic():
        Payout.objects.filter(pk=row.pk).update(state="approved")

    assert state(row) == "planned"


def test_there_is_one_under_way_and_each_part_in_one() -> None:
    settlement = paying.settled()
    paying.payee()
    row = paying.plan()

    with pytest.raises(payouts.PayoutUnderWay):
        paying.plan()
    with pytest.raises(IntegrityError, match="each_part_in_one_live_payout"), transaction.atomic():
        PayoutLine.objects.create(payout=row, settlement=settlement, part="net", amount_minor=1)
    paying.approve(row)
    paying.send()
    paying.paid(row)

    with pytest.raises(payouts.NothingToPay):
        paying.plan()


def test_nobody_is_paid_before_verification_without_an_account_or_below_the_minimum() -> None:
    paying.terms(minimum_minor=10_000_000)
    paying.settled()
    with pytest.raises(payouts.BelowMinimum):
        paying.plan()
    other = world.provider()

    organisations.decide(
        organisation_id=other.pk, verified=False, at=T0, actor=SYSTEM, reason="expired papers"
    )
    with pytest.raises(OrganisationUnverified):
        paying.plan()


def test_an_account_is_needed_and_has_cooled() -> None:
    paying.settled()
    with pytest.raises(bank_accounts.NoBankAccount):
        paying.plan()

    paying.payee(at=SETTLED_AT - timedelta(hours=71))

    with pytest.raises(bank_accounts.NoBankAccount, match="cooling"):
        paying.plan()
    assert paying.plan(at=SETTLED_AT + timedelta(hours=1)).state == "planned"


def test_it_is_looked_at_again_before_it_is_approved() -> None:
    paying.settled()
    paying.payee()
    row = paying.plan()

    organisations.decide(
        organisation_id=world.provider().pk, verified=False, at=T0, actor=SYSTEM, reason="expired"
    )

    with pytest.raises(OrganisationUnverified):
        paying.approve(row)
    assert settling()[1] > 0


def test_a_new_account_is_paid_to_once_it_has_cooled_and_by_payouts_planned_after() -> None:
    paying.settled()
    old = paying.payee()
    row = paying.plan()
    new = paying.verify(paying.proposed(number="6230580000012345678"), at=SETTLED_AT)
    cooled = SETTLED_AT + timedelta(hours=72)

    with pytest.raises(bank_accounts.AccountInUse):
        bank_accounts.close(account_public_id=old.public_id, at=SETTLED_AT, actor=SYSTEM)
    with pytest.raises(payouts.PayeeChanged):
        paying.approve(row, at=cooled)
    payouts.cancel(payout_public_id=row.public_id, reason="new bank", at=SETTLED_AT, actor=SYSTEM)
    bank_accounts.close(account_public_id=old.public_id, at=SETTLED_AT, actor=SYSTEM)

    with pytest.raises(bank_accounts.NoBankAccount, match="cooling"):
        paying.plan(at=cooled - timedelta(seconds=1))
    assert paying.plan(at=cooled).payee == new
    assert not books.differences()


def test_an_account_is_checked_by_one_person_and_decided_on_by_another() -> None:
    first, second = books.people()
    owner = world.provider()
    row = bank_accounts.propose(
        owner=owner,
        holder_name=owner.name,
        bank_name="Bank",
        number="6222020200011223344",
        currency="CNY",
        at=T0,
        actor=replace(SYSTEM, sees_everything=False),
        user=world.member(owner),
    )
    facts: dict[str, Any] = {"account_public_id": row.public_id, "at": T0, "actor": SYSTEM}

    with pytest.raises(IllegalTransition):
        bank_accounts.decide(verified=True, user=second, **facts)
    bank_accounts.check(user=first, **facts)
    with pytest.raises(SamePerson):
        bank_accounts.decide(verified=True, user=first, **facts)
    with pytest.raises(IntegrityError, match="bank_account_seen_by_two"), transaction.atomic():
        BankAccount.objects.filter(pk=row.pk).update(
            state="verified", decided_by=first, usable_from=T0
        )
    bank_accounts.decide(verified=True, user=second, **facts)

    with pytest.raises(bank_accounts.NoBankAccount, match="cooling"):
        bank_accounts.usable(owner, "CNY", at=T0)
    assert bank_accounts.usable(owner, "CNY", at=T0 + timedelta(hours=72)) == row


@pytest.mark.parametrize("how", ["cancelled", "failed", "returned"])
def test_what_came_to_nothing_is_paid_by_another(how: str) -> None:
    settlement = paying.settled()
    paying.payee()
    row = paying.approve(paying.plan())
    facts: dict[str, Any] = {"payout_public_id": row.public_id, "at": SETTLED_AT, "actor": SYSTEM}

    if how == "cancelled":
        payouts.cancel(reason="stop", **facts)
    elif how == "failed":
        paying.send()
        payouts.mark_failed(reason="账号户名不符", **facts)
        payouts.mark_failed(reason="账号户名不符", **facts)
    else:
        paying.send()
        paying.paid(row)
        assert state(settlement) == "paid"
        payouts.mark_returned(reason="账户已注销", **facts)
        payouts.mark_returned(reason="账户已注销", **facts)

    assert (state(row), state(settlement)) == (how, "settled")
    assert settling() == (settlement.net_minor, settlement.net_minor)
    told = JournalEntry.objects.get(event=f"payout.{how}")
    assert told.provider_id == world.provider().pk
    assert told.reason
    assert not books.differences()
    again = paying.approve(paying.plan())
    paying.send()
    paying.paid(again)
    assert (again.amount_minor, state(settlement)) == (settlement.net_minor, "paid")
    assert settling() == (0, 0)
    assert not books.differences()


def test_what_is_in_a_file_is_not_cancelled_and_the_file_says_what_is_paid() -> None:
    settlement = paying.settled()
    paying.payee()
    row = paying.approve(paying.plan())
    paying.send()

    with pytest.raises(IllegalTransition):
        payouts.cancel(payout_public_id=row.public_id, reason="x", at=SETTLED_AT, actor=SYSTEM)
    with pytest.raises(payout_files.NothingToSend):
        paying.send()

    file = PayoutFile.objects.get()
    text = bytes(file.content).decode("utf-8-sig")
    assert payout_files.reference_of(row) in text
    assert "6222020200011223344" in text
    assert f"{settlement.net_minor / 100:.2f}" in text
    assert (file.payout_count, file.amount_minor) == (1, settlement.net_minor)


def test_a_reserve_is_kept_back_released_and_paid_by_itself() -> None:
    paying.terms(reserve_bps=1000, reserve_days=30)
    settlement = paying.settled()
    paying.payee()
    assert settlement.reserve_minor == settlement.net_minor // 10
    first = paying.approve(paying.plan())
    paying.send()
    paying.paid(first)
    assert first.amount_minor == settlement.net_minor - settlement.reserve_minor
    assert state(settlement) == "settled"
    assert not books.differences()

    free_at = SETTLED_AT + timedelta(days=30)
    assert reserves.release_due(at=free_at - timedelta(seconds=1), limit=10) == 0
    assert reserves.release_due(at=free_at, limit=10) == 1
    assert reserves.release_due(at=free_at, limit=10) == 0
    rest = paying.approve(paying.plan(at=free_at), at=free_at)
    paying.send(at=free_at)
    paying.paid(rest, at=free_at)

    assert rest.amount_minor == settlement.reserve_minor
    assert state(settlement) == "paid"
    assert settling() == (0, 0)
    assert not books.differences()


def test_fapiaos_cover_what_is_paid_out_where_terms_say_so() -> None:
    paying.terms(needs_fapiao=True)
    settlement = paying.settled()
    paying.payee()
    first, _second = books.people()
    with pytest.raises(input_fapiaos.FapiaoMissing):
        paying.plan()
    almost = paying.fapiao(settlement.net_minor - 1)
    rest = paying.fapiao(1)
    with pytest.raises(input_fapiaos.FapiaoMissing):
        paying.plan()

    for row in (almost, rest):
        input_fapiaos.accept(
            fapiao_public_id=row.public_id, at=SETTLED_AT, actor=SYSTEM, user=first
        )
    payout = paying.approve(paying.plan())

    paying.send()
    paying.paid(payout)
    assert input_fapiaos.uncovered_minor(provider=world.provider(), currency="CNY") == 0


def test_terms_are_frozen_in_what_was_settled_by_them() -> None:
    first = paying.terms(reserve_bps=500)
    settlement = paying.settled()
    again = paying.terms(reserve_bps=500)
    second = paying.terms(reserve_bps=0, needs_fapiao=True, method="stripe")

    assert (first.version, again.pk, second.version) == (1, first.pk, 2)
    settlement.refresh_from_db()
    assert settlement.terms == first
    paying.payee()
    assert paying.plan().method == "bank"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_statement_is_a_pdf_and_the_same_bytes_again(language: Literal["zh", "en"]) -> None:
    paying.terms(reserve_bps=1000)
    settlement = paying.settled()

    first = settlement_paper.pdf(settlement, language=language)

    assert first.startswith(b"%PDF-")
    assert first == settlement_paper.pdf(settlement, language=language)
