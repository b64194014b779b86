"""What a hold costs and how long it lasts, at the edges of each rule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace import policy, reservations
from marketplace.models import Reservation
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db
MINUTE, SECOND, DAY = timedelta(minutes=1), timedelta(seconds=1), timedelta(days=1)
BANK = Reservation.PayBy.BANK


def lapse(at: Any = T0) -> Reservation:
    held = scene.hold(scene.listing(), at=at, start=900, end=910)
    return reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)


@pytest.mark.parametrize(("lapsed", "bps"), [(0, 100), (1, 200), (2, 400), (6, 6400), (7, 10_000)])
def test_the_kth_hold_costs_two_to_the_k_minus_first_times_the_first(lapsed: int, bps: int) -> None:
    terms = policy.hold_terms(lapsed_count=lapsed, at=T0)

    assert (terms.base_bps, terms.factor, terms.bps) == (100, 2**lapsed, bps)


def test_no_number_of_lapses_passes_the_operator_s_most(settings: Any) -> None:
    settings.HOLD_DEPOSIT_MOST_BPS = 2_500

    assert policy.hold_terms(lapsed_count=4, at=T0).bps == 1_600
    assert policy.hold_terms(lapsed_count=5, at=T0).bps == 2_500
    assert policy.hold_terms(lapsed_count=10**6, at=T0).bps == 2_500
    settings.HOLD_DEPOSIT_MOST_BPS = 10_000
    assert policy.hold_terms(lapsed_count=10**6, at=T0).deposit_minor(777) == 777


def test_a_hold_of_a_small_price_keeps_something_and_of_nothing_nothing() -> None:
    terms = policy.hold_terms(lapsed_count=0, at=T0)

    assert [terms.deposit_minor(gross) for gross in (0, 1, 49, 50, 150)] == [0, 1, 1, 1, 2]


def test_a_lapse_is_remembered_for_thirty_days_to_the_instant() -> None:
    lapsed = lapse()
    assert lapsed.expired_at is not None

    def count(at: Any) -> int:
        return policy.standing(tenant_id=world.tenant().pk, at=at).lapsed_count

    assert count(lapsed.expired_at - SECOND) == 0
    assert count(lapsed.expired_at) == 1
    assert count(lapsed.expired_at + 30 * DAY - SECOND) == 1
    assert count(lapsed.expired_at + 30 * DAY) == 0
    assert policy.lapsed_count(world.tenant().pk, lapsed.expired_at) == 1


@pytest.mark.parametrize(
    ("seconds", "counts"), [(449, 0), (450, 1), (899, 1)]
)  # of nine hundred: the first half is free
def test_a_hold_given_back_in_its_second_half_counts_as_lapsed(seconds: int, counts: int) -> None:
    held = scene.hold(scene.listing())

    reservations.cancel(
        reservation=reservations.lock(held.pk),
        at=T0 + seconds * SECOND,
        actor=world.actor(held.tenant),
        reason="",
    )

    assert policy.lapsed_count(world.tenant().pk, T0 + hours(1)) == counts


def test_the_standing_is_what_is_held_now() -> None:
    listing = scene.listing()
    held = scene.hold(listing, units=2)
    scene.hold(listing, start=30, end=40, tenant=world.tenant("Other"))
    scene.lease(listing, start=50, end=60)

    standing = policy.standing(tenant_id=world.tenant().pk, at=T0 + MINUTE)

    chip_class = listing.pool.chip.chip_class
    assert standing.live_holds == (policy.LiveHold(chip_class, 16, period(10, 20), need=-held.pk),)
    assert policy.held_card_seconds(standing) == 16 * 10 * 3600
    assert policy.standing(tenant_id=world.tenant().pk, at=T0 + hours(1)).live_holds == ()


def test_a_hold_for_a_transfer_lasts_to_the_pay_by_date_and_costs_more_each_day_begun() -> None:
    terms = policy.hold_terms(lapsed_count=0, at=T0, pay_by=BANK)  # Monday, 08:00 in Shanghai

    assert terms.expires_at == T0 + 3 * DAY + hours(9)
    assert (terms.base_bps, terms.bps) == (100 + 4 * 100, 500)
    twice = policy.hold_terms(lapsed_count=1, at=T0, pay_by=BANK)
    assert (twice.base_bps, twice.factor, twice.bps) == (500, 2, 1000)


def test_it_ends_in_time_for_its_nodes_to_be_prepared() -> None:
    def until(start: Any, lead_seconds: int = 3600) -> Any:
        return policy.expires_at(T0, start=start, lead_seconds=lead_seconds, pay_by=BANK) - T0

    assert until(T0 + 10 * DAY) == 3 * DAY + hours(9)
    assert until(T0 + 2 * DAY) == 2 * DAY - hours(1)
    assert until(T0 + hours(2)) == hours(1)
    assert until(T0 + hours(1)) == MINUTE


def test_it_never_ends_before_a_wallet_s_would(settings: Any) -> None:
    settings.PAY_BY_BUSINESS_DAYS, settings.PAY_BY_HOUR, settings.HOLD_SECONDS = 1, 0, 86_400

    until = policy.expires_at(T0 + hours(15), start=None, lead_seconds=0, pay_by=BANK)

    assert until == T0 + hours(39)  # a day, where the next business day begins in an hour


def test_nothing_is_held_for_a_transfer_where_the_operator_allows_no_days(settings: Any) -> None:
    settings.PAY_BY_BUSINESS_DAYS = 0

    with refused(policy.BankHoldUnavailable):
        policy.hold_terms(lapsed_count=0, at=T0, pay_by=BANK)
    assert policy.ways_to_hold(lapsed_count=0, at=T0)[1] is None


def test_an_offer_shows_a_transfer_s_terms_where_there_is_time_for_one(settings: Any) -> None:
    scene.listing()

    (far,) = scene.search(earliest_start=T0 + hours(200)).offers
    (near,) = scene.search(earliest_start=T0 + MINUTE * 10, latest_end=T0 + hours(12)).offers

    assert far.pay_by_at == T0 + 3 * DAY + hours(9)
    assert far.pay_by_deposit_minor == far.gross_minor * 5 // 100
    assert near.pay_by_at is not None
    assert near.pay_by_at <= near.start_at
    settings.PAY_BY_BUSINESS_DAYS = 0
    (none,) = scene.search(earliest_start=T0 + hours(200)).offers
    assert (none.pay_by_at, none.pay_by_deposit_minor) == (None, None)
