"""How well nodes and cards are: found from telemetry, the engine's word, plans and people.

A look comes by every half minute. A card changes its condition only after looks have agreed for
a while, a node is what its cards, its engine, its people and its plans make of it, and each change
is a line that stays. A node that is down counts as failed until it is back.
"""

from inventory.health.cards import CLOCK_ERROR
from inventory.health.faults import (
    REPAIR_HOURS,
    Estimate,
    Key,
    Rate,
    estimate,
    expected_faults,
    keep_rates,
    rates,
    suggested_spares,
)
from inventory.health.looks import sweep
from inventory.health.reports import report, withdraw

__all__ = [
    "CLOCK_ERROR",
    "REPAIR_HOURS",
    "Estimate",
    "Key",
    "Rate",
    "estimate",
    "expected_faults",
    "keep_rates",
    "rates",
    "report",
    "suggested_spares",
    "sweep",
    "withdraw",
]
