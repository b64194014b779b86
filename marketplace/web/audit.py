"""The card-hour funnel for the operator: the market, what is in each part, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from django.conf import settings
from django.db.models import Q, Sum
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from inventory.models import (
    Centre,
    Chip,
    HubNode,
    Organisation,
    Outage,
    OwnerKind,
    Pool,
    UsageHour,
)
from inventory.periods import Period
from marketplace import utilisation
from marketplace.models import Lease, Listing
from marketplace.utilisation import GroupBy, Row, readings
from marketplace.utilisation.readings import Place, PoolSum
from marketplace.web import charts, exports, funnels, names, quadrants
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.funnels import Asked, Line

MOST_ROWS = 200  # of each kind behind one pool; the file of all leases has the rest
MOST_LINES = 50  # of a group on a page; its file has all


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """The whole market. Two statements beside who asks, however long the period is."""
    asked = funnels.asked(request)
    by = group_asked(request)
    context: dict[str, Any] = {
        "asked": asked, "zone": settings.BILLING_ZONE, "by": by, "tab": "funnel",
        "choices": groupings(),
    }  # fmt: skip
    if asked.days is not None:
        sums = readings.of_pools(asked.days)
        context |= _whole(sums) | {
            "quadrant": quadrants.of(sums, asked),
            "group": _group(sums, by, asked),
            "definitions": utilisation.definitions(get_language()),
        }
    return render(request, "console/audit.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """The rows behind the bars, in card-hours, by whatever the page groups them by."""
    asked = funnels.asked(request)
    if asked.days is None or asked.period is None:  # the page says what is wrong with it
        return HttpResponseRedirect(f"{reverse('audit')}?{request.GET.urlencode()}")
    by = group_asked(request)
    return _stream(request, readings.of_pools(asked.days), by, asked.period, f"funnel-{by}")


@page(scope="audit:read", party="operator")
def detail(request: ConsoleRequest, by: str, key: str) -> HttpResponse:
    """What is in one part of the market, pool by pool; or all the rows behind one pool."""
    asked = funnels.asked(request)
    title, note, within = part(by, key)
    context: dict[str, Any] = {
        "asked": asked, "zone": settings.BILLING_ZONE, "by": by, "key": key,
        "title": title, "note": note, "within_query": urlencode({"by": by, "key": key}),
    }  # fmt: skip
    if asked.days is not None and asked.period is not None:
        sums = readings.of_pools(asked.days, within)
        context |= _whole(sums)
        if by == "pool":
            context |= _behind(key, asked.period)
        else:
            context["group"] = _group(sums, "pool", asked)
    return render(request, "console/audit_part.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def detail_csv(request: ConsoleRequest, by: str, key: str) -> HttpResponseBase:
    """The pools of one part, in card-hours."""
    asked = funnels.asked(request)
    _title, _note, within = part(by, key)
    if asked.days is None or asked.period is None:
        address = reverse("audit_part", args=[by, key])
        return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")
    sums = readings.of_pools(asked.days, within)
    return _stream(request, sums, "pool", asked.period, f"funnel-{by}-pools")


def groupings() -> list[tuple[GroupBy, str]]:
    """What the funnel is grouped by, in words."""
    return [
        ("centre", _("Centre")), ("region", _("Region")), ("hub", _("Hub node")),
        ("owner", _("Owner type")), ("provider", _("Provider")), ("chip", _("Chip")),
        ("pool", _("Pool")),
    ]  # fmt: skip


def within_asked(request: ConsoleRequest) -> tuple[str, str, Q | None]:
    """Name, query and pools of the part that a page is narrowed down to; all of it where none is
    named. Raises Http404."""
    by, key = request.GET.get("by", ""), request.GET.get("key", "")
    if not key:
        return "", "", None
    title, _note, within = part(by, key)
    return title, urlencode({"by": by, "key": key}), within


def group_asked(request: ConsoleRequest) -> GroupBy:
    text = request.GET.get("by", "")
    return next((group for group in get_args(GroupBy) if group == text), "centre")


def part(by: str, key: str) -> tuple[str, str, Q]:
    """Name, note and pools of a part of the market. Raises Http404."""
    if by == "centre":
        centre = find(Centre.objects.all(), key)
        return names.of(centre), names.place(centre), Q(fabric__centre=centre)
    if by == "provider":
        provider = find(Organisation.objects.filter(is_provider=True), key)
        return names.of(provider), "", Q(provider=provider)
    if by == "chip":
        chip = Chip.objects.filter(code=key[:40]).first() if key.isascii() else None
        if chip is None:
            raise Http404
        return f"{chip.vendor} {chip.model}", "", Q(chip=chip)
    if by == "pool":
        pools = Pool.objects.select_related("fabric__centre", "chip")
        pool = find(pools, key)
        return pool.name, f"{names.of(pool.fabric.centre)} · {pool.chip.model}", Q(pk=pool.pk)
    if by == "hub" and key in HubNode.values:
        return str(HubNode(key).label), _("Hub node"), Q(fabric__centre__hub=key)
    if by == "owner" and key in OwnerKind.values:
        return str(OwnerKind(key).label), _("Owner type"), Q(fabric__centre__owner_kind=key)
    if by == "region" and key.isprintable():
        if Centre.objects.filter(region=key[:60]).exists():
            return key, _("Region"), Q(fabric__centre__region=key)
    raise Http404


def _whole(sums: Sequence[PoolSum]) -> dict[str, Any]:
    """The figures of all of it, and whether its parts add up to it."""
    whole = utilisation.whole_of(sums)
    amounts = readings.total(sums)
    went = funnels.went(amounts)
    classes = readings.by_class(sums)
    return {
        "whole": whole,
        "stages": funnels.stages(whole),
        "leaks": funnels.leaks(whole),
        "went": went,
        "went_bar": charts.bar(
            [(one.code, "", float(one.seconds)) for one in reversed(went)],
            whole=amounts["installed"],
        ),
        "adds_up": sum(one.seconds for one in went) == amounts["installed"]
        and all(one.seconds >= 0 for one in went),
        "classes": classes,
        # Classes are counted before they are cut to what was listed and in use.
        "class_cut": {
            "sold": sum(row.sold for row in classes) - amounts["sold"],
            "delivered": sum(row.delivered for row in classes) - amounts["delivered"],
        },
    }


def _group(sums: Sequence[PoolSum], by: GroupBy, asked: Asked) -> dict[str, Any]:
    """The parts that the market falls into, the largest first."""
    rows = utilisation.of_sums(sums, by)
    title = next(str(word) for name, word in groupings() if name == by)
    labels = _labels(sums, by)
    query = f"?{asked.query}" if asked.query else ""
    lines = [_line(row, labels[row.key], by, query) for row in rows[:MOST_LINES]]
    installed = sum(round(row.installed * 3600) for row in rows)
    return {
        "by": by,
        "title": title,
        "lines": lines,
        "more": len(rows) - len(lines),
        "count": len(rows),
        "adds_up": installed == readings.total(sums)["installed"],
    }


def _line(row: Row, labels: tuple[str, ...], by: GroupBy, query: str) -> Line:
    url = reverse("audit_part", args=[by, row.key]) + query
    return funnels.line(row, name=labels[0], note=" · ".join(labels[1:]), url=url)


def _labels(sums: Sequence[PoolSum], by: GroupBy) -> dict[str, tuple[str, ...]]:
    """Names in the reader's language; a pool's with its centre and chip."""
    labels: dict[str, tuple[str, ...]] = {}
    for one in sums:
        key = utilisation.place_of(one.place, by)[0]
        if key not in labels:
            labels[key] = _label(one.place, by)
    return labels


def _label(place: Place, by: GroupBy) -> tuple[str, ...]:
    centre = names.choose(place.centre_name, place.centre_name_en)
    if by == "centre":
        return (centre, place.region)
    if by == "pool":
        return (place.pool_name, centre, place.chip_model)
    return (utilisation.place_of(place, by)[1],)


def _behind(pool_id: str, period: Period) -> dict[str, Any]:
    """Every row that the figures of one pool were counted from, as far as the period goes."""
    pool = find(Pool.objects.all(), pool_id)
    leases = list(
        Lease.objects.filter(allocation__pool=pool, period__overlap=period.range)
        .select_related("tenant")
        .order_by("period", "pk")[: MOST_ROWS + 1]
    )
    delivered = dict(
        UsageHour.objects.filter(
            allocation_id__in=[row.allocation_id for row in leases],
            hour__gte=period.start,
            hour__lt=period.end,
        )
        .values_list("allocation_id")
        .annotate(Sum("card_seconds"))
    )
    outages = Outage.objects.filter(pool=pool).filter(
        Q(period__overlap=period.range)
        | Q(state=Outage.State.OPEN, period__startswith__lt=period.end)
    )
    return {
        "pool": pool,
        "leases": [
            (row, (delivered.get(row.allocation_id) or 0) / 3600) for row in leases[:MOST_ROWS]
        ],
        "more_leases": len(leases) > MOST_ROWS,
        "listings": Listing.objects.filter(pool=pool, block__sellable__overlap=period.range)
        .select_related("block")
        .order_by("-pk")[:MOST_ROWS],
        "outages": outages.select_related("node").order_by("-period")[:MOST_ROWS],
    }


def _stream(
    request: ConsoleRequest, sums: Sequence[PoolSum], by: GroupBy, period: Period, name: str
) -> HttpResponseBase:
    labels = _labels(sums, by)
    first = {"centre": [_("Centre"), _("Region")], "pool": [_("Pool"), _("Centre"), _("Chip")]}
    title = next(str(word) for group, word in groupings() if group == by)
    header = funnels.csv_header(first.get(by, [title]))
    rows = utilisation.of_sums(sums, by)
    lines = ([*labels[row.key], *funnels.csv_cells(row, period)] for row in rows)
    return exports.table(request, name, header, lines, numbers=funnels.NUMBERS)
