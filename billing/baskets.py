"""Baskets: their money and their machines together, all of it or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from billing import checkout, funding
from inventory import actors, identifiers, transactions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from marketplace import baskets, offers, policy, prospects, reservations
from marketplace.models import Basket

logger = logging.getLogger(__name__)
ACTOR = actors.system("holds")
State = Basket.State


def hold(
    *,
    offer_tokens: Sequence[str],
    project_id: int | None,
    at: datetime,
    actor: Actor,
    ssh_keys: Sequence[str] = (),
) -> Basket:
    """Everything these offers promise is held, for one deposit on the sum, or nothing is.

    Locks the tenant's organisation, its wallet, and the pools last, in the order of their
    ids. Not idempotent: the entry's key is. A refusal that is about one offer carries its
    `offer_index`. Raises Invalid without an offer or with too many, InsufficientFunds, and
    what `checkout.hold`, `baskets.check` and `baskets.place` raise.
    """
    if not 1 <= len(offer_tokens) <= baskets.MOST_OFFERS:
        raise Invalid(f"A basket has between 1 and {baskets.MOST_OFFERS} offers")
    claims = []
    for index, token in enumerate(offer_tokens):
        with baskets.naming(index):
            claims.append(offers.read_token(token, at))
    with transactions.whole():
        tenant = reservations.lock_tenant(actor.organisation_id)
        parts = []
        for index, claim in enumerate(claims):
            with baskets.naming(index):
                parts.append(prospects.of(claim, at=at))
                checkout.require_tradable(parts[-1].listing, tenant)
        baskets.check(parts)
        standing = checkout.standing_of(tenant, project_id=project_id, at=at, actor=actor)
        terms = parts[0].hold_terms(lapsed_count=standing.lapsed_count, at=at)
        deposit = terms.deposit_minor(sum(p.quote.gross_minor for p in parts))
        public_id = identifiers.new("bsk")
        funding.keep_aside(
            tenant,
            currency=parts[0].quote.currency,
            deposit_minor=deposit,
            public_id=public_id,
            expires_at=min(part.expires_at for part in parts),
            at=at,
        )
        return baskets.place(
            basket_public_id=public_id,
            prospects=parts,
            tenant=tenant,
            standing=standing,
            hold_deposit_minor=deposit,
            project_id=project_id,
            at=at,
            actor=actor,
            ssh_keys=ssh_keys,
        )


def confirm(*, basket_public_id: str, at: datetime, actor: Actor) -> Basket:
    """What is due for all of it moves from the wallet, and every deal is a lease; or none is.

    Locks the basket, its reservations, the wallet, and the pools last. Not idempotent: a
    second one finds it confirmed. Raises NotFound, OrganisationUnverified, DebtOpen,
    InsufficientFunds, HoldExpired, IllegalTransition.
    """
    with transactions.whole():
        basket = _lock_visible(basket_public_id, actor)
        rows = baskets.lock_reservations(basket)
        policy.require_verified(basket.tenant)
        if basket.state == State.HELD:  # any other is refused by baskets.confirm
            funding.lock_purse(basket.tenant, basket.currency)
            funding.release_hold(basket, at)
            funding.fund(
                basket.tenant,
                currency=basket.currency,
                due_minor=basket.due_minor,
                security_minor=sum(row.security_minor for row in rows),
                public_id=basket.public_id,
                at=at,
                actor=actor,
            )
        leases = baskets.confirm(basket=basket, rows=rows, at=at, actor=actor)
        funding.open_books(leases, at=at, actor=actor)
    return basket


def cancel(*, basket_public_id: str, at: datetime, actor: Actor, reason: str) -> Basket:
    """All of a held basket is given back, for nothing.

    What comes free pays what the tenant owes first. Locks as `confirm`. Not idempotent.
    Raises NotFound, IllegalTransition.
    """
    with transactions.whole():
        basket = _lock_visible(basket_public_id, actor)
        rows = baskets.lock_reservations(basket)
        if basket.state == State.HELD:
            funding.give_hold_back(basket, at=at, actor=actor)
        return baskets.cancel(basket=basket, rows=rows, at=at, actor=actor, reason=reason)


def expire_due(*, at: datetime, limit: int) -> int:
    """Baskets that lapsed give back their capacity and their money; returns how many.

    One transaction each, so that one that cannot lapse holds up no other. Idempotent.
    """
    lapsed = 0
    for pk in baskets.due(at=at, limit=limit):
        try:
            with transaction.atomic():
                basket = baskets.lock(pk)
                if basket.state != State.HELD:  # confirmed or cancelled meanwhile
                    continue
                rows = baskets.lock_reservations(basket)
                funding.give_hold_back(basket, at=at, actor=ACTOR)
                baskets.expire(basket=basket, rows=rows, at=at)
        except DomainError as error:
            logger.warning("basket %s does not lapse: %s", pk, error)
        else:
            lapsed += 1
    return lapsed


def _lock_visible(public_id: str, actor: Actor) -> Basket:
    basket = baskets.lock(public_id)
    checkout.require_own(basket, actor)
    return basket
