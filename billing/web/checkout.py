"""A tenant's deals from the console: hold, confirm, give back."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing import checkout
from inventory.errors import DomainError
from marketplace.models import Reservation
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field


class OfferForm(ConsoleForm):
    """A signed offer, as the search gave it."""

    offer_token = forms.CharField(max_length=2000, widget=forms.HiddenInput)


class CancelForm(ConsoleForm):
    """Why a deal is given back."""

    reason = reason_field()


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def hold(request: ConsoleRequest) -> HttpResponse:
    """Keeps an offer's capacity; the answer is the tenant's list of holds."""
    visit = request.visit
    form = OfferForm(request.POST)
    if form.is_valid():
        made = attempt(
            form,
            lambda: checkout.hold(
                offer_token=form.cleaned_data["offer_token"],
                project_id=None,
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(request, _("Held. Confirm before the time is up."))
            return redirect("rented")
    return render(request, "console/refused.html", {"back": "search"}, form=form)


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def confirm(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """Pays what is due and makes the lease."""
    visit = request.visit
    row = find(Reservation.objects.filter(tenant=visit.organisation), reservation_id)
    form = ConsoleForm(request.POST)
    lease = attempt(
        form,
        lambda: checkout.confirm(
            reservation_public_id=row.public_id, at=visit.at, actor=visit.actor
        ),
    )
    if lease is None:
        return render(request, "console/refused.html", {"back": "rented"}, form=form)
    messages.success(request, _("The lease is made."))
    return redirect("lease", lease.public_id)


@page(scope="reservations:write", party="tenant", changes=True)
def cancel(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """Shows what would come back, then gives the deal back."""
    visit = request.visit
    row = find(Reservation.objects.filter(tenant=visit.organisation), reservation_id)
    form = CancelForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        done = attempt(
            form,
            lambda: checkout.cancel(
                reservation_public_id=row.public_id,
                at=visit.at,
                actor=visit.actor,
                reason=form.cleaned_data["reason"],
            ),
        )
        if done is not None:
            messages.success(request, _("Given back."))
            return redirect("rented")
    quote, refusal = None, ""
    try:
        quote = checkout.quote_cancel(
            reservation_public_id=row.public_id, at=visit.at, actor=visit.actor
        )
    except (DomainError, ValidationError) as error:
        refusal = refusals.explain(error) if isinstance(error, DomainError) else ""
    context = {"reservation": row, "quote": quote, "refusal": refusal}
    return render(request, "console/cancel.html", context, form=form)
