"""The card-hour funnel for the operator: by centre and by chip, as bars, table and file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from inventory.periods import Period, floor_hour
from marketplace import utilisation
from marketplace.web import charts, exports
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm

LONGEST_DAYS = 400
DEFAULT_DAYS = 30
STAGES = ("installed", "serviceable", "listed", "sold", "delivered", "busy")


class PeriodForm(ConsoleForm):
    """Which days, on the market's clock; both are included."""

    first = forms.DateField(
        label=gettext_lazy("First day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    last = forms.DateField(
        label=gettext_lazy("Last day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        first, last = data.get("first"), data.get("last")
        if first and last:
            if last < first:
                self.add_error("last", _("The last day lies before the first."))
            elif (last - first).days > LONGEST_DAYS or not 2000 < first.year <= last.year < 2199:
                self.add_error("first", _("At most 400 days can be looked at."))
        return data


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the funnel with its bar."""

    row: utilisation.Row
    parts: list[charts.Part]


def _asked(request: ConsoleRequest) -> tuple[PeriodForm, Period]:
    """The period asked for; the last thirty days where none or a wrong one is."""
    zone = ZoneInfo(settings.BILLING_ZONE)
    today = request.visit.at.astimezone(zone).date()
    usual = {"first": today - timedelta(days=DEFAULT_DAYS), "last": today}
    form = PeriodForm(request.GET if "first" in request.GET else None, initial=usual)
    days = form.cleaned_data if form.is_bound and form.is_valid() else usual
    start = _midnight(days["first"], zone)
    end = min(_midnight(days["last"] + timedelta(days=1), zone), floor_hour(request.visit.at))
    # The future has no deliveries yet; a period wholly in it shows its first hour.
    return form, Period(start, max(end, start + timedelta(hours=1)))


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    form, period = _asked(request)
    actor = request.visit.actor
    by_centre = utilisation.funnel(period=period, group_by="centre", actor=actor)
    by_chip = utilisation.funnel(period=period, group_by="chip", actor=actor)
    whole = utilisation.total(by_centre)
    context = {
        "period": period,
        "zone": settings.BILLING_ZONE,
        "whole": whole,
        "stages": _stages(whole),
        "groups": [
            (_("By centre"), "centre", [_line(row) for row in by_centre]),
            (_("By chip"), "chip", [_line(row) for row in by_chip]),
        ],
        "definitions": utilisation.definitions(get_language()),
    }
    return render(request, "console/audit.html", context, form=form)


def _stages(whole: utilisation.Row) -> list[dict[str, Any]]:
    """Each stage with its share of what is installed."""
    words = {
        "installed": _("installed"),
        "serviceable": _("serviceable"),
        "listed": _("listed"),
        "sold": _("sold"),
        "delivered": _("delivered"),
        "busy": _("busy"),
    }
    result = []
    for name in STAGES:
        amount = getattr(whole, name)
        share = amount / whole.installed if amount is not None and whole.installed else None
        result.append({"name": words[name], "amount": amount, "share": share})
    return result


def _line(row: utilisation.Row) -> Line:
    """delivered ⊂ sold ⊂ listed ⊂ serviceable ⊂ installed, side by side."""
    return Line(
        row,
        charts.bar(
            [
                ("p-sold", "", row.delivered),
                ("p-held", "", row.sold - row.delivered),
                ("p-listed", "", row.listed - row.sold),
                ("p-unlisted", "", row.serviceable - row.listed),
                ("p-down", "", row.installed - row.serviceable),
            ],
            whole=row.installed,
        ),
    )


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    """The rows behind the bars, in card-hours."""
    _form, period = _asked(request)
    by: utilisation.GroupBy = "chip" if request.GET.get("by") == "chip" else "centre"
    rows = utilisation.funnel(period=period, group_by=by, actor=request.visit.actor)
    header = [
        _("Chip") if by == "chip" else _("Centre"), _("From"), _("Until"), _("installed"),
        _("serviceable"), _("listed"), _("sold"), _("delivered"), _("busy"),
    ]  # fmt: skip
    lines = (
        [
            row.label, period.start.isoformat(), period.end.isoformat(),
            *(f"{getattr(row, name):.2f}" for name in STAGES[:-1]),
            _("not measured") if row.busy is None else f"{row.busy:.2f}",
        ]
        for row in rows
    )  # fmt: skip
    return exports.stream(f"funnel-{by}", header, lines)
