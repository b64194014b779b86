"""A tenant's month: it agrees, it contests line by line, or silence is consent."""

from __future__ import annotations

import logging
from datetime import datetime, time

from django.conf import settings
from django.db import IntegrityError, models, transaction

from billing import invoices
from billing.models import Charge, Contest, Invoice, InvoiceLine, Statement
from inventory import actors, identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import User
from marketplace.policy import business_days

logger = logging.getLogger(__name__)
ACTOR = actors.system("statements")
State = Statement.State


class StatementClosed(DomainError):
    """It was accepted, or the deadline has passed."""

    code = "statement_closed"
    title = "The statement is settled already"


class AlreadyContested(DomainError):
    """Somebody contests the line, and nobody has decided yet."""

    code = "already_contested"
    title = "The line is contested already"


class ContestDecided(DomainError):
    """The operator has decided, or waits for the second person."""

    code = "contest_decided"
    title = "The contest is decided already"


def issue_due(*, at: datetime, limit: int) -> int:
    """Final invoices of machine time become statements to agree to; returns how many. Idempotent.

    The deadline is the end of the n-th business day after.
    """
    rows = Invoice.objects.filter(
        state=Invoice.State.FINALISED,
        kind=Invoice.Kind.INVOICE,
        subject=Invoice.Subject.COMPUTE,
        statement__isnull=True,
    )
    made = 0
    for invoice in rows.order_by("pk")[:limit]:
        with transaction.atomic():
            row, is_new = Statement.objects.get_or_create(
                invoice=invoice,
                defaults={
                    "tenant_id": invoice.party_id,
                    "created_at": at,
                    "due_at": _deadline(at),
                },
            )
            if is_new:
                journal.record(
                    event="statement.issued",
                    object_id=row.public_id,
                    actor=ACTOR,
                    at=at,
                    to_state=State.ISSUED,
                    tenant_id=row.tenant_id,
                    data={"invoice": invoice.public_id, "due_at": row.due_at.isoformat()},
                )
        made += is_new
    return made


def accept(*, statement_public_id: str, at: datetime, actor: Actor, user: User) -> Statement:
    """The tenant agrees to every line it does not contest. Locks the statement.

    Not idempotent. Raises NotFound, StatementClosed.
    """
    with transaction.atomic():
        row = _lock(statement_public_id, actor)
        _require_open(row, at)
        row.accepted_by = user
        _close(row, State.ACCEPTED, at=at, actor=actor, changed=("accepted_by",))
    return row


def deem_due(*, at: datetime, limit: int) -> int:
    """Statements whose deadline has passed are accepted by silence; returns how many.

    One transaction each. Locks the statement; one that another works on is skipped. Idempotent.
    """
    due = Statement.objects.filter(state=State.ISSUED, due_at__lte=at).order_by("due_at", "pk")
    count = 0
    for pk in list(due.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            rows = Statement.objects.select_for_update(no_key=True, skip_locked=True)
            row = rows.filter(pk=pk, state=State.ISSUED).first()
            if row is None:
                continue
            _close(row, State.DEEMED, at=at, actor=ACTOR)
            count += 1
    return count


def contest(*, line_public_id: str, reason: str, at: datetime, actor: Actor, user: User) -> Contest:
    """The tenant objects to one line: its charges are out of payout until it is decided.

    Locks the statement. Not idempotent: a line has one open contest. Raises NotFound,
    StatementClosed, AlreadyContested, Invalid.
    """
    if not reason.strip():
        raise Invalid("Say what is wrong with the line")
    lines = InvoiceLine.objects.visible_to(actor).select_related("lease", "invoice")
    line = identifiers.find(lines, line_public_id, "No such line")
    statement = Statement.objects.filter(
        invoice_id=line.invoice_id, tenant_id=actor.organisation_id
    ).first()
    if statement is None:
        raise NotFound("No such line")
    with transaction.atomic():
        _require_open(_lock(statement.public_id, actor), at)
        row = Contest(
            line=line,
            tenant_id=line.lease.tenant_id,
            provider_id=line.lease.provider_id,
            reason=reason.strip()[:500],
            opened_by=user,
            created_at=at,
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            if "one_open_contest_a_line" not in str(error):
                raise
            raise AlreadyContested from error
        _journal(row, "contest.opened", at=at, actor=actor, reason=row.reason)
    return row


def answer(*, contest_public_id: str, note: str, at: datetime, actor: Actor) -> Contest:
    """The provider says its side, once or better again, while it is open. Locks the contest.

    Raises NotFound, ContestDecided, Invalid.
    """
    if not note.strip():
        raise Invalid("Write what is to be said")
    with transaction.atomic():
        row = _lock_contest(contest_public_id, actor)
        if row.provider_id != actor.organisation_id:
            raise NotFound("No such contest")
        _require_undecided(row)
        row.provider_note = note.strip()[:500]
        row.save(update_fields=["provider_note"])
        _journal(row, "contest.answered", at=at, actor=actor, reason=row.provider_note)
    return row


def dismiss(
    *, contest_public_id: str, note: str, at: datetime, actor: Actor, user: User
) -> Contest:
    """The line stands, and its charges are paid out again. Locks the contest.

    Not idempotent. Raises NotFound, ContestDecided, Invalid.
    """
    if not note.strip():
        raise Invalid("Say why the contest is decided so")
    with transaction.atomic():
        row = _lock_contest(contest_public_id, actor)
        _require_undecided(row)
        row.operator_note = note.strip()[:500]
        row.decided_by = user
        transitions.advance(
            row,
            to=Contest.State.DISMISSED,
            at=at,
            actor=actor,
            reason=row.operator_note,
            changed=("operator_note", "decided_by"),
        )
    return row


def uphold(
    *,
    contest_public_id: str,
    gross_minor: int,
    note: str,
    at: datetime,
    actor: Actor,
    user: User,
) -> Contest:
    """A credit note is asked for; once a second person approves it the contest is upheld.

    Until then it stays open, and frozen. Locks the contest, then the invoice. Not idempotent.
    Raises NotFound, ContestDecided, Invalid, CreditTooLarge.
    """
    if not note.strip():
        raise Invalid("Say why the contest is decided so")
    with transaction.atomic():
        row = _lock_contest(contest_public_id, actor)
        _require_undecided(row)
        row.operator_note = note.strip()[:500]
        row.credit_note = invoices.request_credit(
            line_public_id=row.line.public_id,
            gross_minor=gross_minor,
            reason=note.strip()[:200],
            at=at,
            actor=actor,
            user=user,
        )
        row.save(update_fields=["operator_note", "credit_note"])
        _journal(row, "contest.upheld_by_first", at=at, actor=actor, reason=row.operator_note)
    return row


def contested_charges() -> models.QuerySet[Charge]:
    """The charges that are out of payout: those on a line with an open contest."""
    return Charge.objects.filter(billed__line__contests__state=Contest.State.OPEN)


def _deadline(at: datetime) -> datetime:
    calendar = business_days.current()
    today = at.astimezone(calendar.zone).date()
    day = calendar.after(today, settings.STATEMENT_BUSINESS_DAYS)
    return datetime.combine(day, time(settings.PAY_BY_HOUR), tzinfo=calendar.zone)


def _require_open(row: Statement, at: datetime) -> None:
    if row.state != State.ISSUED or at >= row.due_at:
        raise StatementClosed(due_at=row.due_at)


def _require_undecided(row: Contest) -> None:
    if row.state != Contest.State.OPEN or row.credit_note_id is not None:
        raise ContestDecided(state=row.state)


def _close(
    row: Statement, to: str, *, at: datetime, actor: Actor, changed: tuple[str, ...] = ()
) -> None:
    transitions.advance(row, to=to, at=at, actor=actor, changed=changed)


def _lock(public_id: str, actor: Actor) -> Statement:
    """The tenant's own; who sees everything is no party to it."""
    rows = Statement.objects.select_for_update(of=("self",), no_key=True)
    own = rows.filter(tenant_id=actor.organisation_id)
    return identifiers.find(own, public_id, "No such statement")


def _lock_contest(public_id: str, actor: Actor) -> Contest:
    rows = Contest.objects.visible_to(actor).select_related("line")
    return identifiers.find(
        rows.select_for_update(of=("self",), no_key=True), public_id, "No such contest"
    )


def _journal(row: Contest, event: str, *, at: datetime, actor: Actor, reason: str) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        reason=reason,
        to_state=row.state,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data={"line": row.line.public_id, "gross_minor": row.line.gross_minor},
    )
