"""What may be asked of machines, owners and starts; and of a range of lengths."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory import capacity
from inventory.models import Chip, Pool
from inventory.pools import NodeRow
from marketplace.asking import TermsInput
from marketplace.offers import InvalidRequest
from marketplace.offers.screening import runs
from tests import world
from tests.marketplace import scene
from tests.marketplace.test_offers import codes
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db


def described(pool: Pool, *, nodes: int, **facts: str) -> None:
    """The pool's first nodes as their provider describes them."""
    serials = pool.nodes.order_by("serial").values_list("serial", flat=True)[:nodes]
    rows = [NodeRow(serial=serial, **facts) for serial in serials]
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=T0, actor=SYSTEM)


def test_a_card_has_at_least_the_memory_asked_for() -> None:
    small = scene.listing(world.pool(chip="a100-40g"), amount=5)
    large = scene.listing(world.pool(chip="h100-80g"))

    found = scene.search(minimum_memory_gib=80)
    nothing = scene.search(minimum_memory_gib=1000)

    assert [offer.listing_id for offer in found.offers] == [large.public_id]
    assert codes(found) == {"too_little_memory": 1}
    assert (found.rejections[0].nearest, found.offers[0].memory_gib) == (40, 80)
    assert nothing.rejections[0].nearest == 80
    assert nothing.alternatives[0].changed == ("minimum_memory_gib",)
    assert nothing.alternatives[0].offer.listing_id == small.public_id


def test_an_interconnect_that_nobody_has_published_does_not_match_and_is_counted_apart() -> None:
    known = scene.listing(world.pool(chip="h100-80g"))
    scene.listing(world.pool(chip="a100-80g"))
    unknown = world.pool(chip="a100-40g")
    scene.listing(unknown)
    Chip.objects.filter(code=unknown.chip_id).update(interconnect_gbps=None)
    speed = known.pool.chip.interconnect_gbps

    found = scene.search(minimum_interconnect_gbps=speed)

    assert [offer.listing_id for offer in found.offers] == [known.public_id]
    assert found.offers[0].interconnect_gbps == speed
    assert codes(found) == {"too_little_bandwidth": 1, "bandwidth_unknown": 1}
    assert {row.code: row.nearest for row in found.rejections} == {
        "too_little_bandwidth": 600,
        "bandwidth_unknown": None,
    }


def test_software_is_promised_only_where_every_node_is_known_to_run_it() -> None:
    good, half, other, silent = (world.pool(nodes=2) for _ in range(4))
    listings = [scene.listing(pool, units=2) for pool in (good, half, other, silent)]
    described(good, nodes=2, driver_version="550.54.15", runtime_version="CUDA 12.4")
    described(half, nodes=1, driver_version="550.54.15", runtime_version="CUDA 12.4")
    described(other, nodes=2, driver_version="535.1", runtime_version="CUDA 12.2")

    found = scene.search(runtime="cuda 12.4", driver="550")

    assert [offer.listing_id for offer in found.offers] == [listings[0].public_id]
    assert found.offers[0].software == {
        "driver": "550.54.15",
        "runtime": "CUDA 12.4",
        "framework": "unknown",
    }
    assert codes(found) == {"other_software": 1, "software_unknown": 2}


def test_a_pool_whose_nodes_differ_matches_what_they_have_in_common() -> None:
    pool = world.pool(nodes=2)
    scene.listing(pool, units=2)
    described(pool, nodes=2, framework_version="PyTorch 2.4.1")
    described(pool, nodes=1, framework_version="PyTorch 2.4.0")

    (found,) = scene.search(framework="PyTorch 2.4").offers

    assert found.software["framework"] == "mixed"
    assert codes(scene.search(framework="PyTorch 2.4.1")) == {"other_software": 1}


@pytest.mark.parametrize(
    ("version", "asked", "fits"),
    [
        ("CUDA 12.4", "CUDA 12", True),
        ("CUDA 12.4", "CUDA 1", False),
        ("CUDA 12.4", "cuda 12.4", True),
        ("CANN 8.0.RC2", "CANN 8.0", True),
        ("CANN 8.0.RC2", "CANN 8.0.RC", False),
        ("550.54", "550.", True),
        ("550.54", "550.54.15", False),
    ],
)
def test_a_version_is_named_by_its_beginning_whole_parts_only(version, asked, fits) -> None:
    assert runs(version, asked) is fits


def test_an_owner_of_another_kind_is_not_offered() -> None:
    listing = scene.listing()

    found = scene.search(owners=("telecom", "government"))

    assert codes(found) == {"no_such_owner": 1}
    assert found.alternatives[0].changed == ("owners",)
    (fits,) = scene.search(owners=("telecom", "enterprise")).offers
    assert (fits.listing_id, fits.owner_kind) == (listing.public_id, "enterprise")


def test_starts_lie_on_the_asked_grid_and_on_the_listing_s() -> None:
    scene.listing(terms=TermsInput(start_grid_seconds=6 * 3600))

    (found,) = scene.search(start_grid_seconds=4 * 3600, earliest_start=T0 + hours(1)).offers
    none = scene.search(
        start_grid_seconds=86_400, earliest_start=T0 + hours(1), latest_end=T0 + hours(20)
    )

    assert found.start_at == T0 + hours(12)
    assert codes(none) == {"off_the_grid": 1}
    assert none.alternatives[0].changed == ("latest_end",)
    assert ("start_grid_seconds",) in [row.changed for row in none.alternatives] or len(
        none.alternatives
    ) == 1


def test_seven_cards_of_a_pool_that_sells_nodes_say_whole_nodes_only() -> None:
    scene.listing()

    found = scene.search(cards=7)

    assert codes(found) == {"whole_nodes_only": 1}
    assert found.alternatives[0].changed == ("cards",)
    assert found.alternatives[0].offer.card_count == 8


def test_of_a_range_each_listing_offers_the_longest_that_fits() -> None:
    open_ = scene.listing(amount=7)
    taken = scene.listing(amount=6)
    scene.lease(taken, units=4, start=50, end=2000)
    capped = scene.listing(amount=8, terms=TermsInput(maximum_hours=60))
    scene.listing(amount=5, terms=TermsInput(maximum_hours=12))
    scene.listing(amount=5, terms=TermsInput(minimum_hours=200))

    found = scene.search(minimum_hours=24, maximum_hours=168)

    assert [(offer.listing_id, offer.hours) for offer in found.offers] == [
        (taken.public_id, 40),
        (open_.public_id, 168),
        (capped.public_id, 60),
    ]
    assert {offer.start_at for offer in found.offers} == {T0 + hours(10)}
    assert {row.code: row.nearest for row in found.rejections} == {"too_short": 200, "too_long": 12}


def test_of_a_range_the_longest_counts_before_the_first() -> None:
    listing = scene.listing()
    scene.lease(listing, units=4, start=30, end=40)

    (found,) = scene.search(minimum_hours=5, maximum_hours=50).offers
    (short,) = scene.search(minimum_hours=5, maximum_hours=20).offers

    assert (found.start_at, found.hours) == (T0 + hours(40), 50)
    assert (short.start_at, short.hours) == (T0 + hours(10), 20)


@pytest.mark.parametrize(
    "changes",
    [
        {"hours": None},
        {"hours": 10, "minimum_hours": 5, "maximum_hours": 10},
        {"hours": None, "minimum_hours": 5},
        {"hours": None, "minimum_hours": 10, "maximum_hours": 5},
        {"start_grid_seconds": 59},
        {"start_grid_seconds": 7 * 3600},
        {"hours": None, "minimum_hours": 0, "maximum_hours": 5},
    ],
)
def test_a_length_or_grid_that_contradicts_itself_is_refused(changes) -> None:
    with pytest.raises(InvalidRequest):
        scene.request(**changes)


def test_the_earliest_is_shown_whatever_it_costs() -> None:
    cheap = [scene.listing(amount=5 + number / 10, sellable=period(50, 900)) for number in range(4)]
    soon = scene.listing(amount=9)

    found = scene.search(limit=3).offers
    one = scene.search(limit=1).offers

    assert [(offer.listing_id, offer.marks) for offer in found] == [
        (cheap[0].public_id, ("cheapest",)),
        (cheap[1].public_id, ()),
        (soon.public_id, ("earliest",)),
    ]
    assert [(offer.listing_id, offer.marks) for offer in one] == [
        (cheap[0].public_id, ("cheapest",))
    ]
    both = scene.search(limit=3, earliest_start=T0 + hours(60)).offers
    assert [offer.marks for offer in both] == [("cheapest", "earliest"), (), ()]
    assert both[0].start_at - T0 == timedelta(hours=60)
