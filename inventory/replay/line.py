"""In what order leases are asked for, and who waits in line.

A lease that is refused and may start later stands in line. When a lease ends and its nodes come
back, those in line are asked again, first come first served, each for its own length from that
instant on; whoever has waited as long as it may leaves. Leases that end at one instant come back
one after another, in the order in which they were admitted: the next one's nodes are not there
yet. So does the independent simulator whose figures the replay is compared with.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import IntEnum

from inventory.periods import Period
from inventory.replay.traces import Demand

# Asks for the lease over a period, at an instant; returns the period it was admitted for.
Ask = Callable[[datetime, Demand, Period], Period | None]


class _Turn(IntEnum):
    """What comes first at one instant."""

    BACK = 0  # a lease has ended
    BEGIN = 1  # one that was booked ahead starts
    ASK = 2
    JOIN = 3  # one refused ahead of its start comes and waits


def serve(
    asked: Sequence[tuple[datetime, Demand]],
    *,
    nodes: Mapping[str, int],
    line_of: Callable[[Demand], str],
    flex: timedelta,
    ask: Ask,
) -> dict[str, Period]:
    """Asks for every lease in order of time; returns the periods of those admitted, by lease id.

    `nodes` are those of each line; one line's nodes never serve another.
    """
    admitted: dict[str, Period] = {}
    in_use: dict[str, int] = defaultdict(int)
    waiting: dict[str, list[Demand]] = defaultdict(list)
    agenda: list[tuple[datetime, _Turn, int, Demand]] = [
        (at, _Turn.ASK, number, demand) for number, (at, demand) in enumerate(asked)
    ]

    def tried(at: datetime, demand: Demand, period: Period) -> bool:
        granted = ask(at, demand, period)
        if granted is None:
            return False
        number = len(admitted)
        admitted[demand.id] = granted
        if granted.start > at:
            heapq.heappush(agenda, (granted.start, _Turn.BEGIN, number, demand))
        else:
            in_use[line_of(demand)] += demand.node_count
        heapq.heappush(agenda, (granted.end, _Turn.BACK, number, demand))
        return True

    while agenda:
        at, turn, number, demand = heapq.heappop(agenda)
        line = line_of(demand)
        if turn is _Turn.BACK:
            in_use[line] -= demand.node_count
            waiting[line] = [
                each
                for each in waiting[line]
                if at <= each.period.start + flex
                and not (
                    in_use[line] + each.node_count <= nodes[line]
                    and tried(at, each, Period(at, at + (each.period.end - each.period.start)))
                )
            ]
        elif turn is _Turn.BEGIN:
            in_use[line] += demand.node_count
        elif turn is _Turn.JOIN:
            waiting[line].append(demand)
        elif not tried(at, demand, demand.period) and flex:
            heapq.heappush(agenda, (max(at, demand.period.start), _Turn.JOIN, number, demand))
    return admitted
