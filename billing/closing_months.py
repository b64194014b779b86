"""Closing a month: what can be run is run, what is missing is said, two persons lock it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection

from billing import (
    accounting_periods,
    checkpoints,
    closing_checklist,
    invoices,
    rating,
    reconciliation,
    settlement,
    sla_credits,
    statements,
)
from billing.closing_checklist import Item
from billing.models import AccountingPeriod
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import User

# So much at a time, that progress is said about every second.
RATED_AT_ONCE = 20_000
FINALISED_AT_ONCE = 1_000
CREDITED_AT_ONCE = 1_000_000  # months of leases: more than there are
ISSUED_AT_ONCE = 1_000
_MONTH = re.compile(r"(\d{4})-(\d{2})")

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


class NotReady(DomainError):
    """Something of the month is missing: `missing` names the items. Nothing was closed."""

    code = "month_not_ready"
    title = "The month is not ready to be closed"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the month's work made."""

    charges: int
    invoices: int
    credit_notes: int
    statements: int
    settlements: int
    matches: int


def parse(text: str) -> date:
    """`2026-11` as the month's first day. Raises Invalid."""
    found = _MONTH.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 12 or not 2000 <= int(found[1]) < 2200:
        raise Invalid("A month is written as in 2026-11")
    return date(int(found[1]), int(found[2]), 1)


def run(*, at: datetime, progress: Progress) -> Ran:
    """Charges, credits, invoices, statements, settlements and matches that are due are made.

    The same sweeps that run by themselves, each in its own transactions: killed anywhere, a
    second run goes on. Their time grows with what is to be done, once. Idempotent.
    """
    charges = _rate(at, progress)
    progress("service levels", 0, 1)
    sla_credits.credit_due(at=at, limit=CREDITED_AT_ONCE)
    invoiced = _finalise(at, progress)
    issued = _issue(at, progress)
    progress("settlements", 0, 1)
    settled = settlement.settle_month(at=at)
    progress("reconciliation", 0, 1)
    matches = reconciliation.match_due(at=at)
    progress("checkpoints", 0, 1)
    checkpoints.take(at=at)
    return Ran(
        charges=charges,
        invoices=invoiced.invoices,
        credit_notes=invoiced.credit_notes,
        statements=issued,
        settlements=settled,
        matches=matches,
    )


def _rate(at: datetime, progress: Progress) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM inventory_usagehour u"
            " JOIN marketplace_lease l ON l.allocation_id = u.allocation_id"
            " JOIN billing_leasetally t ON t.lease_id = l.id"
            " JOIN inventory_meteringcursor c ON c.allocation_id = u.allocation_id"
            " WHERE l.closed_at IS NULL AND u.hour < c.metered_until"
            " AND u.hour >= coalesce(t.rated_until, '-infinity')"
        )
        (due,) = cursor.fetchone()
    done = 0
    while True:
        progress("charges", done, due)
        made = len(rating.rate_due(at=at, limit=RATED_AT_ONCE))
        if not made:
            return done
        done += made


def _finalise(at: datetime, progress: Progress) -> invoices.Finalised:
    due = invoices.outlook(at=at)
    billed = 0
    while billed < due.charges:
        progress("invoice lines", billed, due.charges)
        made = invoices.refresh(at=at, limit=RATED_AT_ONCE)
        if not made:
            break
        billed += made
    total = invoices.Finalised(0, 0, 0, 0)
    while True:
        done = total.invoices + total.credit_notes
        progress("invoices", done, max(due.documents, done))
        made_now = invoices.finalise_due(at=at, limit=FINALISED_AT_ONCE)
        total += made_now
        if not (made_now.invoices + made_now.credit_notes + made_now.discarded):
            return total


def _issue(at: datetime, progress: Progress) -> int:
    done = 0
    while True:
        progress("statements", done, done)
        made = statements.issue_due(at=at, limit=ISSUED_AT_ONCE)
        done += made
        if made < ISSUED_AT_ONCE:
            return done


def require_ready(*, month: date, at: datetime, verify: bool) -> list[Item]:
    """The whole checklist, everything on it done. Raises NotReady."""
    found = list(closing_checklist.items(month=month, at=at, verify=verify))
    missing = [item.name for item in found if not item.is_done]
    if missing:
        raise NotReady(month=f"{month:%Y-%m}", missing=missing)
    return found


def ask(
    *, month: date, at: datetime, actor: Actor, user: User, verify: bool = False
) -> AccountingPeriod:
    """One person asks to close a month that is ready; another closes it.

    Raises NotReady, and what `accounting_periods.begin_closing` raises.
    """
    require_ready(month=month, at=at, verify=verify)
    return accounting_periods.begin_closing(month=month, at=at, actor=actor, user=user)


def close(
    *, period: AccountingPeriod, at: datetime, actor: Actor, user: User, verify: bool = False
) -> AccountingPeriod:
    """The second person closes it, if it is ready still: nothing is posted there ever again.

    Raises NotReady, and what `accounting_periods.close_period` raises.
    """
    require_ready(month=period.month, at=at, verify=verify)
    return accounting_periods.close_period(
        period_public_id=period.public_id, at=at, actor=actor, user=user
    )
