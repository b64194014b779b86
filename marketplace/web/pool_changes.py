"""What becomes of a pool: whether it sells, and what a card-hour of it costs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import capacity
from inventory.models import Allocation, Node, Pool
from marketplace import floors, listings, policy
from marketplace.models import Lease, Listing, Reservation
from marketplace.web import deals, money_fields
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.pools import own

State = Pool.State
_SHOWN = 50


class FloorForm(ConsoleForm):
    """What a card-hour costs the centre, by component."""

    power = money_fields.cost_field(label=gettext_lazy("Power"))
    depreciation = money_fields.cost_field(label=gettext_lazy("Depreciation"))
    network = money_fields.cost_field(label=gettext_lazy("Network"))
    operations = money_fields.cost_field(label=gettext_lazy("Operations"))


class StateForm(ConsoleForm):
    """Why a pool drains, sells again or is retired."""

    to = forms.ChoiceField(choices=State.choices, widget=forms.HiddenInput)
    reason = reason_field(required=False)


@page(scope="listings:write", party="provider", changes=True)
def floor(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Sets what a card-hour costs; no later price may leave less."""
    visit = request.visit
    pool = find(own(request), pool_id)
    now = policy.floor_of(pool.pk)
    form = FloorForm(
        request.POST if request.method == "POST" else None,
        initial=money_fields.costs_of(now) if now else None,
    )
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        row = attempt(
            form,
            lambda: floors.set_floor(
                pool_id=pool.pk,
                at=visit.at,
                actor=visit.actor,
                **{f"{name}_micro": data[name] for name in money_fields.COMPONENTS},
            ),
        )
        if row is not None:
            messages.success(
                request, _("The floor is set. Listings that ask less are paused; deals stay.")
            )
            return redirect("pool", pool.public_id)
    context = {"title": _("Floor price"), "pool": pool, "submit": _("Set"), "zone": ""}
    return render(request, "console/pool_form.html", context, form=form)


@page(scope="inventory:write", party="provider", changes=True)
def move(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Drains a pool, lets it sell again, or retires it: names what is touched, then does it."""
    pool = find(own(request), pool_id)
    posted = request.method == "POST"
    to = (request.POST if posted else request.GET).get("to", "")
    if to not in moves_of(pool):
        if posted and to in State.values:  # a page that is older than the pool's state
            messages.error(request, _("The pool's state has changed meanwhile; look at it again."))
            return redirect("pool", pool.public_id)
        raise Http404
    form = StateForm(request.POST if posted else None, initial={"to": to})
    if posted and form.is_valid():
        turned = attempt(
            form,
            lambda: _turn(request, pool, to, form.cleaned_data["reason"]),
            instead={"capacity_taken": _in_the_way()},
        )
        if turned is not None:
            messages.success(request, str(_DONE[State(to)]))
            return redirect("pool", pool.public_id)
    context = _touched(pool, request) | {
        "pool": pool,
        "to": to,
        "title": str(_TITLES[State(to)]),
        "lines": _lines(pool, to),
        "back": reverse("pool", args=[pool.public_id]),
        "about": pool.name,
    }
    stands = to == State.RETIRED and (context["deals"] or context["externals"])
    context["submit"] = "" if stands else context["title"]
    context["in_the_way"] = _in_the_way() if stands else ""
    return render(request, "console/pool_move.html", context, form=form)


def moves_of(pool: Pool) -> list[str]:
    """Where its state may go from here; an active pool may be retired at once if it is empty."""
    ahead = list(Pool.LIFECYCLE.table[pool.state])
    return [*ahead, State.RETIRED] if pool.state == State.ACTIVE else ahead


def _turn(request: ConsoleRequest, pool: Pool, to: str, reason: str) -> Pool:
    """Retiring ends what is on sale first: the pool knows nothing of listings."""
    visit = request.visit
    if to == State.RETIRED:
        selling = pool.listings.exclude(state=Listing.State.WITHDRAWN).order_by("pk")
        keys = list(selling.values_list("pk", flat=True))
        for key in keys:  # all listings before the pool: the order in which everybody locks
            listings.lock(key, visit.actor)
        for key in keys:
            listings.withdraw(listing_id=key, at=visit.at, actor=visit.actor, reason=reason)
    return capacity.turn_pool(pool_id=pool.pk, to=to, at=visit.at, actor=visit.actor, reason=reason)


def _touched(pool: Pool, request: ConsoleRequest) -> dict[str, Any]:
    """What is on sale, dealt or taken in the pool and not over."""
    over = [state for state in Lease.State.values if Lease.LIFECYCLE.is_final(state)]
    held = Reservation.objects.filter(
        allocation__pool=pool, state=Reservation.State.HELD, expires_at__gt=request.visit.at
    )
    leases = Lease.objects.filter(allocation__pool=pool).exclude(state__in=over)
    live = [Allocation.State.SCHEDULED, Allocation.State.ACTIVE]
    return {
        "listings": pool.listings.exclude(state=Listing.State.WITHDRAWN)
        .select_related("block")
        .order_by("pk")[:_SHOWN],
        "deals": deals.with_machines(
            [*held.order_by("pk")[:_SHOWN], *leases.order_by("pk")[:_SHOWN]]
        ),
        "externals": pool.allocations.exclude(kind=Allocation.Kind.SALE)
        .filter(state__in=live)
        .order_by("period", "pk")[:_SHOWN],
        "zone": pool.fabric.centre.timezone,
    }


def _in_the_way() -> str:
    return _(
        "These deals and external allocations have to be over first. Let the pool drain meanwhile:"
        " it sells nothing new then."
    )


_TITLES = {
    State.DRAINING: gettext_lazy("Drain the pool"),
    State.ACTIVE: gettext_lazy("Let the pool sell again"),
    State.RETIRED: gettext_lazy("Retire the pool"),
}
_DONE = {
    State.DRAINING: gettext_lazy("The pool drains: it serves what is sold and sells nothing new."),
    State.ACTIVE: gettext_lazy("The pool sells again."),
    State.RETIRED: gettext_lazy("The pool is retired."),
}


def _lines(pool: Pool, to: str) -> list[str]:
    if to == State.DRAINING:
        return [
            _("From now on it sells nothing new: its listings find no tenants. Deals are served to"
              " their end, and it can sell again at any time."),
        ]  # fmt: skip
    if to == State.ACTIVE:
        return [_("What is listed and not sold is on the market again.")]
    count = pool.nodes.exclude(state=Node.State.RETIRED).count()
    return [
        _("Its listings are withdrawn and its %(nodes)s nodes retired, for good.")
        % {"nodes": f"{count:,}"}
    ]
