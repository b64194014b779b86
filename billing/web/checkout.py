"""A tenant's deals from the console: hold, confirm, give back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing import baskets, checkout
from billing.checkout import CancelQuote
from billing.web import cancelling
from inventory.errors import DomainError
from marketplace.baskets import MOST_OFFERS
from marketplace.models import Basket, Lease, Listing, Reservation
from marketplace.web import deals, figures, refusals
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field


class OfferForm(ConsoleForm):
    """A signed offer, as the search gave it."""

    offer_token = forms.CharField(max_length=2000, widget=forms.HiddenInput)
    pay_by = forms.ChoiceField(
        choices=Reservation.PayBy.choices, required=False, widget=forms.HiddenInput
    )


class BasketForm(ConsoleForm):
    """Signed offers of one search."""

    offers = forms.Field(required=False, widget=forms.MultipleHiddenInput)


class CancelForm(ConsoleForm):
    """Why a deal is given back; the centre reads it. A hold may be given back without a word."""

    reason = reason_field()

    def __init__(self, *args: Any, required: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].required = required


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def hold(request: ConsoleRequest) -> HttpResponse:
    """Keeps an offer's capacity; the answer is the tenant's list of holds."""
    visit = request.visit
    form = OfferForm(request.POST)
    said: list[DomainError] = []
    if form.is_valid():
        made = attempt(
            form,
            lambda: checkout.hold(
                offer_token=form.cleaned_data["offer_token"],
                project_id=None,
                pay_by=form.cleaned_data["pay_by"] or Reservation.PayBy.WALLET,
                at=visit.at,
                actor=visit.actor,
            ),
            refused=said.append,
        )
        if made is not None:
            return after_hold(request, made)
    context = {"back": "search", "instead": _instead(said)}
    return render(request, "console/hold_refused.html", context, form=form)


def after_hold(request: ConsoleRequest, made: Reservation) -> HttpResponse:
    """What happens next is said on the list of holds."""
    messages.success(
        request,
        _("Held. The provider decides; you confirm after its approval.")
        if made.decide_by
        else _("Held. Confirm before the time is up."),
    )
    return redirect("rented")


def _instead(said: list[DomainError]) -> list[tuple[dict[str, Any], Listing]]:
    """What a refused hold may be replaced by, each with its listing."""
    found = [offer for error in said for offer in error.fields().get("offers", ())]
    rows = Listing.objects.on_sale().select_related("pool__fabric__centre", "pool__chip")
    listings = {
        row.public_id: row
        for row in rows.filter(public_id__in=[offer["listing"] for offer in found])
    }
    return [(offer, listings[offer["listing"]]) for offer in found if offer["listing"] in listings]


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def hold_basket(request: ConsoleRequest) -> HttpResponse:
    """Keeps the offers that were ticked, all of them or none."""
    visit = request.visit
    form = BasketForm(request.POST)
    if form.is_valid():
        made = attempt(
            form,
            lambda: baskets.hold(
                offer_tokens=form.cleaned_data["offers"] or [],
                project_id=None,
                at=visit.at,
                actor=visit.actor,
            ),
            instead={
                "validation_failed": _("Tick the offers to be held together, %(n)s at most.")
                % {"n": MOST_OFFERS}
            },
        )
        if made is not None:
            messages.success(request, _("Held together. Confirm before the time is up."))
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


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def confirm_basket(request: ConsoleRequest, basket_id: str) -> HttpResponse:
    """Pays what is due for all of it; each part is a lease."""
    return _with_basket(request, basket_id, baskets.confirm, _("The leases are made."))


@page(scope="reservations:write", party="tenant", changes=True, posts_only=True)
def cancel_basket(request: ConsoleRequest, basket_id: str) -> HttpResponse:
    """Gives all of it back, for nothing."""
    done = _("Given back; what was kept aside is free again.")
    return _with_basket(request, basket_id, partial(baskets.cancel, reason=""), done)


def _with_basket(
    request: ConsoleRequest, basket_id: str, verb: Callable[..., Basket], done: str
) -> HttpResponse:
    visit = request.visit
    row = find(Basket.objects.filter(tenant=visit.organisation), basket_id)
    form = ConsoleForm(request.POST)
    changed = attempt(
        form, lambda: verb(basket_public_id=row.public_id, at=visit.at, actor=visit.actor)
    )
    if changed is None:
        return render(request, "console/refused.html", {"back": "rented"}, form=form)
    messages.success(request, done)
    return redirect("rented")


@page(scope="reservations:write", party="tenant", changes=True)
def cancel(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """Shows what would come back, now and later, then gives the deal back."""
    visit = request.visit
    rows = deals.with_lease(Reservation.objects.filter(tenant=visit.organisation))
    row = find(rows, reservation_id)
    lease = getattr(row, "lease", None)
    form = CancelForm(request.POST if request.method == "POST" else None, required=bool(lease))
    quote, refusal = None, ""
    try:
        quote = checkout.quote_cancel(
            reservation_public_id=row.public_id, at=visit.at, actor=visit.actor
        )
    except DomainError as error:
        refusal = refusals.explain(error)
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
            messages.success(request, _said(quote, lease))
            return redirect("lease", lease.public_id) if lease else redirect("rented")
    context = {
        "reservation": row,
        "lease": lease,
        "pool": row.allocation.pool,
        "zone": row.allocation.pool.fabric.centre.timezone,
        "quote": quote,
        "refusal": refusal,
        "steps": cancelling.steps(lease, at=visit.at) if quote and lease else [],
        "counts_as_lapse": not lease and visit.at - row.created_at >= row.expires_at - visit.at,
    }
    return render(request, "console/cancel.html", context, form=form)


def _said(quote: CancelQuote | None, lease: Lease | None) -> str:
    if lease is None or quote is None:
        return _("Given back; what was kept aside is free again.")
    return _("Cancelled; %(amount)s came back.") % {
        "amount": figures.amount(quote.refund_minor, quote.currency)
    }
