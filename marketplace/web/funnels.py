"""The card-hour funnel on a page: its period, its figures, its bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.periods import Period
from marketplace.models import RollupMark
from marketplace.utilisation import Row, readings
from marketplace.utilisation.readings import Days
from marketplace.web import charts
from marketplace.web.entry import ConsoleRequest
from marketplace.web.forms import ConsoleForm

LONGEST_DAYS = 400
DEFAULT_DAYS = 30
STAGES = ("installed", "serviceable", "listed", "sold", "delivered", "busy")
# What a stage lost to the next one, and of which stage it is a share.
LEAKS = (("listed_down", "listed"), ("sold_down", "sold"), ("undelivered", "sold"))
NUMBERS = len(STAGES) + len(LEAKS)  # columns of a file that are card-hours
WORDS = {
    "installed": gettext_lazy("installed"),
    "serviceable": gettext_lazy("serviceable"),
    "listed": gettext_lazy("listed"),
    "sold": gettext_lazy("sold"),
    "delivered": gettext_lazy("delivered"),
    "busy": gettext_lazy("busy"),
    "listed_down": gettext_lazy("listed but down"),
    "sold_down": gettext_lazy("sold but down"),
    "undelivered": gettext_lazy("sold but not delivered"),
}


class PeriodForm(ConsoleForm):
    """Which days, on the market's clock; both are included."""

    first = forms.DateField(
        label=gettext_lazy("First day"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    last = forms.DateField(
        label=gettext_lazy("Last day, included"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def __init__(self, *args: Any, today: date, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.today = today

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        first, last = data.get("first"), data.get("last")
        if not first or not last:
            return data
        if last < first:
            self.add_error("last", _("The last day lies before the first: exchange them."))
        elif first > self.today:
            self.add_error("first", _("This day lies ahead: nothing has been delivered yet."))
        elif (last - first).days >= LONGEST_DAYS or first.year < 2000:
            self.add_error("first", _("At most %(n)s days can be looked at.") % {"n": LONGEST_DAYS})
        return data


@dataclass(frozen=True, slots=True)
class Asked:
    """The period a page is about; None where the one asked for makes no sense."""

    form: PeriodForm
    mark: RollupMark
    days: Days | None  # what is counted of it; None where nothing is, too
    period: Period | None
    is_cut: bool = False  # it reaches beyond what is counted

    @property
    def is_empty(self) -> bool:
        """A sensible question about days of which nothing is counted yet."""
        return self.days is None and not self.form.errors

    @property
    def query(self) -> str:
        """What keeps the period on the way to another page."""
        if not self.form.is_bound or self.period is None:
            return ""
        days = self.form.cleaned_data
        return f"first={days['first'].isoformat()}&last={days['last'].isoformat()}"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the funnel with its bar, its name, and the page behind it."""

    row: Row
    name: str
    note: str
    url: str
    parts: list[charts.Part]
    leaks: list[float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One stage or leak of the whole: card-hours, and the share of the stage it belongs to."""

    name: str
    amount: float | None
    share: float | None
    of: str


def asked(request: ConsoleRequest) -> Asked:
    """The days asked for, as far as they are counted; the last thirty where none are. One
    statement."""
    zone = ZoneInfo(settings.BILLING_ZONE)
    today = request.visit.at.astimezone(zone).date()
    usual = {"first": today - timedelta(days=DEFAULT_DAYS), "last": today}
    given = request.GET if "first" in request.GET or "last" in request.GET else None
    form, mark = PeriodForm(given, initial=usual, today=today), readings.mark()
    if not form.is_bound:
        wanted: Mapping[str, date] = usual
    elif form.is_valid():
        wanted = form.cleaned_data
    else:
        return Asked(form, mark, None, None)
    through = readings.counted_through(mark.counted_until)
    if mark.counted_until is None or through is None or through < wanted["first"]:
        return Asked(form, mark, None, None)
    days = Days(wanted["first"], min(wanted["last"], through))
    end = min(_midnight(days.last + timedelta(days=1), zone), mark.counted_until)
    period = Period(_midnight(days.first, zone), end)
    return Asked(form, mark, days, period, is_cut=form.is_bound and wanted["last"] > days.last)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone)


def stages(whole: Row) -> list[Figure]:
    """Each stage with its share of what is installed."""
    return [_figure(name, "installed", whole) for name in STAGES]


def leaks(whole: Row) -> list[Figure]:
    return [_figure(name, of, whole) for name, of in LEAKS]


def _figure(name: str, of: str, whole: Row) -> Figure:
    amount, base = getattr(whole, name), getattr(whole, of)
    share = amount / base if amount is not None and base else None
    return Figure(name=str(WORDS[name]), amount=amount, share=share, of=str(WORDS[of]))


@dataclass(frozen=True, slots=True)
class Share:
    """Where a part of what is installed went; the parts of a whole add up to it."""

    name: str
    code: str  # of its colour
    drop: str  # of the page that shows where it was lost; empty for what was delivered
    seconds: int
    whole: int

    @property
    def amount(self) -> float:
        return self.seconds / 3600

    @property
    def share(self) -> float:
        return self.seconds / self.whole if self.whole else 0.0


# What each stage lacks of the one before: its name, its colour, and both stages.
DROPS = {
    "down": (gettext_lazy("not serviceable"), "p-down", "installed", "serviceable"),
    "unlisted": (gettext_lazy("serviceable, not listed"), "p-unlisted", "serviceable", "listed"),
    "unsold": (gettext_lazy("listed, not sold"), "p-listed", "listed", "sold"),
    "undelivered": (gettext_lazy("sold, not delivered"), "p-held", "sold", "delivered"),
}


def went(amounts: Mapping[str, int]) -> list[Share]:
    """Delivered, and what was lost on the way to it."""
    whole = amounts["installed"]
    lost = [
        Share(str(name), code, drop, amounts[before] - amounts[after], whole)
        for drop, (name, code, before, after) in DROPS.items()
    ]
    delivered = Share(str(WORDS["delivered"]), "p-sold", "", amounts["delivered"], whole)
    return [*lost, delivered]


def line(row: Row, *, name: str, note: str = "", url: str) -> Line:
    """delivered ⊂ sold ⊂ listed ⊂ serviceable ⊂ installed, side by side."""
    parts = charts.bar(
        [
            ("p-sold", "", row.delivered),
            ("p-held", "", row.sold - row.delivered),
            ("p-listed", "", row.listed - row.sold),
            ("p-unlisted", "", row.serviceable - row.listed),
            ("p-down", "", row.installed - row.serviceable),
        ],
        whole=row.installed,
    )
    return Line(row, name, note, url, parts, [getattr(row, leak) for leak, _of in LEAKS])


def csv_header(first: Sequence[str]) -> list[str]:
    names = [*STAGES, *(leak for leak, _of in LEAKS)]
    return [*first, _("From"), _("Until"), *(str(WORDS[name]) for name in names)]


def csv_cells(row: Row, period: Period) -> list[str]:
    """The figures of one row, in card-hours; what nobody measured says so."""
    amounts = [getattr(row, name) for name in (*STAGES, *(leak for leak, _of in LEAKS))]
    return [
        period.start.isoformat(),
        period.end.isoformat(),
        *(_("not measured") if amount is None else f"{amount:.2f}" for amount in amounts),
    ]
