"""Statements of the operator's accounts: looked at first, then imported, each movement once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from billing import bank_accounts, bank_matching, receipts, references, refunds, statement_files
from billing.models import (
    BankAccount,
    BankLine,
    BankReceipt,
    BankStatement,
    Refund,
)
from billing.receipts import LARGEST_RECEIPT_MINOR
from billing.statement_files import Statement
from billing.statement_lines import Line, LineError
from inventory import identifiers, journal
from inventory.actors import Actor
from inventory.errors import DomainError, NotFound
from inventory.models import User


class LinesInvalid(DomainError):
    """Some lines cannot be taken; nothing was imported. `errors` names each."""

    code = "statement_line_invalid"
    title = "Some lines of the statement cannot be taken"
    status = 422


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do, before anything is done."""

    statement: Statement
    known: frozenset[str]  # fact keys imported before
    errors: list[LineError]

    @property
    def new_count(self) -> int:
        return sum(line.fact_key not in self.known for line in self.statement.lines)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    statement: BankStatement
    proposed_count: int  # receipts with a tenant
    exception_count: int
    paid_count: int  # refunds whose leaving it shows
    was_known: bool = False


def preview(*, account: BankAccount, content: bytes) -> Preview:
    """What the file says, and which of its lines are new. Changes nothing.

    Raises StatementUnreadable, NotFound where the account is not the operator's.
    """
    _require_own(account)
    found = statement_files.read(
        content, layout=account.statement_layout or "plain", currency=account.currency
    )
    known = BankLine.objects.filter(
        account=account, fact_key__in=[line.fact_key for line in found.lines]
    ).values_list("fact_key", flat=True)
    errors = [
        *found.errors,
        *(
            LineError(line.number, "amount", "amount_too_large", str(line.amount_minor))
            for line in found.lines
            if abs(line.amount_minor) > LARGEST_RECEIPT_MINOR
        ),
    ]
    return Preview(found, frozenset(known), errors)


def bring_in(
    *,
    account_public_id: str,
    content: bytes,
    file_name: str,
    at: datetime,
    actor: Actor,
    user: User,
    late_reason: str = "",
) -> Imported:
    """The file's lines are there, those imported before left as they are; all of it or nothing.

    Money in is recorded by the importer, each with whose it seems to be, but for our own that
    comes from Stripe or comes back; money out completes the refund whose reference it bears. The
    same file again is the same statement. Locks the account, so that imports of one account
    follow each other. Raises StatementUnreadable, LinesInvalid, DuplicateReceipt, Invalid for
    old lines without a reason, NotFound.
    """
    with transaction.atomic():
        account = bank_accounts.lock(account_public_id)
        digest = hashlib.sha256(content).hexdigest()
        before = BankStatement.objects.filter(account=account, sha256=digest).first()
        if before is not None:
            _require_own(account)
            return Imported(before, 0, 0, 0, was_known=True)
        plan = preview(account=account, content=content)
        if plan.errors:
            raise LinesInvalid(
                errors=[
                    {"line": e.line, "column": e.column, "code": e.code, "value": e.value}
                    for e in plan.errors[:100]
                ],
                error_count=len(plan.errors),
            )
        fresh = [line for line in plan.statement.lines if line.fact_key not in plan.known]
        for line in fresh:
            receipts.check_date(line.booked_date, at=at, reason=late_reason)
        statement = _keep(account, plan.statement, fresh, digest, file_name, user, at)
        lines = [_line(statement, account, line, at) for line in fresh]
        BankLine.objects.bulk_create(lines, batch_size=1000)
        paid = sum(_pay(line, at=at, actor=actor) for line in lines if line.amount_minor < 0)
        made = [
            receipts.of_line(line=line, late_reason=late_reason, at=at, actor=actor, user=user)
            for line in lines
            if line.amount_minor > 0 and not bank_matching.is_own_money(line)
        ]
        # One recorded by hand before is booked already.
        receipts.book([row for row, is_new in made if is_new], at=at, actor=actor)
        journal.record(
            event="bankstatement.imported",
            object_id=statement.public_id,
            actor=actor,
            at=at,
            reason=late_reason,
            data={"line_count": statement.line_count, "new_count": statement.new_count},
        )
    waiting = [row for row, _ in made if row.state == BankReceipt.State.RECORDED]
    return Imported(
        statement,
        proposed_count=sum(row.tenant_id is not None for row in waiting),
        exception_count=sum(row.tenant_id is None for row in waiting),
        paid_count=paid,
    )


def _require_own(account: BankAccount) -> None:
    if not account.owner.is_operator or account.state != BankAccount.State.VERIFIED:
        raise NotFound("No such bank account")


def _keep(
    account: BankAccount,
    found: Statement,
    fresh: list[Line],
    digest: str,
    file_name: str,
    user: User,
    at: datetime,
) -> BankStatement:
    days = [line.booked_date for line in found.lines]
    row = BankStatement(
        account=account,
        file_name=file_name[-200:],
        sha256=digest,
        line_count=len(found.lines),
        new_count=len(fresh),
        in_minor=sum(line.amount_minor for line in fresh if line.amount_minor > 0),
        out_minor=-sum(line.amount_minor for line in fresh if line.amount_minor < 0),
        opening_minor=found.opening_minor,
        closing_minor=found.closing_minor,
        first_date=min(days),
        last_date=max(days),
        imported_by=user,
        created_at=at,
    )
    row.save(force_insert=True)
    return row


def _line(statement: BankStatement, account: BankAccount, line: Line, at: datetime) -> BankLine:
    own = references.read(line.text).references
    return BankLine(
        public_id=identifiers.new("bln"),
        statement=statement,
        account=account,
        number=line.number,
        fact_key=line.fact_key,
        booked_date=line.booked_date,
        amount_minor=line.amount_minor,
        currency=account.currency,
        balance_minor=line.balance_minor,
        bank_reference=line.reference,
        counterparty_name=line.name,
        counterparty_account=line.account,
        virtual_number=line.virtual,
        text=line.text,
        own_reference=own[0].text if len(own) == 1 else "",
        created_at=at,
    )


def _pay(line: BankLine, *, at: datetime, actor: Actor) -> bool:
    """The refund that the line paid is done; any other line out is left to be looked at."""
    if not line.own_reference:
        return False
    row = Refund.objects.filter(
        reference=line.own_reference,
        state=Refund.State.SENT,
        amount_minor=-line.amount_minor,
        currency=line.currency,
    ).first()
    if row is None:
        return False
    refunds.complete(refund_public_id=row.public_id, line=line, at=at, actor=actor)
    return True
