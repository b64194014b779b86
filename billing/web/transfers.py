"""How a tenant pays a held deal by bank: how much, where to, by when, and its reference."""

from __future__ import annotations

from django.http import HttpResponse

from billing import instructions
from marketplace.models import Basket, Reservation
from marketplace.selling import parties
from marketplace.web import deals
from marketplace.web.entry import ConsoleRequest, find, page, render


@page(scope="reservations:read", party="tenant")
def of_reservation(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    rows = Reservation.objects.filter(tenant=request.visit.organisation)
    row = find(rows.select_related("tenant", "provider", "basket"), reservation_id)
    deals.with_machines([row])
    return _instructions(request, row, [row], is_direct=parties(row.selling).payee == "provider")


@page(scope="reservations:read", party="tenant")
def of_basket(request: ConsoleRequest, basket_id: str) -> HttpResponse:
    rows = Basket.objects.filter(tenant=request.visit.organisation).select_related("tenant")
    row = find(rows, basket_id)
    parts = deals.with_machines(list(row.reservations.select_related("provider").order_by("pk")))
    return _instructions(request, row, parts, is_direct=False)


def _instructions(
    request: ConsoleRequest,
    deal: Reservation | Basket,
    parts: list[Reservation],
    *,
    is_direct: bool,
) -> HttpResponse:
    context = {
        "deal": deal,
        "parts": parts,
        "is_direct": is_direct,
        "transfer": None if is_direct else instructions.for_deal(deal),
    }
    return render(request, "console/transfer.html", context)
