"""Deals that approved receipts name become leases: the sweep between the money and the deal."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.db import transaction

from billing import baskets, checkout
from billing.models import BankDeal
from inventory import transitions
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import offers
from marketplace.approvals import ApprovalPending
from marketplace.models import Basket, Reservation
from marketplace.offers import OfferClaim

logger = logging.getLogger(__name__)
State = BankDeal.State
# A refusal that time or more money may cure; any other is final.
CURABLE = frozenset(
    {"insufficient_funds", "debt_open", "approval_pending", "organisation_unverified", "busy",
     "hold_expired"}
)  # fmt: skip
AGAIN_AFTER = timedelta(seconds=60)
_SIGNED_FOR = timedelta(minutes=1)


def confirm_paid(*, at: datetime, limit: int) -> int:
    """Deals whose money is there are leases; returns how many of them became one.

    One transaction each; a deal that another worker has in hand is passed over. Idempotent:
    what a killed worker left is found again. See `_follow` for what becomes of each.
    """
    due = BankDeal.objects.filter(state=State.WAITING, next_try_at__lte=at)
    made = 0
    for pk in list(due.order_by("next_try_at").values_list("pk", flat=True)[:limit]):
        try:
            with transaction.atomic():
                made += _follow(pk, at)
        except DomainError as error:  # a lock that somebody holds for long; nothing was written
            logger.warning("deal %s is not confirmed yet: %s", pk, error)
    return made


def _follow(pk: int, at: datetime) -> bool:
    """What becomes of one deal now; whether it is a lease.

    Held: confirmed where the money suffices, else it waits until its pay-by date. Lapsed: held
    anew at its old price and confirmed, where the capacity is still there and its start has not
    passed. Given back by the tenant: the money stays in the wallet.
    """
    row = (
        BankDeal.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
        .filter(pk=pk, state=State.WAITING)
        .select_related("tenant")
        .first()
    )
    if row is None:
        return False
    deal = _deal(row)
    actor = _as_tenant(row)
    if deal.state == "confirmed":
        _advance(row, State.CONFIRMED, at)
        return True
    if deal.state == "cancelled":
        _advance(row, State.WITHDRAWN, at, reason="the hold was given back")
        return False
    before = row.again_reservation, row.again_basket
    try:
        with transaction.atomic():
            held = _hold_again(row, deal, at, actor) if deal.state == "expired" else deal
            pending = _confirm(held, at, actor)
    except DomainError as error:
        row.again_reservation, row.again_basket = before  # what was held anew was given up
        _refused(row, deal, error, at)
        return False
    if pending:
        _wait(row, pending, at)
        return False
    _advance(row, State.CONFIRMED, at)
    return True


def _deal(row: BankDeal) -> Reservation | Basket:
    """The hold that the money is for now: the first, or the one made anew."""
    if row.reservation_id is not None:
        pk = row.again_reservation_id or row.reservation_id
        return Reservation.objects.select_related("listing", "price", "terms").get(pk=pk)
    basket_id = row.again_basket_id or row.basket_id
    assert basket_id is not None
    return Basket.objects.get(pk=basket_id)


def _as_tenant(row: BankDeal) -> Actor:
    """The sweep, for the tenant that paid: it has said by its transfer what it wants."""
    return Actor(kind="system", label="bank-deals", organisation_id=row.tenant_id)


def _confirm(deal: Reservation | Basket, at: datetime, actor: Actor) -> str:
    """Makes the lease; what is held anew stays so where its provider has to decide first."""
    try:
        with transaction.atomic():
            if isinstance(deal, Reservation):
                checkout.confirm(reservation_public_id=deal.public_id, at=at, actor=actor)
            else:
                baskets.confirm(basket_public_id=deal.public_id, at=at, actor=actor)
    except ApprovalPending as error:
        return error.code
    return ""


def _hold_again(
    row: BankDeal, deal: Reservation | Basket, at: datetime, actor: Actor
) -> Reservation | Basket:
    """The lapsed deal is held anew by the same offer: same price version, terms and period."""
    if isinstance(deal, Reservation):
        held = checkout.hold(
            offer_token=offers.sign(_claim(deal, at)),
            project_id=deal.project_id,
            at=at,
            actor=actor,
            ssh_keys=deal.allocation.ssh_keys,
        )
        row.again_reservation = held
        return held
    parts = deal.reservations.select_related("listing", "price", "terms", "allocation")
    rows = list(parts.order_by("pk"))
    basket = baskets.hold(
        offer_tokens=[offers.sign(_claim(part, at)) for part in rows],
        project_id=deal.project_id,
        at=at,
        actor=actor,
        ssh_keys=rows[0].allocation.ssh_keys,
    )
    row.again_basket = basket
    return basket


def _claim(deal: Reservation, at: datetime) -> OfferClaim:
    return OfferClaim(
        listing_id=deal.listing.public_id,
        price_id=deal.price.public_id,
        terms_id=deal.terms.public_id,
        unit_count=deal.unit_count,
        period=Period.of(deal.period),
        expires_at=at + _SIGNED_FOR,
    )


def _refused(row: BankDeal, deal: Reservation | Basket, error: DomainError, at: datetime) -> None:
    """It waits where time or money may cure it, and the start has not passed; else it is missed.

    What somebody else has ended since it was read is looked at anew, as what it is now.
    """
    if at < _start(deal) and (error.code in CURABLE or _has_moved(deal)):
        _wait(row, error.code, at)
        return
    row.waits_for = error.code[:40]
    _advance(row, State.MISSED, at, reason=str(error)[:200] or error.code)


def _has_moved(deal: Reservation | Basket) -> bool:
    """Since it was read, without a lock: a lock would come before that of its tenant."""
    rows = type(deal).objects.filter(pk=deal.pk)
    return rows.values_list("state", flat=True).get() != deal.state


def _wait(row: BankDeal, why: str, at: datetime) -> None:
    row.waits_for, row.next_try_at = why[:40], at + AGAIN_AFTER
    row.save(update_fields=["waits_for", "next_try_at", "again_reservation", "again_basket"])


def _start(deal: Reservation | Basket) -> datetime:
    if isinstance(deal, Reservation):
        return Period.of(deal.period).start
    return min(Period.of(part.period).start for part in deal.reservations.all())


def _advance(row: BankDeal, to: str, at: datetime, reason: str = "") -> None:
    transitions.advance(
        row,
        to=to,
        at=at,
        actor=_as_tenant(row),
        reason=reason,
        changed=("waits_for", "again_reservation", "again_basket"),
        data={"waits_for": row.waits_for},
    )
