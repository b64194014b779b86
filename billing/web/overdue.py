"""Instalments that nobody paid in time: how old they are, and which are given up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing import write_offs
from billing.models import Dunning, Instalment
from inventory.errors import DomainError
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.paging import paged


class WriteOffForm(ConsoleForm):
    """Why a debt is given up."""

    reason = reason_field()


@dataclass(frozen=True, slots=True)
class Late:
    """An overdue instalment, for how many days, and where its lease stands for it."""

    row: Instalment
    days: int
    dunning: Dunning | None
    asked_by_id: int | None  # who asked to give it up

    @property
    def is_debt(self) -> bool:
        return self.row.receivable_minor > self.row.cleared_minor


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Every overdue instalment, the one made last first, with its age."""
    rows = _rows(request).filter(state=Instalment.State.OVERDUE)
    found = paged(rows.select_related("lease", "tenant", "provider", "write_off"), request)
    context = {"page": found, "late": _late(found.rows, request.visit.at)}
    return render(request, "console/overdue.html", context, form=WriteOffForm())


def _late(rows: list[Instalment], at: datetime) -> list[Late]:
    leases = [row.lease_id for row in rows]
    open_rows = Dunning.objects.filter(lease__in=leases, state__in=Dunning.OPEN)
    dunned = {row.lease_id: row for row in open_rows}
    return [
        Late(
            row,
            max(0, (at - row.due_at).days),
            dunned.get(row.lease_id),
            row.write_off.asked_by_id if hasattr(row, "write_off") else None,
        )
        for row in rows
    ]


@page(scope="receipts:record", party="operator", changes=True, posts_only=True)
def ask(request: ConsoleRequest, instalment_id: str) -> HttpResponse:
    """One person asks to give a debt up."""
    visit = request.visit
    form = WriteOffForm(request.POST)
    row = find(_rows(request), instalment_id)
    if not form.is_valid():
        messages.error(request, _("Say why the debt is given up."))
        return redirect("overdue")
    try:
        write_offs.ask(
            instalment_public_id=row.public_id,
            reason=form.cleaned_data["reason"],
            at=visit.at,
            actor=visit.actor,
            user=visit.user,
        )
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Asked for; another person has to agree."))
    return redirect("overdue")


@page(scope="receipts:approve", party="operator", changes=True, posts_only=True)
def approve(request: ConsoleRequest, instalment_id: str) -> HttpResponse:
    """Another person agrees: it is written off."""
    visit = request.visit
    row = find(_rows(request), instalment_id)
    try:
        write_offs.approve(
            instalment_public_id=row.public_id, at=visit.at, actor=visit.actor, user=visit.user
        )
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Written off."))
    return redirect("overdue")


def _rows(request: ConsoleRequest) -> QuerySet[Instalment]:
    return Instalment.objects.visible_to(request.visit.actor)
