"""Two hundred at once want the last unit."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection, transaction

from inventory import capacity, verification
from inventory.capacity import CapacityTaken
from inventory.models import Allocation, Claim
from tests import world
from tests.capacity.deals import deal, hold, open_block
from tests.races.conftest import _resize
from tests.races.crowd import busy_tolerant, together

pytestmark = pytest.mark.django_db(transaction=True)
CALLERS = 200
CONNECTIONS = 50  # the test server has room for two hundred, of which others need some


def test_one_of_two_hundred_wins() -> None:
    with capacity.replaying():
        world.tenant()
        block = open_block(world.pool(nodes=10), 10, 0, 24)
        deal(block, units=9, start=0, end=24)
    options = connection.settings_dict["OPTIONS"]["pool"]
    before = dict(options)
    options["timeout"] = 60
    _resize(options, CONNECTIONS)

    try:
        results = together(
            *[
                lambda start=number % 6: busy_tolerant(
                    lambda: hold(block, units=1, start=start, end=start + 12)
                )
                for number in range(CALLERS)
            ],
            all_connected=False,
        )
    finally:
        options["timeout"] = before["timeout"]
        _resize(options, before["max_size"])

    kinds = Counter(type(result) for result in results)
    assert kinds == {Allocation: 1, CapacityTaken: CALLERS - 1}
    assert Claim.objects.filter(state="held").count() == 1
    assert verification.verify() == []


def test_who_is_refused_keeps_nobody_waiting() -> None:
    with capacity.replaying():
        world.tenant()
        block = open_block(world.pool(nodes=1), 1, 0, 24)
        deal(block, units=1, start=0, end=12)
        with transaction.atomic():
            with pytest.raises(CapacityTaken):
                hold(block, units=1, start=6, end=18)
            # Still within the transaction of the refused hold.
            (other,) = together(lambda: hold(block, units=1, start=12, end=24))

    assert isinstance(other, Allocation)
