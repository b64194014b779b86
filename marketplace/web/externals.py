"""External allocations of a pool: the centre's own use, and contracts made elsewhere."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import capacity
from inventory.models import Allocation, Node, Outage, Pool
from inventory.periods import Period
from marketplace.web.entry import (
    ConsoleRequest,
    attempt,
    confirmation,
    find,
    page,
    render,
)
from marketplace.web.forms import ConsoleForm, WindowForm, count_field, reason_field, words
from marketplace.web.pools import own

State = Allocation.State
_REMEMBERED = timedelta(days=30)
_NAMED = 20  # names in one message


class ExternalForm(WindowForm):
    """The centre's own use, or a contract made elsewhere."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[(k, k.label) for k in (Allocation.Kind.OWN_USE, Allocation.Kind.ELSEWHERE)],
    )
    unit_count = count_field(label=gettext_lazy("Units"))
    nodes = forms.CharField(
        label=gettext_lazy("Its nodes, if it runs already"),
        required=False,
        max_length=50_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy(
            "Serial numbers or host names, separated by blanks, commas or lines. Needed where the"
            " start is not in the future; else leave it empty: nodes are chosen at the start."
        ),
    )
    note = forms.CharField(label=gettext_lazy("Contract or use"), max_length=200)
    field_order = ["kind", "unit_count", "start", "end", "nodes", "note"]

    def __init__(self, *args: Any, pool: Pool, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, zone=pool.fabric.centre.timezone, **kwargs)
        self.pool, self.at = pool, at
        self.node_ids: list[int] = []

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        start, end, count = data.get("start"), data.get("end"), data.get("unit_count")
        if "nodes" not in data or start is None or end is None or count is None:
            return data
        names = words(data["nodes"])
        if end <= self.at:
            self.add_error("end", _("This is over already: only what runs or is to come counts."))
        elif start > self.at and names:
            self.add_error(
                "nodes", _("It starts later: leave this empty, nodes are chosen at its start.")
            )
        elif start <= self.at and not names:
            self.add_error(
                "nodes", _("The start is not in the future, so it runs already: name its nodes.")
            )
        elif start <= self.at:
            self._resolve(names, count)
        return data

    def _resolve(self, names: list[str], count: int) -> None:
        """The nodes of these names, where each is one node of the pool and all hold the units."""
        rows = self.pool.nodes.exclude(state=Node.State.RETIRED)
        rows = rows.filter(Q(serial__in=names) | Q(hostname__in=names))
        found: dict[str, set[int]] = defaultdict(set)
        for pk, serial, hostname in rows.values_list("pk", "serial", "hostname"):
            found[serial].add(pk)
            found[hostname].add(pk)
        unknown = [name for name in names if not found[name]]
        several = [name for name in names if len(found[name]) > 1]
        if unknown:
            self.add_error("nodes", _("Not in this pool: %(names)s") % {"names": listed(unknown)})
        if several:
            self.add_error(
                "nodes",
                _("Several nodes are called so, use their serial numbers: %(names)s")
                % {"names": listed(several)},
            )
        self.node_ids = sorted({pk for name in names for pk in found[name]})
        per_node, named = self.pool.units_per_node, len(self.node_ids)
        if not (unknown or several) and not named <= count <= named * per_node:
            self.add_error(
                "nodes",
                _("%(units)s units take %(needed)s nodes here; %(named)s are named.")
                % {"units": count, "needed": -(-count // per_node), "named": named},
            )


def listed(names: list[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:_NAMED]) + (" …" if len(names) > _NAMED else "")


def shown(pool: Pool, at: datetime) -> QuerySet[Allocation]:
    """What runs or is to come, and what ended lately, with its nodes."""
    rows = pool.allocations.exclude(kind=Allocation.Kind.SALE)
    rows = rows.filter(
        Q(state__in=[State.SCHEDULED, State.ACTIVE]) | Q(period__endswith__gt=at - _REMEMBERED)
    )
    return rows.prefetch_related("bindings__node").order_by("-period", "-pk")


@page(scope="inventory:write", party="provider", changes=True)
def create(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Declares units taken outside this market, so that nothing is sold twice."""
    visit = request.visit
    pool = find(own(request), pool_id)
    posted = request.method == "POST"
    form = ExternalForm(request.POST if posted else None, pool=pool, at=visit.at)
    if posted and form.is_valid():
        data = form.cleaned_data
        row = attempt(
            form,
            lambda: capacity.claim_external(
                pool_id=pool.pk,
                kind=data["kind"],
                unit_count=data["unit_count"],
                period=form.period(),
                node_ids=form.node_ids,
                note=data["note"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if row is not None:
            messages.success(request, _recorded(row))
            return redirect("pool", pool.public_id)
        if form.node_ids and (busy := _busy(form.node_ids, Period(visit.at, data["end"]))):
            form.add_error(
                "nodes", _("In use or out of use until then: %(names)s") % {"names": listed(busy)}
            )
    context = {
        "title": _("External allocation"),
        "pool": pool,
        "submit": _("Record"),
        "zone": pool.fabric.centre.timezone,
    }
    return render(request, "console/pool_form.html", context, form=form)


def _recorded(row: Allocation) -> str:
    if row.state == State.ACTIVE:
        return _("Recorded: it runs on the nodes you named, which are no longer offered.")
    return _("Recorded: its units are no longer offered; nodes are chosen at its start.")


def _busy(node_ids: list[int], period: Period) -> list[str]:
    """Serial numbers of those that serve somebody or are out of use within the period."""
    rows = Node.objects.filter(pk__in=node_ids)
    busy = rows.filter(
        ~Q(state=Node.State.SERVICEABLE)
        | Q(bindings__during__overlap=period.range)
        | Q(outages__state=Outage.State.OPEN, outages__period__overlap=period.range)
    )
    return list(busy.distinct().order_by("serial").values_list("serial", flat=True))


class EndForm(ConsoleForm):
    """Why it is over."""

    reason = reason_field(required=False)


@page(scope="inventory:write", party="provider", changes=True)
def end(request: ConsoleRequest, pool_id: str, allocation_id: str) -> HttpResponse:
    """Ends one that runs, or calls off one that is to come, after asking once more."""
    visit = request.visit
    pool = find(own(request), pool_id)
    row = find(pool.allocations.exclude(kind=Allocation.Kind.SALE), allocation_id)
    form = EndForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        ended = attempt(
            form,
            lambda: capacity.end_external(
                allocation_id=row.pk,
                reason=form.cleaned_data["reason"] or "released",
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if ended is not None:
            messages.success(request, _("Its units can be offered again."))
            return redirect("pool", pool.public_id)
    runs, over = row.state == State.ACTIVE, row.state not in (State.SCHEDULED, State.ACTIVE)
    what = {"note": row.note, "units": f"{row.unit_count:,}"}
    line = (
        _("“%(note)s” ends now: its %(units)s units are free at once, its nodes as well.")
        if runs
        else _("“%(note)s” is called off before its start: its %(units)s units are free again.")
    )
    return confirmation(
        request,
        form,
        title=_("End the external allocation") if runs else _("Call off the external allocation"),
        lines=[_("It is over already.") if over else line % what],
        submit="" if over else _("End it now") if runs else _("Call it off"),
        back=reverse("pool", args=[pool.public_id]),
        about=pool.name,
    )
