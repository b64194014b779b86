"""Money that comes in by bank: one person records it, another approves it."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from billing import chart, ledger
from billing.ledger import Kind
from billing.models import BankReceipt
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.models import Organisation, User
from marketplace import money

State = BankReceipt.State
LARGEST_RECEIPT_MINOR = 10**15


class DebtOpen(DomainError):
    """The tenant owes for hours it used; it pays them before it makes another deal."""

    code = "debt_open"
    title = "What was used before has to be paid first"
    status = 402


class SamePerson(Forbidden):
    """Whoever recorded a receipt does not decide on it."""

    code = "same_person"
    title = "Another person has to decide"


class DuplicateReceipt(DomainError):
    """The line of the bank statement was recorded before."""

    code = "duplicate_receipt"
    title = "This bank reference is recorded already"


def record_receipt(
    *,
    tenant_id: int,
    bank_reference: str,
    payer_name: str,
    amount_minor: int,
    currency: str,
    received_date: date,
    at: datetime,
    actor: Actor,
    user: User,
    payer_account: str = "",
) -> BankReceipt:
    """A transfer seen on the statement is booked as unmatched: bank → unmatched receipts.

    Nothing is in the wallet yet. Not idempotent: a bank reference, however it is written, is
    recorded once, and again only where it was rejected. Raises DuplicateReceipt, Invalid,
    UnknownCurrency, NotFound.
    """
    reference = unicodedata.normalize("NFKC", bank_reference).strip().upper()
    if not reference or not payer_name.strip():
        raise Invalid("A receipt needs the bank's reference and the payer's name")
    if received_date > at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
        raise Invalid("A transfer cannot have been received in the future")
    if not 0 < amount_minor <= LARGEST_RECEIPT_MINOR:
        raise Invalid(f"The amount must lie between 1 and {LARGEST_RECEIPT_MINOR} minor units")
    money.exponent(currency)
    tenant = Organisation.objects.filter(pk=tenant_id, is_tenant=True).first()
    if tenant is None:
        raise NotFound("No such tenant")
    receipt = BankReceipt(
        tenant=tenant,
        bank_reference=reference,
        payer_name=payer_name.strip(),
        payer_account=payer_account.strip(),
        amount_minor=amount_minor,
        currency=currency,
        received_date=received_date,
        recorded_by=user,
        created_at=at,
    )
    with transaction.atomic():
        _insert(receipt)
        ledger.post(
            kind=Kind.BANK_RECEIPT_RECORDED,
            key=f"receipt:{receipt.public_id}:recorded",
            entries=[
                (chart.bank(currency), amount_minor),
                (chart.unmatched_receipts(currency), -amount_minor),
            ],
            at=at,
            actor=actor,
            external_reference=reference,
        )
        journal.record(
            event="bankreceipt.recorded",
            object_id=receipt.public_id,
            actor=actor,
            at=at,
            to_state=State.RECORDED,
            tenant_id=tenant_id,
            data={"amount_minor": amount_minor, "currency": currency, "bank_reference": reference},
        )
    return receipt


def _insert(receipt: BankReceipt) -> None:
    try:
        with transaction.atomic():
            receipt.save(force_insert=True)
    except IntegrityError as error:
        if "receipt_reference_once" not in str(error):
            raise
        raise DuplicateReceipt(bank_reference=receipt.bank_reference) from error


def approve_receipt(
    *, receipt_public_id: str, at: datetime, actor: Actor, user: User
) -> BankReceipt:
    """The money is in the tenant's wallet, less what the tenant owes, which it pays first.

    Locks the receipt. Raises SamePerson, IllegalTransition, NotFound. Not idempotent.
    """
    with transaction.atomic():
        receipt = _lock(receipt_public_id)
        _decide(receipt, to=State.APPROVED, user=user, at=at, actor=actor, reason="")
        tenant, currency = receipt.tenant, receipt.currency
        wallet, owed = chart.wallet(tenant, currency), chart.receivable(tenant, currency)
        ledger.lock([wallet, owed, chart.unmatched_receipts(currency)])
        ledger.post(
            kind=Kind.BANK_RECEIPT_APPROVED,
            key=f"receipt:{receipt.public_id}:approved",
            entries=[
                (chart.unmatched_receipts(currency), receipt.amount_minor),
                (wallet, -receipt.amount_minor),
            ],
            at=at,
            actor=actor,
            external_reference=receipt.bank_reference,
        )
        clear_receivable(
            tenant,
            currency=currency,
            up_to_minor=receipt.amount_minor,
            cause=f"receipt:{receipt.public_id}",
            at=at,
            actor=actor,
        )
    return receipt


def reject_receipt(
    *, receipt_public_id: str, at: datetime, actor: Actor, user: User, reason: str
) -> BankReceipt:
    """It was not the tenant's: what was booked when it was recorded is reversed.

    Locks the receipt. Raises SamePerson, IllegalTransition, NotFound, Invalid. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say why the receipt is rejected")
    with transaction.atomic():
        receipt = _lock(receipt_public_id)
        _decide(receipt, to=State.REJECTED, user=user, at=at, actor=actor, reason=reason)
        ledger.post(
            kind=Kind.BANK_RECEIPT_REJECTED,
            key=f"receipt:{receipt.public_id}:rejected",
            entries=[
                (chart.unmatched_receipts(receipt.currency), receipt.amount_minor),
                (chart.bank(receipt.currency), -receipt.amount_minor),
            ],
            at=at,
            actor=actor,
            reason=reason[:500],
            external_reference=receipt.bank_reference,
        )
    return receipt


def clear_receivable(
    tenant: Organisation,
    *,
    currency: str,
    up_to_minor: int,
    cause: str,
    at: datetime,
    actor: Actor,
) -> int:
    """What the tenant owes is paid from money that just reached its wallet; returns how much.

    Never more than `up_to_minor`, so that a credit limit is not spent on it. Idempotent by
    `cause`. Locks the wallet and the receivable.
    """
    wallet, owed = chart.wallet(tenant, currency), chart.receivable(tenant, currency)
    cleared = min(up_to_minor, ledger.lock([wallet, owed])[owed])
    if cleared <= 0:
        return 0
    ledger.post(
        kind=Kind.RECEIVABLE_CLEARED,
        key=f"{cause}:cleared",
        entries=[(wallet, cleared), (owed, -cleared)],
        at=at,
        actor=actor,
    )
    return cleared


def _lock(public_id: str) -> BankReceipt:
    rows = BankReceipt.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("tenant"), public_id, "No such receipt")


def _decide(
    receipt: BankReceipt, *, to: str, user: User, at: datetime, actor: Actor, reason: str
) -> None:
    if receipt.recorded_by_id == user.pk:
        raise SamePerson
    receipt.decided_by = user
    transitions.advance(
        receipt,
        to=to,
        at=at,
        actor=actor,
        reason=reason,
        changed=("decided_by",),
        data={"amount_minor": receipt.amount_minor, "currency": receipt.currency},
    )
