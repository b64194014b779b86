"""Payouts: planned by one person, approved by another, held until they have left."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from billing import chart, input_fapiaos, ledger, payables, payout_terms, references
from billing.ledger import Kind
from billing.models import Payout, PayoutLine, PayoutTerms, Settlement
from billing.payments import SamePerson
from billing.payout_terms import lock_provider
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation, User
from marketplace import money, policy

logger = logging.getLogger(__name__)
State = Payout.State


class NothingToPay(DomainError):
    """No settled part waits for a payout."""

    code = "nothing_to_pay"
    title = "There is nothing to pay out"
    status = 409


class BelowMinimum(DomainError):
    """By its terms the provider is paid larger sums only; this one waits for more."""

    code = "below_minimum"
    title = "The amount is below the smallest payout agreed"
    status = 409


class PayoutUnderWay(DomainError):
    """One payout of a provider and currency at a time."""

    code = "payout_under_way"
    title = "A payout is under way"
    status = 409


class PayeeChanged(DomainError):
    """The account is not the one that was planned; plan the payout anew."""

    code = "payee_changed"
    title = "The provider's bank account is another one now"
    status = 409


def plan(*, provider_id: int, currency: str, at: datetime, actor: Actor, user: User) -> Payout:
    """Everything of the provider's that is settled and in no payout is in this one.

    By the terms of the newest settlement in it. Nothing is held before another person
    approves. Locks the provider's organisation. Raises NothingToPay, BelowMinimum, NoBankAccount,
    NoPayee, PayoutUnderWay, FapiaoMissing, OrganisationUnverified, UnknownCurrency, NotFound.
    Not idempotent: a second one is refused while the first is under way.
    """
    money.exponent(currency)
    with transaction.atomic():
        provider = lock_provider(provider_id)
        policy.require_verified(provider)
        if _under_way(provider, currency):
            raise PayoutUnderWay()
        parts = payables.due(provider_id=provider_id, currency=currency)
        if not parts:
            raise NothingToPay()
        amount = sum(part.amount_minor for part in parts)
        terms = parts[-1].settlement.terms or _first_terms(provider, currency, at)
        if amount < terms.minimum_minor:
            raise BelowMinimum(minimum_minor=terms.minimum_minor, amount_minor=amount)
        where = payables.destination(
            provider=provider, currency=currency, method=terms.method, at=at
        )
        row = Payout(
            provider=provider,
            currency=currency,
            amount_minor=amount,
            method=terms.method,
            terms=terms,
            payee=where.payee,
            payee_name=where.name,
            payee_bank=where.bank,
            payee_bank_code=where.bank_code,
            payee_account=where.account,
            planned_by=user,
            created_at=at,
        )
        row.save(force_insert=True)
        PayoutLine.objects.bulk_create(
            PayoutLine(
                payout=row,
                settlement=part.settlement,
                part=part.part,
                amount_minor=part.amount_minor,
            )
            for part in parts
        )
        input_fapiaos.require_covered(payout=row)
        journal.record(
            event="payout.planned",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.PLANNED,
            provider_id=provider_id,
            data=_data(row),
        )
    return row


def plan_due(*, at: datetime, actor: Actor, user: User) -> tuple[list[Payout], int]:
    """Plans a payout for everybody who can be paid; those, and how many cannot yet.

    One transaction each, so that one that cannot be paid holds up no other.
    """
    planned, refused = [], 0
    for provider_id, currency in payables.accounts():
        try:
            planned.append(
                plan(provider_id=provider_id, currency=currency, at=at, actor=actor, user=user)
            )
        except DomainError as error:
            logger.info("provider %s is not paid: %s", provider_id, error)
            refused += 1
    return planned, refused


def approve(*, payout_public_id: str, at: datetime, actor: Actor, user: User) -> Payout:
    """Another person agrees: the money is held in provider settling until it has left.

    What was looked at in planning is looked at again: verification, account, fapiaos. Locks
    the provider's organisation, the payout, then the balance. Raises SamePerson,
    PayeeChanged, NoBankAccount, NoPayee, FapiaoMissing, OrganisationUnverified, InsufficientFunds,
    IllegalTransition, NotFound. Not idempotent.
    """
    with transaction.atomic():
        row = lock(payout_public_id)
        policy.require_verified(row.provider)
        if row.planned_by_id == user.pk:
            raise SamePerson()
        where = payables.destination(
            provider=row.provider, currency=row.currency, method=row.method, at=at
        )
        if (where.payee, where.account) != (row.payee, row.payee_account):
            raise PayeeChanged()
        input_fapiaos.require_covered(payout=row)
        row.approved_by = user
        row.next_step_at = at
        transitions.advance(
            row,
            to=State.APPROVED,
            at=at,
            actor=actor,
            changed=("approved_by", "next_step_at"),
            data=_data(row),
        )
        ledger.place_hold(
            key=row.hold_key,
            account=chart.provider_settling(row.provider, row.currency),
            amount_minor=row.amount_minor,
            expires_at=None,
            at=at,
        )
    return row


def cancel(*, payout_public_id: str, reason: str, at: datetime, actor: Actor) -> Payout:
    """It is given up before it was sent; its settlements wait for another payout.

    Locks as `approve`. Raises Invalid, IllegalTransition, NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the payout is cancelled")
    with transaction.atomic():
        row = lock(payout_public_id)
        was_held = row.state != State.PLANNED
        transitions.advance(
            row, to=State.CANCELLED, at=at, actor=actor, reason=reason, data=_data(row)
        )
        _free(row, at=at, is_held=was_held)
    return row


def mark_paid(*, payout_public_id: str, reference: str, at: datetime, actor: Actor) -> Payout:
    """The money has left: provider settling → bank or Stripe, out of the hold.

    Locks the provider's organisation, the payout, its settlements, then balances. Idempotent:
    one that is paid stays so. Raises IllegalTransition, NotFound.
    """
    with transaction.atomic():
        row = lock(payout_public_id)
        if row.state == State.PAID:
            return row
        if not row.LIFECYCLE.allows(row.state, State.PAID):  # before its hold is asked for
            raise transitions.IllegalTransition(
                f"{row.public_id} is {row.state} and cannot become paid",
                current=row.state,
                wanted=str(State.PAID),
            )
        row.rail_reference = row.rail_reference or reference[:120]
        row.ledger_transaction_id = ledger.capture_hold(
            hold_key=row.hold_key,
            kind=Kind.PAID_OUT,
            key=f"{row.hold_key}:paid",
            entries=[
                (chart.provider_settling(row.provider, row.currency), row.amount_minor),
                (_source(row), -row.amount_minor),
            ],
            at=at,
            actor=actor,
            external_reference=_named_outside(row),
        )
        row.next_step_at = None
        transitions.advance(
            row,
            to=State.PAID,
            at=at,
            actor=actor,
            changed=("rail_reference", "ledger_transaction", "next_step_at"),
            data={**_data(row), "reference": row.rail_reference},
        )
        for settlement in _settlements(row).filter(state=Settlement.State.SETTLED):
            if not _rest(settlement):
                transitions.advance(settlement, to=Settlement.State.PAID, at=at, actor=actor)
    return row


def mark_failed(*, payout_public_id: str, reason: str, at: datetime, actor: Actor) -> Payout:
    """It has not left and will not: the hold is released, the provider reads why.

    Its settlements wait for another payout, once the account is in order. Locks as `approve`.
    Idempotent. Raises Invalid, IllegalTransition, NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the payout failed")
    with transaction.atomic():
        row = lock(payout_public_id)
        if row.state == State.FAILED:
            return row
        row.last_error, row.next_step_at = reason[:300], None
        transitions.advance(
            row,
            to=State.FAILED,
            at=at,
            actor=actor,
            reason=reason,
            changed=("last_error", "next_step_at"),
            data=_data(row),
        )
        _free(row, at=at, is_held=True)
    return row


def mark_returned(
    *, payout_public_id: str, reason: str, at: datetime, actor: Actor, reference: str = ""
) -> Payout:
    """It had left and came back: bank or Stripe → provider settling; to be paid anew.

    `reference` is what the bank or Stripe calls the coming back, where it is not the payout's
    own. Locks as `mark_paid`. Idempotent. Raises Invalid, IllegalTransition, NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the payout came back")
    with transaction.atomic():
        row = lock(payout_public_id)
        if row.state == State.RETURNED:
            return row
        row.last_error = reason[:300]
        transitions.advance(
            row,
            to=State.RETURNED,
            at=at,
            actor=actor,
            reason=reason,
            changed=("last_error",),
            data=_data(row),
        )
        ledger.post(
            kind=Kind.PAYOUT_RETURNED,
            key=f"{row.hold_key}:returned",
            entries=[
                (_source(row), row.amount_minor),
                (chart.provider_settling(row.provider, row.currency), -row.amount_minor),
            ],
            at=at,
            actor=actor,
            reason=reason[:500],
            external_reference=reference or _named_outside(row),
        )
        settlements = list(_settlements(row))
        _free(row, at=at, is_held=False)
        for settlement in settlements:
            if settlement.state == Settlement.State.PAID:
                settlement.paid_at = None
                transitions.advance(
                    settlement,
                    to=Settlement.State.SETTLED,
                    at=at,
                    actor=actor,
                    changed=("paid_at",),
                )
    return row


def lock(public_id: str) -> Payout:
    """The payout, locked after its provider's organisation. Raises NotFound."""
    found = identifiers.find(Payout.objects.all(), public_id, "No such payout")
    lock_provider(found.provider_id)
    rows = Payout.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("provider", "payee"), public_id, "No such payout")


def _free(row: Payout, *, at: datetime, is_held: bool) -> None:
    """What was in it may be in another one."""
    if is_held:
        ledger.release_hold(key=row.hold_key, at=at)
    row.lines.update(is_live=False)


def _rest(row: Settlement) -> int:
    """What of a settlement has not been paid out."""
    paid = row.payout_lines.filter(is_live=True, payout__state=State.PAID)
    return row.net_minor - row.paid_back_minor - sum(paid.values_list("amount_minor", flat=True))


def _first_terms(provider: Organisation, currency: str, at: datetime) -> PayoutTerms:
    """Of settlements that are older than terms."""
    return payout_terms.ensure(providers=[provider], currency=currency, at=at)[provider.pk]


def _settlements(row: Payout) -> QuerySet[Settlement]:
    """Those it pays, locked in order."""
    ids = row.lines.filter(is_live=True).values("settlement_id")
    rows = Settlement.objects.select_for_update(of=("self",), no_key=True)
    return rows.filter(pk__in=ids).order_by("pk")


def _under_way(provider: Organisation, currency: str) -> bool:
    return Payout.objects.filter(
        provider=provider, currency=currency, state__in=Payout.UNDER_WAY
    ).exists()


def _source(row: Payout) -> str:
    """The account the money leaves from."""
    if row.method == PayoutTerms.Method.STRIPE:
        return chart.stripe(row.currency)
    return chart.bank(row.currency)


def _named_outside(row: Payout) -> str:
    """What stands on the bank's statement beside it, or in Stripe's own books."""
    if row.method == PayoutTerms.Method.STRIPE:
        return row.rail_reference
    return references.of(row.public_id)


def _data(row: Payout) -> dict[str, object]:
    return {"amount_minor": row.amount_minor, "currency": row.currency, "method": row.method}
