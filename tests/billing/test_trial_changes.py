"""Changes of trials: what a trial costs is for the trial alone."""

from __future__ import annotations

import pytest

from inventory.models import Allocation, Organisation
from inventory.periods import Period
from marketplace import leases
from marketplace.amendments import TrialNotExtended
from marketplace.asking import TermsInput
from marketplace.models import Lease, Reservation
from marketplace.reservations import ListingClosed
from marketplace.trials import NotConvertible
from tests import world
from tests.billing import books
from tests.billing.test_amending import propose
from tests.billing.test_quotes import accept, ask
from tests.billing.test_trials import convert, hold, listing, running
from tests.delivery import scene as delivery
from tests.marketplace.scene import refused
from tests.marketplace.test_approvals import approve, member
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

WITHDRAWN = TermsInput(trial_units=2, trial_hours=10, trial_convertible=True, withdrawal=((1, 0),))


def test_a_trial_is_not_extended_at_its_price() -> None:
    trial = running(listing())

    with refused(TrialNotExtended):
        ask(trial, "extend", 1000, at=T0 + hours(12))
    with refused(TrialNotExtended):
        propose(trial, end=T0 + hours(1000))

    assert Period.of(Allocation.objects.get().period) == period(10, 20)


def test_no_units_are_added_to_a_trial_at_its_price() -> None:
    trial = running(listing())

    with refused(TrialNotExtended):
        propose(trial, added_units=2, added_from=T0 + hours(14))

    assert Lease.objects.get() == trial


def test_a_free_trial_that_runs_is_withdrawn_from_an_hour_on() -> None:
    trial = running(listing(WITHDRAWN))

    accept(ask(trial, "withdraw", 15, at=T0 + hours(12)))

    trial.refresh_from_db()
    assert (trial.state, Period.of(trial.period)) == ("active", period(10, 15))
    assert Period.of(Allocation.objects.get().period) == period(10, 15)


def test_a_free_trial_to_come_is_withdrawn_in_part_or_whole() -> None:
    trial = books.confirm(hold(listing(WITHDRAWN)))

    accept(ask(trial, "withdraw", 15, at=T0))
    trial.refresh_from_db()
    assert (trial.state, Period.of(trial.period)) == ("scheduled", period(10, 15))
    accept(ask(trial, "withdraw", 10, at=T0))

    trial.refresh_from_db()
    assert trial.state == "cancelled"
    assert Allocation.objects.get().state == "cancelled"
    assert Reservation.objects.get().committed_card_seconds == 0


def test_what_is_used_of_a_free_trial_that_is_left_stays_committed() -> None:
    trial = running(listing())

    accept(ask(trial, "leave", 15, at=T0 + hours(12)))

    assert Reservation.objects.get().committed_card_seconds == 5 * 2 * 8 * 3600


def test_a_trial_goes_on_only_where_its_provider_may_sell() -> None:
    books.top_up(world.tenant(), 10**8)
    trial = running(listing())
    Organisation.objects.filter(pk=trial.provider_id).update(state="pending")

    with refused(ListingClosed):
        convert(trial)

    assert Lease.objects.get() == trial


def test_a_lease_that_its_provider_would_decide_on_does_not_follow_from_a_trial() -> None:
    books.top_up(world.tenant(), 10**8)
    row = listing(mode="approval")
    held = hold(row)
    approve(held, member(row.provider), at=T0)
    trial = books.confirm(held)
    delivery.run(T0 + hours(9), T0 + hours(12), every=60)
    leases.follow(lease_id=trial.pk, at=T0 + hours(12))

    with refused(NotConvertible):
        convert(trial)

    assert Lease.objects.get() == trial
