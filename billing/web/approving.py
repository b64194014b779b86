"""A provider declines a hold that waits for it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing import checkout
from marketplace.models import Reservation
from marketplace.web import figures, names
from marketplace.web.entry import ConsoleRequest, attempt, confirmation, find, page
from marketplace.web.forms import ConsoleForm, reason_field


class RejectForm(ConsoleForm):
    """Why; the tenant reads it."""

    reason = reason_field()


@page(scope="reservations:write", party="provider", changes=True)
def reject(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """Says what is declined, then gives the tenant everything back."""
    visit = request.visit
    rows = Reservation.objects.filter(provider=visit.organisation).select_related("tenant")
    row = find(rows, reservation_id)
    form = RejectForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        rejected = attempt(
            form,
            lambda: checkout.reject(
                reservation_public_id=row.public_id,
                at=visit.at,
                actor=visit.actor,
                **form.cleaned_data,
            ),
        )
        if rejected is not None:
            messages.success(request, _("Rejected; the tenant has its deposit back."))
            return redirect("approvals")
    lines = [
        _("%(tenant)s would pay %(amount)s.")
        % {
            "tenant": names.of(row.tenant),
            "amount": figures.amount(row.gross_minor, row.currency),
        },
        _("Its deposit is given back, and the units are free again. The tenant reads the reason."),
    ]
    return confirmation(
        request, form, title=_("Reject"), lines=lines, submit=_("Reject"), back="approvals"
    )
