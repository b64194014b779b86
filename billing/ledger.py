"""The ledger: post, hold, reverse. Thin over SQL functions, which alone may write.

Amounts are minor units, debit positive. Nothing here opens a transaction or a savepoint:
each call is one statement, and after an error the caller's transaction is spent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import DatabaseError, connection, transaction

from billing import chart
from billing.models import LedgerTransaction
from inventory import journal
from inventory.actors import Actor
from inventory.errors import Busy, DomainError, Invalid, NotFound
from inventory.models import Organisation

Entry = tuple[str, int]  # (account code, minor units: debit positive, credit negative)
Kind = LedgerTransaction.Kind

LARGEST_ENTRY = 10**17  # far above any deal, far below what a bigint holds


class InsufficientFunds(DomainError):
    """A guarded account has less than what was asked of it."""

    code = "insufficient_funds"
    title = "Not enough money in the wallet"
    status = 402


class IdempotencyConflict(DomainError):
    """The key names another posting or hold."""

    code = "idempotency_conflict"
    title = "The key was used for something else"
    status = 409


class HoldClosed(DomainError):
    """The hold was captured or released before."""

    code = "hold_closed"
    title = "The money is no longer held"
    status = 409


class AlreadyReversed(DomainError):
    """A transaction is reversed once."""

    code = "already_reversed"
    title = "Already reversed"
    status = 409


class AmountOutOfRange(Invalid):
    """No deal is that large; it is refused before it could overflow a sum."""

    code = "amount_out_of_range"
    title = "The amount is out of range"


class Unbalanced(Invalid):
    """Fewer than two entries, a zero entry, or entries that do not sum to zero per currency."""

    code = "unbalanced"
    title = "The entries do not sum to zero"


@dataclass(frozen=True, slots=True)
class WalletBalance:
    """What a tenant has, in minor units. `available` includes the credit limit."""

    currency: str
    posted_minor: int
    held_minor: int
    credit_minor: int
    deposit_minor: int  # paid ahead for leases
    owed_minor: int

    @property
    def available_minor(self) -> int:
        return self.posted_minor - self.held_minor + self.credit_minor


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction to be, for `post_many`."""

    kind: str
    key: str
    entries: Sequence[Entry]
    effective_at: datetime
    reason: str = ""
    external_reference: str = ""


def post(
    *,
    kind: str,
    key: str,
    entries: Sequence[Entry],
    at: datetime,
    actor: Actor,
    effective_at: datetime | None = None,
    reason: str = "",
    external_reference: str = "",
) -> int:
    """Books one transaction and returns its id; accounts open on first use.

    Locks the balances of its guarded and often read accounts, in the order of account.
    Idempotent by key: the same content returns the first one's id. Raises
    InsufficientFunds, IdempotencyConflict, Unbalanced, AmountOutOfRange, Busy.
    """
    codes, amounts = _columns(entries)
    return int(
        _call(
            "SELECT ledger_post(%s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[])",
            [kind, key, effective_at or at, at, actor.label, reason, external_reference,
             codes, amounts],
        )
    )  # fmt: skip


def post_many(postings: Sequence[Posting], *, at: datetime, actor: Actor) -> list[int]:
    """As `post` for each, all balances locked first, in one round trip."""
    rows = []
    for posting in postings:
        codes, amounts = _columns(posting.entries)
        rows.append(
            {
                "kind": posting.kind,
                "key": posting.key,
                "effective_at": posting.effective_at.isoformat(),
                "actor": actor.label,
                "reason": posting.reason,
                "external": posting.external_reference,
                "codes": codes,
                "amounts": amounts,
            }
        )
    return list(_call("SELECT ledger_post_many(%s::jsonb, %s)", [json.dumps(rows), at]))


def reverse(*, transaction_id: int, key: str, at: datetime, actor: Actor, reason: str) -> int:
    """Books the exact opposite of a transaction. Raises AlreadyReversed, InsufficientFunds."""
    return int(
        _call(
            "SELECT ledger_reverse(%s, %s, %s, %s, %s, %s)",
            [transaction_id, key, at, at, actor.label, reason],
        )
    )


def place_hold(
    *, key: str, account: str, amount_minor: int, expires_at: datetime | None, at: datetime
) -> int:
    """Keeps money aside in an account; no posting. Idempotent by key.

    Raises InsufficientFunds, IdempotencyConflict, AmountOutOfRange.
    """
    _check_amount(amount_minor)
    if amount_minor <= 0:
        raise AmountOutOfRange("A hold is of a positive amount")
    return int(
        _call(
            "SELECT ledger_place_hold(%s, %s, %s, %s, %s)",
            [key, account, amount_minor, expires_at, at],
        )
    )


def release_hold(*, key: str, at: datetime) -> bool:
    """Gives a hold back whole; False where that was done before. Raises HoldClosed, NotFound."""
    return bool(_call("SELECT ledger_release_hold(%s, %s)", [key, at]))


def capture_hold(
    *,
    hold_key: str,
    kind: str,
    key: str,
    entries: Sequence[Entry],
    at: datetime,
    actor: Actor,
    reason: str = "",
    external_reference: str = "",
) -> int:
    """Turns a hold into a posting that takes up to its amount; the rest is free again.

    Idempotent by key. Raises HoldClosed, InsufficientFunds, IdempotencyConflict, NotFound.
    """
    codes, amounts = _columns(entries)
    return int(
        _call(
            "SELECT ledger_capture_hold(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[])",
            [hold_key, kind, key, at, at, actor.label, reason,
             external_reference, codes, amounts],
        )
    )  # fmt: skip


def set_credit_limit(
    organisation: Organisation,
    *,
    currency: str,
    limit_minor: int,
    at: datetime,
    actor: Actor,
    reason: str = "",
) -> None:
    """From now on this wallet may go that far below zero; journalled. Locks the wallet.

    A limit is of one currency: a wallet in another has its own.

    Raises InsufficientFunds where it already is further below, AmountOutOfRange.
    """
    _check_amount(limit_minor)
    with transaction.atomic():
        _call(
            "SELECT ledger_set_floor(%s, %s)", [chart.wallet(organisation, currency), limit_minor]
        )
        journal.record(
            event="wallet.credit_limit_set",
            object_id=organisation.public_id,
            actor=actor,
            at=at,
            reason=reason,
            tenant_id=organisation.pk,
            data={"currency": currency, "limit_minor": limit_minor},
        )


def lock(codes: Sequence[str]) -> dict[str, int]:
    """Locks these accounts' balances and says what is available in each, in its own direction.

    Accounts without a balance row are not locked and read 0.
    """
    with _errors(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT code, coalesce(posted - held + floor_minor, 0) FROM ledger_lock(%s)",
            [list(codes)],
        )
        return dict(cursor.fetchall())


def balance(organisation: Organisation, *, currency: str = "CNY") -> WalletBalance:
    """What a tenant's wallet has, and what lies beside it. One statement, without a lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.purpose, b.posted, b.held, b.floor_minor FROM billing_ledgeraccount a"
            " JOIN billing_ledgerbalance b ON b.account_id = a.id"
            " WHERE a.owner_id = %s AND a.currency = %s",
            [organisation.pk, currency],
        )
        found = {purpose: figures for purpose, *figures in cursor.fetchall()}
    (posted, held, floor), nothing = found.get("wallet", [0, 0, 0]), [0]
    return WalletBalance(
        currency=currency,
        posted_minor=posted,
        held_minor=held,
        credit_minor=floor,
        deposit_minor=found.get("deposit", nothing)[0],
        owed_minor=found.get("tenant_receivable", nothing)[0],
    )


def posted(code: str) -> int:
    """The sum of an account in its own direction, from its balance row or else its entries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(b.posted, ledger_normal(a.kind) * coalesce(("
            " SELECT sum(amount_minor) FROM billing_ledgerentry WHERE account_id = a.id), 0))"
            " FROM billing_ledgeraccount a LEFT JOIN billing_ledgerbalance b"
            " ON b.account_id = a.id WHERE a.code = %s",
            [code],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _columns(entries: Sequence[Entry]) -> tuple[list[str], list[int]]:
    totals: dict[str, int] = {}
    for code, amount in entries:
        _check_amount(amount)
        currency = code.rpartition(":")[2]
        totals[currency] = totals.get(currency, 0) + amount
    if len(entries) < 2 or any(totals.values()) or not all(amount for _, amount in entries):
        raise Unbalanced()
    return [code for code, _ in entries], [amount for _, amount in entries]


def _check_amount(amount: int) -> None:
    if not -LARGEST_ENTRY <= amount <= LARGEST_ENTRY:
        raise AmountOutOfRange(amount_minor=str(amount))


def _call(sql: str, parameters: list[Any]) -> Any:
    with _errors(), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row = cursor.fetchone()
        return row[0] if row else None


@contextmanager
def _errors() -> Iterator[None]:
    """Says the database's refusals in the words of this module."""
    try:
        yield
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        diagnosis = getattr(error.__cause__, "diag", None)
        message = str(getattr(diagnosis, "message_primary", "") or "")
        match state:
            case "LG001":
                raise IdempotencyConflict(message) from error
            case "LG002":
                found = json.loads(diagnosis.message_detail)  # type: ignore[union-attr]
                raise InsufficientFunds(
                    account=found["account"],
                    available=found["available"],
                    needed=found["needed"],
                ) from error
            case "LG003":
                raise HoldClosed(message) from error
            case "LG004":
                raise AlreadyReversed(message) from error
            case "LG006":
                raise Unbalanced(message) from error
            case "LG007":
                raise NotFound(message) from error
            case "22003":  # a balance that no longer fits a bigint
                raise AmountOutOfRange() from error
            case "40P01" | "55P03":  # deadlock, lock timeout
                raise Busy() from error
        raise
