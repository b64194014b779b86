"""Trials: by rules of their own, once, and on to a lease on the same nodes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing import checkout, closing, ledger, rating, trials
from billing.models import Charge, LeaseTally
from inventory import capacity
from inventory.capacity import CapacityTaken
from inventory.errors import Invalid, NotFound
from inventory.models import Allocation, JournalEntry, MeteringCursor, Organisation
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from marketplace import floors, leases, policy
from marketplace.asking import TermsInput
from marketplace.models import Lease, Listing, PriceVersion, Reservation
from marketplace.reservations import ListingClosed
from marketplace.trials import NotConvertible, TrialUsed
from tests import world
from tests.billing import books
from tests.delivery import scene as delivery
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db

TERMS = TermsInput(trial_units=2, trial_hours=10, trial_convertible=True, minimum_hours=24)
PRICED = TermsInput(
    trial_units=2, trial_hours=10, trial_amount_micro=1_000_000, trial_convertible=True
)


def listing(terms: TermsInput = TERMS, nodes: int = 4, **shape: Any) -> Listing:
    pool = delivery.pool(nodes=nodes, options={"provision_seconds": 5, "release_seconds": 5})
    return scene.listing(pool, units=nodes, sellable=period(-24, 2000), terms=terms, **shape)


def hold(
    row: Listing, *, tenant: Organisation | None = None, start: float = 10, **wanted: Any
) -> Reservation:
    return trials.hold(
        listing_public_id=row.public_id,
        start_at=T0 + hours(start),
        project_id=None,
        at=T0,
        actor=world.actor(tenant or world.tenant()),
        **wanted,
    )


def running(row: Listing, **wanted: Any) -> Lease:
    """A trial of hours 10 to 20 that its tenant has been using since its start."""
    lease = books.confirm(hold(row, **wanted))
    delivery.run(T0 + hours(9), T0 + hours(12), every=60)
    return leases.follow(lease_id=lease.pk, at=T0 + hours(12))


def convert(
    trial: Lease,
    *,
    length: int = 24,
    from_at: datetime | None = None,
    at: float = 12,
    tenant: Organisation | None = None,
) -> Lease:
    return trials.convert(
        lease_public_id=trial.public_id,
        hours=length,
        from_at=from_at,
        at=T0 + hours(at),
        actor=world.actor(tenant or world.tenant()),
    )


def test_a_trial_is_held_and_confirmed_for_nothing() -> None:
    row = listing()

    held = hold(row)
    lease = books.confirm(held)

    assert (held.kind, held.unit_count, held.gross_minor, held.hold_deposit_minor) == (
        "trial",
        2,
        0,
        0,
    )
    assert Period.of(held.period) == period(10, 20)
    assert (lease.kind, lease.state, lease.due_minor) == ("trial", "scheduled", 0)
    assert (held.price.purpose, held.price.amount_micro) == ("trial", 0)
    assert row.prices.get().purpose == "listed"  # what the listing asks is what it was
    assert not books.differences()


def test_hours_of_a_free_trial_are_charged_at_nothing() -> None:
    lease = books.confirm(hold(listing()))

    books.live(lease)

    charges = Charge.objects.filter(lease=lease)
    assert (charges.count(), sum(c.gross_minor for c in charges)) == (10, 0)
    assert {c.ledger_transaction_id for c in charges} == {None}
    assert not books.differences()


def test_a_priced_trial_costs_its_own_price() -> None:
    books.top_up(world.tenant(), 10**6)
    lease = books.confirm(hold(listing(PRICED), unit_count=1, hours=4))

    books.live(lease)

    assert lease.gross_minor == 4 * 8 * 100
    assert sum(c.gross_minor for c in Charge.objects.all()) == 4 * 8 * 100
    assert not books.differences()


def test_no_floor_applies_to_a_trial() -> None:
    row = listing(PRICED)
    floors.set_floor(
        pool_id=row.pool_id,
        power_micro=3_000_000,
        depreciation_micro=1_000_000,
        network_micro=0,
        operations_micro=0,
        at=T0,
        actor=world.actor(row.provider),
    )
    books.top_up(world.tenant(), 10**6)

    assert hold(row).gross_minor == 2 * 10 * 8 * 100


def test_without_a_start_it_begins_at_the_next_one() -> None:
    held = trials.hold(
        listing_public_id=listing().public_id,
        project_id=None,
        at=T0 + hours(0.4),
        actor=world.actor(world.tenant()),
    )

    assert Period.of(held.period) == period(1, 11)


@pytest.mark.parametrize("wanted", [{"unit_count": 3}, {"hours": 11}])
def test_a_trial_is_no_larger_than_the_terms_allow(wanted: dict[str, Any]) -> None:
    with refused(policy.NoSuchTrial):
        hold(listing(), **wanted)

    assert not Reservation.objects.exists()
    assert not PriceVersion.objects.filter(purpose="trial").exists()


@pytest.mark.parametrize("start", [-1, 10.5])
def test_a_trial_starts_on_the_grid_and_ahead(start: float) -> None:
    with refused(Invalid):
        hold(listing(), start=start)

    assert not Reservation.objects.exists()


def test_where_the_terms_allow_none_there_is_none() -> None:
    with refused(policy.NoSuchTrial):
        hold(listing(TermsInput()), unit_count=1, hours=1)

    assert not Reservation.objects.exists()


def test_a_listing_that_sells_nothing_has_no_trial() -> None:
    row = listing()
    Listing.objects.filter(pk=row.pk).update(state="paused")

    with refused(NotFound):
        hold(row)

    assert not Reservation.objects.exists()


def test_a_tenant_tries_a_pool_once() -> None:
    row = listing()
    hold(row)

    with refused(TrialUsed):
        hold(row, start=30)
    hold(row, start=30, tenant=world.tenant("Eos"))

    assert Reservation.objects.count() == 2


def test_one_that_lapsed_does_not_count() -> None:
    row = listing()
    held = hold(row)
    checkout.expire_due(at=held.expires_at, limit=10)

    again = trials.hold(
        listing_public_id=row.public_id,
        start_at=T0 + hours(30),
        project_id=None,
        at=held.expires_at,
        actor=world.actor(world.tenant()),
    )

    assert again.state == "held"


def test_the_database_too_allows_one_trial_per_tenant_and_pool() -> None:
    row = listing()
    first = hold(row)
    other = hold(row, start=30, tenant=world.tenant("Eos"))

    statement = (
        "INSERT INTO marketplace_reservation SELECT (jsonb_populate_record(r, jsonb_build_object("
        "'id', 0, 'public_id', gen_random_uuid(), 'tenant_id', %s, 'allocation_id', %s))).*"
        " FROM marketplace_reservation r WHERE id = %s"
    )
    spare = capacity.claim(
        pool_id=row.pool_id,
        block_ids=[row.block_id],
        unit_count=1,
        period=period(100, 110),
        tenant_id=first.tenant_id,
        held_until=T0 + hours(1),
        at=T0,
        actor=SYSTEM,
    )

    with (
        pytest.raises(IntegrityError, match="one_trial_per_tenant_and_pool"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, [first.tenant_id, spare.pk, other.pk])

    assert Reservation.objects.count() == 2


def test_a_trial_becomes_a_lease_on_the_same_nodes() -> None:
    books.top_up(world.tenant(), 10**7)
    trial = running(listing())

    child = convert(trial, length=24)

    gross = 24 * 2 * 8 * 680
    assert (child.parent_id, child.kind, child.unit_count) == (trial.pk, "regular", 2)
    assert Period.of(child.period) == period(20, 44)
    assert (child.gross_minor, child.state) == (gross, "scheduled")
    assert books.available() == 10**7 - gross
    assert LeaseTally.objects.get(lease=child).deposit_left_minor == gross
    assert child.prices.get().from_at == T0 + hours(20)
    assert child.allocation.continues_id == trial.allocation_id
    assert not books.differences()

    delivery.run(T0 + hours(20), T0 + hours(21), every=60)
    for row in (trial, child):
        leases.follow(lease_id=row.pk, at=T0 + hours(21))
        row.refresh_from_db()

    assert (trial.state, child.state) == ("ended", "active")
    assert (trial.end_reason, trial.end_evidence) == ("converted", child.public_id)
    assert child.active_at == T0 + hours(20)
    assert delivery.states(trial.allocation) == ["handed_over"] * 2
    assert delivery.states(child.allocation) == ["active"] * 2


def test_a_trial_that_ends_sooner_gives_back_what_it_did_not_use() -> None:
    books.top_up(world.tenant(), 10**7)
    trial = running(listing(PRICED))
    child = convert(trial, length=10, from_at=T0 + hours(15))
    assert not books.differences()

    delivery.run(T0 + hours(15), T0 + hours(16), every=60)
    leases.follow(lease_id=trial.pk, at=T0 + hours(16))
    trial.refresh_from_db()
    allocation = Allocation.objects.get(pk=trial.allocation_id)
    cursor = MeteringCursor.objects.create(allocation=allocation, metered_until=T0 + hours(10))
    for hour in range(10, 15):
        books._usage(trial, T0 + hours(hour), 0, 2 * 8 * 3600, 0)
    cursor.metered_until = T0 + hours(15)
    cursor.save()
    rating.rate_due(at=T0 + hours(17), limit=100)
    before = books.available()
    closing.close_leases(at=T0 + hours(17), limit=10)

    assert Period.of(child.period) == period(15, 25)
    assert Period.of(trial.period) == period(10, 20)  # as it was agreed
    assert books.available() - before == 5 * 2 * 8 * 100
    assert not books.differences()


def test_the_quote_is_what_converting_costs() -> None:
    books.top_up(world.tenant(), 10**7)
    trial = running(listing())

    quote = trials.quote_conversion(
        lease_public_id=trial.public_id,
        hours=48,
        from_at=None,
        at=T0 + hours(12),
        actor=world.actor(world.tenant()),
    )
    child = convert(trial, length=48)

    assert quote.quote.gross_minor == child.gross_minor
    assert quote.period == Period.of(child.period)


def test_too_little_money_converts_nothing() -> None:
    books.top_up(world.tenant(), 1000)
    trial = running(listing())

    with refused(ledger.InsufficientFunds):
        convert(trial)

    assert Lease.objects.count() == 1
    assert books.available() == 1000
    assert Period.of(Allocation.objects.get().period) == period(10, 20)


def test_anothers_hold_of_what_follows_stands_in_the_way() -> None:
    books.top_up(world.tenant(), 10**7)
    books.top_up(world.tenant("Eos"), 10**7, "B-2")
    row = listing(nodes=2)
    trial = running(row)
    books.hold(row, start=30, end=54, tenant=world.tenant("Eos"), at=T0 + hours(12))

    with refused(CapacityTaken):
        convert(trial)

    assert books.available() == 10**7
    assert Lease.objects.count() == 1
    assert not books.differences()


def test_what_cannot_be_converted() -> None:
    books.top_up(world.tenant(), 10**8)
    row = listing()
    regular = books.lease(row, start=100, end=124)
    fixed = books.confirm(hold(listing(TermsInput(trial_units=1, trial_hours=5)), start=100))
    trial = running(row)

    for lease in (regular, fixed):
        with refused(NotConvertible):
            convert(lease)
    with refused(Invalid):
        convert(trial, length=23)  # below the terms' minimum
    with refused(Invalid):
        convert(trial, from_at=T0 + hours(15.5))
    with refused(Invalid):
        convert(trial, from_at=T0 + hours(12))
    with refused(NotFound):
        convert(trial, tenant=world.stranger())
    Listing.objects.filter(pk=row.pk).update(state="paused")
    with refused(ListingClosed):
        convert(trial)

    assert Lease.objects.count() == 3


def test_a_trial_is_converted_once_and_while_it_runs() -> None:
    books.top_up(world.tenant(), 10**8)
    row = listing()
    books.top_up(world.tenant("Eos"), 10**8, "B-2")
    waiting = books.confirm(hold(row, tenant=world.tenant("Eos")))
    with refused(IllegalTransition):
        convert(waiting, tenant=world.tenant("Eos"))
    trial = running(row)
    convert(trial)

    with refused(IllegalTransition):
        convert(trial)

    assert Lease.objects.filter(parent=trial).count() == 1
    assert JournalEntry.objects.filter(event="lease.converted").count() == 1
    assert not books.differences()


def test_the_lease_it_becomes_is_cancelled_by_its_terms() -> None:
    books.top_up(world.tenant(), 10**7)
    trial = running(listing(TermsInput(trial_units=2, trial_hours=10, trial_convertible=True)))
    child = convert(trial)

    checkout.cancel(
        reservation_public_id=child.reservation.public_id,
        at=T0 + hours(13),
        actor=world.actor(world.tenant()),
        reason="no need",
    )

    allocation = Allocation.objects.get(pk=trial.allocation_id)
    assert (allocation.state, Period.of(allocation.period).end) == ("active", T0 + hours(20))
    assert Allocation.objects.get(pk=child.allocation_id).state == "cancelled"
    assert not books.differences()
