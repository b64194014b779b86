"""Holds of one tenant on one class: at each instant the largest counts, and only it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from marketplace import policy
from tests.world import T0, hours, period

# Each for one of a few needs: a basket's parts share theirs.
holds = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(1, 64), st.integers(0, 3)).map(
        lambda hold: (period(hold[0], hold[0] + hold[1]), hold[2], hold[3])
    ),
    max_size=8,
)


@given(holds=holds)
def test_the_largest_need_counts_hour_by_hour_and_its_holds_add_up(holds) -> None:
    by_hour = sum(
        max(
            sum(
                cards
                for when, cards, need in holds
                if need == one and when.start <= T0 + hours(hour) < when.end
            )
            for one in range(4)
        )
        for hour in range(70)
    )

    needs = [[(when, cards) for when, cards, need in holds if need == one] for one in range(4)]
    steps = [step for need in needs if need for step in policy.added_up(need)]
    assert policy.card_seconds_once(steps) == by_hour * 3600
