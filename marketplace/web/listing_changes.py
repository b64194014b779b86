"""Changing what is on sale: pausing, resuming, withdrawing, other terms, another size."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace import listings as verbs
from marketplace.models import Listing, TermsVersion
from marketplace.web import deals
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, count_field, reason_field
from marketplace.web.listings import own
from marketplace.web.terms_forms import NewTermsForm


class ReasonForm(ConsoleForm):
    """Why a listing stops selling."""

    reason = reason_field()


class SizeForm(ConsoleForm):
    """How many units a listing sells."""

    unit_count = count_field(label=gettext_lazy("Units"))


@page(scope="listings:write", party="provider", changes=True, posts_only=True)
def resume(request: ConsoleRequest, listing_id: str) -> HttpResponse:
    """Sells again."""
    visit = request.visit
    listing = find(own(request), listing_id)
    form = ConsoleForm(request.POST)
    attempt(form, lambda: verbs.resume(listing_id=listing.pk, at=visit.at, actor=visit.actor))
    for error in form.non_field_errors():
        messages.error(request, str(error))
    return redirect("listing", listing.public_id)


@page(scope="listings:write", party="provider", changes=True)
def stop(request: ConsoleRequest, listing_id: str, verb: str) -> HttpResponseBase:
    """Shows the deals that stay as they are, then pauses selling or ends it."""
    verb_of = {"pause": verbs.pause, "withdraw": verbs.withdraw}.get(verb)
    if verb_of is None:
        raise Http404
    visit = request.visit
    listing = find(own(request), listing_id)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    form.fields["reason"].required = verb == "withdraw"
    if request.method == "POST" and form.is_valid():
        stopped = attempt(
            form,
            lambda: verb_of(
                listing_id=listing.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
            ),
        )
        if stopped is not None:
            messages.success(
                request,
                _("Withdrawn; its deals are served to their end.")
                if verb == "withdraw"
                else _("Paused: it sells nothing new until you resume it."),
            )
            return redirect("listing", listing.public_id)
    context = {
        "listing": listing,
        "deals": deals.with_machines(verbs.touched_deals(listing)),
        "zone": listing.pool.fabric.centre.timezone,
        "for_good": verb == "withdraw",
    }
    return render(request, "console/listing_stop.html", context, form=form)


@page(scope="listings:write", party="provider", changes=True)
def terms(request: ConsoleRequest, listing_id: str) -> HttpResponseBase:
    """Other terms for new deals; those already made keep theirs."""
    listing = find(own(request), listing_id)
    newest = verbs.newest_terms(listing)
    form = NewTermsForm.of(newest, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        version = attempt(form, lambda: _reterm(listing, form, request))
        if version is not None:
            messages.success(request, _("New offers carry the new terms; no deal changes."))
            return redirect("listing", listing.public_id)
    note = _("New terms are for new deals: holds and leases keep those they were made by.")
    return _form_page(request, listing, form, title=_("New terms"), submit=_("Set the terms"),
                      note=note)  # fmt: skip


def _reterm(listing: Listing, form: NewTermsForm, request: ConsoleRequest) -> TermsVersion | None:
    """None where the form says that other terms were set first."""
    visit = request.visit
    verbs.lock(listing.pk, visit.actor)
    if not form.is_up_to_date(verbs.newest_terms(listing)):
        return None
    return verbs.reterm(listing_id=listing.pk, terms=form.terms(), at=visit.at, actor=visit.actor)


@page(scope="listings:write", party="provider", changes=True)
def size(request: ConsoleRequest, listing_id: str) -> HttpResponseBase:
    """More units or fewer, down to those that are sold."""
    visit = request.visit
    listing = find(own(request), listing_id)
    posted = request.POST if request.method == "POST" else None
    form = SizeForm(posted, initial={"unit_count": listing.block.unit_count})
    if posted is not None and form.is_valid():
        resized = attempt(
            form,
            lambda: verbs.resize(
                listing_id=listing.pk, at=visit.at, actor=visit.actor, **form.cleaned_data
            ),
        )
        if resized is not None:
            messages.success(request, _("It sells so many units from now on."))
            return redirect("listing", listing.public_id)
    note = _("It cannot sell fewer units than are held or leased at once, now or later.")
    return _form_page(request, listing, form, title=_("Change the units"), submit=_("Change"),
                      note=note)  # fmt: skip


def _form_page(
    request: ConsoleRequest, listing: Listing, form: ConsoleForm, **words: Any
) -> HttpResponse:
    context = {"back": reverse("listing", args=[listing.public_id]), "listing": listing, **words}
    return render(request, "console/listing_change.html", context, form=form)
