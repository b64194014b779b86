"""What a provider sells: listing idle capacity, repricing, pausing, withdrawing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.shortcuts import render as render_template
from django.utils.translation import gettext as _

from inventory.errors import DomainError
from inventory.models import Node, Pool
from inventory.periods import EARLIEST, LATEST, Period, ceil_hour
from marketplace import listings as verbs
from marketplace.models import Listing, PriceVersion
from marketplace.web import deals, gaps, pools, refusals
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.listing_forms import ListingForm, RepriceForm, local_midnight, outlook
from marketplace.web.paging import paged
from marketplace.web.terms_forms import CANCELLATIONS


def own(request: ConsoleRequest) -> QuerySet[Listing]:
    rows = Listing.objects.visible_to(request.visit.actor)
    return rows.select_related("pool__fabric__centre", "pool__chip", "block")


@page(scope="listings:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """Everything on sale, the newest first."""
    page_ = paged(own(request).prefetch_related("prices"), request)
    return render(request, "console/listings.html", {"page": page_})


@page(scope="listings:write", party="provider", changes=True)
def create(request: ConsoleRequest) -> HttpResponse:
    """Form, review, publish; the review does what publishing does, and takes it back."""
    sellable = _sellable(request)
    if request.method != "POST":
        form = ListingForm(pools=sellable, initial=_initial(request, sellable))
        return render(request, "console/listing_create.html", {}, form=form)
    form = ListingForm(request.POST, pools=sellable)
    context: dict[str, Any] = {}
    if form.is_valid():
        look = attempt(form, lambda: _outlook(form, request))
        if look is not None and request.POST.get("step") == "publish":
            listing = attempt(form, lambda: _publish(form, request))
            if listing is not None:
                messages.success(request, _("Published: the market can see it now."))
                return redirect("listing", listing.public_id)
        elif look is not None and request.POST.get("step") == "review":
            serves = attempt(form, lambda: _rehearse(form, request))
            context = _review(form, look) | {"serves": serves}
            return render(request, "console/listing_review.html", context, form=form)
        context["outlook"] = look
    return render(request, "console/listing_create.html", context, form=form)


def _sellable(request: ConsoleRequest) -> QuerySet[Pool]:
    """Active pools with nodes: one without has nothing to sell."""
    nodes = Node.objects.filter(pool=OuterRef("pk")).exclude(state=Node.State.RETIRED)
    return pools.own(request).filter(Exists(nodes), state=Pool.State.ACTIVE)


def _publish(form: ListingForm, request: ConsoleRequest) -> Listing:
    return verbs.publish(
        pool_id=form.chosen.pk,
        unit_count=form.cleaned_data["unit_count"],
        sellable=form.period(),
        price=form.price(),
        terms=form.terms(),
        mode=form.cleaned_data["mode"] or Listing.Mode.INSTANT,
        selling=form.cleaned_data["selling"] or Listing.Selling.AGENCY,
        at=request.visit.at,
        actor=request.visit.actor,
    )


def _serves(listing: Listing, request: ConsoleRequest) -> Period | None:
    """From the first start to the last end that can still be sold; None where nothing can."""
    serves = verbs.serves(block=listing.block, grid_seconds=3600)
    soonest = ceil_hour(request.visit.at)
    if serves is None or serves.end <= soonest:
        return None
    return Period(max(serves.start, soonest), serves.end)


def _rehearse(form: ListingForm, request: ConsoleRequest) -> Period | None:
    """From the first start to the last end that this would serve. Raises what publishing does."""
    listing = _publish(form, request)
    serves = _serves(listing, request)
    transaction.set_rollback(True)  # of the attempt alone
    return serves


@page(scope="listings:write", party="provider", posts_only=True)
def preview(request: ConsoleRequest) -> HttpResponse:
    """The live figures beside the form; says what is missing while it is being filled in."""
    form = ListingForm(request.POST, pools=_sellable(request))
    look, refusal = None, ""
    if form.is_valid():
        try:
            look = _outlook(form, request)
        except DomainError as error:
            refusal = refusals.explain(error)
    return render_template(
        request, "console/listing_outlook.html", {"outlook": look, "refusal": refusal}
    )


def _outlook(form: ListingForm, request: ConsoleRequest) -> Any:
    return outlook(
        pool=form.chosen,
        price=form.price(),
        unit_count=form.cleaned_data["unit_count"],
        period=form.period(),
        at=request.visit.at,
    )


def _initial(request: ConsoleRequest, sellable: QuerySet[Pool]) -> dict[str, Any]:
    """What a click on the calendar fills in: the gap that begins on that day."""
    chosen = request.GET.get("pool", "")
    pool = next((row for row in sellable if row.public_id == chosen), None)
    at = ceil_hour(request.visit.at)
    if pool is not None:
        start = local_midnight(request.GET.get("from", ""), pool.fabric.centre.timezone)
        if start is None or not EARLIEST < start < LATEST - timedelta(days=40):
            start = at
        gap = gaps.first_gap(pool, start=max(start, at), at=request.visit.at)
        if gap is not None:
            return {
                "pool": chosen,
                "start": gap.period.start,
                "end": gap.period.end,
                "unit_count": gap.unit_count,
                "minimum_hours": min(24, int(gap.period.hours)),
            }
    return {
        "pool": chosen if pool else None,
        "start": at,
        "end": at + timedelta(days=28),
        "unit_count": 1,
    }


def _review(form: ListingForm, look: Any) -> dict[str, Any]:
    data = form.cleaned_data
    values = [(name, form.data.get(name, "")) for name in form.fields]
    return {
        "outlook": look,
        "pool": form.chosen,
        "period": form.period(),
        "zone": form.zone,
        "data": data,
        "price": form.price(),
        "schedule": dict(form.fields["schedule"].choices)[data["schedule"]],  # type: ignore[attr-defined]
        "cancellation": CANCELLATIONS[data["cancellation"]][0],
        "by_approval": data["mode"] == Listing.Mode.APPROVAL,
        "mode": dict(form.fields["mode"].choices)[data["mode"] or "instant"],  # type: ignore[attr-defined]
        "selling": Listing.Selling(data["selling"] or Listing.Selling.AGENCY).label,
        "terms": form.terms(),
        "discounts": form.price().discounts,
        "values": values,
    }


@page(scope="listings:read", party="provider", changes=True)
def detail(request: ConsoleRequest, listing_id: str) -> HttpResponse:
    """A listing with its prices, terms and deals; a POST asks a new price."""
    listing = find(own(request), listing_id)
    posted = request.method == "POST"
    if posted:
        need(request, "listings:write")
    newest = listing.prices.order_by("-version").first()
    form = RepriceForm.of(newest, request.POST if posted else None)
    if posted and form.is_valid():
        version = attempt(form, lambda: _reprice(listing, form, request))
        if version is not None:
            messages.success(request, _("New offers carry the new price; no lease changes."))
            return redirect("listing", listing.public_id)
    context = {
        "listing": listing,
        "zone": listing.pool.fabric.centre.timezone,
        "prices": listing.prices.order_by("-version"),
        "terms": listing.terms.order_by("-version").first(),
        "deals": deals.with_machines(verbs.touched_deals(listing)),
        "serves": _serves(listing, request),
        "newest": newest,
        "by_approval": listing.mode == Listing.Mode.APPROVAL,
        "can_pause": listing.state == Listing.State.PUBLISHED,
        "can_resume": listing.state == Listing.State.PAUSED,
        "is_over": listing.state == Listing.State.WITHDRAWN,
    }
    return render(request, "console/listing.html", context, form=form)


def _reprice(listing: Listing, form: RepriceForm, request: ConsoleRequest) -> PriceVersion | None:
    """None where the form says that another price was set first."""
    visit = request.visit
    verbs.lock(listing.pk, visit.actor)
    if not form.is_up_to_date(listing.prices.latest("version")):
        return None
    return verbs.reprice(listing_id=listing.pk, price=form.price(), at=visit.at, actor=visit.actor)
