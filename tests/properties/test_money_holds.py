"""Holds of one tenant on one class: at each instant the largest counts, and only it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace import policy
from tests.world import T0, hours, period

holds = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(1, 64)).map(
        lambda hold: (period(hold[0], hold[0] + hold[1]), hold[2])
    ),
    max_size=8,
)


@given(holds=holds)
def test_overlapping_holds_count_once_hour_by_hour(holds) -> None:
    by_hour = sum(
        max(
            (cards for when, cards in holds if when.start <= T0 + hours(hour) < when.end),
            default=0,
        )
        for hour in range(70)
    )

    assert policy.card_seconds_once(holds) == by_hour * 3600
