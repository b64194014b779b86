"""A month closes when everything of it is done, by two persons, and not before."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing import (
    accounting_periods,
    bank_statements,
    chart,
    closing_checklist,
    closing_months,
    invoices,
    ledger,
    rating,
    reconciliation,
    settlement,
    sla_credits,
    statements,
    verification,
    vouchers,
)
from billing.closing_checklist import Item
from billing.models import (
    AccountingPeriod,
    BankAccount,
    BankReceipt,
    Invoice,
    LedgerTransaction,
    Settlement,
    Statement,
)
from inventory.errors import Invalid
from inventory.models import Membership, User
from marketplace.asking import TermsInput
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.billing.test_bank_rail import account, approve, bring_in, line, wallet_reference
from tests.billing.test_trial_balance import JUNE
from tests.billing.test_vouchers import propose
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
MONTH = date(2026, 6, 1)
# By then invoices are final and providers settled, and the last receipts are no alarm yet.
AT = JUNE.end + timedelta(days=7, hours=1)


def checklist(at: datetime = AT, *, verify: bool = True) -> dict[str, Item]:
    return {item.name: item for item in closing_checklist.items(month=MONTH, at=at, verify=verify)}


def missing(at: datetime = AT, *, verify: bool = True) -> list[str]:
    return [name for name, item in checklist(at, verify=verify).items() if not item.is_done]


def run(at: datetime = AT) -> tuple[closing_months.Ran, list[tuple[str, int, int]]]:
    said: list[tuple[str, int, int]] = []
    made = closing_months.run(at=at, progress=lambda *facts: said.append(facts))
    return made, said


def lived() -> Lease:
    """A lease of the month: paid by bank, delivered and counted, and nothing done about it."""
    bring_in(account(), line(wallet_reference(), amount="100000.00"))
    approve(BankReceipt.objects.get())
    lease = books.activate(books.lease(scene.listing(), start=10, end=20))
    books.meter(lease, until=T0 + hours(20))
    return books.end(lease)


def ask(at: datetime = AT) -> AccountingPeriod:
    first, _second = books.people()
    return closing_months.ask(month=MONTH, at=at, actor=SYSTEM, user=first, verify=True)


def test_a_run_does_what_is_due_and_then_everything_is_done() -> None:
    lived()
    assert missing() == ["usage_rated", "reconciled", "no_late_exceptions"]
    assert checklist()["usage_rated"].facts == {"unmetered": 0, "unrated": 1}

    made, said = run()

    assert (made.charges, made.invoices, made.statements, made.settlements, made.matches) == (
        10, 1, 1, 1, 1,
    )  # fmt: skip
    assert ("charges", 0, 10) in said
    assert ("charges", 10, 10) in said
    assert missing() == []
    assert Invoice.objects.get().state == "finalised"
    assert (Statement.objects.count(), Settlement.objects.count()) == (1, 1)
    assert run()[0] == closing_months.Ran(0, 0, 0, 0, 0, 0)


def test_two_persons_close_what_is_ready_and_nothing_is_posted_there_any_more() -> None:
    lived()
    run()
    row = ask()
    first, second = books.people()
    assert row.state == "closing"

    with refused(accounting_periods.SamePerson):
        closing_months.close(period=row, at=AT, actor=SYSTEM, user=first, verify=True)
    row = closing_months.close(period=row, at=AT, actor=SYSTEM, user=second, verify=True)

    assert row.state == "closed"
    with refused(ledger.PeriodClosed):
        propose(effective_date=date(2026, 6, 30), at=AT)


def test_what_is_missing_is_named_and_nothing_is_closed() -> None:
    lived()

    with refused(closing_months.NotReady) as refusal:
        ask()

    assert isinstance(refusal.value, closing_months.NotReady)
    assert refusal.value.fields() == {
        "month": "2026-06",
        "missing": ["usage_rated", "reconciled", "no_late_exceptions"],
    }
    assert not AccountingPeriod.objects.exists()


def test_what_became_wrong_between_the_two_persons_stops_the_second() -> None:
    lived()
    run()
    row = ask()
    _first, second = books.people()
    propose(effective_date=date(2026, 6, 30), at=AT)

    with refused(closing_months.NotReady):
        closing_months.close(period=row, at=AT, actor=SYSTEM, user=second, verify=True)

    assert AccountingPeriod.objects.get().state == "closing"


def test_each_item_says_what_it_lacks() -> None:
    lived()
    rating.rate_due(at=AT, limit=1000)
    unmatched = ["reconciled", "no_late_exceptions"]
    assert missing() == ["invoices_finalised", "settlements_run", *unmatched]
    assert checklist()["invoices_finalised"].facts["unbilled"] == 10

    invoices.refresh(at=AT, limit=1000)
    item = checklist()["invoices_finalised"]
    assert (item.count, item.facts["unbilled"], item.facts["drafts"]) == (1, 0, 1)
    invoices.finalise_due(at=AT, limit=1000)
    statements.issue_due(at=AT, limit=1000)
    assert missing() == ["settlements_run", *unmatched]

    settlement.settle_month(at=AT)
    reconciled = checklist()["reconciled"]
    assert reconciled.facts["accounts"] == [
        {
            "account": chart.bank("CNY"),
            "books_minor": 10_000_000,
            "outside_minor": 10_000_000,
            "difference_minor": 0,
            "causes": {"missing_in_books": -10_000_000, "missing_outside": 10_000_000},
        }
    ]
    reconciliation.match_due(at=AT)
    assert missing() == []


def test_a_lease_that_nobody_held_against_its_service_level_keeps_the_month_open() -> None:
    books.top_up(world.tenant(), 10**7)
    promised = TermsInput(
        sla_availability_bps=9_900, sla_credits=((9_900, 1_000),), sla_cap_bps=5_000
    )
    lease = books.activate(books.lease(scene.listing(terms=promised), start=10, end=20))
    books.meter(lease, until=AT)
    rating.rate_due(at=AT, limit=1000)
    assert "service_levels_credited" in missing()

    sla_credits.credit_due(at=AT, limit=1000)

    assert "service_levels_credited" not in missing()


def test_a_month_that_is_not_over_or_not_metered_is_not_ready() -> None:
    assert missing(JUNE.end - timedelta(seconds=1))[0] == "month_over"

    books.top_up(world.tenant(), 10_000_000)
    lease = books.activate(books.lease(scene.listing(), start=10, end=20))
    books.meter(lease, until=T0 + hours(12))
    rating.rate_due(at=AT, limit=1000)

    assert checklist()["usage_rated"].facts == {"unmetered": 1, "unrated": 0}


def test_a_line_that_nobody_booked_keeps_the_month_open_until_a_voucher_books_it() -> None:
    own = account()
    bank_statements.bring_in(
        account_public_id=own.public_id,
        content=b"date,in,out,reference,name,text\n2026-06-30,,3.00,F,Bank 1,fee\n",
        file_name="june.csv",
        at=JUNE.end,
        actor=SYSTEM,
        user=books.people()[0],
    )
    run()
    assert missing() == ["reconciled", "no_late_exceptions"]
    # Two days after it the line is an exception, and not too old; the books differ all the same.
    assert missing(JUNE.end + timedelta(days=1)) == ["reconciled"]

    row = propose(
        [(chart.bank_fee("CNY"), 300), (chart.bank("CNY"), -300)],
        effective_date=date(2026, 6, 30),
        external_reference="F",
        at=AT,
    )
    assert "vouchers_decided" in missing()
    vouchers.post(voucher_public_id=row.public_id, at=AT, actor=SYSTEM, user=books.people()[1])
    run()
    assert missing() == []


def test_money_that_lies_too_long_keeps_the_month_open() -> None:
    bring_in(account(), line("who knows", name="Stray"))
    run()

    item = checklist()["clearing_accounts"]

    assert not item.is_done
    assert item.facts["accounts"][0]["account"] == chart.unmatched_receipts("CNY")


def test_without_a_fresh_look_the_nightly_one_counts_if_it_was_after_the_month() -> None:
    assert missing(verify=False) == ["books_verified"]
    verification.report(at=JUNE.end - timedelta(hours=1))
    assert missing(verify=False) == ["books_verified"]
    verification.report(at=AT - timedelta(hours=5))
    assert missing(verify=False) == []
    assert missing(AT + timedelta(hours=48), verify=False) == ["books_verified"]


def test_books_that_differ_are_not_closed() -> None:
    ledger.post(
        kind="adjusted",
        key="no voucher of mine",
        entries=[(chart.deposit(world.tenant(), "CNY"), -5), (chart.adjustment("CNY"), 5)],
        at=T0,
        actor=SYSTEM,
    )

    item = checklist()["books_verified"]

    assert not item.is_done
    assert item.facts["differences"] == ["a tenant's deposit account is what its leases have left"]


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "26-06", "2026-6", "june", "", "1999-12"])
def test_a_month_is_written_in_one_way(text: str) -> None:
    with refused(Invalid):
        closing_months.parse(text)


def person(email: str, role: str = "finance") -> User:
    user = User.objects.create(email=email, date_joined=T0)
    until = T0 + timedelta(days=365) if role == "auditor" else None
    Membership.objects.create(
        user=user, organisation=world.operator(), role=role, created_at=T0, expires_at=until
    )
    return user


def command(*arguments: str, **options: Any) -> str:
    out = StringIO()
    call_command("close_month", world.operator().name, "2026-06", *arguments, stdout=out, **options)
    return out.getvalue()


def test_the_command_does_the_work_and_closes_with_the_second_person(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lived()
    person("first@example.com")
    person("second@example.com")

    printed = command("--by", "first@example.com")
    assert "2026-06 waits for a second person" in printed
    assert printed.count("ok      ") == len(closing_checklist.QUESTIONS)
    assert "charges: 0 of 10" in capsys.readouterr().err

    with pytest.raises(CommandError, match="Another person has to decide Nothing was closed"):
        command("--by", "first@example.com")
    assert "2026-06 is closed" in command("--by", "second@example.com")
    assert AccountingPeriod.objects.get().state == "closed"
    assert LedgerTransaction.objects.filter(effective_at__lt=JUNE.end).exists()


def test_the_command_says_what_is_missing_and_closes_nothing() -> None:
    bring_in(account(), line("who knows", name="Stray"))
    person("first@example.com")

    with pytest.raises(CommandError, match=r"1 of 11 are missing: clearing_accounts\. Nothing"):
        command("--by", "first@example.com")

    assert not AccountingPeriod.objects.exists()


def test_the_command_only_checks_where_it_is_told_to_and_speaks_json() -> None:
    lived()
    out = StringIO()

    with pytest.raises(CommandError, match="usage_rated"):
        call_command(
            "close_month", world.operator().public_id, "2026-06", "--check-only", "--json",
            stdout=out,
        )  # fmt: skip

    found = json.loads(out.getvalue())
    assert [item["name"] for item in found["items"]] == closing_checklist.names()
    assert not Invoice.objects.exists()
    assert BankAccount.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["Nobody", "2026-06"], "is not the operator"),
        (["Delta", "2026-6"], "as in 2026-11"),
        (["Delta", "2026-06", "--by", "nobody@example.com"], "may not close the books"),
        (["Delta", "2026-06", "--by", "auditor@example.com"], "may not close the books"),
    ],
)
def test_the_command_refuses_what_it_does_not_understand(arguments: list[str], error: str) -> None:
    assert world.operator().name == "Delta"
    person("auditor@example.com", "auditor")

    with pytest.raises(CommandError, match=error):
        call_command("close_month", *arguments)

    assert not AccountingPeriod.objects.exists()
