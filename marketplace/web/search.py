"""A tenant's search, and the same search as a command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from inventory.errors import DomainError
from inventory.models import Chip, HubNode
from inventory.periods import ceil_hour
from marketplace import offers
from marketplace.models import PriceVersion
from marketplace.offers import Offer, OfferRequest
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field

REASONS = {
    "whole_nodes_only": _("sells whole nodes only"),
    "no_such_chip": _("another chip"),
    "no_such_region": _("another region"),
    "not_a_multiple": _("the cards are no multiple of its unit"),
    "no_whole_nodes": _("sells slices of nodes"),
    "own_listing": _("your own listing"),
    "other_currency": _("another currency"),
    "too_few_units": _("fewer units than it sells at least"),
    "too_many_units": _("not as many units on sale"),
    "over_maximum_units": _("more units than it lets in one lease"),
    "off_unit_step": _("sells units in other steps"),
    "too_short": _("shorter than its shortest lease"),
    "too_long": _("longer than its longest lease"),
    "off_hour_step": _("sells hours in other steps"),
    "window_over": _("the window lies in the past"),
    "window_too_short": _("the window is shorter than the lease"),
    "off_the_grid": _("starts at other minutes than the window allows"),
    "not_on_sale_then": _("not on sale in this window"),
    "too_expensive": _("dearer than your limit"),
    "sold_out": _("sold out in this window"),
}
CHANGES = {
    "cards": _("another number of cards"),
    "units": _("fewer units"),
    "nodes": _("fewer nodes"),
    "latest_end": _("a later end"),
    "max_card_hour_micro": _("a higher price"),
    "regions": _("another region"),
    "hubs": _("another hub"),
    "chip_class": _("another kind of chip"),
    "chips": _("another chip"),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """An offer with the words of its codes."""

    offer: Offer
    chip: str
    schedule: str
    changed: str  # what of the search it does not meet


class SearchForm(ConsoleForm):
    """Cards for some hours, somewhere in a window of time."""

    cards = count_field(label=_("Cards"), initial=8)
    hours = forms.IntegerField(
        label=_("Hours"), min_value=1, max_value=OfferRequest.LONGEST_HOURS, initial=24
    )
    earliest_start = ZonedDateTimeField(label=_("Not before"))
    latest_end = ZonedDateTimeField(label=_("Over by"))
    chip = forms.ChoiceField(label=_("Chip"), required=False)
    hub = forms.ChoiceField(
        label=_("Hub node"), required=False, choices=[("", _("any")), *HubNode.choices]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chip = self.fields["chip"]
        assert isinstance(chip, forms.ChoiceField)
        rows = Chip.objects.filter(pools__isnull=False).distinct().order_by("vendor", "model")
        self.chips = {row.code: f"{row.vendor} {row.model}" for row in rows}
        chip.choices = [("", _("any")), *self.chips.items()]

    def request(self) -> OfferRequest:
        """Raises InvalidRequest, InvalidPeriod."""
        data = self.cleaned_data
        return OfferRequest(
            cards=data["cards"],
            hours=data["hours"],
            earliest_start=data["earliest_start"],
            latest_end=data["latest_end"],
            chips=(data["chip"],) if data["chip"] else (),
            hubs=(data["hub"],) if data["hub"] else (),
        )


@page(scope="offers:read", party="tenant")
def index(request: ConsoleRequest) -> HttpResponse:
    """Dated offers, why others do not match, and what comes near."""
    visit = request.visit
    start = ceil_hour(visit.at) + timedelta(hours=2)
    asked = "cards" in request.GET
    initial = {"earliest_start": start, "latest_end": start + timedelta(days=14)}
    form = SearchForm(request.GET if asked else None, initial=initial)
    context: dict[str, Any] = {}
    if asked and form.is_valid():
        try:
            wanted = form.request()
            found = offers.search(request=wanted, actor=visit.actor, at=visit.at)
        except DomainError as error:
            form.add_error(None, refusals.explain(error))
        else:
            context = {
                "found": found,
                "offers": [_shown(offer, form.chips) for offer in found.offers],
                "rejections": [
                    (REASONS.get(row.code, row.code), row.listing_count) for row in found.rejections
                ],
                "alternatives": [
                    _shown(row.offer, form.chips, row.changed) for row in found.alternatives
                ],
                "curl": as_curl(wanted, request.build_absolute_uri("/api/v1/offers/search")),
            }
    context["zone"] = settings.BILLING_ZONE
    return render(request, "console/search.html", context, form=form)


def _shown(offer: Offer, chips: dict[str, str], changed: Sequence[str] = ()) -> Shown:
    return Shown(
        offer=offer,
        chip=chips.get(offer.chip, offer.chip),
        schedule=str(PriceVersion.Schedule(offer.schedule).label),
        changed=", ".join(str(CHANGES.get(name, name)) for name in changed),
    )


def as_curl(wanted: OfferRequest, url: str) -> str:
    """The search as one command; the key is the reader's own."""
    body: dict[str, Any] = {
        "cards": wanted.cards,
        "hours": wanted.hours,
        "earliest_start": wanted.earliest_start.isoformat(),
        "latest_end": wanted.latest_end.isoformat(),
    }
    if wanted.chips:
        body["chips"] = list(wanted.chips)
    if wanted.hubs:
        body["hubs"] = list(wanted.hubs)
    text = json.dumps(body, indent=2)
    return (
        f"curl -s {url} \\\n  -H 'Authorization: Bearer ck_live_…' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{text}'"
    )
