"""Reservations and leases, as their provider, their tenant and the operator see them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from django.db.models import Count, F, Model, Prefetch, QuerySet, Sum, prefetch_related_objects
from django.db.models.functions import Coalesce
from django.http import HttpResponse

from inventory.models import JournalEntry
from marketplace import policy
from marketplace.amendments import Side
from marketplace.models import Amendment, Basket, Lease, Reservation
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.paging import paged

D = TypeVar("D", bound=Model)
_MACHINES = ("allocation__pool__fabric__centre", "allocation__pool__chip")
_AHEAD = 8
_GONE = 20


def with_machines(deals: Sequence[D]) -> list[D]:
    """The deals with their pools, whichever kind of deal each is, in a fixed number of reads."""
    for kind in (Reservation, Lease):
        rows = [deal for deal in deals if isinstance(deal, kind)]
        if rows:
            prefetch_related_objects(rows, *_MACHINES)
    return list(deals)


def leases_of(request: ConsoleRequest) -> QuerySet[Lease]:
    rows = Lease.objects.visible_to(request.visit.actor)
    return rows.select_related(*_MACHINES)


def with_parties(numbers: Iterable[int]) -> QuerySet[Lease]:
    """Leases with what a statement about them reads."""
    return Lease.objects.filter(pk__in=list(numbers)).select_related(*_MACHINES, "tenant")


def with_lease(rows: QuerySet[Reservation]) -> QuerySet[Reservation]:
    """With what a page about giving them back reads."""
    return rows.select_related(*_MACHINES, "lease__price", "lease__terms")


def _to_sign(request: ConsoleRequest, side: Side) -> QuerySet[Amendment]:
    """What the other side of a lease has proposed and waits for, the nearest deadline first."""
    visit = request.visit
    own = (
        {"tenant": visit.organisation} if side == Side.TENANT else {"provider": visit.organisation}
    )
    rows = Amendment.objects.visible_to(visit.actor).filter(
        **own, state=Amendment.State.PROPOSED, expires_at__gt=visit.at
    )
    machines = tuple(f"lease__{path}" for path in _MACHINES)
    return rows.exclude(proposed_by=side).select_related(*machines).order_by("expires_at")[:_GONE]


def _held(request: ConsoleRequest) -> QuerySet[Reservation]:
    rows = Reservation.objects.visible_to(request.visit.actor)
    rows = rows.filter(state=Reservation.State.HELD, expires_at__gt=request.visit.at)
    return rows.select_related(*_MACHINES).order_by("expires_at")


@page(scope="leases:read", party="provider")
def sold(request: ConsoleRequest) -> HttpResponse:
    """What a provider has to serve: what starts and ends next, then everything."""
    visit = request.visit
    leases = leases_of(request).filter(provider=visit.organisation)
    context = {
        "to_sign": _to_sign(request, Side.PROVIDER),
        "held": _held(request).filter(provider=visit.organisation)[:100],
        "starts": leases.filter(
            state=Lease.State.SCHEDULED, period__startswith__gt=visit.at
        ).order_by("period", "pk")[:_AHEAD],
        "ends": leases.filter(state=Lease.State.ACTIVE, period__endswith__gt=visit.at).order_by(
            "period__endswith", "pk"
        )[:_AHEAD],
        "page": paged(leases, request),
    }
    return render(request, "console/deals.html", context)


@page(scope="leases:read", party="tenant")
def rented(request: ConsoleRequest) -> HttpResponse:
    """What a tenant holds and rents, and what became of holds that made no lease."""
    organisation, at = request.visit.organisation, request.visit.at
    lapsed_count = policy.lapsed_count(organisation.pk, at)
    leases = leases_of(request).filter(tenant=organisation)
    scheduled = leases.filter(state=Lease.State.SCHEDULED)
    context = {
        "running": leases.filter(state=Lease.State.ACTIVE).aggregate(
            leases=Count("pk"),
            cards=Coalesce(Sum(F("unit_count") * F("allocation__pool__unit_cards")), 0),
        ),
        "next_start": scheduled.order_by("period__startswith", "pk").first(),
        "to_sign": _to_sign(request, Side.TENANT),
        "held": _held(request).filter(tenant=organisation, basket=None)[:100],
        "baskets": _baskets(request),
        "gone": _gone(request),
        "lapsed_count": lapsed_count,
        "next_bps": policy.hold_bps(lapsed_count),
        "page": paged(leases, request),
    }
    return render(request, "console/rented.html", context)


def _baskets(request: ConsoleRequest) -> QuerySet[Basket]:
    """What the tenant holds together, the first to lapse first."""
    rows = Basket.objects.visible_to(request.visit.actor).filter(
        tenant=request.visit.organisation,
        state=Basket.State.HELD,
        expires_at__gt=request.visit.at,
    )
    lying = Reservation.objects.select_related(*_MACHINES).order_by("pk")
    return rows.prefetch_related(Prefetch("reservations", lying)).order_by("expires_at")[:100]


def _gone(request: ConsoleRequest) -> list[tuple[Reservation, str]]:
    """The tenant's holds of the last weeks that made no lease, each with the reason given."""
    visit = request.visit
    rows = list(
        Reservation.objects.filter(
            tenant=visit.organisation,
            state__in=[Reservation.State.EXPIRED, Reservation.State.CANCELLED],
            lease__isnull=True,
            created_at__gt=visit.at - policy.LAPSE_MEMORY,
        )
        .select_related(*_MACHINES)
        .order_by("-pk")[:_GONE]
    )
    reasons = dict(
        JournalEntry.objects.filter(
            object_id__in=[row.public_id for row in rows], event="reservation.cancelled"
        ).values_list("object_id", "reason")
    )
    return [(row, reasons.get(row.public_id, "")) for row in rows]
