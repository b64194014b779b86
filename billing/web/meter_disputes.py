"""Hours that the two meters count differently: both sides look, the operator decides."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import disputes
from inventory.models import MeterDispute, MeterReading, UsageHour
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged


class DecisionForm(ConsoleForm):
    """For whom, why, and what that rests on."""

    upheld_for = forms.ChoiceField(
        choices=[("tenant", ""), ("provider", "")], widget=forms.HiddenInput
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("For example a switch's log, an engine's record, a ticket"),
    )


def _visible(request: ConsoleRequest) -> QuerySet[MeterDispute]:
    return MeterDispute.objects.visible_to(request.visit.actor).select_related(
        "allocation__pool", "allocation__lease", "tenant", "provider", "decided_by"
    )


@page(scope="usage:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """Disputes that the visitor is a side of, newest first."""
    rows = _visible(request)
    return render(request, "console/meter_disputes.html", {"page": paged(rows, request)})


@page(scope="usage:read", changes=True)
def detail(request: ConsoleRequest, dispute_id: str) -> HttpResponse:
    """One dispute: both counts, what is billed meanwhile, and the operator's decision."""
    visit, row = request.visit, find(_visible(request), dispute_id)
    may_decide = row.state == MeterDispute.State.OPEN and visit.actor.may("settlements:write")
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "settlements:write")
        if form.is_valid():
            done = attempt(
                form,
                lambda: disputes.decide(
                    dispute_public_id=row.public_id,
                    **form.cleaned_data,
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if done is not None:
                messages.success(request, _("Decided: the hour's charges are settled from now on."))
                return redirect("meter_dispute", row.public_id)
        row.refresh_from_db()
    fact = {"allocation_id": row.allocation_id, "hour": row.hour}
    context = {
        "dispute": row,
        "may_decide": may_decide,
        "reading": MeterReading.objects.filter(**fact).first(),
        "revisions": UsageHour.objects.filter(**fact).order_by("revision")[:100],
    }
    return render(request, "console/meter_dispute.html", context, form=form)
