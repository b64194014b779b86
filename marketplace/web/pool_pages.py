"""A pool's own page: what becomes of its cards, what is wrong, what may change."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.http import HttpResponse

from inventory.models import Instance, Node, Outage, Pool
from marketplace import policy
from marketplace.web import externals, idle, outages, pool_changes, troubles
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.pools import own

_SHOWN = 100


@page(scope="inventory:read", party="provider")
def detail(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Calendar, deliveries in trouble, outages, external allocations, nodes and floor."""
    at = request.visit.at
    pool = find(own(request), pool_id)
    (row,) = idle.calendar([pool], at=at)
    opened = pool.outages.filter(state=Outage.State.OPEN).select_related("node")
    context = {
        "pool": pool,
        "row": row,
        "row_list": [row],
        "lead_hours": f"{pool.lead_seconds / 3600:g}",
        "turnaround_hours": f"{pool.turnaround_seconds / 3600:g}",
        "zone": pool.fabric.centre.timezone,
        "node_states": _node_states(pool),
        "externals": externals.shown(pool, at)[:_SHOWN],
        "outages": outages.described(opened.order_by("period", "pk")[:_SHOWN], at),
        "troubles": troubles.machines(Instance.objects.filter(allocation__pool=pool))[:_SHOWN],
        "late": troubles.late(pool.allocations.all(), at)[:_SHOWN],
        "given_up": troubles.given_up(pool.allocations.all(), at),
        "floor": policy.floor_of(pool.pk),
        "moves": pool_changes.moves_of(pool),
    }
    return render(request, "console/pool.html", context)


def _node_states(pool: Pool) -> list[dict[str, Any]]:
    """How many of its nodes are in each state."""
    counted = pool.nodes.values("state").annotate(count=Count("pk")).order_by()
    counts = {row["state"]: row["count"] for row in counted}
    return [
        {"state": state.value, "words": state.label, "count": counts[state]}
        for state in Node.State
        if state in counts
    ]
