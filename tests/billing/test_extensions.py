"""How far an extension goes, and against which caps it is held."""

from __future__ import annotations

import pytest

from inventory import capacity
from inventory.models import Claim
from inventory.transitions import IllegalTransition
from marketplace import extensions, policy, quotas
from marketplace.asking import TermsInput
from marketplace.quotas import Limit
from tests import world
from tests.billing import books
from tests.billing.test_quotes import HOUR, MONEY, accept, ask, running
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.marketplace.test_quotas import key
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db


def test_an_adjoining_block_that_takes_less_off_needs_a_new_price() -> None:
    pool = world.pool()
    tiers = (("hours", 10, 5000),)
    lease = running(scene.listing(pool, sellable=period(0, 24), discounts=tiers))
    scene.listing(pool, sellable=period(24, 100))

    with refused(extensions.NeedsNewPrice):
        ask(lease, "extend", 40, at=T0 + hours(12))

    assert lease.discount_bps == 5000


def test_an_adjoining_block_sold_by_approval_is_not_had_by_the_terms_alone() -> None:
    pool = world.pool()
    lease = running(scene.listing(pool, sellable=period(0, 24)))
    scene.listing(pool, sellable=period(24, 100), mode="approval")

    with refused(capacity.NotOffered):
        ask(lease, "extend", 40, at=T0 + hours(12))

    assert extensions.blocks_for(
        lease=lease, end=T0 + hours(40), at=T0 + hours(12), by_terms=False
    )  # where its provider signs


def test_a_lease_whose_machines_are_given_up_already_is_not_extended() -> None:
    lease = running()
    capacity.finish(allocation_id=lease.allocation_id, at=T0 + hours(12), actor=SYSTEM)

    with refused(IllegalTransition):
        ask(lease, "extend", 25, at=T0 + hours(12))


def test_an_extension_keeps_to_the_steps_of_its_terms() -> None:
    lease = running(scene.listing(terms=TermsInput(minimum_hours=2, hour_step=4)))

    with refused(capacity.InvalidEnd):
        ask(lease, "extend", 23, at=T0 + hours(12))

    assert ask(lease, "extend", 24, at=T0 + hours(12)).pay_minor == 4 * HOUR
    assert extensions.blocks_for(lease=lease, end=T0 + hours(23), at=T0, by_terms=False) == []


def test_an_extension_counts_in_the_month_the_deal_was_made_in() -> None:
    books.top_up(world.tenant(), MONEY)
    late = T0 + hours(28 * 24)
    lease = books.activate(books.lease(scene.listing(), start=705, end=715))
    limit = Limit(measure="card_hours", window="month", limit_card_hours=8 * 16)
    quotas.put(
        organisation_id=lease.tenant_id, limit=limit, at=late, actor=world.actor(lease.tenant)
    )
    july = T0 + hours(713)  # in Shanghai
    accept(ask(lease, "extend", 720, at=july))

    with refused(policy.QuotaExceeded):
        accept(ask(lease, "extend", 722, at=july))

    accept(ask(lease, "extend", 721, at=july))


def test_an_extension_is_held_against_the_key_that_made_the_deal() -> None:
    row, maker = key()
    books.top_up(world.tenant(), MONEY)
    lease = books.activate(
        books.confirm(books.hold(scene.listing(), actor=maker, start=10, end=20))
    )
    limit = Limit(measure="card_hours", window="total", limit_card_hours=8 * 12)
    owner = world.actor(lease.tenant)
    quotas.put(organisation_id=lease.tenant_id, api_key_id=row.pk, limit=limit, at=T0, actor=owner)

    for actor in (owner, maker):
        with refused(policy.QuotaExceeded):
            accept(ask(lease, "extend", 23, at=T0 + hours(12)), actor=actor)

    accept(ask(lease, "extend", 22, at=T0 + hours(12)), actor=maker)


def test_an_extension_crosses_into_the_adjoining_block_at_the_same_price() -> None:
    pool = world.pool()
    lease = running(scene.listing(pool, sellable=period(0, 24)))
    other = scene.listing(pool, sellable=period(24, 100))

    accept(ask(lease, "extend", 40, at=T0 + hours(12)))

    claims = Claim.objects.filter(allocation_id=lease.allocation_id).order_by("pk")
    assert [claim.block_id for claim in claims] == [lease.listing.block_id, other.block_id]
    lease.refresh_from_db()
    assert lease.gross_minor == 30 * HOUR
    assert not books.differences()


def test_an_adjoining_block_at_another_price_needs_a_new_price() -> None:
    pool = world.pool()
    lease = running(scene.listing(pool, sellable=period(0, 24)))
    scene.listing(pool, sellable=period(24, 100), amount=7)

    with refused(extensions.NeedsNewPrice):
        ask(lease, "extend", 40, at=T0 + hours(12))
