"""The ledger: post, hold, reverse. Thin over SQL functions, which alone may write.

Amounts are minor units, debit positive. Nothing here opens a transaction or a savepoint:
each call is one statement, and after an error the caller's transaction is spent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F

from billing import chart
from billing.ledger_calls import AlreadyReversed as AlreadyReversed
from billing.ledger_calls import AmountOutOfRange as AmountOutOfRange
from billing.ledger_calls import HoldClosed as HoldClosed
from billing.ledger_calls import IdempotencyConflict as IdempotencyConflict
from billing.ledger_calls import InsufficientFunds as InsufficientFunds
from billing.ledger_calls import PeriodClosed as PeriodClosed
from billing.ledger_calls import Unbalanced as Unbalanced
from billing.ledger_calls import call, errors
from billing.models import LedgerAccount, LedgerBalance, LedgerHold, LedgerTransaction
from inventory import journal
from inventory.actors import Actor
from inventory.errors import Busy, Invalid
from inventory.models import Organisation

logger = logging.getLogger(__name__)
Entry = tuple[str, int]  # (account code, minor units: debit positive, credit negative)
Kind = LedgerTransaction.Kind

LARGEST_ENTRY = 10**17  # far above any deal, far below what a bigint holds


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
    by_hand: bool = False,
) -> int:
    """Books one transaction and returns its id; accounts open on first use.

    A fact of a closed period is booked at the first open instant, what is posted `by_hand` is
    refused there. Locks the books shared, then the balances of its guarded and often read
    accounts, in the order of account. Idempotent by key: the same content returns the first
    one's id. Raises InsufficientFunds, IdempotencyConflict, Unbalanced, AmountOutOfRange, Busy,
    and by hand PeriodClosed.
    """
    codes, amounts = _columns(entries)
    function = "ledger_post_by_hand" if by_hand else "ledger_post"
    return int(
        call(
            f"SELECT {function}(%s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[])",
            [kind, key, effective_at or at, at, actor.label, reason, external_reference,
             codes, amounts],
        )
    )  # fmt: skip


def post_many(postings: Sequence[Posting], *, at: datetime, actor: Actor) -> list[int]:
    """As `post` for each, one after the other, all balances locked first, in one round trip."""
    places: dict[str, int] = {}
    posts: list[int] = []
    accounts: list[int] = []
    amounts: list[int] = []
    for number, posting in enumerate(postings, start=1):
        check(posting.entries)
        for code, amount in posting.entries:
            posts.append(number)
            accounts.append(places.setdefault(code, len(places) + 1))
            amounts.append(amount)
    if not postings:
        return []
    return list(
        call(
            "SELECT ledger_post_many(%s::text[], %s::text[], %s::timestamptz[], %s::text[],"
            " %s::text[], %s::text[], %s::integer[], %s::integer[], %s::bigint[], %s, %s)",
            [
                _array(posting.kind for posting in postings),
                _array(posting.key for posting in postings),
                _array(posting.effective_at.isoformat() for posting in postings),
                _array(posting.reason for posting in postings),
                _array(posting.external_reference for posting in postings),
                _array(places),
                _array(map(str, posts)),
                _array(map(str, accounts)),
                _array(map(str, amounts)),
                actor.label,
                at,
            ],
        )
    )


def _array(values: Iterable[str]) -> str:
    """As PostgreSQL writes an array: psycopg takes longer to do so than to post it."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + '","'.join(quoted) + '"}'


def reverse(*, transaction_id: int, key: str, at: datetime, actor: Actor, reason: str) -> int:
    """Books the exact opposite of a transaction. Raises AlreadyReversed, InsufficientFunds."""
    return int(
        call(
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
        call(
            "SELECT ledger_place_hold(%s, %s, %s, %s, %s)",
            [key, account, amount_minor, expires_at, at],
        )
    )


def extend_hold(*, key: str, amount_minor: int, expires_at: datetime | None, at: datetime) -> int:
    """Holds at least this amount until at least this instant (None: it never lapses).

    Returns the hold's amount afterwards; it never shrinks. The same calls in any order and
    number leave the same hold. Locks the account. Raises HoldClosed (also once its time is
    over), InsufficientFunds, AmountOutOfRange, NotFound.
    """
    _check_amount(amount_minor)
    return int(
        call("SELECT ledger_extend_hold(%s, %s, %s, %s)", [key, amount_minor, expires_at, at])
    )


def release_hold(*, key: str, at: datetime) -> bool:
    """Gives back what is left of a hold; False where it was given back, or lapsed, before.

    Raises HoldClosed (it is captured), NotFound.
    """
    return bool(call("SELECT ledger_release_hold(%s, %s)", [key, at]))


def expire_holds(*, at: datetime, limit: int) -> int:
    """Holds whose time is over lapse, and their money is free; returns how many did.

    One transaction each, so that a busy account holds up no other. Idempotent.
    """
    due = LedgerHold.objects.filter(state=LedgerHold.State.OPEN, expires_at__lte=at)
    keys = list(due.order_by("expires_at", "pk").values_list("idempotency_key", flat=True)[:limit])
    return sum(_swept("SELECT ledger_expire_hold(%s, %s)", key, at) is True for key in keys)


def capture_hold(
    *,
    hold_key: str,
    kind: str,
    key: str,
    entries: Sequence[Entry],
    at: datetime,
    actor: Actor,
    effective_at: datetime | None = None,
    reason: str = "",
    external_reference: str = "",
    keep_rest: bool = False,
) -> int:
    """Turns a hold into a posting that takes up to what is left of it.

    The rest is free again, or with `keep_rest` stays held. Idempotent by key. Raises HoldClosed
    (also once its time is over), InsufficientFunds, IdempotencyConflict, NotFound, and what
    `post` raises.
    """
    codes, amounts = _columns(entries)
    function = "ledger_capture_part" if keep_rest else "ledger_capture_hold"
    return int(
        call(
            f"SELECT {function}(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s::bigint[])",
            [hold_key, kind, key, effective_at or at, at, actor.label, reason,
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
    until: datetime | None = None,
    reason: str = "",
) -> None:
    """From now on this wallet may go that far below zero; journalled. Locks the wallet.

    A limit is of one currency: a wallet in another has its own. From `until` on it falls to
    what is drawn on it, and further with every payment (`lapse_credit_limits`).

    Raises InsufficientFunds where it already is further below, AmountOutOfRange.
    """
    _check_amount(limit_minor)
    if until is not None and until <= at:
        raise Invalid("A credit limit lapses later than now")
    with transaction.atomic():
        call(
            "SELECT ledger_set_floor(%s, %s, %s)",
            [chart.wallet(organisation, currency), limit_minor, until],
        )
        journal.record(
            event="wallet.credit_limit_set",
            object_id=organisation.public_id,
            actor=actor,
            at=at,
            reason=reason,
            tenant_id=organisation.pk,
            data={"currency": currency, "limit_minor": limit_minor}
            | ({"until": until.isoformat()} if until else {}),
        )


def lapse_credit_limits(*, at: datetime, limit: int) -> int:
    """Credit limits whose time is over fall to what is drawn on them; how many are gone by now.

    One transaction each. Idempotent: what is still drawn falls again when it was paid.
    """
    due = LedgerBalance.objects.filter(floor_until__lte=at).exclude(
        floor_minor=F("held") - F("posted")
    )
    codes = list(due.order_by("floor_until", "pk").values_list("account__code", flat=True)[:limit])
    return sum(_swept("SELECT ledger_lapse_floor(%s, %s)", code, at) == 0 for code in codes)


def _swept(sql: str, name: str, at: datetime) -> object:
    try:
        with transaction.atomic():
            return call(sql, [name, at])
    except Busy:
        logger.info("%s is busy: a later sweep takes it", name)
        return None


def lock(codes: Sequence[str]) -> dict[str, int]:
    """Locks these accounts' balances and says what is available in each, in its own direction.

    Accounts without a balance row are not locked and read 0.
    """
    with errors(), connection.cursor() as cursor:
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
    """The sum of an account in its own direction.

    From its balance row, else from its last checkpoint and the entries after it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(b.posted, coalesce(c.posted, 0) + ledger_normal(a.kind) * coalesce(("
            "  SELECT sum(amount_minor) FROM billing_ledgerentry WHERE account_id = a.id"
            "  AND id > coalesce(c.through_entry, 0)), 0))"
            " FROM billing_ledgeraccount a"
            " LEFT JOIN billing_ledgerbalance b ON b.account_id = a.id"
            " LEFT JOIN LATERAL (SELECT through_entry, posted FROM billing_ledgercheckpoint"
            "  WHERE account_id = a.id ORDER BY through_entry DESC LIMIT 1) c ON true"
            " WHERE a.code = %s",
            [code],
        )
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def codes_of(purpose: str) -> list[str]:
    """The accounts of a purpose that were opened, in the order of their codes."""
    rows = LedgerAccount.objects.filter(purpose=purpose).order_by("code")
    return list(rows.values_list("code", flat=True))


def check(entries: Sequence[Entry]) -> None:
    """Refuses entries that are no transaction. Raises Unbalanced, AmountOutOfRange."""
    totals: dict[str, int] = {}
    for code, amount in entries:
        if not amount:
            raise Unbalanced()
        _check_amount(amount)
        currency = code[-3:]
        totals[currency] = totals.get(currency, 0) + amount
    if len(entries) < 2 or any(totals.values()):
        raise Unbalanced()


def _columns(entries: Sequence[Entry]) -> tuple[list[str], list[int]]:
    check(entries)
    return [code for code, _ in entries], [amount for _, amount in entries]


def _check_amount(amount: int) -> None:
    if not -LARGEST_ENTRY <= amount <= LARGEST_ENTRY:
        raise AmountOutOfRange(amount_minor=str(amount))
