"""The only code that locks capacity: what is opened, taken, bound and out of use.

Every verb is one SQL function (`inventory/sql/`): it locks the pool's lock row, then sweeps
in a later statement, then writes the change with the pool's next version. Claims are the only
truth. `spec/booking.md` has the measurements behind this.
"""

from inventory.capacity.admission import claim, confirm, confirm_all, expire, release
from inventory.capacity.binding import bind, rebind, unbind
from inventory.capacity.blocks import (
    close_block,
    open_block,
    reopen_block,
    resize_block,
)
from inventory.capacity.calls import (
    CapacityTaken,
    ClockAhead,
    HoldExpired,
    HoldStillValid,
    InvalidEnd,
    NodeInUse,
    NodeNotClean,
    NoNodeFree,
    NotDue,
    NotOffered,
    lock,
    replaying,
)
from inventory.capacity.changes import extend, finish, shorten
from inventory.capacity.conversions import convert, hand_over
from inventory.capacity.external import claim_external, end_external, follow_external
from inventory.capacity.levels import Level, Step, availability, pool_levels
from inventory.capacity.nodes import (
    CardElsewhere,
    cards_elsewhere,
    put_nodes,
    retire_node,
    retire_pool,
    turn_pool,
)
from inventory.capacity.outages import MaintenanceTooSoon, close_outage, set_outage, sweep

__all__ = [
    "CapacityTaken",
    "CardElsewhere",
    "ClockAhead",
    "HoldExpired",
    "HoldStillValid",
    "InvalidEnd",
    "Level",
    "MaintenanceTooSoon",
    "NoNodeFree",
    "NodeInUse",
    "NodeNotClean",
    "NotDue",
    "NotOffered",
    "Step",
    "availability",
    "bind",
    "cards_elsewhere",
    "claim",
    "claim_external",
    "close_block",
    "close_outage",
    "confirm",
    "confirm_all",
    "convert",
    "end_external",
    "expire",
    "extend",
    "finish",
    "follow_external",
    "hand_over",
    "lock",
    "open_block",
    "pool_levels",
    "put_nodes",
    "rebind",
    "release",
    "reopen_block",
    "replaying",
    "resize_block",
    "retire_node",
    "retire_pool",
    "set_outage",
    "shorten",
    "sweep",
    "turn_pool",
    "unbind",
]
