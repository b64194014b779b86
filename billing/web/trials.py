"""A listing tried from the console, and the lease that a trial becomes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import trials as verbs
from billing.web.checkout import after_hold
from inventory.actors import Actor
from marketplace import policy, trials
from marketplace.asking import FIVE_YEARS_HOURS
from marketplace.models import Lease, Listing, TermsVersion
from marketplace.trials import Conversion
from marketplace.web import deals, figures
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field


class TrialForm(ConsoleForm):
    """How many units for how long, from when on; as much as the terms allow unless less is said."""

    units = count_field(label=gettext_lazy("Units"))
    hours = count_field(label=gettext_lazy("Hours"))
    start = ZonedDateTimeField(
        label=gettext_lazy("From"),
        required=False,
        help_text=gettext_lazy("Empty: at the next start there is."),
    )

    def __init__(self, *args: Any, terms: TermsVersion, zone: str, **kwargs: Any) -> None:
        initial = {"units": terms.trial_units, "hours": terms.trial_hours}
        super().__init__(*args, initial=initial, **kwargs)
        start = self.fields["start"]
        assert isinstance(start, ZonedDateTimeField)
        start.zone = zone


class GoOnForm(ConsoleForm):
    """How long the lease lasts that follows the trial, and from when on."""

    hours = forms.IntegerField(label=gettext_lazy("Hours"), min_value=1, max_value=FIVE_YEARS_HOURS)
    start = ZonedDateTimeField(
        label=gettext_lazy("From"),
        required=False,
        help_text=gettext_lazy("A full hour; empty: when the trial ends."),
    )

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        start = self.fields["start"]
        assert isinstance(start, ZonedDateTimeField)
        start.zone = zone


@page(scope="reservations:write", party="tenant", changes=True)
def start(request: ConsoleRequest, listing_id: str) -> HttpResponse:
    """What the trial would be, then holds it; the answer is the tenant's list of holds."""
    visit = request.visit
    rows = Listing.objects.on_sale().select_related("pool__fabric__centre", "pool__chip")
    listing = find(rows, listing_id)
    terms, price = listing.terms.latest("version"), listing.prices.latest("version")
    if not terms.trial_units:
        raise Http404
    zone = str(listing.pool.fabric.centre.timezone)
    form = TrialForm(request.POST if request.method == "POST" else None, terms=terms, zone=zone)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        made = attempt(
            form,
            lambda: verbs.hold(
                listing_public_id=listing.public_id,
                unit_count=data["units"],
                hours=data["hours"],
                start_at=data["start"],
                project_id=None,
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            return after_hold(request, made)
    open_to = trials.open_to(tenant_id=visit.organisation.pk, terms=[terms])
    context = {
        "pool": listing.pool,
        "terms": terms,
        "asking": figures.asking(policy.trial_price(price=price, terms=terms)),
        "is_open": bool(open_to),
    }
    return render(request, "console/trial.html", context, form=form)


@page(scope="reservations:write", party="tenant", changes=True)
def go_on(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """Asks for how long, shows what it comes to, then makes the lease on the same nodes."""
    visit = request.visit
    lease = find(deals.leases_of(request).filter(tenant=visit.organisation), lease_id)
    if not trials.may_go_on(lease):
        raise Http404
    zone = str(lease.allocation.pool.fabric.centre.timezone)
    terms = lease.listing.terms.latest("version")
    posted = request.method == "POST"
    form = GoOnForm(
        request.POST if posted else None, zone=zone, initial={"hours": terms.minimum_hours}
    )
    found = None
    if posted and form.is_valid():
        found = attempt(form, lambda: _quote(lease, form, visit.at, visit.actor))
    if found is not None and "seen" in request.POST:
        if request.POST["seen"] == _seen(found):
            made = attempt(form, lambda: _convert(found, visit.at, visit.actor))
            if made is not None:
                messages.success(request, _("The lease is made, on the same nodes."))
                return redirect("lease", made.public_id)
        else:
            form.add_error(None, _("The figures have changed: look at them again."))
    context = {
        "lease": lease,
        "pool": lease.allocation.pool,
        "zone": zone,
        "terms": terms,
        "found": found,
        "seen": _seen(found) if found else "",
    }
    return render(request, "console/trial_go_on.html", context, form=form)


def _quote(lease: Lease, form: GoOnForm, at: datetime, actor: Actor) -> Conversion:
    return verbs.quote_conversion(
        lease_public_id=lease.public_id,
        hours=form.cleaned_data["hours"],
        from_at=form.cleaned_data["start"],
        at=at,
        actor=actor,
    )


def _convert(agreed: Conversion, at: datetime, actor: Actor) -> Lease:
    return verbs.convert(
        lease_public_id=agreed.trial.public_id,
        hours=int(agreed.period.hours),
        from_at=agreed.period.start,
        at=at,
        actor=actor,
    )


def _seen(found: Conversion) -> str:
    """What the page shows before it is paid; where it differs by then, the page shows it anew."""
    period, quote = found.period, found.quote
    return f"{period.start.isoformat()} {period.hours:g} {quote.gross_minor} {quote.due_minor}"
