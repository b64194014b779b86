"""Any sequence of capacity verbs does what brute force over hours says."""

from __future__ import annotations

import random

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import capacity, verification
from tests.capacity.model import SPAN, Model

pytestmark = pytest.mark.django_db

index = st.integers(0, 30)
units = st.integers(1, 6)
span = st.tuples(st.integers(0, SPAN - 2), st.integers(1, 20)).map(
    lambda pair: (pair[0], min(SPAN, pair[0] + pair[1]))
)
wide_span = st.tuples(st.integers(0, SPAN - 20), st.integers(5, 40)).map(
    lambda pair: (pair[0], min(SPAN, pair[0] + pair[1]))
)
# Blocks that follow each other, so that deals can span them.
thirds = st.sampled_from([(0, 20), (20, 40), (40, SPAN)])
move = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from([0.5, 1, 3])),
    st.tuples(st.just("open"), units, st.just(0), st.just(SPAN)),
    st.builds(lambda n, s: ("open", n, *s), units, span),
    st.builds(lambda n, s: ("open", n, *s), units, thirds),
    st.tuples(st.just("resize"), index, units),
    st.tuples(st.just("close"), index),
    st.tuples(st.just("reopen"), index),
    st.builds(
        lambda i, n, s, t: ("hold", i, n, *s, t), index, units, span, st.sampled_from([0.5, 2, 100])
    ),
    st.builds(
        lambda i, n, s, t: ("hold", i, n, *s, t), index, units, span, st.sampled_from([0.5, 2, 100])
    ),
    st.builds(
        lambda i, n, s, k: ("hold", i, n, *s, 100, k), index, units, wide_span, st.integers(2, 3)
    ),
    st.builds(lambda n, s: ("external", n, *s), units, span),
    st.tuples(st.just("confirm"), index),
    st.tuples(st.just("expire"), index),
    st.tuples(st.just("release"), index),
    st.tuples(st.just("extend"), index, st.integers(1, 10), st.booleans()),
    st.tuples(st.just("shorten"), index, st.integers(1, 10)),
    st.builds(lambda n, s: ("plan_outage", n, *s), st.integers(1, 2), span),
    st.tuples(st.just("end_outage"), index),
    st.tuples(st.just("fail"), index, st.sampled_from([5, 60])),
    st.tuples(st.just("fail"), index, st.sampled_from([5, 60])),
    st.tuples(st.just("mend"), index),
    st.tuples(st.just("bind"), index),
    st.tuples(st.just("deliver"), index),
    st.tuples(st.just("finish"), index),
    st.tuples(st.just("add_nodes"), st.integers(1, 2)),
    st.tuples(st.just("retire"), index),
)
# Whole nodes and slices, without and with time between two customers.
KINDS: dict[str, dict[str, int]] = {
    "nodes": {},
    "slices": {"unit_cards": 2},
    "margins": {"lead": 2, "turnaround": 1},
    "margins of slices": {"unit_cards": 4, "lead": 1, "turnaround": 2},
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(moves=st.lists(move, min_size=5, max_size=25))
def test_any_sequence_agrees_with_brute_force(kind: str, moves: list[tuple[object, ...]]) -> None:
    with capacity.replaying(), transaction.atomic():
        model = Model.fresh(**KINDS[kind])
        model.open(2 * model.per_node, 0, SPAN)
        for start, end in ((0, 20), (20, 40), (40, SPAN)):
            model.open(3 * model.per_node, start, end)
        for name, *arguments in moves:
            getattr(model, str(name))(*arguments)
        model.check()
        assert verification.verify() == []
        transaction.set_rollback(True)


@pytest.mark.parametrize("kind", KINDS)
def test_six_hundred_operations_agree_with_brute_force(kind: str) -> None:
    draw = random.Random(20261101)

    def some_span(least: int = 1) -> tuple[int, int]:
        start = draw.randrange(0, SPAN - 2)
        return start, min(SPAN, start + draw.randrange(least, least + 20))

    with capacity.replaying():
        model = Model.fresh(nodes=12, spares=1, **KINDS[kind])
        per_node = model.per_node
        model.open(4 * per_node, 0, SPAN)
        for start, end in ((0, 20), (20, 40), (40, SPAN)):
            model.open(4 * per_node, start, end)
        for number in range(600):
            name = draw.choices(
                [
                    "hold",
                    "confirm",
                    "release",
                    "expire",
                    "extend",
                    "shorten",
                    "open",
                    "resize",
                    "close",
                    "reopen",
                    "external",
                    "plan_outage",
                    "end_outage",
                    "fail",
                    "mend",
                    "tick",
                    "span",
                    "bind",
                    "deliver",
                    "finish",
                    "add_nodes",
                    "retire",
                ],
                [30, 14, 6, 6, 6, 5, 3, 3, 2, 4, 3, 2, 2, 3, 3, 6, 12, 12, 10, 5, 1, 2],
            )[0]
            i, n = draw.randrange(1000), draw.randrange(1, 4 * per_node + 1)
            {
                "hold": lambda: model.hold(i, n, *some_span(), draw.choice([0.1, 1, 50])),  # noqa: B023
                "span": lambda: model.hold(i, n, *some_span(20), 50, 2),  # noqa: B023
                "add_nodes": lambda: model.add_nodes(1),
                "external": lambda: model.external(n, *some_span()),  # noqa: B023
                "open": lambda: model.open(n, *some_span()),  # noqa: B023
                "plan_outage": lambda: model.plan_outage(1, *some_span()),
                "fail": lambda: model.fail(i, draw.randrange(10, 60)),  # noqa: B023
                "resize": lambda: model.resize(i, n + 3 * per_node),  # noqa: B023
                "extend": lambda: model.extend(i, draw.randrange(1, 5), draw.random() < 0.5),  # noqa: B023
                "shorten": lambda: model.shorten(i, draw.randrange(1, 5)),  # noqa: B023
                "tick": lambda: model.tick(0.5),
            }.get(name, lambda: getattr(model, name)(i))()  # noqa: B023
            if number % 60 == 0:
                model.check()
        model.check()
        assert verification.verify() == []
        assert model.accepted > 100
        assert any(len(deal.pieces or ()) > 1 for deal in model.deals)
        assert any(deal.state == "ended" for deal in model.deals)
        assert model.refused > 100
