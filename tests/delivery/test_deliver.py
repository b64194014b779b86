from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import capacity, credentials, provisioning
from inventory.models import Allocation, Claim, Credential, FakeMachine, Instance
from inventory.periods import Period
from tests import world
from tests.delivery import scene
from tests.delivery.scene import seconds
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

OPTIONS = {"provision_seconds": 20, "release_seconds": 10}


def test_a_sold_allocation_is_delivered_ended_and_wiped() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS))

    scene.run(seconds(0), seconds(60))
    allocation.refresh_from_db()
    delivered = (allocation.state, allocation.active_at, scene.states(allocation))
    end = Period.of(allocation.period).end
    scene.run(end, end + timedelta(seconds=60))
    allocation.refresh_from_db()

    assert delivered[0] == Allocation.State.ACTIVE
    assert delivered[1] is not None
    assert seconds(20) <= delivered[1] <= seconds(30)
    assert delivered[2] == ["active", "active"]
    assert allocation.state == Allocation.State.ENDED
    assert allocation.failure_code == ""
    assert scene.states(allocation) == ["released", "released"]
    assert list(FakeMachine.objects.values_list("boot_count", "wipe_count")) == [(1, 1), (1, 1)]
    assert set(allocation.claims.values_list("state", flat=True)) == {Claim.State.ENDED}
    assert all(each.during.upper <= allocation.ended_at for each in allocation.bindings.all())


def test_every_change_of_state_is_journalled_and_in_the_history() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS), units=1)

    scene.run(seconds(0), seconds(60))
    end = Period.of(allocation.period).end
    scene.run(end, end + timedelta(seconds=60))
    instance = allocation.instances.get()

    on_the_way = ["provisioning", "active", "releasing", "released"]
    assert scene.events(instance.public_id) == [f"instance.{state}" for state in on_the_way]
    assert [state for state, _ in scene.history(allocation)] == ["planned", *on_the_way]
    changes = [event for event in scene.events(allocation.public_id) if event != "allocation.bound"]
    assert changes[-4:] == [
        "allocation.delivering",
        "allocation.active",
        "allocation.releasing",
        "allocation.ended",
    ]


def test_nothing_happens_before_its_time() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS))

    scene.run(T0 - timedelta(minutes=50), T0, every=300)
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.SCHEDULED
    assert allocation.bindings.count() == 0
    assert allocation.next_step_at == T0


def test_lead_time_is_used_to_prepare_but_not_to_hand_over() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS, lead_seconds=600))

    scene.run(seconds(-600), seconds(0))
    allocation.refresh_from_db()
    before = (allocation.state, scene.states(allocation), Credential.objects.count())
    scene.tick(T0)
    allocation.refresh_from_db()

    assert before == (Allocation.State.DELIVERING, ["active", "active"], 0)
    assert (allocation.state, allocation.active_at) == (Allocation.State.ACTIVE, T0)


def test_the_customer_learns_how_to_get_into_every_machine() -> None:
    allocation = scene.sold(scene.pool(options=OPTIONS))
    scene.run(seconds(0), seconds(60))

    secret = credentials.reveal(
        allocation_id=allocation.pk, at=seconds(60), actor=world.actor(world.tenant())
    )

    assert secret.kind == "ssh"
    assert len({each.address for each in secret.machines}) == 2
    assert {(each.port, each.user) for each in secret.machines} == {(22, "cardhour")}
    assert all(each.secret.startswith("-----BEGIN OPENSSH") for each in secret.machines)
    assert all(each.host_fingerprints[0].startswith("SHA256:") for each in secret.machines)


def test_a_customer_with_keys_of_its_own_gets_no_private_key() -> None:
    allocation = scene.sold(scene.pool(), ssh_keys=("ssh-ed25519 AAAA me",))
    scene.run(seconds(0), seconds(30))

    secret = credentials.reveal(
        allocation_id=allocation.pk, at=seconds(60), actor=world.actor(world.tenant())
    )

    assert {each.secret for each in secret.machines} == {""}


def test_credentials_are_gone_when_the_period_is_over() -> None:
    allocation = scene.sold(scene.pool())
    scene.run(seconds(0), seconds(30))

    scene.tick(Period.of(allocation.period).end)

    assert list(Credential.objects.values_list("revoked_at", flat=True)) == [
        Period.of(allocation.period).end
    ]
    assert bytes(Credential.objects.get().ciphertext) == b""


def test_a_cancelled_allocation_never_reaches_a_driver() -> None:
    allocation = scene.sold(scene.pool())

    capacity.release(
        allocation_id=allocation.pk, at=T0 - timedelta(minutes=30), actor=SYSTEM, reason="changed"
    )
    scene.run(T0 - timedelta(minutes=30), seconds(60), every=60)

    assert (Instance.objects.count(), FakeMachine.objects.count()) == (0, 0)


def test_a_shortened_allocation_ends_at_its_new_end() -> None:
    allocation = scene.sold(scene.pool())
    scene.run(seconds(0), seconds(60))

    capacity.shorten(
        allocation_id=allocation.pk, end=seconds(7200), at=seconds(60), actor=SYSTEM, reason="left"
    )
    scene.run(seconds(7200), seconds(7230))
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ENDED


def test_an_extended_allocation_goes_on() -> None:
    allocation = scene.sold(scene.pool())
    scene.run(seconds(0), seconds(60))
    end = Period.of(allocation.period).end

    capacity.extend(
        allocation_id=allocation.pk, end=end + timedelta(hours=1), at=seconds(60), actor=SYSTEM
    )
    scene.tick(end)
    allocation.refresh_from_db()

    assert allocation.state == Allocation.State.ACTIVE
    assert allocation.next_step_at == end + timedelta(hours=1)


def test_slices_of_a_node_are_machines_of_their_own() -> None:
    row = scene.pool(nodes=1, unit_cards=2)
    first, second = scene.sold(row, units=1), scene.sold(row, units=2)

    scene.run(seconds(0), seconds(30))

    assert [each.card_count for each in first.instances.all()] == [2]
    assert sum(each.card_count for each in second.instances.all()) == 4
    assert Allocation.objects.filter(state=Allocation.State.ACTIVE).count() == 2
    cards = sorted(
        (each.first_card, each.first_card + each.card_count) for each in FakeMachine.objects.all()
    )
    assert all(before[1] <= after[0] for before, after in pairwise(cards))


def test_a_sweep_claims_all_its_rows_in_one_statement() -> None:
    row = scene.pool(nodes=8)
    for _ in range(8):
        scene.sold(row, units=1)
    provisioning.sweep_allocations(at=T0)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        provisioning.sweep_instances(at=T0)

    claims = [each["sql"] for each in queries if "SKIP LOCKED" in each["sql"]]
    assert len(claims) == 1
    assert Instance.objects.exclude(engine_reference="").count() == 8


def test_a_second_sweep_at_the_same_instant_finds_nothing() -> None:
    scene.sold(scene.pool(options=OPTIONS))
    scene.tick(T0)

    again = provisioning.sweep_instances(at=T0)

    assert again == 0
