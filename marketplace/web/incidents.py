"""Incidents: troubles of pools with their timeline, for provider, tenant and operator."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace import incidents
from marketplace.models import Incident
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged


class NoteForm(ConsoleForm):
    """A line for the timeline, or the cause as it was found."""

    text = forms.CharField(
        label=gettext_lazy("Text"), max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )
    is_cause = forms.BooleanField(label=gettext_lazy("This is the cause"), required=False)


def _visible(request: ConsoleRequest) -> QuerySet[Incident]:
    rows = Incident.objects.visible_to(request.visit.actor)
    return rows.select_related("provider", "pool__fabric__centre")


@page(scope="leases:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """The newest first."""
    own = request.visit.organisation.pk
    sees = request.visit.actor.sees_everything
    touched = Q() if sees else Q(leases__lease__tenant_id=own) | Q(provider_id=own)
    rows = _visible(request).annotate(
        lease_count=Count("leases", filter=touched, distinct=True),
        outage_count=Count("outages", distinct=True),
    )
    return render(request, "console/incidents.html", {"page": paged(rows, request)})


@page(scope="leases:read", changes=True)
def detail(request: ConsoleRequest, incident_id: str) -> HttpResponse:
    """Its timeline; the provider and the operator write into it."""
    visit = request.visit
    row = find(_visible(request), incident_id)
    runs_it = visit.organisation.pk == row.provider_id
    may_write = (runs_it and visit.actor.may("inventory:write")) or (
        visit.organisation.is_operator and visit.actor.may("cases:write")
    )
    form = NoteForm(request.POST if request.method == "POST" else None) if may_write else None
    if request.method == "POST" and form is not None and form.is_valid():
        data = form.cleaned_data
        facts: dict[str, Any] = {
            "incident_public_id": row.public_id,
            "at": visit.at,
            "actor": visit.actor,
        }
        written = attempt(
            form,
            lambda: (
                incidents.explain(cause=data["text"], **facts)
                if data["is_cause"]
                else incidents.note(text=data["text"], **facts)
            ),
        )
        if written is not None:
            messages.success(request, _("It is in the timeline."))
            return redirect("incident", row.public_id)
    context = {
        "incident": row,
        "entries": incidents.timeline(row, visit.actor),
        "leases": incidents.leases_of(row, visit.actor),
        "sees_nodes": runs_it or visit.actor.sees_everything,
        "zone": row.pool.fabric.centre.timezone,
    }
    return render(request, "console/incident.html", context, form=form)
