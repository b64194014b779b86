"""The months of the books close in order, by two persons, and stay closed.

The database keeps them: what a posting may not enter is decided by `ledger_first_open` and the
triggers of `sql/ledger_periods.sql`, under a lock that a closing month takes alone.
"""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min

from billing.models import AccountingPeriod, LedgerTransaction
from inventory import identifiers, transitions
from inventory.actors import Actor
from inventory.errors import Busy, DomainError, Forbidden, NotFound
from inventory.models import Organisation, User
from inventory.periods import Period
from marketplace import money

State = AccountingPeriod.State


class MonthNotOver(DomainError):
    """Facts of the month are still to come."""

    code = "month_not_over"
    title = "The month is not over"


class EarlierMonthOpen(DomainError):
    """Months close in order: another one comes first."""

    code = "earlier_month_open"
    title = "An earlier month has to be closed first"


class AlreadyClosed(DomainError):
    """The month is closed, or lies before one that is."""

    code = "period_already_closed"
    title = "The month is closed"


class SamePerson(Forbidden):
    """Whoever asked to close a month does not close it."""

    code = "same_person"
    title = "Another person has to decide"


def month_period(month: date) -> Period:
    """The instants of a calendar month, named by any of its days, in the billing zone."""
    noon = datetime(month.year, month.month, 1, 12, tzinfo=ZoneInfo(settings.BILLING_ZONE))
    return money.month_of(noon, settings.BILLING_ZONE)


def closed_until() -> datetime | None:
    """The first instant that is still open; None where nothing was ever closed. No lock."""
    closed = AccountingPeriod.objects.filter(state=State.CLOSED)
    return closed.aggregate(until=Max("ends_at"))["until"]


def next_month() -> date | None:
    """The month that closes next: after the last closed one, else that of the first posting."""
    instant = closed_until()
    if instant is None:
        instant = LedgerTransaction.objects.aggregate(at=Min("effective_at"))["at"]
    if instant is None:
        return None
    return instant.astimezone(ZoneInfo(settings.BILLING_ZONE)).date().replace(day=1)


def begin_closing(*, month: date, at: datetime, actor: Actor, user: User) -> AccountingPeriod:
    """One person asks to close a month that is over; facts may still be posted there.

    The first month that is closed may be any: what lies before it is closed with it. Locks the
    month's row. Raises MonthNotOver, EarlierMonthOpen, AlreadyClosed, IllegalTransition (it is
    being closed), NotFound where there is no operator.
    """
    period = month_period(month)
    if period.end > at:
        raise MonthNotOver(ends_at=period.end)
    _require_next(period)
    operator = Organisation.objects.filter(is_operator=True).first()
    if operator is None:
        raise NotFound("There is no operator whose books could be closed")
    with transaction.atomic():
        AccountingPeriod.objects.get_or_create(
            issuer=operator,
            month=month.replace(day=1),
            defaults={
                "zone": settings.BILLING_ZONE,
                "starts_at": period.start,
                "ends_at": period.end,
                "created_at": at,
            },
        )
        row = AccountingPeriod.objects.select_for_update(no_key=True).get(
            issuer=operator, month=month.replace(day=1)
        )
        row.closing_by = user
        transitions.advance(
            row, to=State.CLOSING, at=at, actor=actor, changed=("closing_by",), data=_named(row)
        )
    return row


def put_off(*, period_public_id: str, at: datetime, actor: Actor, reason: str) -> AccountingPeriod:
    """The month stays open for now. Locks its row. Raises IllegalTransition, NotFound."""
    with transaction.atomic():
        row = _lock(period_public_id)
        transitions.advance(row, to=State.OPEN, at=at, actor=actor, reason=reason, data=_named(row))
    return row


def close_period(
    *, period_public_id: str, at: datetime, actor: Actor, user: User
) -> AccountingPeriod:
    """A second person closes the month: nothing is posted into it, or before it, ever again.

    Waits for postings under way, and lets no other begin until the caller's transaction ends.
    Locks the month's row, then the books alone. Raises SamePerson, EarlierMonthOpen,
    AlreadyClosed, IllegalTransition (nobody has begun to close it), Busy, NotFound.
    """
    with transaction.atomic():
        row = _lock(period_public_id)
        if row.state == State.CLOSED:
            raise AlreadyClosed
        if row.closing_by_id == user.pk:
            raise SamePerson
        _lock_books()
        _require_next(Period(row.starts_at, row.ends_at))
        row.closed_by = user
        transitions.advance(
            row, to=State.CLOSED, at=at, actor=actor, changed=("closed_by",), data=_named(row)
        )
    return row


def _lock_books() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger periods'))")
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) in ("55P03", "40P01"):
            raise Busy from error
        raise


def _require_next(period: Period) -> None:
    until = closed_until()
    if until is not None and period.end <= until:
        raise AlreadyClosed
    if until is not None and period.start > until:
        raise EarlierMonthOpen(month=_month(until))


def _lock(public_id: str) -> AccountingPeriod:
    rows = AccountingPeriod.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id, "No such accounting period")


def _named(row: AccountingPeriod) -> dict[str, str]:
    return {"month": f"{row.month:%Y-%m}"}


def _month(start: datetime) -> str:
    return f"{start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}"
