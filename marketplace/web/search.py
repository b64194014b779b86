"""A tenant's search, and the same search as a command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _

from inventory.errors import DomainError
from inventory.models import Chip, HubNode, OwnerKind
from inventory.periods import ceil_hour
from marketplace import listings, offers, trials
from marketplace.models import Listing, PriceVersion, TermsVersion
from marketplace.offers import CalendarDay, Offer, OfferRequest, OfferResults, RangeTooLarge
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, Visit, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field
from marketplace.web.money_fields import PriceField
from marketplace.web.search_words import CHANGES, MARKS, REASONS, SOFTWARE, SOLD

CALENDAR_DAYS = 31  # so many days with a start are shown


@dataclass(frozen=True, slots=True)
class Shown:
    """An offer with the words of its codes."""

    offer: Offer
    chip: str
    schedule: str
    sold: str
    marks: tuple[str, ...]
    software: tuple[tuple[str, str], ...]
    changed: str  # what of the search it does not meet
    terms: TermsVersion | None  # as of now; the hold takes those of the offer
    may_try: bool  # the visitor's organisation, by these terms


class SearchForm(ConsoleForm):
    """Cards for some hours, somewhere in a window of time."""

    cards = count_field(label=_("Cards"), initial=8)
    hours = forms.IntegerField(
        label=_("Hours"), min_value=1, max_value=OfferRequest.LONGEST_HOURS, initial=24
    )
    longest = forms.IntegerField(
        label=_("Or up to so many hours"),
        min_value=1,
        max_value=OfferRequest.LONGEST_HOURS,
        required=False,
        help_text=_("Each listing then offers the longest lease in between that fits"),
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


class MoreForm(ConsoleForm):
    """What else may be asked of the machines and of their owner."""

    owner = forms.ChoiceField(
        label=_("Owner"), required=False, choices=[("", _("any")), *OwnerKind.choices]
    )
    dearest = PriceField(
        label=_("Price per card-hour, CNY at most"),
        required=False,
        help_text=_("Tax included, over the whole lease"),
    )
    memory = forms.IntegerField(
        label=_("Memory per card, GiB at least"), min_value=1, max_value=10_000, required=False
    )
    bandwidth = forms.IntegerField(
        label=_("Interconnect per card, GB/s at least"),
        min_value=1,
        max_value=100_000,
        required=False,
    )
    driver = forms.CharField(label=_("Driver"), max_length=60, required=False)
    runtime = forms.CharField(
        label=_("CUDA or CANN"),
        max_length=60,
        required=False,
        help_text=_("How the version begins; every node of the pool has it"),
    )
    framework = forms.CharField(label=_("Framework"), max_length=60, required=False)
    spread = forms.BooleanField(
        label=_("May be spread over several networks"),
        required=False,
        help_text=_("Where no network has as much; a training job cannot span them"),
    )


def wanted(form: SearchForm, more: MoreForm) -> OfferRequest:
    """Raises InvalidRequest, InvalidPeriod."""
    data, beside = form.cleaned_data, more.cleaned_data
    length = {"hours": data["hours"]}
    if data["longest"]:
        length = {"minimum_hours": data["hours"], "maximum_hours": data["longest"]}
    return OfferRequest(
        cards=data["cards"],
        **length,
        earliest_start=data["earliest_start"],
        latest_end=data["latest_end"],
        chips=(data["chip"],) if data["chip"] else (),
        hubs=(data["hub"],) if data["hub"] else (),
        owners=(beside["owner"],) if beside["owner"] else (),
        max_card_hour_micro=beside["dearest"],
        minimum_memory_gib=beside["memory"],
        minimum_interconnect_gbps=beside["bandwidth"],
        driver=beside["driver"],
        runtime=beside["runtime"],
        framework=beside["framework"],
        one_fabric=not beside["spread"],
    )


@page(scope="offers:read", party="tenant")
def index(request: ConsoleRequest) -> HttpResponse:
    """Dated offers, when else it could start, why others do not match, and what comes near."""
    visit = request.visit
    start = ceil_hour(visit.at) + timedelta(hours=2)
    asked = "cards" in request.GET
    initial = {"earliest_start": start, "latest_end": start + timedelta(days=14)}
    form = SearchForm(request.GET if asked else None, initial=initial)
    more = MoreForm(request.GET if asked else None)
    context: dict[str, Any] = {"more": more, "more_asked": asked and _says_anything(more)}
    if asked and form.is_valid() and more.is_valid():
        try:
            request_ = wanted(form, more)
            found = offers.search(request=request_, actor=visit.actor, at=visit.at)
        except DomainError as error:
            form.add_error(None, refusals.explain(error))
        else:
            rules = _rules(found, visit)
            context |= {
                "found": found,
                "offers": [_shown(offer, form.chips, rules) for offer in found.offers],
                "several": len(found.offers) > 1,
                "rejections": [
                    (REASONS.get(row.code, row.code), row.listing_count) for row in found.rejections
                ],
                "alternatives": [
                    _shown(row.offer, form.chips, rules, row.changed) for row in found.alternatives
                ],
                "parts": [
                    _shown(part, form.chips, rules)
                    for part in (found.split.offers if found.split else ())
                ],
                "days": _days(request_, visit) if found.offers else [],
                "curl": as_curl(request_, request.build_absolute_uri("/api/v1/offers/search")),
            }
    context["zone"] = settings.BILLING_ZONE
    return render(request, "console/search.html", context, form=form)


def _says_anything(form: forms.Form) -> bool:
    return not form.is_valid() or any(form.cleaned_data.values())


def _days(request_: OfferRequest, visit: Visit) -> Sequence[CalendarDay]:
    """The first days on which something could start; none where the window is a long one."""
    try:
        found = offers.calendar(request=request_, actor=visit.actor, at=visit.at)
    except RangeTooLarge:
        return []
    return found.days[:CALENDAR_DAYS]


def _rules(found: OfferResults, visit: Visit) -> tuple[dict[str, TermsVersion], set[str]]:
    """The terms of the listings shown, and those that the visitor's organisation may try."""
    rows = [*found.offers, *(row.offer for row in found.alternatives)]
    rows += found.split.offers if found.split else ()
    terms = listings.terms_by_listing({offer.listing_id for offer in rows})
    if not visit.actor.may("reservations:write"):
        return terms, set()
    return terms, trials.open_to(tenant_id=visit.organisation.pk, terms=terms.values())


def _shown(
    offer: Offer,
    chips: dict[str, str],
    rules: tuple[dict[str, TermsVersion], set[str]],
    changed: Sequence[str] = (),
) -> Shown:
    words = {"driver": _("Driver"), "runtime": _("CUDA or CANN"), "framework": _("Framework")}
    return Shown(
        offer=offer,
        chip=chips.get(offer.chip, offer.chip),
        sold=str(SOLD[Listing.Selling(offer.selling)]),
        schedule=str(PriceVersion.Schedule(offer.schedule).label),
        marks=tuple(str(MARKS[mark]) for mark in offer.marks),
        software=tuple(
            (str(words[name]), str(SOFTWARE.get(version, version)))
            for name, version in offer.software.items()
        ),
        changed=", ".join(str(CHANGES.get(name, name)) for name in changed),
        terms=rules[0].get(offer.listing_id),
        may_try=offer.listing_id in rules[1],
    )


def as_curl(wanted: OfferRequest, url: str) -> str:
    """The search as one command; the key is the reader's own."""
    said = {name: getattr(wanted, name) for name in _SAID}
    body = {name: _plain(value) for name, value in said.items() if value}
    if not wanted.one_fabric:
        body["one_fabric"] = False
    text = json.dumps(body, indent=2)
    return (
        f"curl -s {url} \\\n  -H 'Authorization: Bearer ck_live_…' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{_quoted(text)}'"
    )


_SAID = (
    "cards", "hours", "minimum_hours", "maximum_hours", "earliest_start", "latest_end", "chips",
    "hubs", "owners", "max_card_hour_micro", "minimum_memory_gib",
    "minimum_interconnect_gbps", "driver", "runtime", "framework",
)  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _quoted(text: str) -> str:
    """For a shell, between single quotes."""
    return text.replace("'", "'\\''")
