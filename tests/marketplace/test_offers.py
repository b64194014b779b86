"""Offers: ranked, dated, priced, signed; and reasons where nothing fits."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.core import signing

from inventory import identifiers
from inventory.errors import Invalid
from marketplace import offers, policy, prospects, reservations
from marketplace.asking import TermsInput
from marketplace.offers import OfferExpired, OfferInvalid
from tests import world
from tests.marketplace import scene
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db


def codes(results) -> dict[str, int]:
    return {rejection.code: rejection.listing_count for rejection in results.rejections}


def test_the_cheapest_comes_first_then_the_earliest() -> None:
    dear = scene.listing(amount=7)
    late = scene.listing(amount=6, sellable=period(100, 900))
    soon = scene.listing(amount=6)
    node_month = scene.listing(amount=744 * 8 * 5, basis="node_month")

    results = scene.search()

    assert [found.listing_id for found in results.offers] == [
        listing.public_id for listing in (node_month, soon, late, dear)
    ]
    monthly, first, *_ = results.offers
    assert (first.start_at, first.end_at) == (T0 + hours(10), T0 + hours(20))
    assert (first.unit_count, first.card_count, first.gross_minor) == (1, 8, 600 * 80)
    assert (first.vat_minor, first.fee_minor, first.due_minor) == (2717, 3623, 48_000)
    assert (first.hold_deposit_minor, first.hold_seconds) == (480, 900)
    assert first.cancellation == ((168, 10_000), (72, 5_000), (24, 2_000))
    # 744 x 8 x 5 over 720 x 8 hours of June
    assert monthly.card_hour_micro == 5_166_667
    assert results.rejections == results.alternatives == ()


def test_the_first_of_many_are_the_cheapest_of_all() -> None:
    shelves = [scene.listing(amount=5 + (number * 7 % 10) / 10) for number in range(10)]

    results = scene.search(limit=3)

    assert [found.amount_micro for found in results.offers] == [5_000_000, 5_100_000, 5_200_000]
    assert len(shelves) == 10


def test_how_many_fit_is_counted_beyond_those_shown() -> None:
    for amount in (7.0, 5.0, 9.0):
        scene.listing(amount=amount)

    found = scene.search(limit=2)

    assert (len(found.offers), found.match_count) == (2, 3)
    assert scene.search(units=10_000).match_count == 0
    dear = scene.search(max_card_hour_micro=6_000_000)
    assert (len(dear.offers), dear.match_count) == (1, 1)


def test_what_nobody_has_proved_reads_unknown() -> None:
    scene.listing()

    (found,) = scene.search().offers

    assert found.declared["technology"] == "InfiniBand NDR"
    assert found.facts["proved_node_count"] == "unknown"
    assert found.declared["oversubscription"] == "unknown"
    assert found.declared["site_count"] == "unknown"


def test_an_offer_can_be_posted_back_and_is_what_was_shown() -> None:
    scene.listing()
    (found,) = scene.search(units=2).offers

    claim = offers.read_token(found.token, T0 + timedelta(minutes=9))
    held = scene.hold(claim)

    assert (held.gross_minor, held.vat_minor) == (found.gross_minor, found.vat_minor)
    assert (held.fee_minor, held.due_minor) == (found.fee_minor, found.due_minor)
    assert (held.period.lower, held.period.upper) == (found.start_at, found.end_at)
    assert prospects.of(claim, at=T0).quote.gross_minor == found.gross_minor


def test_an_offer_expires() -> None:
    scene.listing()
    (found,) = scene.search().offers

    assert found.expires_at == T0 + timedelta(minutes=10)
    with pytest.raises(OfferExpired):
        offers.read_token(found.token, found.expires_at)


def test_what_is_not_our_offer_is_refused() -> None:
    scene.listing()
    (found,) = scene.search().offers
    token = found.token
    swapped = token[:10] + ("A" if token[10] != "A" else "B") + token[11:]
    other = signing.dumps([1], salt="cardhour.offer", compress=True)

    for text in ("", "x", "\x00", "a:b:c", swapped, token + "x", "9" * 5000, "\ud800", other):
        with pytest.raises(OfferInvalid):
            offers.read_token(text, T0)


def test_cards_must_fill_whole_nodes_where_only_whole_nodes_are_sold() -> None:
    scene.listing(world.pool(nodes=2), units=2)

    results = scene.search(cards=12)

    assert codes(results) == {"whole_nodes_only": 1}
    assert results.offers == ()
    near = {alternative.changed: alternative.offer for alternative in results.alternatives}
    assert near[("cards",)].card_count == 16


def test_slices_serve_fewer_cards_than_a_node() -> None:
    scene.listing(world.pool(nodes=1, unit_cards=2), units=4)

    (found,) = scene.search(cards=6).offers

    assert (found.unit_count, found.card_count) == (3, 6)
    assert codes(scene.search(cards=3)) == {"not_a_multiple": 1}


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"chips": ("b200-180g",)}, "no_such_chip"),
        ({"chip_class": "consumer"}, "no_such_chip"),
        ({"regions": ("上海",)}, "no_such_region"),
        ({"hubs": ("nxa",)}, "no_such_region"),
        ({"currency": "USD"}, "other_currency"),
        ({"units": 5}, "too_many_units"),
        ({"units": 4, "earliest_start": T0 + hours(20), "latest_end": T0 + hours(45)}, "sold_out"),
        ({"latest_end": T0 + hours(15)}, "window_too_short"),
        ({"earliest_start": T0 - hours(99), "latest_end": T0}, "window_over"),
        (
            {"earliest_start": T0 + hours(10.5), "latest_end": T0 + hours(20.5)},
            "off_the_grid",
        ),
        (
            {"earliest_start": T0 + hours(1995), "latest_end": T0 + hours(3000)},
            "not_on_sale_then",
        ),
        ({"max_card_hour_micro": 6_799_999}, "too_expensive"),
        ({"units": 1}, "too_few_units"),
        ({"hours": 1}, "too_short"),
        ({"hours": 101}, "too_long"),
    ],
)
def test_why_nothing_fits(asked, code) -> None:
    terms = TermsInput(minimum_hours=2, maximum_hours=100, minimum_units=2)
    listing = scene.listing(terms=terms)
    scene.lease(listing, units=3, start=20, end=40)

    results = scene.search(**{"units": 2, **asked})

    assert results.offers == ()
    assert codes(results) == {code: 1}


def test_what_comes_near_is_said_with_what_differs() -> None:
    listing = scene.listing()

    too_dear = scene.search(max_card_hour_micro=1)
    elsewhere = scene.search(regions=("上海",))
    later = scene.search(latest_end=T0 + hours(15))

    far = scene.search(hubs=("nxa",))
    other_kind = scene.search(chips=(listing.pool.chip_id,), chip_class="consumer")

    for results, changed in (
        (too_dear, "max_card_hour_micro"),
        (elsewhere, "regions"),
        (far, "hubs"),
        (other_kind, "chip_class"),
    ):
        assert results.alternatives[0].changed == (changed,)
        assert results.alternatives[0].offer.listing_id == listing.public_id
    assert later.alternatives[0].changed == ("latest_end",)
    assert later.alternatives[0].offer.start_at == T0 + hours(10)


def test_starts_lie_on_the_listing_s_grid_and_leave_time_to_prepare() -> None:
    pool = world.pool(nodes=2, lead_seconds=3 * 3600)
    scene.listing(pool, units=2, terms=TermsInput(start_grid_seconds=6 * 3600))

    (found,) = scene.search(at=T0 + hours(10.1), earliest_start=T0 + hours(1)).offers

    assert found.start_at == T0 + hours(18)


def test_an_offer_leaves_time_to_confirm_it_and_says_how_long_it_is_held() -> None:
    listing = scene.listing(terms=TermsInput(start_grid_seconds=900))
    late = T0 + hours(10.25) - timedelta(seconds=90)

    (found,) = scene.search(at=late, earliest_start=T0).offers
    later = scene.search(at=late + timedelta(seconds=31), earliest_start=T0).offers[0]
    held = scene.hold(listing, at=late, start=10.25, end=20.25)

    assert found.start_at == T0 + hours(10.25)
    assert later.start_at == T0 + hours(10.5)
    assert held.expires_at - late == timedelta(seconds=found.hold_seconds)
    assert found.hold_seconds == 90


def test_nobody_is_offered_its_own_capacity() -> None:
    listing = scene.listing()

    results = scene.search(tenant=listing.provider)

    assert codes(results) == {"own_listing": 1}


def test_the_deposit_shown_is_the_one_asked() -> None:
    listing, tenant = scene.listing(), world.tenant()
    held = scene.hold(listing)
    reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)

    (found,) = scene.search(at=T0 + hours(1)).offers

    standing = policy.standing(tenant_id=tenant.pk, at=T0 + hours(1))
    asked = policy.hold_terms(lapsed_count=standing.lapsed_count, at=T0 + hours(1))
    assert found.hold_deposit_minor == asked.deposit_minor(found.gross_minor)
    assert found.hold_deposit_minor == found.gross_minor * 2 // 100


def test_an_impossible_price_does_not_spoil_the_search() -> None:
    spoilt, good = scene.listing(), scene.listing()
    version = spoilt.prices.get()
    version.pk, version.version, version.amount_micro = None, 2, 10**18
    version.public_id = identifiers.new("prv")
    version.save(force_insert=True)  # publishing refuses it

    results = scene.search(hours=400)

    assert [found.listing_id for found in results.offers] == [good.public_id]
    assert codes(results) == {"too_expensive": 1} or codes(results) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"units": 0},
        {"units": -1},
        {"units": 10**8},
        {"units": 1, "cards": 8},
        {"cards": 0},
        {"hours": 0},
        {"hours": 10**6},
        {"limit": 21},
        {"limit": 0},
        {"max_card_hour_micro": 0},
        {"latest_end": T0},
        {"earliest_start": datetime(2026, 6, 1)},  # noqa: DTZ001
        {"latest_end": T0 + timedelta(days=365 * 300)},
    ],
)
def test_a_request_that_contradicts_itself_is_refused(changes) -> None:
    with pytest.raises(Invalid):
        scene.request(**changes)


def test_whole_nodes_are_found_whatever_the_unit() -> None:
    whole = scene.listing(world.pool(nodes=4), units=4)
    scene.listing(world.pool(nodes=4, unit_cards=2), units=16)

    results = scene.search(nodes=3)

    assert [(found.listing_id, found.unit_count) for found in results.offers] == [
        (whole.public_id, 3)
    ]
    assert codes(results) == {"no_whole_nodes": 1}


def test_a_reason_says_what_the_nearest_allows() -> None:
    scene.listing(units=2)
    scene.listing(units=4)
    scene.listing(amount=9, terms=TermsInput(minimum_hours=48))
    scene.listing(amount=9, terms=TermsInput(minimum_hours=24))

    many = scene.search(units=40, hours=30)
    dear = scene.search(hours=30, max_card_hour_micro=5_000_000)

    assert {row.code: row.nearest for row in many.rejections} == {
        "too_many_units": 4,
        "too_short": 48,
    }
    assert {row.code: row.nearest for row in dear.rejections} == {
        "too_expensive": 6_800_000,
        "too_short": 48,
    }


def test_fewer_are_found_however_many_too_many_were_asked_for() -> None:
    scene.listing(units=3)

    for asked in (4, 5, 128, 1_000_000):
        (near,) = scene.search(units=asked).alternatives

        assert (near.changed, near.offer.unit_count) == (("units",), 3)
