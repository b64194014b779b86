"""Stripe's objects as this house reads them: our currencies, our minor units, nothing unread."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.gateway import currencies

Raw = Mapping[str, Any]
Expand = Callable[[str], Raw]  # a balance transaction by id, where Stripe sent only that


@dataclass(frozen=True, slots=True)
class Line:
    """A balance transaction: what our balance at Stripe moved by is `net_minor`."""

    id: str
    type: str
    category: str
    amount_minor: int
    fee_minor: int
    net_minor: int
    currency: str
    source: str
    description: str
    created_at: datetime
    available_on: datetime
    exchange_rate: Decimal | None


@dataclass(frozen=True, slots=True)
class Charge:
    """A payment made. Its line may come later than it."""

    id: str
    is_paid: bool
    method: str
    fingerprint: str
    line: Line | None


@dataclass(frozen=True, slots=True)
class Intent:
    id: str
    status: str
    amount_minor: int
    received_minor: int
    currency: str
    client_secret: str = field(repr=False)
    decline_code: str
    metadata: Mapping[str, str]
    charge: Charge | None


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    status: str
    amount_minor: int
    currency: str
    intent_id: str
    metadata: Mapping[str, str]
    failure_reason: str
    line: Line | None
    failure_line: Line | None  # what came back


@dataclass(frozen=True, slots=True)
class Dispute:
    id: str
    status: str
    amount_minor: int
    currency: str
    reason: str
    charge_id: str
    intent_id: str
    answer_by: datetime | None
    created_at: datetime
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Transfer:
    id: str
    amount_minor: int
    reversed_minor: int
    currency: str
    account_id: str
    group: str
    metadata: Mapping[str, str]
    line: Line | None


@dataclass(frozen=True, slots=True)
class Reversal:
    id: str
    transfer_id: str
    amount_minor: int
    currency: str
    metadata: Mapping[str, str]
    line: Line | None


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    can_receive: bool
    can_pay_out: bool
    wanted: tuple[str, ...]
    disabled_reason: str
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Payout:
    id: str
    status: str
    amount_minor: int
    currency: str
    is_automatic: bool
    arrival_at: datetime
    created_at: datetime
    failure_reason: str
    metadata: Mapping[str, str]
    line: Line | None
    failure_line: Line | None


@dataclass(frozen=True, slots=True)
class Customer:
    id: str
    metadata: Mapping[str, str]


def customer(raw: Raw, _expand: Expand) -> Customer:
    return Customer(id=raw["id"], metadata=raw.get("metadata") or {})


def line(raw: Raw) -> Line:
    code = raw["currency"].upper()
    rate = raw.get("exchange_rate")
    return Line(
        id=raw["id"],
        type=raw["type"],
        category=raw.get("reporting_category") or raw["type"],
        amount_minor=currencies.minor(raw["amount"], code),
        fee_minor=currencies.minor(raw["fee"], code),
        net_minor=currencies.minor(raw["net"], code),
        currency=code,
        source=_id(raw.get("source")),
        description=(raw.get("description") or "")[:500],
        created_at=_instant(raw["created"]),
        available_on=_instant(raw["available_on"]),
        # JSON's number by its digits, not by what a float makes of them.
        exchange_rate=None if rate is None else Decimal(str(rate)),
    )


def intent(raw: Raw, expand: Expand) -> Intent:
    code = raw["currency"].upper()
    found = raw.get("latest_charge")
    error = raw.get("last_payment_error") or {}
    return Intent(
        id=raw["id"],
        status=raw["status"],
        amount_minor=currencies.minor(raw["amount"], code),
        received_minor=currencies.minor(raw.get("amount_received") or 0, code),
        currency=code,
        client_secret=raw.get("client_secret") or "",
        decline_code=(error.get("decline_code") or error.get("code") or "")[:80],
        metadata=raw.get("metadata") or {},
        charge=charge(found, expand) if isinstance(found, Mapping) else None,
    )


def charge(raw: Raw, expand: Expand) -> Charge:
    details = raw.get("payment_method_details") or {}
    card = details.get("card") or {}
    return Charge(
        id=raw["id"],
        is_paid=bool(raw.get("paid")) and raw.get("status") == "succeeded",
        method=(details.get("type") or "")[:40],
        fingerprint=(card.get("fingerprint") or "")[:80],
        line=_line(raw.get("balance_transaction"), expand),
    )


def refund(raw: Raw, expand: Expand) -> Refund:
    code = raw["currency"].upper()
    return Refund(
        id=raw["id"],
        status=raw.get("status") or "pending",
        amount_minor=currencies.minor(raw["amount"], code),
        currency=code,
        intent_id=_id(raw.get("payment_intent")),
        metadata=raw.get("metadata") or {},
        failure_reason=(raw.get("failure_reason") or "")[:200],
        line=_line(raw.get("balance_transaction"), expand),
        failure_line=_line(raw.get("failure_balance_transaction"), expand),
    )


def dispute(raw: Raw, expand: Expand) -> Dispute:
    code = raw["currency"].upper()
    due = (raw.get("evidence_details") or {}).get("due_by")
    lines = (_line(one, expand) for one in raw.get("balance_transactions") or ())
    return Dispute(
        id=raw["id"],
        status=raw["status"],
        amount_minor=currencies.minor(raw["amount"], code),
        currency=code,
        reason=(raw.get("reason") or "")[:80],
        charge_id=_id(raw.get("charge")),
        intent_id=_id(raw.get("payment_intent")),
        answer_by=None if due is None else _instant(due),
        created_at=_instant(raw["created"]),
        lines=tuple(one for one in lines if one is not None),
    )


def transfer(raw: Raw, expand: Expand) -> Transfer:
    code = raw["currency"].upper()
    return Transfer(
        id=raw["id"],
        amount_minor=currencies.minor(raw["amount"], code),
        reversed_minor=currencies.minor(raw.get("amount_reversed") or 0, code),
        currency=code,
        account_id=_id(raw.get("destination")),
        group=raw.get("transfer_group") or "",
        metadata=raw.get("metadata") or {},
        line=_line(raw.get("balance_transaction"), expand),
    )


def reversal(raw: Raw, expand: Expand) -> Reversal:
    code = raw["currency"].upper()
    return Reversal(
        id=raw["id"],
        transfer_id=_id(raw.get("transfer")),
        amount_minor=currencies.minor(raw["amount"], code),
        currency=code,
        metadata=raw.get("metadata") or {},
        line=_line(raw.get("balance_transaction"), expand),
    )


def account(raw: Raw, _expand: Expand) -> Account:
    needs = raw.get("requirements") or {}
    wanted = [*(needs.get("currently_due") or ()), *(needs.get("past_due") or ())]
    return Account(
        id=raw["id"],
        can_receive=(raw.get("capabilities") or {}).get("transfers") == "active",
        can_pay_out=bool(raw.get("payouts_enabled")),
        wanted=tuple(dict.fromkeys(wanted)),
        disabled_reason=(needs.get("disabled_reason") or "")[:200],
        metadata=raw.get("metadata") or {},
    )


def payout(raw: Raw, expand: Expand) -> Payout:
    code = raw["currency"].upper()
    return Payout(
        id=raw["id"],
        status=raw["status"],
        amount_minor=currencies.minor(raw["amount"], code),
        currency=code,
        is_automatic=bool(raw.get("automatic")),
        arrival_at=_instant(raw["arrival_date"]),
        created_at=_instant(raw["created"]),
        failure_reason=(raw.get("failure_code") or "")[:200],
        metadata=raw.get("metadata") or {},
        line=_line(raw.get("balance_transaction"), expand),
        failure_line=_line(raw.get("failure_balance_transaction"), expand),
    )


def _line(found: Any, expand: Expand) -> Line | None:
    if not found:
        return None
    return line(found if isinstance(found, Mapping) else expand(found))


def _id(found: Any) -> str:
    return (found["id"] if isinstance(found, Mapping) else found) or ""


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
