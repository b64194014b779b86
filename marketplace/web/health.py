"""How well a provider's nodes are, cell by cell; what people report; and how often cards fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import health
from inventory.models import FaultRate, HealthState, Node, NodeHealth, Pool
from marketplace.web.entry import ConsoleRequest, attempt, confirmation, find, page, render
from marketplace.web.forms import ConsoleForm, count_field, reason_field
from marketplace.web.pools import own

MOST_CELLS = 5_000
HISTORY = 20
# Told apart without colour: each condition has a shape of its own.
SHAPES = {
    HealthState.HEALTHY: "●",
    HealthState.JITTERING: "≈",
    HealthState.DEGRADED: "▲",
    HealthState.DOWN: "✕",
    HealthState.MAINTENANCE: "◆",
}
UNKNOWN_SHAPE = "○"  # nobody has looked yet


@dataclass(frozen=True, slots=True)
class Cell:
    """One node of the grid."""

    node_id: str
    serial: str
    state: str  # a HealthState; empty before the first look
    words: str
    shape: str
    evidence: str


@dataclass(slots=True)
class Group:
    """The nodes of one pool, with how many are in each condition."""

    pool: Pool
    cells: list[Cell] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def counted(self) -> list[tuple[str, str, int]]:
        """(state, words, how many), worst first."""
        worst_first = [
            HealthState.DOWN, HealthState.DEGRADED, HealthState.JITTERING,
            HealthState.MAINTENANCE, HealthState.HEALTHY,
        ]  # fmt: skip
        return [
            (state.value, str(state.label), self.counts[state])
            for state in worst_first
            if self.counts[state]
        ]


@page(scope="inventory:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """The node health grid: a cell a node, by pool. Two statements for any number of nodes."""
    nodes = (
        Node.objects.visible_to(request.visit.actor)
        .filter(provider_id=request.visit.organisation.pk)
        .exclude(state=Node.State.RETIRED)
    )
    groups = _groups(nodes)
    legend = [(state.value, str(state.label), SHAPES[state]) for state in HealthState]
    context = {
        "groups": groups,
        "legend": legend,
        "cut": sum(len(group.cells) for group in groups) >= MOST_CELLS,
    }
    return render(request, "console/health.html", context)


def _groups(nodes: QuerySet[Node]) -> list[Group]:
    rows = nodes.order_by("pool__name", "pool_id", "rack", "serial", "pk").values_list(
        "pool_id", "public_id", "serial", "health__state", "health__evidence"
    )[:MOST_CELLS]
    groups: dict[int, Group] = {}
    found = list(rows)
    pools = Pool.objects.select_related("fabric__centre", "chip").in_bulk({row[0] for row in found})
    for pool_id, node_id, serial, state, evidence in found:
        group = groups.setdefault(pool_id, Group(pools[pool_id]))
        group.cells.append(_cell(node_id, serial, state or "", evidence or ""))
        group.counts[state or ""] += 1
    return list(groups.values())


def _cell(node_id: str, serial: str, state: str, evidence: str) -> Cell:
    if not state:
        return Cell(node_id, serial, "", _("not looked at yet"), UNKNOWN_SHAPE, "")
    known = HealthState(state)
    return Cell(node_id, serial, state, str(known.label), SHAPES[known], evidence)


@dataclass(frozen=True, slots=True)
class Condition:
    """What a node's own page says of its health."""

    health: NodeHealth | None
    shape: str
    cards: Sequence[tuple[int, str, str, str]]  # index, state, words, shape
    history: Sequence[Any]
    reports: Sequence[Any]
    clock_error_seconds: int


def condition(node: Node) -> Condition:
    """Three statements."""
    row = NodeHealth.objects.filter(node=node).first()
    cards = [
        (number, state, str(HealthState(state).label), SHAPES[HealthState(state)])
        for number, state in enumerate(row.cards if row else [])
    ]
    return Condition(
        health=row,
        shape=SHAPES[HealthState(row.state)] if row else UNKNOWN_SHAPE,
        cards=cards,
        history=list(node.health_entries.order_by("-at", "-pk")[:HISTORY]),
        reports=list(node.health_reports.filter(withdrawn_at=None).order_by("pk")[:HISTORY]),
        clock_error_seconds=int(health.CLOCK_ERROR.total_seconds()),
    )


class ReportForm(ConsoleForm):
    """What is wrong with a node, or with one of its cards."""

    state = forms.ChoiceField(
        label=gettext_lazy("Condition"),
        choices=[
            (state.value, state.label)
            for state in (HealthState.JITTERING, HealthState.DEGRADED, HealthState.DOWN)
        ],
    )
    card_index = forms.IntegerField(
        label=gettext_lazy("Card"),
        min_value=0,
        max_value=63,
        required=False,
        help_text=gettext_lazy("Counted from 0; empty: the node as a whole"),
    )
    reason = reason_field()


@page(scope="inventory:write", party="provider", changes=True)
def report(request: ConsoleRequest, pool_id: str, node_id: str) -> HttpResponse:
    """A person says that a node is not well; its condition follows at the next look."""
    visit = request.visit
    pool = find(own(request), pool_id)
    node = find(pool.nodes.all(), node_id)
    form = ReportForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: health.report(
                node_id=node.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
            ),
        )
        if made is not None:
            messages.success(request, _("The report stands until somebody withdraws it."))
            return redirect("node", pool.public_id, node.public_id)
    return confirmation(
        request,
        form,
        title=_("Report %(serial)s as not well") % {"serial": node.serial},
        lines=[_("Tenants see nothing of it. A node that is down counts as out of use.")],
        submit=_("Report it"),
        back=reverse("node", args=[pool.public_id, node.public_id]),
        about=f"{pool.name} · {node.serial}",
    )


@page(scope="inventory:write", party="provider", changes=True, posts_only=True)
def withdraw(request: ConsoleRequest, pool_id: str, node_id: str, report_id: str) -> HttpResponse:
    """It is mended, or was a mistake."""
    visit = request.visit
    pool = find(own(request), pool_id)
    node = find(pool.nodes.all(), node_id)
    row = find(node.health_reports.all(), report_id)
    form = ConsoleForm(request.POST)
    if attempt(
        form,
        lambda: health.withdraw(
            report_public_id=row.public_id, reason="", at=visit.at, actor=visit.actor
        ),
    ):
        messages.success(request, _("The report is withdrawn."))
    return redirect("node", pool.public_id, node.public_id)


class JobForm(ConsoleForm):
    """A job as large and as long as it is to be."""

    cards = count_field(label=gettext_lazy("Cards"), initial=1024)
    hours = forms.IntegerField(
        label=gettext_lazy("Hours"), min_value=1, max_value=5 * 366 * 24, initial=168
    )


@page(scope="offers:read")
def faults(request: ConsoleRequest) -> HttpResponse:
    """How often nodes fail, by centre and generation; and what that means for a job."""
    form = JobForm(request.GET if "cards" in request.GET else None)
    rows = FaultRate.objects.select_related("centre").order_by("generation", "centre__name", "pk")
    asked = form.cleaned_data if form.is_valid() else None
    lines = [(row, _estimate(row, asked) if asked else None) for row in rows[:500]]
    context = {"lines": lines, "asked": asked}
    reply = render(request, "console/faults.html", context, form=form)
    reply.status_code = 200
    return reply


def _estimate(row: FaultRate, asked: dict[str, Any]) -> health.Estimate:
    rate = health.Rate(row.fault_count, row.card_seconds)
    return health.estimate(rate, cards=asked["cards"], hours=asked["hours"])
