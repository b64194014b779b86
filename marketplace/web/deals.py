"""Reservations and leases, as their provider, their tenant and the operator see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from django.contrib import messages
from django.db.models import Model, QuerySet, Sum, prefetch_related_objects
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from inventory import credentials
from inventory.errors import DomainError
from inventory.models import UsageHour
from marketplace.models import Lease, Reservation
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.paging import paged

D = TypeVar("D", bound=Model)
_MACHINES = ("allocation__pool__fabric__centre", "allocation__pool__chip")
_AHEAD = 8


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
    """What a tenant holds and rents."""
    organisation = request.visit.organisation
    context = {
        "held": _held(request).filter(tenant=organisation)[:100],
        "page": paged(leases_of(request).filter(tenant=organisation), request),
    }
    return render(request, "console/rented.html", context)


@page(scope="audit:read", party="operator")
def everyone(request: ConsoleRequest) -> HttpResponse:
    """Every lease of the market."""
    return render(request, "console/all_leases.html", {"page": paged(leases_of(request), request)})


@page(scope="leases:read")
def detail(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """One lease: what was agreed, what was delivered, and which nodes serve it."""
    return _detail(request, lease_id, {})


@never_cache
@page(scope="credentials:reveal", party="tenant", posts_only=True)
def reveal(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """Shows the way in; every look is journalled. Never kept as a stored reply."""
    visit = request.visit
    lease = find(leases_of(request), lease_id)
    try:
        secret = credentials.reveal(
            allocation_id=lease.allocation_id, at=visit.at, actor=visit.actor
        )
    except DomainError as error:
        messages.error(
            request,
            _("There is no way in yet, or no more.")
            if error.status == 404
            else refusals.explain(error),
        )
        return redirect("lease", lease.public_id)
    return _detail(request, lease_id, {"secret": secret})


def _detail(request: ConsoleRequest, lease_id: str, extra: dict[str, Any]) -> HttpResponse:
    visit = request.visit
    rows = leases_of(request).select_related("price", "terms", "project", "tenant", "provider")
    lease = find(rows, lease_id)
    usage = UsageHour.objects.filter(allocation_id=lease.allocation_id).aggregate(
        delivered=Sum("card_seconds"), missed=Sum("gap_card_seconds")
    )
    is_provider = visit.organisation.pk == lease.provider_id or visit.actor.sees_everything
    bindings = lease.allocation.bindings.select_related("node").order_by("during", "node_id")
    context = {
        "lease": lease,
        "zone": lease.allocation.pool.fabric.centre.timezone,
        "delivered_hours": (usage["delivered"] or 0) / 3600,
        "missed_hours": (usage["missed"] or 0) / 3600,
        "bindings": bindings[:100] if is_provider else [],
        "is_tenant": visit.organisation.pk == lease.tenant_id,
        "is_provider": is_provider,
        "can_cancel": lease.state == Lease.State.SCHEDULED
        and visit.organisation.pk == lease.tenant_id,
        **extra,
    }
    return render(request, "console/lease.html", context)
