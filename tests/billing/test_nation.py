"""The nation: copied in past the verbs, and yet what the verbs would have left."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from psycopg.errors import ExclusionViolation
from pytest_django import Settings

from billing import nation
from billing.nation import NATION, Plan, deals
from inventory import verification
from inventory.actors import system
from inventory.models import (
    Allocation,
    Binding,
    Block,
    Centre,
    Claim,
    JournalEntry,
    Node,
    Organisation,
    Pool,
    PoolVersion,
    UsageHour,
)
from inventory.periods import Period, floor_hour
from marketplace import offers
from marketplace.models import Lease, Listing, Reservation
from marketplace.offers import OfferRequest
from marketplace.utilisation import readings, rollups
from marketplace.utilisation.readings import Days
from tests import database, world

TINY = Plan(site_count=4, pool_sizes=(120, 100, 24, 12, 11, 11, 11, 11), tenant_count=6)
NOW = datetime(2026, 6, 10, 7, 30, tzinfo=UTC)
TURN = floor_hour(NOW)
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture(autouse=True)
def _nothing_real(settings: Settings) -> None:
    settings.DEMO = True


def load(claims: int, plan: Plan = TINY) -> int:
    return nation.load(plan=plan, claim_count=claims, now=NOW, progress=lambda _text: None)


def sold() -> list[tuple[Any, ...]]:
    """Every deal; ids are fresh in each world."""
    return sorted(
        Claim.objects.filter(block__isnull=False).values_list(
            "pool__name", "blocking", "unit_count", "state", "allocation__state",
            "allocation__tenant__name",
        ),
        key=str,
    )  # fmt: skip


def test_the_nation_is_as_large_as_the_market_is_meant_to_become() -> None:
    stocks = list(NATION.stocks())

    assert len(NATION.sites()) == 250
    assert len(stocks) == 1_000
    assert sum(stock.nodes for stock in stocks) == 50_000
    assert len({site.hub for site in NATION.sites()}) == 9
    assert len({site.region for site in NATION.sites()}) == 31
    assert len({stock.chip for stock in stocks}) == 19
    assert {stock.unit_cards for stock in stocks} == {None, 1, 2, 4}


def test_shares_are_in_proportion_and_leave_nothing_over() -> None:
    assert deals.shares(1_000_000, [stock.nodes for stock in NATION.stocks()])[0] == 250_000
    assert deals.shares(10, [1, 1, 1]) == [3, 3, 4]


def test_a_tiny_nation_stands_under_every_rule() -> None:
    assert load(1_200) == 1_200

    assert verification.verify() == []
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert Centre.objects.count() == 4
    assert Pool.objects.count() == Listing.objects.count() == 8
    assert Node.objects.count() == sum(TINY.pool_sizes)
    assert Counter(Claim.objects.exclude(block=None).values_list("state", flat=True)) == {
        "ended": 1_081,
        "confirmed": 119,  # a tenth of each pool's, rounded pool by pool
    }
    told = JournalEntry.objects.filter(event="pool.history_loaded")
    assert sum(entry.data["claims"] for entry in told) == 1_200
    # A lease is money, and there is none.
    assert (Reservation.objects.count(), Lease.objects.count()) == (0, 0)


def test_live_claims_run_or_are_to_come_and_what_runs_is_bound() -> None:
    load(1_200)

    live = Allocation.objects.filter(kind="sale", state__in=["active", "scheduled"])
    running = [row for row in live if row.state == "active"]
    assert running
    assert all(row.period.lower <= TURN < row.period.upper for row in running)
    assert all(row.period.lower > TURN for row in live if row.state == "scheduled")
    bound = Counter[int]()
    for binding in Binding.objects.filter(allocation__in=running):
        bound[binding.allocation_id] += binding.cards.upper - binding.cards.lower
    assert bound == {row.pk: row.unit_count * row.pool.unit_cards for row in running}


def test_the_past_was_never_oversold_either() -> None:
    load(1_200)

    edges: dict[int, Counter[datetime]] = {row.pk: Counter() for row in Block.objects.all()}
    for claim in Claim.objects.exclude(block=None):
        assert claim.block_id is not None
        edges[claim.block_id][claim.blocking.lower] += claim.unit_count
        edges[claim.block_id][claim.blocking.upper] -= claim.unit_count
    for block in Block.objects.all():
        taken = 0
        for instant in sorted(edges[block.pk]):
            taken += edges[block.pk][instant]
            assert taken <= block.unit_count
        assert taken == 0


def test_it_goes_on_where_it_stopped_and_grows_to_the_same() -> None:
    assert load(300) == 300
    assert load(300) == 0
    assert load(1_200) == 900
    grown = sold()
    assert verification.verify() == []

    database.flush()
    load(1_200)

    assert sold() == grown


def test_a_search_finds_what_the_claims_left_free() -> None:
    load(1_200)
    at = NOW + timedelta(minutes=1)
    request = OfferRequest(
        nodes=4, hours=72, earliest_start=at, latest_end=at + timedelta(days=30), limit=20
    )

    found = offers.search(request=request, actor=system("test"), at=at).offers

    assert found
    for offer in found:
        block = Listing.objects.get(public_id=offer.listing_id).block
        pool = block.pool
        wide = Period(offer.start_at, offer.end_at).widen(
            before=timedelta(seconds=pool.lead_seconds),
            after=timedelta(seconds=pool.turnaround_seconds),
        )
        claims = Claim.objects.filter(
            block=block, state="confirmed", blocking__overlap=wide.range
        ).values_list("blocking", "unit_count")
        starts = {wide.start, *(when.lower for when, _ in claims if when.lower > wide.start)}
        peak = max(
            sum(units for when, units in claims if when.lower <= start < when.upper)
            for start in starts
        )
        assert peak + offer.unit_count <= block.unit_count


def test_versions_and_clocks_go_on_from_there() -> None:
    load(1_200)

    pool = Pool.objects.get(name="N0001")
    version = PoolVersion.objects.get(pool=pool)
    assert version.clock == TURN
    numbers = list(pool.events.order_by("ver").values_list("ver", flat=True))
    assert numbers == list(range(1, version.ver + 1))
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_a_row_that_breaks_a_constraint_is_refused_with_all_its_batch() -> None:
    load(0)
    pool = Pool.objects.get(name="N0001")
    node = Node.objects.filter(pool=pool).order_by("pk")[0]
    database.plant(
        "INSERT INTO inventory_binding"
        " (public_id, allocation_id, node_id, cards, during, created_at)"
        f" VALUES (gen_random_uuid(), 0, {node.pk}, '[0,8)', '[2020-01-01Z,2030-01-01Z)', now())"
    )
    before = (Claim.objects.count(), PoolVersion.objects.get(pool=pool).ver)

    with pytest.raises(ExclusionViolation, match="one_card_one_binding"):
        load(1_200)

    assert (Claim.objects.count(), PoolVersion.objects.get(pool=pool).ver) == before


def test_nothing_made_up_stands_beside_something_real(settings: Settings) -> None:
    world.tenant("Borealis")

    with pytest.raises(nation.NationRefused, match="Borealis is registered here"):
        load(100)
    with pytest.raises(CommandError, match="Borealis is registered here"):
        call_command("load_nation", "--claims", "100")
    with pytest.raises(CommandError, match="Borealis is registered here"):
        call_command("bench", "soak", "--operations", "1")

    assert Organisation.objects.count() == 1


def test_a_market_without_demo_worlds_has_no_nation(settings: Settings) -> None:
    settings.DEMO = False

    with pytest.raises(nation.NationRefused, match="DEMO=1"):
        load(100)

    assert Organisation.objects.count() == 0


def test_the_half_year_of_2024_stands_under_every_rule_and_reports_its_share() -> None:
    plan = replace(TINY, past_days=60, listed_shares=(0.9, 0.5, 0.7))

    added = nation.load_usage(plan=plan, now=NOW, progress=lambda _text: None)

    assert added == UsageHour.objects.count() > 1_000
    assert nation.load_usage(plan=plan, now=NOW, progress=lambda _text: None) == 0
    assert verification.verify() == []
    assert rollups.verify(at=NOW) == []
    days = Days((TURN - timedelta(days=60)).date(), NOW.date())
    sums = readings.total(readings.of_pools(days))
    assert sums["delivered"] / sums["installed"] == pytest.approx(56 / 170, abs=0.04)
    # Broken, unlisted, unsold and late: something is lost at every stage.
    assert sums["installed"] > sums["serviceable"] > sums["listed"] > sums["sold"]
    assert sums["sold"] > sums["delivered"] > 0
    classes = readings.by_class(readings.of_pools(days))
    assert sum(row.sold for row in classes) == sums["sold"] + sums["sold_down"]


def test_early_2024_has_a_billion_and_seven_hundred_million_card_hours() -> None:
    plan = nation.EARLY_2024

    assert sum(plan.pool_sizes) * 8 * plan.past_days * 24 == 1_699_200_000
