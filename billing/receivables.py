"""What providers owe: demanded once a negative net was carried too long, and paid back."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Sum

from billing import chart, ledger
from billing.ledger import Kind
from billing.models import Repayment, Settlement, TransferReversal
from billing.payments import SamePerson
from billing.payout_terms import lock_provider
from billing.receipts import DuplicateReceipt
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import User
from marketplace import money

State = Repayment.State
LARGEST_MINOR = 10**15


class NothingOwed(DomainError):
    """The provider owes less than that."""

    code = "nothing_owed"
    title = "The provider owes less than that"
    status = 409


def clear_from(*, settlement: Settlement, at: datetime, actor: Actor) -> Repayment:
    """What a new settlement leaves over pays the provider's debt first: settling → receivable.

    The caller holds the provider's organisation and its balances.
    """
    provider, currency = settlement.provider, settlement.currency
    row = Repayment(
        provider=provider,
        currency=currency,
        amount_minor=settlement.paid_back_minor,
        state=State.APPROVED,
        settlement=settlement,
        created_at=at,
        approved_at=at,
    )
    row.ledger_transaction_id = ledger.post(
        kind=Kind.PROVIDER_PAID_BACK,
        key=f"repayment:{row.public_id}",
        entries=[
            (chart.provider_settling(provider, currency), row.amount_minor),
            (chart.provider_receivable(provider, currency), -row.amount_minor),
        ],
        at=at,
        actor=actor,
    )
    row.save(force_insert=True)
    _journal(row, at, actor)
    _settle_demands(row.provider_id, row.currency, at, actor)
    return row


def record_repayment(
    *,
    provider_id: int,
    currency: str,
    amount_minor: int,
    bank_reference: str,
    at: datetime,
    actor: Actor,
    user: User,
) -> Repayment:
    """A provider's transfer was seen on the bank statement; nothing is booked yet.

    Not idempotent: a bank reference is recorded once, and again only where it was rejected.
    Locks the provider's organisation. Raises DuplicateReceipt, NothingOwed, Invalid,
    UnknownCurrency, NotFound.
    """
    money.exponent(currency)
    reference = unicodedata.normalize("NFKC", bank_reference).strip().upper()
    if not reference:
        raise Invalid("A repayment needs the bank's reference")
    if not 0 < amount_minor <= LARGEST_MINOR:
        raise Invalid(f"The amount must lie between 1 and {LARGEST_MINOR} minor units")
    with transaction.atomic():
        provider = lock_provider(provider_id)
        _check_owed(provider_id, chart.provider_receivable(provider, currency), amount_minor)
        row = Repayment(
            provider=provider,
            currency=currency,
            amount_minor=amount_minor,
            bank_reference=reference,
            recorded_by=user,
            created_at=at,
        )
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            if "repayment_reference_once" not in str(error):
                raise
            raise DuplicateReceipt(bank_reference=reference) from error
        _journal(row, at, actor)
    return row


def approve_repayment(
    *, repayment_public_id: str, at: datetime, actor: Actor, user: User
) -> Repayment:
    """Another person agrees: bank → provider receivable; demands it covers are paid back.

    Locks the provider's organisation, the repayment, then balances. Raises SamePerson,
    NothingOwed, IllegalTransition, NotFound.
    """
    with transaction.atomic():
        row = _lock(repayment_public_id)
        provider, currency = row.provider, row.currency
        owed = chart.provider_receivable(provider, currency)
        _check_owed(provider.pk, owed, row.amount_minor)
        if row.recorded_by_id == user.pk:
            raise SamePerson()
        row.decided_by = user
        row.ledger_transaction_id = ledger.post(
            kind=Kind.PROVIDER_PAID_BACK,
            key=f"repayment:{row.public_id}",
            entries=[(chart.bank(currency), row.amount_minor), (owed, -row.amount_minor)],
            at=at,
            actor=actor,
            external_reference=row.bank_reference,
        )
        transitions.advance(
            row,
            to=State.APPROVED,
            at=at,
            actor=actor,
            changed=("decided_by", "ledger_transaction"),
            data={"amount_minor": row.amount_minor, "currency": currency},
        )
        _settle_demands(row.provider_id, row.currency, at, actor)
    return row


def reject_repayment(
    *, repayment_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> Repayment:
    """It was not the provider's. Raises SamePerson, Invalid, IllegalTransition, NotFound."""
    if not reason.strip():
        raise Invalid("Say why the repayment is rejected")
    with transaction.atomic():
        row = _lock(repayment_public_id)
        if row.recorded_by_id == user.pk:
            raise SamePerson()
        row.decided_by = user
        transitions.advance(
            row, to=State.REJECTED, at=at, actor=actor, reason=reason, changed=("decided_by",)
        )
    return row


def follow_claw_backs(*, at: datetime, actor: Actor) -> int:
    """Demands that were paid by what came back of transfers are paid back; how many.

    One transaction for each provider and currency. Locks the provider's organisation, then the
    demands. Idempotent.
    """
    demanded = Settlement.objects.filter(state=Settlement.State.DEMANDED)
    paid = 0
    for provider_id, currency in sorted(set(demanded.values_list("provider_id", "currency"))):
        if _clawed_back_minor(provider_id, currency):
            with transaction.atomic():
                lock_provider(provider_id)
                paid += _settle_demands(provider_id, currency, at, actor)
    return paid


def _settle_demands(provider_id: int, currency: str, at: datetime, actor: Actor) -> int:
    """Demands that repayments and claw-backs cover, the oldest first, are paid back."""
    mine = {"provider_id": provider_id, "currency": currency}
    paid = Repayment.objects.filter(**mine, state=State.APPROVED).aggregate(
        minor=Sum("amount_minor", default=0)
    )["minor"] + _clawed_back_minor(provider_id, currency)
    settled = 0
    demands = Settlement.objects.select_for_update(of=("self",), no_key=True).filter(
        **mine, net_minor__lt=0
    )
    for demand in demands.order_by("pk"):
        paid += demand.net_minor
        if paid < 0:
            break
        if demand.state == Settlement.State.DEMANDED:
            transitions.advance(demand, to=Settlement.State.PAID_BACK, at=at, actor=actor)
            settled += 1
    return settled


def _clawed_back_minor(provider_id: int, currency: str) -> int:
    """What parts of transfers, taken back, have paid of the provider's debt."""
    parts = TransferReversal.objects.filter(
        provider_id=provider_id,
        transfer__currency=currency,
        state=TransferReversal.State.SUCCEEDED,
        amount_minor__lt=F("transfer__amount_minor"),
    )
    return int(parts.aggregate(minor=Sum("amount_minor", default=0))["minor"])


def _check_owed(provider_id: int, account: str, amount_minor: int) -> None:
    owed = ledger.lock([account])[account]
    if owed < amount_minor:
        raise NothingOwed(owed_minor=owed)


def _journal(row: Repayment, at: datetime, actor: Actor) -> None:
    journal.record(
        event=f"repayment.{row.state}",
        object_id=row.public_id,
        actor=actor,
        at=at,
        to_state=row.state,
        provider_id=row.provider_id,
        data={"amount_minor": row.amount_minor, "currency": row.currency},
    )


def _lock(public_id: str) -> Repayment:
    found = identifiers.find(Repayment.objects.all(), public_id, "No such repayment")
    lock_provider(found.provider_id)
    rows = Repayment.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("provider"), public_id, "No such repayment")
