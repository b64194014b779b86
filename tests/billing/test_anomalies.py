"""Each rule finds what it is for, with its evidence, and leaves the rest alone."""

from __future__ import annotations

from typing import Any

import pytest

from billing import anomalies
from billing.anomalies import Rule
from billing.models import BankAccount, BillingDetails
from marketplace import leases, reservations
from marketplace.utilisation import readings, rollups
from marketplace.utilisation.readings import Days, Place, PoolSum
from marketplace.utilisation.rollups import KEPT
from tests import database, world
from tests.marketplace import scene
from tests.marketplace.test_rollups import FIRST, LAST
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db


def found(*sums: PoolSum) -> list[anomalies.Finding]:
    return anomalies.find(period=period(-24, 100), sums=sums, at=T0 + hours(2))


def pool_sum(**hours_of: float) -> PoolSum:
    amounts = dict.fromkeys(KEPT, 0) | {name: int(h * 3600) for name, h in hours_of.items()}
    place = Place("pool_1", "P1", *[""] * 11)
    return PoolSum(place, amounts)


@pytest.mark.parametrize(
    ("sums", "rule"),
    [
        ({"delivered": 5000, "measured": 4000, "busy": 100}, Rule.IDLE_USE),
        ({"delivered": 5000, "measured": 4000, "busy": 300}, None),
        ({"delivered": 9000, "measured": 2000, "busy": 1500}, Rule.UNSEEN_USE),
        ({"delivered": 3000, "measured": 2000, "busy": 1500}, None),
        ({"delivered": 9000}, None),  # without telemetry nothing is said
        ({"delivered": 900, "measured": 900, "busy": 0}, None),  # too little to judge by
    ],
)
def test_use_that_telemetry_did_not_see(sums: dict[str, float], rule: Rule | None) -> None:
    rows = found(pool_sum(**sums))

    assert [row.rule for row in rows] == ([rule] if rule else [])
    if rows:
        assert rows[0].facts["delivered"] == sums["delivered"] * 3600


def test_a_price_far_off_its_class() -> None:
    for amount in (6.5, 6.7, 6.8, 6.9, 7.1):
        scene.listing(world.pool(), amount=amount)
    assert found() == []
    far = scene.listing(world.pool(), amount=20)
    scene.listing(world.pool(chip="ascend-910b-64g"), amount=99)  # no peers
    month = 6.8 * 8 * 730  # the same as the others, by another basis
    scene.listing(world.pool(), amount=month, basis="node_month")

    (row,) = found()

    assert (row.rule, row.subject) == (Rule.PRICE, far.public_id)
    assert row.facts["asked_micro"] == 20_000_000
    assert 6_700_000 <= row.facts["median_micro"] <= 7_000_000
    assert row.facts["peers"] == 7


def test_both_sides_of_a_lease_share_an_account_or_a_registration() -> None:
    lease = scene.lease(scene.listing())
    for owner in (lease.provider, lease.tenant, world.stranger()):
        BankAccount.objects.create(
            owner=owner, currency="CNY", holder_name=owner.name, bank_name="Bank", number="6222",
            created_at=T0,
        )  # fmt: skip
        BillingDetails.objects.create(
            organisation=owner, title=owner.name, phone="010-1", address=owner.name, updated_at=T0
        )

    account, registration = found()

    assert account.rule == Rule.SHARED_ACCOUNT
    assert (account.subject, account.facts["tenant_id"]) == (
        lease.provider.public_id, lease.tenant.public_id,
    )  # fmt: skip
    assert (account.facts["shared"], account.facts["leases"]) == ("6222", 1)
    assert (registration.rule, registration.facts["shared"]) == (
        Rule.SHARED_REGISTRATION, "010-1",
    )  # fmt: skip


def test_holds_that_always_lapse() -> None:
    listing = scene.listing(world.pool(nodes=8), units=8)
    holds = [scene.hold(listing, start=10 + number, end=11 + number) for number in range(5)]
    for held in holds:
        assert found() == []
        reservations.expire(reservation=reservations.lock(held.pk), at=held.expires_at)

    (row,) = found()

    assert (row.rule, row.facts) == (Rule.LAPSED_HOLDS, {"count": 5, "of": 5})
    assert row.subject == world.tenant().public_id
    for number in range(2):  # with two that were kept it is no longer four of five
        scene.lease(listing, start=30 + number, end=31 + number, at=T0 + hours(1))
    assert found() == []


def test_leases_cancelled_before_their_start() -> None:
    listing = scene.listing(world.pool(nodes=8), units=8)
    for number in range(3):
        lease = scene.lease(listing, start=10 + number, end=11 + number)
        assert found() == []
        leases.cancel(lease=leases.lock(lease.pk), at=T0, actor=SYSTEM, reason="no need")

    (row,) = found()

    assert (row.rule, row.facts) == (Rule.CANCELLED, {"count": 3, "of": 3})


@pytest.mark.django_db(transaction=True)
def test_more_listed_than_there_is() -> None:
    listing = scene.listing(world.pool(nodes=4), units=4)
    assert found() == []

    database.plant("UPDATE inventory_block SET unit_count = 9")

    (row,) = found()
    assert (row.rule, row.subject) == (Rule.OVERLISTED, listing.pool.public_id)
    assert row.facts == {"listed": 9, "external": 0, "units": 4}


def test_sums_of_a_quiet_market_find_nothing() -> None:
    scene.lease(scene.listing())
    rollups.sweep(at=T0 + hours(112))
    sums: Any = readings.of_pools(Days(FIRST, LAST))

    assert found(*sums) == []
