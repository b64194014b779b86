"""Nodes of a pool that are out of use: planned ahead as a count, failed by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import capacity
from inventory.models import Outage
from inventory.periods import LATEST
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, WindowForm, count_field, reason_field
from marketplace.web.pools import own


class OutageForm(WindowForm):
    """Planned maintenance."""

    node_count = count_field(label=gettext_lazy("Nodes"))
    reason = reason_field()
    field_order = ["node_count", "start", "end", "reason"]

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at = at

    def clean(self) -> dict[str, Any]:
        end = self.cleaned_data.get("end")
        if end is not None and end <= self.at:
            self.add_error("end", _("This is over already. Choose an end in the future."))
        return self.cleaned_data


@dataclass(frozen=True, slots=True)
class Row:
    """An outage as people speak of it."""

    outage: Outage
    words: str
    tone: str
    remedy: str  # what ends it; empty where it is over

    @property
    def end(self) -> datetime | None:
        """None where nobody can say when the node is back."""
        end: datetime = self.outage.period.upper
        return end if end < LATEST else None


def described(outages: Iterable[Outage], at: datetime) -> list[Row]:
    return [_row(outage, at) for outage in outages]


def _row(outage: Outage, at: datetime) -> Row:
    if outage.state == Outage.State.CLOSED:
        return Row(outage, _("over"), "ended", "")
    if outage.kind == Outage.Kind.FAILED:
        late = outage.period.upper >= LATEST or outage.period.upper <= at
        words = _("overdue: not back yet") if late else _("failed")
        return Row(outage, words, "failed", _("Back in service"))
    if at < outage.period.lower:
        return Row(outage, _("to come"), "planned", _("Call off"))
    if outage.node_id is None:
        return Row(outage, _("waits for nodes to be empty"), "planned", _("Call off"))
    return Row(outage, _("running"), "planned", _("End now"))


@page(scope="inventory:write", party="provider", changes=True)
def plan(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Plans maintenance of some nodes over a period."""
    visit = request.visit
    pool = find(own(request), pool_id)
    zone = pool.fabric.centre.timezone
    form = OutageForm(request.POST if request.method == "POST" else None, zone=zone, at=visit.at)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        row = attempt(
            form,
            lambda: capacity.set_outage(
                pool_id=pool.pk,
                kind=Outage.Kind.PLANNED,
                period=form.period(),
                node_count=data["node_count"],
                reason=data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if row is not None:
            messages.success(
                request, _("The maintenance is planned; its nodes are chosen when it begins.")
            )
            return redirect("pool", pool.public_id)
    context = {"title": _("Plan maintenance"), "pool": pool, "submit": _("Plan"), "zone": zone}
    return render(request, "console/pool_form.html", context, form=form)


@page(scope="inventory:write", party="provider", changes=True, posts_only=True)
def close(request: ConsoleRequest, pool_id: str, outage_id: str) -> HttpResponse:
    """It is over or called off; a node that failed serves again."""
    visit = request.visit
    pool = find(own(request), pool_id)
    row = find(pool.outages.select_related("node"), outage_id)
    form = ConsoleForm(request.POST)
    called_off = visit.at < row.period.lower
    if attempt(
        form, lambda: capacity.close_outage(outage_id=row.pk, at=visit.at, actor=visit.actor)
    ):
        if row.kind == Outage.Kind.FAILED and row.node:
            words = _("%(serial)s is back in service.") % {"serial": row.node.serial}
        else:
            words = _("The maintenance is called off.") if called_off else _("The outage is over.")
        messages.success(request, words)
    for error in form.non_field_errors():
        messages.error(request, str(error))
    if row.node and "node" in request.POST:
        return redirect("node", pool.public_id, row.node.public_id)
    return redirect("pool", pool.public_id)
