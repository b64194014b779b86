"""A centre's telemetry: its feeds, what they are set up with, and whose their series are."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from inventory import telemetry as verbs
from inventory.models import Centre, Node, SeriesBinding, SeriesIdentity, TelemetrySource
from marketplace.http import telemetry as receiver
from marketplace.web import centres
from marketplace.web.entry import (
    ConsoleRequest,
    attempt,
    confirmation,
    done,
    find,
    need,
    page,
    render,
)
from marketplace.web.forms import ConsoleForm, count_field

SHOWN_BINDINGS = 200
TRIED = {
    "captured": gettext_lazy("pages captured on real machines"),
    "own_page": gettext_lazy("the exporter's own test page only"),
    "documented": gettext_lazy("documentation only; nothing of it ran here"),
}
# Feed's counts, as they are told.
COUNTS = [
    ("stored_count", gettext_lazy("stored")),
    ("repeated_count", gettext_lazy("repeated, or of a slot that had its sample")),
    ("unused_count", gettext_lazy("of metrics that no fact is read from")),
    ("unknown_count", gettext_lazy("of series bound to no card")),
    ("late_count", gettext_lazy("too late: their hour is sealed")),
    ("early_count", gettext_lazy("from the future")),
    ("void_count", gettext_lazy("not a number, or no measurement")),
]


class SourceForm(ConsoleForm):
    """A new feed; with an address we query it, without one it sends."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    replica_label = forms.RegexField(
        r"^[A-Za-z_][A-Za-z0-9_]{0,79}$",
        label=gettext_lazy("Label that tells an HA pair apart"),
        max_length=80,
        initial="prometheus_replica",
    )
    query_url = forms.CharField(
        label=gettext_lazy("Address to query"),
        max_length=300,
        required=False,
        help_text=gettext_lazy(
            "Only where your Prometheus cannot send: of any store that answers its queries"
        ),
    )
    query_secret = forms.CharField(
        label=gettext_lazy("Bearer token for it"),
        max_length=500,
        required=False,
        widget=forms.PasswordInput(render_value=False),
    )


class BindForm(ConsoleForm):
    """Whose the series with an identity are."""

    identity = forms.ChoiceField(
        label=gettext_lazy("Named by"), choices=centres.chosen(SeriesIdentity.choices)
    )
    value = forms.CharField(label=gettext_lazy("Its value in the series"), max_length=200)
    node = forms.CharField(
        label=gettext_lazy("Node"), max_length=80, help_text=gettext_lazy("Its serial")
    )
    card_index = count_field(
        label=gettext_lazy("Card"),
        minimum=0,
        required=False,
        help_text=gettext_lazy("From 0; leave it empty where the series say which"),
    )

    def __init__(self, *args: Any, nodes: QuerySet[Node], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nodes = nodes

    def clean_node(self) -> Node:
        found = self.nodes.filter(serial=self.cleaned_data["node"]).first()
        if found is None:
            raise ValidationError(_("This centre has no node with this serial."))
        return found


class KeyForm(ConsoleForm):
    """What becomes of the keys there are."""

    old = forms.ChoiceField(
        label=gettext_lazy("The present key"),
        choices=[
            ("", "—"),
            ("rotate", gettext_lazy("goes on for 24 hours")),
            ("revoke", gettext_lazy("opens nothing from now on")),
        ],
    )


@never_cache
@page(scope="inventory:read", party="provider", changes=True)
def index(request: ConsoleRequest, centre_id: str) -> HttpResponse:
    """A centre's feeds; a POST opens one, and shows its key once."""
    visit = request.visit
    centre = find(Centre.objects.visible_to(visit.actor), centre_id)
    form = SourceForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "inventory:write")
        if form.is_valid():
            opened = attempt(
                form,
                lambda: verbs.open_source(
                    centre_id=centre.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
                ),
            )
            if opened is not None:
                source, text = opened
                if not text:
                    messages.success(request, _("%(name)s was added.") % {"name": source.name})
                    return redirect("telemetry_source", source.public_id)
                return _shown_once(request, source, text)
    context = {
        "centre": centre,
        "sources": centre.telemetry_sources.order_by("closed_at", "name", "pk"),
        "exporters": [(row, TRIED[row.tried]) for row in verbs.EXPORTERS],
    }
    return render(request, "console/telemetry.html", context, form=form)


@page(scope="inventory:read", party="provider", changes=True)
def detail(request: ConsoleRequest, source_id: str) -> HttpResponse:
    """One feed: how to send, what came, and what is bound to nothing; a POST binds."""
    visit = request.visit
    source = find(_rows(request), source_id)
    nodes = Node.objects.filter(pool__fabric__centre_id=source.centre_id).exclude(
        state=Node.State.RETIRED
    )
    given = request.POST if request.method == "POST" else None
    form = BindForm(given, nodes=nodes, initial=_proposed(request))
    if request.method == "POST":
        need(request, "inventory:write")
        if form.is_valid():
            data = form.cleaned_data
            bound = attempt(
                form,
                lambda: verbs.bind(
                    source_id=source.pk,
                    identity=data["identity"],
                    value=data["value"],
                    node_id=data["node"].pk,
                    card_index=data["card_index"],
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if bound is not None:
                messages.success(request, _("It is bound. It counts within a minute."))
                return redirect("telemetry_source", source.public_id)
    bindings = source.bindings.filter(removed_at=None).select_related("node")
    context = {
        "source": source,
        "centre": source.centre,
        "counts": [(label, getattr(source, name)) for name, label in COUNTS],
        "unmatched": verbs.unmatched(source=source),
        "bindings": bindings.order_by("identity", "value", "pk")[:SHOWN_BINDINGS],
        **_snippet(request, ""),
    }
    return render(request, "console/telemetry_source.html", context, form=form)


@never_cache
@page(scope="inventory:write", party="provider", changes=True)
def new_key(request: ConsoleRequest, source_id: str) -> HttpResponse:
    """Another key for a feed; its text is shown once."""
    visit = request.visit
    source = find(_rows(request).filter(kind=TelemetrySource.Kind.PUSH), source_id)
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        verb = verbs.rotate_key if form.cleaned_data["old"] == "rotate" else verbs.revoke_keys
        text = attempt(form, lambda: verb(source_id=source.pk, at=visit.at, actor=visit.actor))
        if text is not None:
            return _shown_once(request, source, text)
    return confirmation(
        request,
        form,
        title=_("A new key"),
        lines=[_("Its text is shown once. Put it into the configuration of what sends.")],
        submit=_("Make the key"),
        back=reverse("telemetry_source", args=[source.public_id]),
        is_harmless=True,
    )


@page(scope="inventory:write", party="provider", changes=True)
def close(request: ConsoleRequest, source_id: str) -> HttpResponse:
    visit = request.visit
    source = find(_rows(request), source_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    if (
        request.method == "POST"
        and form.is_valid()
        and done(
            form,
            lambda: verbs.close_source(source_id=source.pk, at=visit.at, actor=visit.actor),
        )
    ):
        messages.success(request, _("%(name)s takes nothing any more.") % {"name": source.name})
        return redirect("telemetry", source.centre.public_id)
    return confirmation(
        request,
        form,
        title=_("Close a feed"),
        lines=[
            _("“%(name)s” takes nothing any more, and its keys open nothing.")
            % {"name": source.name},
            _("What it brought stays."),
        ],
        submit=_("Close"),
        back=reverse("telemetry_source", args=[source.public_id]),
    )


@page(scope="inventory:write", party="provider", changes=True)
def unbind(request: ConsoleRequest, binding_id: str) -> HttpResponse:
    visit = request.visit
    rows = SeriesBinding.objects.filter(source__in=_rows(request), removed_at=None)
    row = find(rows.select_related("source", "node"), binding_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    back = reverse("telemetry_source", args=[row.source.public_id])
    if (
        request.method == "POST"
        and form.is_valid()
        and done(form, lambda: verbs.unbind(binding_id=row.pk, at=visit.at, actor=visit.actor))
    ):
        return redirect(back)
    return confirmation(
        request,
        form,
        title=_("Remove a binding"),
        lines=[
            _("Series of “%(value)s” are no longer counted for node %(serial)s.")
            % {"value": row.value, "serial": row.node.serial}
        ],
        submit=_("Remove"),
        back=back,
    )


def _rows(request: ConsoleRequest) -> QuerySet[TelemetrySource]:
    return TelemetrySource.objects.visible_to(request.visit.actor).select_related("centre")


def _proposed(request: ConsoleRequest) -> dict[str, str]:
    """What a row of the unmatched hands to the form; the form checks it like anything typed."""
    return {
        name: request.GET[name][:200]
        for name in ("identity", "value", "node", "card_index")
        if name in request.GET
    }


def _snippet(request: ConsoleRequest, key: str) -> dict[str, str]:
    return {"write_url": request.build_absolute_uri(receiver.PATH), "key": key}


def _shown_once(request: ConsoleRequest, source: TelemetrySource, key: str) -> HttpResponse:
    """The configuration with the key in it. What is kept of the reply leads to the feed."""
    context = {"source": source, "centre": source.centre, **_snippet(request, key)}
    reply = render(request, "console/telemetry_key.html", context)
    reply.kept_as = redirect("telemetry_source", source.public_id)  # type: ignore[attr-defined]
    return reply
