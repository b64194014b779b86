"""A customer that is shut out: at once for us, and soon at the engine; and let in again."""

from __future__ import annotations

import pytest

from inventory import credentials, suspensions, transitions
from inventory.errors import NotFound
from inventory.models import Allocation, FakeMachine, Instance, JournalEntry
from tests import world
from tests.delivery import scene
from tests.delivery.scene import seconds
from tests.world import SYSTEM

pytestmark = pytest.mark.django_db
OPTIONS = {"provision_seconds": 20, "release_seconds": 10}


def delivered(**options: object) -> Allocation:
    row = scene.sold(scene.pool(options={**OPTIONS, **options}))
    scene.run(seconds(0), seconds(60))
    row.refresh_from_db()
    return row


def reveal(row: Allocation, at: float) -> credentials.Secret:
    return credentials.reveal(
        allocation_id=row.pk, at=seconds(at), actor=world.actor(world.tenant())
    )


def shut(row: Allocation) -> list[bool]:
    machines = FakeMachine.objects.order_by("name")
    return [each.shut_at is not None for each in machines]


def test_the_way_in_is_gone_at_once_and_the_machines_are_shut_and_opened_again() -> None:
    row = delivered()
    before = [(each.address, each.host_fingerprints) for each in reveal(row, 61).machines]

    suspensions.suspend(allocation_id=row.pk, at=seconds(70), actor=SYSTEM, reason="unpaid")
    with pytest.raises(NotFound):
        reveal(row, 70)
    scene.run(seconds(70), seconds(90))
    assert shut(row) == [True, True]
    assert scene.states(row) == ["active", "active"]  # they stand, and are metered

    suspensions.resume(allocation_id=row.pk, at=seconds(100), actor=SYSTEM, reason="paid")
    scene.run(seconds(100), seconds(120))
    assert shut(row) == [False, False]
    after = reveal(row, 121).machines
    assert [(each.address, each.host_fingerprints) for each in after] == before
    assert not Instance.objects.exclude(shut_at=None).exists()
    events = JournalEntry.objects.filter(object_id=row.public_id).order_by("pk")
    assert list(events.values_list("event", flat=True))[-2:] == [
        "allocation.suspended",
        "allocation.resumed",
    ]


def test_an_engine_that_does_not_answer_is_asked_until_it_does() -> None:
    row = delivered()
    row.pool.driver_options = {**OPTIONS, "fail": {"shut": {}}}
    row.pool.save(update_fields=["driver_options"])
    suspensions.suspend(allocation_id=row.pk, at=seconds(70), actor=SYSTEM, reason="unpaid")
    scene.run(seconds(70), seconds(90))
    assert shut(row) == [False, False]

    row.pool.driver_options = OPTIONS
    row.pool.save(update_fields=["driver_options"])
    scene.run(seconds(90), seconds(150))

    assert shut(row) == [True, True]


def test_who_has_nothing_to_use_is_not_shut_out() -> None:
    row = scene.sold(scene.pool(options=OPTIONS))

    with pytest.raises(transitions.IllegalTransition):
        suspensions.suspend(allocation_id=row.pk, at=seconds(0), actor=SYSTEM, reason="unpaid")
