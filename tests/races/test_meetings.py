"""Two verbs that meet: the second waits for the first and decides by what it left.

Each pair is run twice. Once as the product is; once, as the control, with the locks taken out
of its functions, where the second decides by what stood before the first, and the books are
wrong. The meeting is arranged, not hoped for: the first verb's transaction stays open until the
second waits.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from inventory import capacity, verification
from inventory.capacity import CapacityTaken, HoldExpired, NotOffered
from inventory.errors import DomainError
from inventory.models import Allocation, Block
from inventory.transitions import IllegalTransition
from tests import database, world
from tests.capacity.deals import deal, hold, open_block
from tests.races.crowd import together
from tests.races.test_capacity_races import SPAN, _wait_for_waiters
from tests.world import SYSTEM, T0, hours, period

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("many_connections")]

Work = Callable[[], Any]


class Scene:
    """A pool of ten nodes, all for sale, one of them dealt; and the verbs that meet on it."""

    def __init__(self) -> None:
        with capacity.replaying():
            world.tenant()
            self.pool = world.pool(nodes=10)
            self.block = open_block(self.pool, 10, 0, SPAN)
            self.row = deal(self.block, units=1, start=4, end=8)
            self.held = hold(self.block, units=1, start=10, end=12, until=1)

    def hold(self, units: int) -> Allocation:
        return hold(self.block, units=units, start=14, end=20)

    def shrink(self) -> Block:
        return capacity.resize_block(block_id=self.block.pk, unit_count=4, at=T0, actor=SYSTEM)

    def publish_anew(self) -> Block:
        """The block is closed, and what it had left is opened again as another."""
        capacity.close_block(block_id=self.block.pk, at=T0, actor=SYSTEM)
        return open_block(self.pool, 8, 0, SPAN)

    def own_use(self) -> Allocation:
        capacity.close_block(block_id=self.block.pk, at=T0, actor=SYSTEM)
        return capacity.claim_external(
            pool_id=self.pool.pk, kind="own_use", unit_count=8, period=period(14, 20),
            note="training", at=T0, actor=SYSTEM,
        )  # fmt: skip

    def plan(self) -> object:
        capacity.close_block(block_id=self.block.pk, at=T0, actor=SYSTEM)
        return capacity.set_outage(
            pool_id=self.pool.pk, kind="planned", node_count=8, period=period(14, 20),
            reason="service", at=T0, actor=SYSTEM,
        )  # fmt: skip

    def cancel(self) -> Allocation:
        return capacity.release(allocation_id=self.row.pk, at=T0, actor=SYSTEM, reason="x")

    def give_up(self) -> Allocation:
        return capacity.release(allocation_id=self.held.pk, at=T0, actor=SYSTEM, reason="x")

    def extend(self) -> Allocation:
        return capacity.extend(allocation_id=self.row.pk, end=T0 + hours(13), at=T0, actor=SYSTEM)

    def expire(self) -> Allocation:
        return capacity.expire(allocation_id=self.held.pk, at=T0 + hours(1), actor=SYSTEM)

    def confirm(self) -> Allocation:
        return capacity.confirm(allocation_id=self.held.pk, at=T0 + hours(0.9), actor=SYSTEM)

    def faults(self) -> list[str]:
        return sorted({fault.rule for fault in verification.verify()})


OVERSOLD = "a block is never oversold"
TOO_MANY = "blocks and external claims fit on the nodes that are neither spare nor planned out"
Pair = tuple[Callable[[Scene], Work], Callable[[Scene], Work], type[DomainError], str]
# first, second, how the second is refused, what is wrong where nothing is locked
PAIRS: dict[str, Pair] = {
    "the last units, twice": (
        lambda s: lambda: s.hold(10), lambda s: lambda: s.hold(10), CapacityTaken, OVERSOLD,
    ),
    "shrink, hold": (lambda s: s.shrink, lambda s: lambda: s.hold(6), CapacityTaken, OVERSOLD),
    "hold, shrink": (lambda s: lambda: s.hold(6), lambda s: s.shrink, CapacityTaken, OVERSOLD),
    "publish, hold": (lambda s: s.publish_anew, lambda s: lambda: s.hold(6), NotOffered, TOO_MANY),
    "own use, hold": (lambda s: s.own_use, lambda s: lambda: s.hold(6), NotOffered, TOO_MANY),
    "outage, hold": (lambda s: s.plan, lambda s: lambda: s.hold(6), NotOffered, TOO_MANY),
}  # fmt: skip


def meet(first: Work, second: Work) -> Any:
    """What the second returns or refuses, having come while the first was not committed yet."""
    results: list[Any] = []
    with capacity.replaying(), transaction.atomic():
        first()
        waiting = threading.Thread(target=lambda: results.extend(together(_in_transaction(second))))
        waiting.start()
        _wait_for_waiters(1)
    waiting.join(timeout=60)
    return results[0]


def _in_transaction(work: Work) -> Work:
    def run() -> Any:
        try:
            with transaction.atomic():
                return work()
        except DatabaseError as error:
            return error

    return run


UNLOCK = """
SELECT pg_get_functiondef(oid) FROM pg_proc
WHERE proname IN (
    'capacity_lock', 'capacity_claim', 'capacity_lock_allocation', 'capacity_lock_block'
)
"""


@contextlib.contextmanager
def nothing_locked() -> Iterator[None]:
    """The product's own functions, without what makes one wait for the other."""
    with database.owner_connection(database.test_database_name()) as owner:
        owner.execute("SET ROLE cardhour_owner")
        kept = [str(row[0]) for row in owner.execute(UNLOCK).fetchall()]
        try:
            for text in kept:
                loose = text.replace(" FOR NO KEY UPDATE", "").replace(" FOR UPDATE", "")
                owner.execute(loose.replace("'500ms'", "'20s'").replace("'2s'", "'20s'").encode())
            yield
        finally:
            for text in kept:
                owner.execute(text.encode())


@pytest.mark.parametrize("pair", PAIRS)
def test_the_second_decides_by_what_the_first_left(pair: str) -> None:
    first, second, refusal, _ = PAIRS[pair]
    scene = Scene()

    found = meet(first(scene), second(scene))

    assert isinstance(found, refusal), found
    assert scene.faults() == []


@pytest.mark.parametrize("pair", PAIRS)
def test_control_without_the_locks_the_second_spoils_the_books(pair: str) -> None:
    first, second, _, fault = PAIRS[pair]
    scene = Scene()

    with nothing_locked():
        found = meet(first(scene), second(scene))

    assert not isinstance(found, Exception), found
    assert fault in scene.faults()


# first, second, how the second is refused
Verb = Callable[[Scene], Work]
ON_ONE_DEAL: dict[str, tuple[Verb, Verb, type[DomainError]]] = {
    "expire, confirm": (lambda s: s.expire, lambda s: s.confirm, HoldExpired),
    "cancel, extend": (lambda s: s.cancel, lambda s: s.extend, IllegalTransition),
    "cancel, confirm": (lambda s: s.give_up, lambda s: s.confirm, IllegalTransition),
}


@pytest.mark.parametrize("pair", ON_ONE_DEAL)
def test_who_comes_to_a_deal_that_is_over_is_told_so(pair: str) -> None:
    first, second, refusal = ON_ONE_DEAL[pair]
    scene = Scene()

    found = meet(first(scene), second(scene))

    assert isinstance(found, refusal), found
    assert scene.faults() == []


@pytest.mark.parametrize("pair", ON_ONE_DEAL)
def test_control_without_the_locks_only_the_rules_of_the_tables_are_left(pair: str) -> None:
    """It believes in the deal that is over, begins to change it, and the database breaks it off."""
    first, second, _ = ON_ONE_DEAL[pair]
    scene = Scene()

    with nothing_locked():
        found = meet(first(scene), second(scene))

    assert isinstance(found, DatabaseError), found
    assert scene.faults() == []
