"""When the card-hours went: centre by day, hour by weekday, and all of it over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.html import escape
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from inventory.models import Centre
from marketplace.utilisation import readings
from marketplace.utilisation.readings import Cell, Days, WeekHour
from marketplace.web import charts, exports, funnels, names
from marketplace.web.audit import within_asked
from marketplace.web.entry import ConsoleRequest, page, render

MOST_COLUMNS = 45  # days; a longer period is shown by weeks
MOST_ROWS = 60  # centres, those with the most idle card-hours; the file has all
WEEK = 7


@dataclass(frozen=True, slots=True)
class Line:
    """One centre: its cells of the table, and what of it was idle."""

    name: str
    url: str
    levels: list[int | None]
    cells: SafeString
    idle: float  # card-hours
    idle_share: float | None


@dataclass(frozen=True, slots=True)
class Column:
    """All of the market in one column: the parts of its bar, from below, and their card-hours."""

    days: Days
    parts: list[charts.Part]
    amounts: list[float]
    installed: float
    x: int

    @property
    def label(self) -> str:
        return _label(self.days)


# From below; what is left of a stage is a part of its own.
PARTS: tuple[tuple[str, str, Callable[[Cell], int]], ...] = (
    ("p-sold", "delivered", lambda cell: cell.delivered),
    ("p-held", "undelivered", lambda cell: cell.sold - cell.delivered),
    ("p-listed", "unsold", lambda cell: cell.listed - cell.sold),
    ("p-unlisted", "unlisted", lambda cell: cell.serviceable - cell.listed),
    ("p-down", "down", lambda cell: cell.installed - cell.serviceable),
)


def part_names() -> list[tuple[str, str]]:
    """Colour and name of each part of a bar."""
    words = {drop: str(row[0]) for drop, row in funnels.DROPS.items()}
    return [(code, words.get(name) or str(funnels.WORDS[name])) for code, name, _of in PARTS]


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Three statements beside who asks, however long the period is."""
    asked = funnels.asked(request)
    title, within_query, within = within_asked(request)
    context: dict[str, Any] = {
        "asked": asked, "zone": settings.BILLING_ZONE, "tab": "map", "title": title,
        "within_query": within_query,
        "kept": [(name, request.GET[name]) for name in ("by", "key") if within_query],
    }  # fmt: skip
    if asked.days is not None:
        columns = columns_of(asked.days)
        cells = readings.of_centres(columns, within)
        lines = _lines(cells, columns, asked.days)
        context |= {
            "columns": [(_short(column), _label(column)) for column in columns],
            "is_weekly": len(columns) < asked.days.count,
            "lines": lines[:MOST_ROWS],
            "more": len(lines) - MOST_ROWS,
            "count": len(lines),
            "week": _week(readings.of_week(asked.days, within)),
            "hours": range(24),
            "stack": _stack(cells.values(), columns),
            "part_names": part_names(),
        }
    return render(request, "console/audit_map.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """Every centre and column of the map, in card-hours."""
    asked = funnels.asked(request)
    _title, _query, within = within_asked(request)
    if asked.days is None:
        return HttpResponseRedirect(f"{reverse('audit_map')}?{request.GET.urlencode()}")
    columns = columns_of(asked.days)
    cells = readings.of_centres(columns, within)
    labels = _labels(cells)
    stages = ("installed", "serviceable", "listed", "sold", "delivered")
    header = [
        _("Centre"), _("First day"), _("Last day, included"),
        *(str(funnels.WORDS[stage]) for stage in stages), _("idle"),
    ]  # fmt: skip
    lines = (
        [
            labels[key], column.first, column.last,
            *(f"{getattr(cell, stage) / 3600:.2f}" for stage in stages), f"{cell.idle / 3600:.2f}",
        ]
        for key, row in cells.items()
        for column, cell in zip(columns, row, strict=True)
    )  # fmt: skip
    return exports.table(request, "idle-map", header, lines, numbers=len(stages) + 1)


def columns_of(days: Days) -> list[Days]:
    """Its days; or its weeks from Monday on, where it has too many."""
    if days.count <= MOST_COLUMNS:
        return [Days(day, day) for day in _each(days)]
    columns, first = [], days.first
    while first <= days.last:
        last = min(first + timedelta(days=WEEK - 1 - first.weekday()), days.last)
        columns.append(Days(first, last))
        first = last + timedelta(days=1)
    return columns


def _each(days: Days) -> Iterable[date]:
    return (days.first + timedelta(days=number) for number in range(days.count))


def _short(days: Days) -> str:
    return f"{days.first:%m-%d}"


def _label(days: Days) -> str:
    if days.count == 1:
        return days.first.isoformat()
    return f"{days.first.isoformat()} – {days.last.isoformat()}"


def _labels(cells: dict[str, list[Cell]]) -> dict[str, str]:
    return {row.public_id: names.of(row) for row in Centre.objects.filter(public_id__in=cells)}


def _lines(cells: dict[str, list[Cell]], columns: Sequence[Days], days: Days) -> list[Line]:
    """The most idle card-hours first."""
    labels = _labels(cells)
    named = [(_label(column), _query(column)) for column in columns]
    lines = []
    for key, row in cells.items():
        idle, serviceable = sum(cell.idle for cell in row), sum(cell.serviceable for cell in row)
        address = reverse("audit_part", args=["centre", key])
        levels = [charts.level(cell.sold, cell.serviceable) for cell in row]
        name = escape(labels[key])
        # Thousands of them on a page: put together here, a template would take most of its time
        # for them. The name is the only text of people's in it.
        squares = "".join(
            _square(address + query, f"{name} · {label} · {_percent(cell.idle_share)}", level)
            for cell, level, (label, query) in zip(row, levels, named, strict=True)
        )
        share = idle / serviceable if serviceable else None
        url = address + _query(days).replace("&amp;", "&")
        lines.append(Line(labels[key], url, levels, SafeString(squares), idle / 3600, share))
    return sorted(lines, key=lambda line: (-line.idle, line.name))


def _square(url: str, text: str, level: int | None) -> str:
    colour = "" if level is None else f' class="l{level}"'
    link = f'<a class="cell-link" href="{url}" title="{text}" aria-label="{text}"></a>'
    return f"<td{colour}>{link}</td>"


def _query(days: Days) -> str:
    return f"?first={days.first.isoformat()}&amp;last={days.last.isoformat()}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f}%"


def _week(hours: Sequence[WeekHour]) -> list[tuple[str, list[tuple[int | None, str]]]]:
    """Monday to Sunday, as far as the days have them: the level and the idle share of each hour."""
    rows: dict[int, list[tuple[int | None, str]]] = {}
    for one in hours:
        level = charts.level(one.sold, one.serviceable)
        rows.setdefault(one.weekday, []).append((level, _percent(one.idle_share)))
    return [(str(WEEKDAYS_ABBR[number]), cells) for number, cells in sorted(rows.items())]


def _stack(rows: Iterable[list[Cell]], columns: Sequence[Days]) -> list[Column]:
    """All centres added up, column by column; a bar is as high as what was installed a day."""
    sums = [[0.0] * len(PARTS) for _column in columns]
    for row in rows:
        for number, cell in enumerate(row):
            for place, (_code, _name, of) in enumerate(PARTS):
                sums[number][place] += of(cell) / 3600
    heights = [sum(parts) / column.count for parts, column in zip(sums, columns, strict=True)]
    most = max(heights, default=0.0)
    return [
        Column(
            days=column,
            parts=charts.bar(
                [(code, "", amount / column.count)
                 for (code, _name, _of), amount in zip(PARTS, parts, strict=True)],
                whole=most,
            ),
            amounts=parts,
            installed=sum(parts),
            x=number,
        )
        for number, (column, parts) in enumerate(zip(columns, sums, strict=True))
    ]  # fmt: skip
