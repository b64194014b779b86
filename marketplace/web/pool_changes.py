"""What a provider declares about a pool: own use, outages, and what a card-hour costs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import capacity
from inventory.models import Allocation, Outage, Pool
from inventory.periods import Period
from marketplace import listings, policy
from marketplace.web import money_fields
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field, reason_field
from marketplace.web.pools import own


class WindowForm(ConsoleForm):
    """A stretch of time on the centre's clock."""

    start = ZonedDateTimeField(label=gettext_lazy("From"))
    end = ZonedDateTimeField(label=gettext_lazy("Until"))

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, ZonedDateTimeField):
                field.zone = zone

    def period(self) -> Period:
        """Raises InvalidPeriod."""
        return Period(self.cleaned_data["start"], self.cleaned_data["end"])


class ExternalForm(WindowForm):
    """The centre's own use, or a contract made elsewhere."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=[(k, k.label) for k in (Allocation.Kind.OWN_USE, Allocation.Kind.ELSEWHERE)],
    )
    unit_count = count_field(label=gettext_lazy("Units"))
    note = forms.CharField(label=gettext_lazy("Contract or use"), max_length=200)
    field_order = ["kind", "unit_count", "start", "end", "note"]


class OutageForm(WindowForm):
    """Planned maintenance."""

    node_count = count_field(label=gettext_lazy("Nodes"))
    reason = reason_field()


class FloorForm(ConsoleForm):
    """What a card-hour costs the centre, by component."""

    power = money_fields.cost_field(label=gettext_lazy("Power"))
    depreciation = money_fields.cost_field(label=gettext_lazy("Depreciation"))
    network = money_fields.cost_field(label=gettext_lazy("Network"))
    operations = money_fields.cost_field(label=gettext_lazy("Operations"))


@page(scope="inventory:write", party="provider", changes=True)
def external(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Declares units taken outside this market, so that nothing is sold twice."""
    visit = request.visit
    pool = find(own(request), pool_id)
    zone = pool.fabric.centre.timezone
    form = ExternalForm(request.POST if request.method == "POST" else None, zone=zone)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        row = attempt(
            form,
            lambda: capacity.claim_external(
                pool_id=pool.pk,
                kind=data["kind"],
                unit_count=data["unit_count"],
                period=form.period(),
                note=data["note"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if row is not None:
            messages.success(request, _("Recorded; these units are no longer offered."))
            return redirect("pool", pool.public_id)
    return _form_page(request, form, pool, _("External allocation"), _("Record"), zone)


@page(scope="inventory:write", party="provider", changes=True)
def outage(request: ConsoleRequest, pool_id: str) -> HttpResponse:
    """Plans maintenance of some nodes over a period."""
    visit = request.visit
    pool = find(own(request), pool_id)
    zone = pool.fabric.centre.timezone
    form = OutageForm(request.POST if request.method == "POST" else None, zone=zone)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        row = attempt(
            form,
            lambda: capacity.set_outage(
                pool_id=pool.pk,
                kind=Outage.Kind.PLANNED,
                period=form.period(),
                node_count=data["node_count"],
                reason=data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if row is not None:
            messages.success(request, _("The maintenance is planned."))
            return redirect("pool", pool.public_id)
    return _form_page(request, form, pool, _("Plan maintenance"), _("Plan"), zone)


@page(scope="inventory:write", party="provider", changes=True, posts_only=True)
def close_outage(request: ConsoleRequest, pool_id: str, outage_id: str) -> HttpResponse:
    """The nodes serve again."""
    visit = request.visit
    pool = find(own(request), pool_id)
    row = find(pool.outages.all(), outage_id)
    form = ConsoleForm(request.POST)
    if attempt(
        form, lambda: capacity.close_outage(outage_id=row.pk, at=visit.at, actor=visit.actor)
    ):
        messages.success(request, _("The outage is over."))
    for error in form.non_field_errors():
        messages.error(request, str(error))
    return redirect("pool", pool.public_id)


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
            lambda: listings.set_floor(
                pool_id=pool.pk,
                at=visit.at,
                actor=visit.actor,
                **{f"{name}_micro": data[name] for name in money_fields.COMPONENTS},
            ),
        )
        if row is not None:
            messages.success(request, _("The floor is set; prices already asked stay."))
            return redirect("pool", pool.public_id)
    return _form_page(request, form, pool, _("Floor price"), _("Set"), "")


def _form_page(
    request: ConsoleRequest, form: forms.Form, pool: Pool, title: str, submit: str, zone: str
) -> HttpResponse:
    context = {"title": title, "pool": pool, "submit": submit, "zone": zone}
    return render(request, "console/pool_form.html", context, form=form)
