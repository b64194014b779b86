"""Each line of the bank's and of Stripe's is one movement of the books, or it is an exception.

Nothing is corrected here: what does not agree is shown, and persons post vouchers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction

from billing import gateway, reconciliation_rules
from billing.models import (
    BankLine,
    BankStatement,
    LedgerAccount,
    LedgerTransaction,
    PspBalance,
    PspBalanceTransaction,
    ReconciliationMatch,
    ReconciliationReversal,
)
from billing.reconciliation_sides import Line, Movement, open_lines, open_movements
from inventory import actors, identifiers, journal
from inventory.actors import Actor
from inventory.errors import Busy, DomainError, Invalid, NotFound

logger = logging.getLogger(__name__)
ACTOR = actors.system("reconciliation")
By = ReconciliationMatch.By
PURPOSES = ("bank", "stripe")


class NoMatch(DomainError):
    """The line is not about the account that the transaction moved."""

    code = "reconciliation_no_match"
    title = "This line and this transaction are not of one account"
    status = 409


class AmountsDiffer(DomainError):
    """The line and the movement are of different amounts: a voucher makes up for it."""

    code = "reconciliation_amounts_differ"
    title = "The amounts differ"
    status = 409


class AlreadyMatched(DomainError):
    """One of the two sides is matched; that match has to be undone first."""

    code = "reconciliation_already_matched"
    title = "It is matched already"
    status = 409


class AlreadyUndone(DomainError):
    """The match was undone before."""

    code = "reconciliation_already_undone"
    title = "This match is undone already"
    status = 409


def match_due(*, at: datetime) -> int:
    """Every pair that the rules find is matched; returns how many.

    Rejected receipts are left out first. Then by the document both sides belong to, by a
    reference, and Stripe's payouts that arrived at the bank; at last what was reversed before
    anybody outside heard of it. A pair counts only where nothing else fits either side, and
    never again once it was undone. Lines of a type that nobody knows wait for a person. Locks
    the accounts of money outside, so that one matches at a time. Idempotent.
    """
    with transaction.atomic():
        _lock(LedgerAccount.objects.filter(purpose__in=PURPOSES).values_list("pk", flat=True))
        _open_rejected(at)
        lines = [line for line in open_lines() if line.is_of_known_type]
        movements = open_movements()
        undone = _undone()
        offsets = reconciliation_rules.rejected(movements, undone)
        movements = _without(movements, [m for pair in offsets for m in pair])
        pairs: list[tuple[Line, Movement]] = []
        for rule in reconciliation_rules.IN_ORDER:
            found = [
                (line, movement)
                for line, movement in rule(lines, movements)
                if (line.name, movement.transaction_id) not in undone
            ]
            pairs += found
            taken = {line.name for line, _ in found}
            lines = [line for line in lines if line.name not in taken]
            movements = _without(movements, [m for _, m in found])
        offsets += reconciliation_rules.taken_back(movements, undone)
        facts: dict[str, Any] = {"by": By.RULE, "at": at, "actor": ACTOR, "reason": ""}
        rows = [_row(movement, line, **facts) for line, movement in pairs]
        rows += [_offset(later, earlier, **facts) for earlier, later in offsets]
        ReconciliationMatch.objects.bulk_create(rows, batch_size=1000)
    return len(rows)


def _without(movements: list[Movement], gone: list[Movement]) -> list[Movement]:
    names = {(m.transaction_id, m.account_id) for m in gone}
    return [m for m in movements if (m.transaction_id, m.account_id) not in names]


def _open_rejected(at: datetime) -> None:
    """A line is not the receipt it was taken for, once that was rejected: it is open again."""
    rows = ReconciliationMatch.objects.live().filter(
        bank_line__receipt__state="rejected", transaction__kind="bank_receipt_recorded"
    )
    for row in rows:
        _undo(row, reason="its receipt was rejected", at=at, actor=ACTOR)


def match_by_hand(
    *, transaction_id: int, line: BankLine | PspBalanceTransaction | BankStatement,
    reason: str, at: datetime, actor: Actor,
) -> ReconciliationMatch:  # fmt: skip
    """A person says that the line is this transaction; a statement stands for its opening.

    The amounts have to be the same. Locks the account of money outside. Not idempotent. Raises
    Invalid, NotFound, NoMatch, AmountsDiffer, AlreadyMatched.
    """
    if not reason.strip():
        raise Invalid("Say how you know that they are the same")
    purpose = "stripe" if isinstance(line, PspBalanceTransaction) else "bank"
    currency = line.account.currency if isinstance(line, BankStatement) else line.currency
    account = LedgerAccount.objects.filter(code=f"asset:{purpose}:{currency}").first()
    if account is None:
        raise NoMatch
    row = ReconciliationMatch(
        account=account,
        transaction_id=transaction_id,
        bank_line=line if isinstance(line, BankLine) else None,
        psp_line=line if isinstance(line, PspBalanceTransaction) else None,
        opening=line if isinstance(line, BankStatement) else None,
        net_minor=0,  # the database looks
        currency=currency,
        matched_by=By.HAND,
        actor=actor.label,
        reason=reason.strip()[:200],
        created_at=at,
    )
    return _keep(row, at=at, actor=actor)


def offset_by_hand(
    *, transaction_ids: tuple[int, int], account_code: str, reason: str, at: datetime, actor: Actor
) -> ReconciliationMatch:
    """A person says that two movements cancel each other and the bank knows of neither.

    Their sum on the account is zero. Locks and raises as `match_by_hand`.
    """
    if not reason.strip():
        raise Invalid("Say how you know that they are the same")
    account = LedgerAccount.objects.filter(code=account_code, purpose__in=PURPOSES).first()
    earlier, later = sorted(transaction_ids)
    if account is None or earlier == later:
        raise NoMatch
    row = ReconciliationMatch(
        account=account,
        transaction_id=later,
        offset_id=earlier,
        net_minor=0,
        currency=account.currency,
        matched_by=By.HAND,
        actor=actor.label,
        reason=reason.strip()[:200],
        created_at=at,
    )
    return _keep(row, at=at, actor=actor)


def undo(
    *, match_public_id: str, reason: str, at: datetime, actor: Actor
) -> ReconciliationReversal:
    """The match was a mistake: a row says so, and both sides are open again.

    The rules do not make the same pair anew. Not idempotent. Raises AlreadyUndone, Invalid,
    NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the match is undone")
    with transaction.atomic():
        row = identifiers.find(ReconciliationMatch.objects.all(), match_public_id, "No such match")
        _lock([row.account_id])
        if ReconciliationReversal.objects.filter(match=row).exists():
            raise AlreadyUndone
        return _undo(row, reason=reason.strip()[:200], at=at, actor=actor)


def _undo(
    row: ReconciliationMatch, *, reason: str, at: datetime, actor: Actor
) -> ReconciliationReversal:
    reversal = ReconciliationReversal.objects.create(
        match=row, actor=actor.label, reason=reason, created_at=at
    )
    _journal(row, "reconciliationmatch.undone", reason=reason, at=at, actor=actor)
    return reversal


def note_balances(*, at: datetime) -> int:
    """What Stripe says our balances are is kept; in how many currencies.

    Asks Stripe: not in a transaction. Raises what the gateway raises.
    """
    if not gateway.is_on():
        return 0
    rows = [
        PspBalance(currency=currency, available_minor=available, pending_minor=pending, at=at)
        for currency, (available, pending) in sorted(gateway.balance().items())
    ]
    PspBalance.objects.bulk_create(rows)
    return len(rows)


def _row(
    movement: Movement, line: Line, *, by: str, at: datetime, actor: Actor, reason: str
) -> ReconciliationMatch:
    return ReconciliationMatch(
        public_id=identifiers.new("rcm"),
        account_id=movement.account_id,
        transaction_id=movement.transaction_id,
        bank_line_id=line.bank_line_id,
        psp_line_id=line.psp_line_id,
        opening_id=line.opening_id,
        net_minor=movement.net_minor,
        currency=movement.currency,
        matched_by=by,
        actor=actor.label,
        reason=reason,
        created_at=at,
    )


def _offset(
    later: Movement, earlier: Movement, *, by: str, at: datetime, actor: Actor, reason: str
) -> ReconciliationMatch:
    return ReconciliationMatch(
        public_id=identifiers.new("rcm"),
        account_id=later.account_id,
        transaction_id=later.transaction_id,
        offset_id=earlier.transaction_id,
        net_minor=later.net_minor,
        currency=later.currency,
        matched_by=by,
        actor=actor.label,
        reason=reason,
        created_at=at,
    )


def _keep(row: ReconciliationMatch, *, at: datetime, actor: Actor) -> ReconciliationMatch:
    with transaction.atomic(), _refusals():
        if not LedgerTransaction.objects.filter(pk=row.transaction_id).exists():
            raise NotFound("No such ledger transaction")
        row.save(force_insert=True)
        row.refresh_from_db()  # as the database saw it
        _journal(row, "reconciliationmatch.made", reason=row.reason, at=at, actor=actor)
    return row


@contextmanager
def _refusals() -> Iterator[None]:
    """Says what the database refuses in the words of this module."""
    try:
        yield
    except DatabaseError as error:
        match getattr(error.__cause__, "sqlstate", None):
            case "RC001":
                raise NoMatch from error
            case "RC002":
                raise AmountsDiffer from error
            case "RC003" | "23505":
                raise AlreadyMatched from error
            case "40P01" | "55P03":
                raise Busy from error
        raise


def _lock(accounts: Iterable[int]) -> None:
    """As the trigger of a match does, in the order of the accounts."""
    with _refusals(), connection.cursor() as cursor:
        for pk in sorted(accounts):
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reconciliation'), %s)", [pk])


def _undone() -> set[tuple[str, int]]:
    """Pairs that a person said are none: the line's name, the transaction's number."""
    found = set()
    rows = ReconciliationMatch.objects.filter(reversal__isnull=False)
    for row in rows.select_related("bank_line", "opening"):
        if row.bank_line is not None:
            name = row.bank_line.public_id
        elif row.opening is not None:
            name = row.opening.public_id
        else:
            name = row.psp_line_id or f"ltx:{row.offset_id}"
        found.add((name, row.transaction_id))
    return found


def _journal(
    row: ReconciliationMatch, event: str, *, reason: str, at: datetime, actor: Actor
) -> None:
    journal.record(
        event=event,
        object_id=row.public_id,
        actor=actor,
        at=at,
        reason=reason,
        data={"amount_minor": row.net_minor, "currency": row.currency},
    )
