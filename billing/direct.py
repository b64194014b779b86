"""Deals sold directly: the centre says that it has the money, and the deal is a lease."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from billing import funding
from billing.models import DirectReceipt, LeaseTally
from inventory import journal, transactions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from marketplace import approvals, policy, reservations, selling
from marketplace.models import Lease, Reservation

State = Reservation.State


class NotSoldDirectly(DomainError):
    """The tenant pays the operator for this one, and confirms it by itself."""

    code = "not_sold_directly"
    title = "This deal is not paid to the centre"


class ReferenceUsed(DomainError):
    """The same payment has confirmed another deal."""

    code = "direct_reference_used"
    title = "This payment has confirmed another deal"


def confirm_received(
    *,
    reservation_public_id: str,
    reference: str,
    received_date: date,
    at: datetime,
    actor: Actor,
) -> Lease:
    """The provider received what is due, on its own account; the deal is a lease.

    Nothing of the price is booked here; what the tenant kept aside for the hold is free again.
    Silence until `expires_at` releases the hold. Locks the reservation, the wallet, and the pool
    last. Not idempotent: a second one finds it confirmed. Raises NotFound (also for anybody but
    the provider), NotSoldDirectly, ReferenceUsed, Invalid, ApprovalPending,
    OrganisationUnverified, HoldExpired, IllegalTransition.
    """
    written = unicodedata.normalize("NFKC", reference).strip().upper()
    if not written or len(written) > 80 or "\0" in written:
        raise Invalid("A payment needs the reference of the centre's own statement")
    if received_date > at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
        raise Invalid("A transfer cannot have been received in the future")
    with transactions.whole():
        reservation = reservations.lock(reservation_public_id)
        if reservation.provider_id != actor.organisation_id:
            raise NotFound("No such reservation")
        if selling.parties(reservation.selling).payee != "provider":
            raise NotSoldDirectly
        approvals.require_approved(reservation, at)
        policy.require_verified(reservation.tenant)
        if reservation.state == State.HELD:  # any other is refused by reservations.confirm
            funding.give_hold_back(reservation, at=at, actor=actor)
        lease = reservations.confirm(reservation=reservation, at=at, actor=actor)
        # Of the price, what the centre has and has not delivered for.
        due = reservation.due_minor
        LeaseTally.objects.create(lease=lease, paid_minor=due, deposit_left_minor=due)
        _record(reservation, written, received_date, at, actor)
    return lease


def _record(
    reservation: Reservation, reference: str, received_date: date, at: datetime, actor: Actor
) -> None:
    receipt = DirectReceipt(
        reservation=reservation,
        provider_id=reservation.provider_id,
        tenant_id=reservation.tenant_id,
        reference=reference,
        amount_minor=reservation.due_minor,
        currency=reservation.currency,
        received_date=received_date,
        actor=actor.label,
        created_at=at,
    )
    try:
        with transaction.atomic():
            receipt.save(force_insert=True)
    except IntegrityError as error:
        if "direct_receipt_reference_once" not in str(error):
            raise
        raise ReferenceUsed(reference=reference) from error
    journal.record(
        event="directreceipt.confirmed",
        object_id=receipt.public_id,
        actor=actor,
        at=at,
        provider_id=reservation.provider_id,
        tenant_id=reservation.tenant_id,
        data={
            "reservation": reservation.public_id,
            "reference": reference,
            "amount_minor": reservation.due_minor,
            "currency": reservation.currency,
        },
    )
