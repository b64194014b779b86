"""Every lease of the market, for the operator: narrowed down, and as a file."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.models import Organisation
from marketplace import money_text
from marketplace.models import Lease
from marketplace.web import deals, exports, names
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

EXPORT_ROWS = 50_000


class FilterForm(ConsoleForm):
    """Which leases; what is left open takes all."""

    state = forms.ChoiceField(label=gettext_lazy("State"), required=False)
    provider = forms.ChoiceField(label=gettext_lazy("Provider"), required=False)
    tenant = forms.ChoiceField(label=gettext_lazy("Tenant"), required=False)
    day = forms.DateField(
        label=gettext_lazy("Running on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.organisations = {
            row.public_id: row
            for row in Organisation.objects.filter(is_operator=False).order_by("name", "pk")
        }
        choices: dict[str, list[tuple[str, str]]] = {
            "state": [(str(value), str(label)) for value, label in Lease.State.choices],
            "provider": [(k, names.of(o)) for k, o in self.organisations.items() if o.is_provider],
            "tenant": [(k, names.of(o)) for k, o in self.organisations.items() if o.is_tenant],
        }
        for name, known in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", _("any")), *known]

    def narrow(self, rows: QuerySet[Lease]) -> QuerySet[Lease]:
        data = self.cleaned_data
        if data["state"]:
            rows = rows.filter(state=data["state"])
        if data["provider"]:
            rows = rows.filter(provider=self.organisations[data["provider"]])
        if data["tenant"]:
            rows = rows.filter(tenant=self.organisations[data["tenant"]])
        if data["day"]:
            zone = ZoneInfo(settings.BILLING_ZONE)
            first = datetime.combine(data["day"], time.min, tzinfo=zone)
            last = datetime.combine(data["day"], time.max, tzinfo=zone)
            rows = rows.filter(period__startswith__lte=last, period__endswith__gt=first)
        return rows

    @property
    def is_narrow(self) -> bool:
        return self.is_valid() and any(self.cleaned_data.values())


def _asked(request: ConsoleRequest) -> tuple[FilterForm, QuerySet[Lease] | None]:
    """The filter, and the rows it leaves; None where it makes no sense."""
    form = FilterForm(request.GET)
    if not form.is_valid():
        return form, None
    rows = deals.leases_of(request).select_related("provider", "tenant", "price")
    return form, form.narrow(rows)


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    form, rows = _asked(request)
    context = {
        "page": paged(Lease.objects.none() if rows is None else rows, request),
        "is_narrow": form.is_narrow,
        "query": request.GET.urlencode(),
    }
    return render(request, "console/all_leases.html", context, form=form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """The leases the page shows, all of them, in UTC."""
    _form, rows = _asked(request)
    if rows is None:  # the page says what is wrong with the filter
        return HttpResponseRedirect(f"{reverse('all_leases')}?{request.GET.urlencode()}")
    header = [
        _("Lease"), _("State"), _("Provider"), _("Tenant"), _("Centre"), _("Pool"), _("Chip"),
        _("Units"), _("Cards"), _("From"), _("Until"), _("Usable since"), _("Ended"), _("Why"),
        _("Currency"), _("Price in all"), _("Paid at confirmation"),
    ]  # fmt: skip
    lines = (_cells(row) for row in rows.order_by("-pk")[:EXPORT_ROWS].iterator(chunk_size=500))
    return exports.stream("leases", header, lines)


def _cells(row: Lease) -> list[object]:
    pool = row.allocation.pool

    def instant(value: datetime | None) -> str:
        return value.isoformat() if value else ""

    return [
        row.public_id, row.get_state_display(), names.of(row.provider), names.of(row.tenant),
        names.of(pool.fabric.centre), pool.name, pool.chip.model, row.unit_count, row.card_count,
        instant(row.period.lower), instant(row.period.upper), instant(row.active_at),
        instant(row.ended_at), row.get_end_reason_display(), row.currency,
        money_text.plain_money(row.gross_minor, row.currency),
        money_text.plain_money(row.due_minor, row.currency),
    ]  # fmt: skip
