"""Deals sold directly: what tenants have to pay the centre itself, and its word that they did."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import direct
from billing.models import DirectReceipt
from marketplace.models import Listing, Reservation
from marketplace.web import deals
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

SHOWN = 100


class ReceivedForm(ConsoleForm):
    """The payment as the centre's own bank statement has it."""

    reference = forms.CharField(
        label=gettext_lazy("Bank reference"),
        max_length=80,
        help_text=gettext_lazy("As your own statement has it; each confirms one deal"),
    )
    received_date = forms.DateField(
        label=gettext_lazy("Received on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


@page(scope="reservations:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """Direct deals that wait for the tenant's money, and what was confirmed before."""
    visit = request.visit
    waiting = (
        _held(request)
        .filter(expires_at__gt=visit.at)
        .select_related("tenant")
        .order_by("expires_at")
    )
    receipts = DirectReceipt.objects.visible_to(visit.actor).filter(provider=visit.organisation)
    context = {
        "waiting": deals.with_machines(list(waiting[:SHOWN])),
        "page": paged(receipts.select_related("tenant", "reservation__lease"), request),
    }
    return render(request, "console/direct.html", context)


@page(scope="reservations:write", party="provider", changes=True)
def received(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """The centre has the money: a POST makes the deal a lease."""
    visit = request.visit
    row = find(_held(request).select_related("tenant"), reservation_id)
    form = ReceivedForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        lease = attempt(
            form,
            lambda: direct.confirm_received(
                reservation_public_id=row.public_id,
                at=visit.at,
                actor=visit.actor,
                **form.cleaned_data,
            ),
        )
        if lease is not None:
            messages.success(request, _("The lease is made."))
            return redirect("lease", lease.public_id)
    deals.with_machines([row])
    return render(request, "console/direct_received.html", {"reservation": row}, form=form)


def _held(request: ConsoleRequest) -> QuerySet[Reservation]:
    """Own deals whose price goes to the centre."""
    rows = Reservation.objects.filter(
        provider=request.visit.organisation, selling=Listing.Selling.DIRECT
    )
    return rows.filter(state=Reservation.State.HELD)
