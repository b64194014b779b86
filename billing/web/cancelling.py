"""What giving a deal back comes to, now and later, by the terms both sides agreed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from marketplace import money
from marketplace.models import Lease
from marketplace.money import Cancellation, Price


@dataclass(frozen=True, slots=True)
class Step:
    """Cancelled before `until` (and not earlier than the step before), this comes back."""

    until: datetime
    refund: Cancellation
    is_over: bool
    is_now: bool


def steps(lease: Lease, *, at: datetime) -> list[Step]:
    """The schedule of a lease that has not started, as dated steps up to its start.

    The same calculation makes the refund itself, so that the two cannot differ.
    """
    start: datetime = lease.period.lower
    edges = [start - timedelta(hours=hours) for hours, _bps in lease.terms.cancellation]
    edges = [edge for edge in edges if edge < start] + [start]
    found: list[Step] = []
    for position, until in enumerate(edges):
        earlier = edges[position - 1] if position else None
        is_over = at > until or (until == start and at >= start)
        found.append(
            Step(
                until=until,
                refund=money.cancellation(
                    price=Price.agreed(lease),
                    schedule=lease.terms.cancellation,
                    due_minor=lease.due_minor,
                    start=start,
                    # At an edge itself its own share still counts; before the start the last.
                    at=until if until < start else start - timedelta(microseconds=1),
                ),
                is_over=is_over,
                is_now=not is_over and (earlier is None or at > earlier),
            )
        )
    return found
