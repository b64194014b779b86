"""Several reservations as one: placed, confirmed, lapsed or given back together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from inventory import actors, identifiers, journal, transactions, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation
from marketplace import money, policy, reservations
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.policy import Standing
from marketplace.prospects import Prospect

State = Basket.State
MOST_OFFERS = 20


class MixedCurrencies(Invalid):
    """One sum is held and paid for a basket, so it is in one currency."""

    code = "mixed_currencies"
    title = "A basket is in one currency"


class ApprovalInBasket(DomainError):
    """A provider that decides first would keep the others' capacity waiting: held by itself."""

    code = "approval_in_basket"
    title = "An offer that its provider decides on is held by itself"


@contextmanager
def naming(index: int) -> Iterator[None]:
    """A refusal within says which of the offers it is about, as `offer_index` from 0 on."""
    try:
        yield
    except DomainError as error:
        error.add(offer_index=index)
        raise


def lock(key: int | str) -> Basket:
    """The basket by its number or public id, locked. Raises NotFound."""
    rows = Basket.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, key, "No such basket")


def lock_reservations(basket: Basket) -> list[Reservation]:
    """What lies in a locked basket, locked too; in the order of pools, for what follows."""
    rows = Reservation.objects.filter(basket=basket).select_related(
        "provider", "tenant", "listing", "allocation__pool"
    )
    locked = rows.select_for_update(of=("self",), no_key=True).order_by("pk")
    return sorted(locked, key=lambda row: (row.allocation.pool_id, row.pk))


def check(prospects: Sequence[Prospect]) -> None:
    """Whether these offers can lie in one basket. Raises MixedCurrencies, ApprovalInBasket."""
    if len({prospect.quote.currency for prospect in prospects}) > 1:
        raise MixedCurrencies
    for index, prospect in enumerate(prospects):
        with naming(index):
            if prospect.listing.mode != Listing.Mode.INSTANT:
                raise ApprovalInBasket


def place(
    *,
    basket_public_id: str,
    prospects: Sequence[Prospect],
    tenant: Organisation,
    standing: Standing,
    hold_deposit_minor: int,
    project_id: int | None,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
) -> Basket:
    """All of the prospects are held for the locked tenant until the first of them would lapse.

    Its cards add up towards the tenant's hold limit, the same pool may come twice. Pools are
    locked in the order of their ids, so that two baskets cannot wait for each other. The
    standing was read after the tenant was locked. Raises
    HoldLimit, and, with the `offer_index`, QuotaExceeded and what `reservations.place`
    raises; then nothing is held. Not idempotent: the entry's key is.
    """
    quotes = [prospect.quote for prospect in prospects]
    expires_at = min(prospect.expires_at for prospect in prospects)
    asks = [prospect.ask for prospect in prospects]
    policy.check_hold_limit(standing, *asks)
    for index, ask in enumerate(asks):
        with naming(index):
            policy.check_quotas(standing.plus(*asks[:index]), ask)
    with transactions.whole():
        basket = Basket.objects.create(
            public_id=basket_public_id,
            tenant=tenant,
            project_id=project_id,
            expires_at=expires_at,
            currency=quotes[0].currency,
            gross_minor=sum(quote.gross_minor for quote in quotes),
            due_minor=sum(quote.due_minor for quote in quotes),
            hold_deposit_minor=hold_deposit_minor,
            actor=actor.label,
            created_at=at,
        )
        shares = money.portions([quote.gross_minor for quote in quotes], hold_deposit_minor)
        ids = [identifiers.new("rsv") for _ in prospects]
        journal.record(
            event="basket.held",
            object_id=basket.public_id,
            actor=actor,
            at=at,
            to_state=State.HELD,
            tenant_id=tenant.pk,
            data={
                "reservations": ids,
                "gross_minor": basket.gross_minor,
                "currency": basket.currency,
                "expires_at": expires_at.isoformat(),
            },
        )
        by_pool = sorted(range(len(prospects)), key=lambda i: (prospects[i].listing.pool_id, i))
        for index in by_pool:
            with naming(index):
                reservations.place(
                    reservation_public_id=ids[index],
                    prospect=replace(prospects[index], expires_at=expires_at),
                    tenant=tenant,
                    standing=standing,
                    project_id=project_id,
                    hold_deposit_minor=shares[index],
                    basket=basket,
                    at=at,
                    actor=actor,
                    ssh_keys=ssh_keys,
                )
    return basket


def confirm(
    *, basket: Basket, rows: Sequence[Reservation], at: datetime, actor: Actor
) -> list[Lease]:
    """Every reservation of the locked basket becomes a lease, or none does.

    The caller has moved the money in the same transaction. Locks the pools. Raises
    IllegalTransition, HoldExpired. Not idempotent.
    """
    with transactions.whole():
        transitions.advance(basket, to=State.CONFIRMED, at=at, actor=actor)
        return reservations.confirm_all(rows=rows, at=at, actor=actor)


def expire(*, basket: Basket, rows: Sequence[Reservation], at: datetime) -> Basket:
    """The locked basket's hold has lapsed; all its capacity is free again. One lapse.

    Locks the pools. Raises NotYetDue, IllegalTransition. Not idempotent.
    """
    if at < basket.expires_at:
        raise reservations.NotYetDue
    with transactions.whole():
        transitions.advance(
            basket,
            to=State.EXPIRED,
            at=at,
            actor=actors.system("holds"),
            reason="not confirmed in time",
        )
        for row in rows:
            reservations.expire(reservation=row, at=at)
    return basket


def cancel(
    *, basket: Basket, rows: Sequence[Reservation], at: datetime, actor: Actor, reason: str
) -> Basket:
    """All of the locked basket is given back before it was confirmed.

    One that has lapsed already becomes expired instead. Locks the pools. Raises
    IllegalTransition. Not idempotent.
    """
    if basket.state == State.HELD and at >= basket.expires_at:
        return expire(basket=basket, rows=rows, at=at)
    with transactions.whole():
        transitions.advance(basket, to=State.CANCELLED, at=at, actor=actor, reason=reason)
        for row in rows:
            reservations.cancel(reservation=row, at=at, actor=actor, reason=reason)
    return basket


def due(*, at: datetime, limit: int) -> list[int]:
    """Numbers of baskets whose hold has lapsed, oldest first."""
    rows = Basket.objects.filter(state=State.HELD, expires_at__lte=at)
    return list(rows.order_by("expires_at").values_list("pk", flat=True)[:limit])
