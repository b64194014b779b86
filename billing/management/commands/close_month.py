"""`close_month`: does a month's work, says what is missing, and has it locked by two persons."""

from __future__ import annotations

import json
import sys
import time
from argparse import ArgumentParser
from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from billing import accounting_periods, closing_checklist, closing_months
from billing.closing_checklist import Item
from billing.models import AccountingPeriod
from inventory import clock, organisations
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import Organisation, User

SCOPE = "settlements:write"
WORDS = {
    "month_over": "the month is over",
    "usage_rated": "every lease is metered and charged up to the month's end",
    "service_levels_credited": "every lease is held against its service level",
    "invoices_finalised": "every charge is on a final invoice",
    "settlements_run": "every provider is settled",
    "reconciled": "the books are the bank and Stripe at the month's end",
    "no_late_exceptions": "no exception of the reconciliation is too old",
    "clearing_accounts": "nothing lies on a clearing account for too long",
    "vouchers_decided": "no voucher waits for a second person",
    "trial_balance": "the trial balance sums to zero",
    "books_verified": "the books agree with their documents",
}


class Command(BaseCommand):
    help = (
        "Charges, invoices, settles and reconciles what is due, prints the checklist of MONTH,"
        " and with --by asks to close it, or as a second person closes it. What is missing is"
        " said, and then nothing is closed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("issuer", help="the operator: its name or public id")
        parser.add_argument("month", help="as in 2026-11, of the billing zone")
        parser.add_argument(
            "--by", metavar="EMAIL", help="the person who asks, or who agrees and closes"
        )
        parser.add_argument(
            "--check-only", action="store_true", help="run nothing; print the checklist"
        )
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        self.began = time.monotonic()
        self.said = 0.0
        at = clock.now()
        try:
            month = closing_months.parse(options["month"])
        except DomainError as error:
            raise CommandError(str(error)) from error
        operator = _operator(options["issuer"])
        person = _person(operator, options["by"], at) if options["by"] else None
        ran = None
        if not options["check_only"]:
            ran = closing_months.run(at=at, progress=self._progress)
            self._say(f"charges {ran.charges}, invoices {ran.invoices}, settled {ran.settlements}")
        found = self._checklist(month, at)
        missing = [item for item in found if not item.is_done]
        outcome = "" if missing or person is None else self._lock(month, at, *person)
        self._print(found, options["as_json"], outcome)
        if missing:
            raise CommandError(
                f"{len(missing)} of {len(found)} are missing: "
                + ", ".join(item.name for item in missing)
                + ". Nothing was closed."
            )

    def _checklist(self, month: date, at: datetime) -> list[Item]:
        found = []
        names = closing_checklist.names()
        questions = closing_checklist.items(month=month, at=at, verify=True)
        for number, name in enumerate(names, start=1):
            self._say(f"checking {number} of {len(names)}: {name}")
            found.append(next(questions))
        return found

    def _lock(self, month: date, at: datetime, actor: Actor, user: User) -> str:
        """The first person asks, another closes; the list was looked at a moment ago."""
        row = AccountingPeriod.objects.filter(month=month).first()
        try:
            with transaction.atomic():
                if row is None or row.state == AccountingPeriod.State.OPEN:
                    accounting_periods.begin_closing(month=month, at=at, actor=actor, user=user)
                    return f"{month:%Y-%m} waits for a second person"
                accounting_periods.close_period(
                    period_public_id=row.public_id, at=at, actor=actor, user=user
                )
        except DomainError as error:
            raise CommandError(f"{error} Nothing was closed.") from error
        return f"{month:%Y-%m} is closed"

    def _print(self, found: list[Item], as_json: bool, outcome: str) -> None:
        if as_json:
            rows = [{"name": i.name, "done": i.is_done, "count": i.count, **i.facts} for i in found]
            text = json.dumps({"items": rows, "outcome": outcome}, cls=DjangoJSONEncoder)
            self.stdout.write(text)
            return
        for item in found:
            state = "ok      " if item.is_done else "MISSING "
            self.stdout.write(f"{state} {WORDS[item.name]}")
            if not item.is_done:
                for name, value in item.facts.items():
                    self.stdout.write(f"           {name}: {value}")
        if outcome:
            self.stdout.write(outcome)

    def _progress(self, what: str, done: int, of: int) -> None:
        """Not more often than twice a second."""
        now = time.monotonic()
        if done and now - self.said < 0.5:
            return
        self.said = now
        self._say(f"{what}: {done:,} of {of:,}" if of > 1 else what)

    def _say(self, text: str) -> None:
        print(f"  {text} ({time.monotonic() - self.began:.1f} s)", file=sys.stderr, flush=True)


def _operator(named: str) -> Organisation:
    for row in Organisation.objects.filter(is_operator=True):
        if named in (row.public_id, row.name):
            return row
    raise CommandError(f"{named} is not the operator, whose books these are")


def _person(operator: Organisation, email: str, at: datetime) -> tuple[Actor, User]:
    user = User.objects.filter(email__iexact=email).first()
    if user is not None:
        actor = organisations.actor_of(user=user, organisation=operator, at=at)
        if actor is not None and actor.may(SCOPE):
            return actor, user
    raise CommandError(f"{email} may not close the books of {operator.name}")
