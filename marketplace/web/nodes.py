"""The nodes of a pool: found, looked at, reported broken, retired."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory import capacity, provisioning
from inventory.models import Binding, Instance, JournalEntry, Node, Pool
from marketplace.web import exports, health, outages, troubles
from marketplace.web.entry import ConsoleRequest, attempt, confirmation, find, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, reason_field
from marketplace.web.pools import own

PAGE = 100
_PAST = 20
_FACTS = [
    "serial", "hostname", "rack", "leaf", "card_uuids", "driver_version", "runtime_version",
    "framework_version", "firmware_version",
]  # fmt: skip


class SearchForm(ConsoleForm):
    """Part of a serial number, host name or rack; and a state."""

    q = forms.CharField(
        label=gettext_lazy("Serial number, host name or rack"), max_length=120, required=False
    )
    state = forms.ChoiceField(
        label=gettext_lazy("State"),
        choices=[("", gettext_lazy("any")), *Node.State.choices],
        required=False,
    )


class FailForm(ConsoleForm):
    """When it is expected back, and what is wrong."""

    expected_back_at = ZonedDateTimeField(label=gettext_lazy("Expected back"))
    reason = reason_field()

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["expected_back_at"]
        assert isinstance(field, ZonedDateTimeField)
        field.zone = zone


class RetireForm(ConsoleForm):
    """Why the node goes."""

    reason = reason_field()


def _matching(pool: Pool, form: SearchForm) -> QuerySet[Node]:
    """Those asked for; an unreadable question finds all."""
    rows = pool.nodes.order_by("rack", "serial", "pk")
    if not form.is_valid():
        return rows
    text, state = form.cleaned_data["q"], form.cleaned_data["state"]
    if text:
        rows = rows.filter(
            Q(serial__icontains=text) | Q(hostname__icontains=text) | Q(rack__icontains=text)
        )
    return rows.filter(state=state) if state else rows.exclude(state=Node.State.RETIRED)


@page(scope="inventory:read", party="provider")
def index(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """A pool's nodes by rack, with what each serves now."""
    pool = find(own(request), pool_id)
    form = SearchForm(request.GET)
    found = Paginator(_matching(pool, form), PAGE).get_page(request.GET.get("page"))
    context = {"pool": pool, "found": found, "rows": _with_bindings(found, request.visit.at)}
    reply = render(request, "console/nodes.html", context, form=form)
    reply.status_code = 200
    return reply


def _with_bindings(found: Page[Node], at: datetime) -> list[tuple[Node, list[Binding]]]:
    nodes = list(found.object_list)
    serving: dict[int, list[Binding]] = {node.pk: [] for node in nodes}
    bindings = Binding.objects.filter(node__in=nodes, during__contains=at)
    for row in bindings.select_related("allocation__lease").order_by("cards", "pk"):
        serving[row.node_id].append(row)
    return [(node, serving[node.pk]) for node in nodes]


@page(scope="inventory:read", party="provider")
def index_csv(request: ConsoleRequest, pool_id: str) -> StreamingHttpResponse:
    """The nodes asked for, with the columns of the import."""
    pool = find(own(request), pool_id)
    rows = _matching(pool, SearchForm(request.GET))
    lines = (
        [
            *(";".join(node.card_uuids) if name == "card_uuids" else getattr(node, name)
              for name in _FACTS),
            node.state, node.installed_at.isoformat(),
        ]
        for node in rows.iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream(f"nodes-{pool.name}", [*_FACTS, "state", "installed_at"], lines)


@page(scope="inventory:read", party="provider")
def detail(request: ConsoleRequest, pool_id: str, node_id: str) -> HttpResponse:
    """A node: what it is, what it serves, what was wrong with it."""
    at = request.visit.at
    pool, node = _find(request, pool_id, node_id)
    bindings = node.bindings.select_related("allocation__lease", "instance")
    context = {
        "pool": pool,
        "node": node,
        "zone": pool.fabric.centre.timezone,
        "live": bindings.filter(during__endswith__gt=at).order_by("during", "cards"),
        "past": bindings.filter(during__endswith__lte=at).order_by("-during", "cards")[:_PAST],
        "outages": outages.described(node.outages.order_by("-period", "-pk")[:_PAST], at),
        "troubles": troubles.machines(Instance.objects.filter(binding__node=node)),
        "condition": health.condition(node),
    }
    return render(request, "console/node.html", context)


def _find(request: ConsoleRequest, pool_id: str, node_id: str) -> tuple[Pool, Node]:
    pool = find(own(request), pool_id)
    return pool, find(pool.nodes.all(), node_id)


@page(scope="inventory:write", party="provider", changes=True)
def fail(request: ConsoleRequest, pool_id: str, node_id: str) -> HttpResponse:
    """Reports a node that is broken: what it serves moves to others."""
    visit = request.visit
    pool, node = _find(request, pool_id, node_id)
    zone = pool.fabric.centre.timezone
    soon = (visit.at + timedelta(days=2)).replace(minute=0, second=0, microsecond=0)
    form = FailForm(
        request.POST if request.method == "POST" else None,
        zone=zone,
        initial={"expected_back_at": soon},
    )
    serviceable = node.state == Node.State.SERVICEABLE
    if request.method == "POST" and form.is_valid():
        if not serviceable:
            form.add_error(None, _("This node is out of use already."))
        elif attempt(
            form,
            lambda: provisioning.fail_node(
                node_id=node.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
            ),
        ):
            _tell(request, pool, node)
            return redirect("node", pool.public_id, node.public_id)
    serving = node.bindings.filter(during__contains=visit.at).count()
    lines = [
        _("It serves nobody from now on, until you say that it is back."),
        ngettext(
            "What it serves now (%(n)s binding) moves to other nodes, spares first; until then"
            " that time is not billed.",
            "What it serves now (%(n)s bindings) moves to other nodes, spares first; until then"
            " that time is not billed.",
            serving,
        )
        % {"n": serving}
        if serving
        else _("It serves nobody now."),
    ]
    return confirmation(
        request,
        form,
        title=_("Report %(serial)s as broken") % {"serial": node.serial},
        lines=lines if serviceable else [_("This node is out of use already.")],
        submit=_("Report it") if serviceable else "",
        back=reverse("node", args=[pool.public_id, node.public_id]),
        about=f"{pool.name} · {node.serial}",
    )


def _tell(request: ConsoleRequest, pool: Pool, node: Node) -> None:
    """What became of it; and a warning where the pool has promised more than is left."""
    messages.success(request, _("%(serial)s is out of use.") % {"serial": node.serial})
    short = JournalEntry.objects.filter(
        object_id=pool.public_id, event="pool.overcommitted", at=request.visit.at
    ).first()
    if short is not None:
        messages.warning(
            request,
            _(
                "The pool is short of %(units)s units for what it has promised: %(deals)s deals"
                " are in danger. Bring a node back or add one."
            )
            % {
                "units": short.data.get("short_units", 0),
                "deals": len(short.data.get("allocations", [])),
            },
        )


@page(scope="inventory:write", party="provider", changes=True)
def retire(request: ConsoleRequest, pool_id: str, node_id: str) -> HttpResponse:
    """Takes a node out of the pool for good, after asking once more."""
    visit = request.visit
    pool, node = _find(request, pool_id, node_id)
    form = RetireForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        gone = attempt(
            form,
            lambda: capacity.retire_node(
                node_id=node.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
            ),
            instead={
                "capacity_taken": _(
                    "The pool has promised this node: to a listing, a deal, an external"
                    " allocation or as a spare. Withdraw what is not sold, or add another node."
                ),
                "node_in_use": _("It serves a deal or an external allocation. Wait for its end."),
            },
        )
        if gone is not None:
            messages.success(request, _("%(serial)s is retired.") % {"serial": node.serial})
            return redirect("node", pool.public_id, node.public_id)
    over = node.state == Node.State.RETIRED
    lines = [
        _("%(serial)s leaves pool %(pool)s for good, with its %(cards)s cards.")
        % {"serial": node.serial, "pool": pool.name, "cards": pool.cards_per_node},
        _("Its serial number cannot be imported again. This cannot be undone."),
    ]
    return confirmation(
        request,
        form,
        title=_("Retire %(serial)s") % {"serial": node.serial},
        lines=[_("It is retired already.")] if over else lines,
        submit="" if over else _("Retire it"),
        back=reverse("node", args=[pool.public_id, node.public_id]),
        about=f"{pool.name} · {node.serial}",
    )
