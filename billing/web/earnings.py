"""What a provider has earned, month by month, and what it is owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import settlement
from billing.models import Settlement
from billing.settlement import MonthEarned
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import money, money_text
from marketplace.web import charts, exports
from marketplace.web.entry import ConsoleRequest, attempt, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """A month and its stacked bar, against the best month."""

    row: MonthEarned
    parts: list[charts.Part]

    @property
    def card_hours(self) -> float:
        return self.row.card_seconds / 3600


def last_months(at: datetime, count: int = MONTHS) -> Period:
    """The present month and those before it, in the billing zone."""
    end = money.month_of(at, settings.BILLING_ZONE).end
    start = end
    for _number in range(count):
        start = money.month_of(start - timedelta(days=1), settings.BILLING_ZONE).start
    return Period(start, end)


@page(scope="settlements:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """Gross, fee, tax and net by month; settlements; what is payable now."""
    visit = request.visit
    found = settlement.earnings(provider_id=visit.organisation.pk, period=last_months(visit.at))
    best = max((row.gross_minor for row in found.months), default=0)
    context = {
        "payable": found.payable,
        "months": [_bar(row, best) for row in reversed(found.months)],
        "page": paged(Settlement.objects.filter(provider=visit.organisation), request),
    }
    return render(request, "console/earnings.html", context)


def _bar(row: MonthEarned, best: int) -> Bar:
    parts = charts.bar(
        [
            ("p-sold", "", row.net_minor),
            ("p-listed", "", row.fee_minor),
            ("p-external", "", row.vat_minor),
        ],
        whole=best,
    )
    return Bar(row, parts)


@page(scope="settlements:read", party="provider")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    visit = request.visit
    found = settlement.earnings(provider_id=visit.organisation.pk, period=last_months(visit.at))
    header = [_("Month"), _("Currency"), _("Card-hours"), _("Gross"), _("Fee"), _("VAT"), _("Net")]

    def text(amount: int, currency: str) -> str:
        return money_text.plain_money(amount, currency)

    lines = (
        [
            f"{row.month.start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}", row.currency,
            f"{row.card_seconds / 3600:.2f}", text(row.gross_minor, row.currency),
            text(row.fee_minor, row.currency), text(row.vat_minor, row.currency),
            text(row.net_minor, row.currency),
        ]
        for row in found.months
    )  # fmt: skip
    return exports.stream("earnings", header, lines)


class SettleForm(ConsoleForm):
    """Which provider and month."""

    provider = forms.ChoiceField(label=gettext_lazy("Provider"))
    month = forms.DateField(
        label=gettext_lazy("Month"),
        input_formats=["%Y-%m"],
        widget=forms.DateInput(attrs={"type": "month"}, format="%Y-%m"),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.providers = {
            row.public_id: row
            for row in Organisation.objects.filter(is_provider=True).order_by("name")
        }
        choice = self.fields["provider"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [(key, row.name) for key, row in self.providers.items()]


@page(scope="audit:read", party="operator", changes=True)
def settlements(request: ConsoleRequest) -> HttpResponse:
    """Every settlement; a POST settles a provider for a month that is over."""
    visit = request.visit
    form = SettleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "settlements:write")
        if form.is_valid():
            _settle(request, form)
            if form.is_valid():
                return redirect("settlements")
    rows = Settlement.objects.visible_to(visit.actor).select_related("provider")
    return render(request, "console/settlements.html", {"page": paged(rows, request)}, form=form)


def _settle(request: ConsoleRequest, form: SettleForm) -> None:
    visit = request.visit
    day = form.cleaned_data["month"]
    if not 2000 < day.year < 2199:
        form.add_error("month", _("This month is not acceptable."))
        return
    noon = datetime(day.year, day.month, 2, 12, tzinfo=visit.at.tzinfo)
    month = money.month_of(noon, settings.BILLING_ZONE)
    if month.end > visit.at:
        form.add_error("month", _("This month is not over yet."))
        return
    provider = form.providers[form.cleaned_data["provider"]]
    done = attempt(
        form,
        lambda: (
            settlement.settle(
                provider_id=provider.pk,
                period=month,
                currency=settings.DEFAULT_CURRENCY,
                at=visit.at,
                actor=visit.actor,
            ),
        ),
    )
    if done is None:
        return
    if done[0] is None:
        messages.info(request, _("Nothing to settle: no positive net up to this month."))
    else:
        messages.success(request, _("Settled for %(name)s.") % {"name": provider.name})
