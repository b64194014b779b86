"""The card-hour funnel for the operator: the market, what is in each part, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.db.models import Q, Sum
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from inventory.models import Centre, Chip, Outage, Pool, UsageHour
from inventory.periods import Period
from marketplace import utilisation
from marketplace.models import Lease, Listing
from marketplace.utilisation import GroupBy, Row
from marketplace.web import exports, funnels, names
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.funnels import Asked, Line

MOST_ROWS = 200  # of each kind behind one pool; the file of all leases has the rest


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    asked = funnels.asked(request)
    context: dict[str, Any] = {"asked": asked, "zone": settings.BILLING_ZONE}
    if asked.period is not None:
        by_centre, by_chip = (_rows(request, by, asked.period) for by in ("centre", "chip"))
        context |= _whole(by_centre) | {
            "groups": [
                (_("By centre"), _("Centre"), "centre", _lines(by_centre, "centre", asked)),
                (_("By chip"), _("Chip"), "chip", _lines(by_chip, "chip", asked)),
            ],
            "definitions": utilisation.definitions(get_language()),
        }
    return render(request, "console/audit.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """The rows behind the bars, in card-hours; by centre, by chip, or by pool."""
    asked = funnels.asked(request)
    if asked.period is None:  # the page says what is wrong with it
        return HttpResponseRedirect(f"{reverse('audit')}?{request.GET.urlencode()}")
    by = _group(request.GET.get("by", ""))
    return _stream(request, by, asked.period, f"funnel-{by}", None)


@page(scope="audit:read", party="operator")
def detail(request: ConsoleRequest, by: str, key: str) -> HttpResponse:
    """What is in one centre or of one chip, pool by pool; or all the rows behind one pool."""
    asked = funnels.asked(request)
    title, note, within = _part(by, key)
    context: dict[str, Any] = {
        "asked": asked, "zone": settings.BILLING_ZONE, "by": by, "key": key,
        "title": title, "note": note,
    }  # fmt: skip
    if asked.period is not None:
        rows = _rows(request, "pool", asked.period, within)
        context |= _whole(rows)
        if by == "pool":
            context |= _behind(request, key, asked.period)
        else:
            context["groups"] = [
                (_("By pool"), _("Pool"), "pool", _lines(rows, "pool", asked)),
            ]
    return render(request, "console/audit_part.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def detail_csv(request: ConsoleRequest, by: str, key: str) -> HttpResponseBase:
    """The pools of one part, in card-hours."""
    asked = funnels.asked(request)
    _title, _note, within = _part(by, key)
    if asked.period is None:
        address = reverse("audit_part", args=[by, key])
        return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")
    return _stream(request, "pool", asked.period, f"funnel-{by}-pools", within)


def _group(text: str) -> GroupBy:
    return "chip" if text == "chip" else "pool" if text == "pool" else "centre"


def _part(by: str, key: str) -> tuple[str, str, Q]:
    """Name, note and pools of a part of the market. Raises Http404."""
    if by == "centre":
        centre = find(Centre.objects.all(), key)
        return (
            names.of(centre),
            names.place(centre),
            Q(fabric__centre=centre),
        )
    if by == "chip":
        chip = Chip.objects.filter(code=key[:40]).first() if key.isascii() else None
        if chip is None:
            raise Http404
        return f"{chip.vendor} {chip.model}", "", Q(chip=chip)
    if by == "pool":
        pools = Pool.objects.select_related("fabric__centre", "chip")
        pool = find(pools, key)
        return pool.name, f"{names.of(pool.fabric.centre)} · {pool.chip.model}", Q(pk=pool.pk)
    raise Http404


def _rows(
    request: ConsoleRequest, by: GroupBy, period: Period, within: Q | None = None
) -> list[Row]:
    return utilisation.funnel(period=period, group_by=by, actor=request.visit.actor, within=within)


def _whole(rows: Sequence[Row]) -> dict[str, Any]:
    whole = utilisation.total(rows)
    return {"whole": whole, "stages": funnels.stages(whole), "leaks": funnels.leaks(whole)}


def _lines(rows: Sequence[Row], by: GroupBy, asked: Asked) -> list[Line]:
    labels = _labels(rows, by)
    query = f"?{asked.query}" if asked.query else ""
    return [
        funnels.line(
            row,
            name=labels[row.key][0],
            note=" · ".join(labels[row.key][1:]),
            url=reverse("audit_part", args=[by, row.key]) + query,
        )
        for row in rows
    ]


def _labels(rows: Sequence[Row], by: GroupBy) -> dict[str, tuple[str, ...]]:
    """Names in the reader's language; a pool's with its centre and chip."""
    keys = [row.key for row in rows]
    if by == "centre":
        centres = Centre.objects.filter(public_id__in=keys)
        return {row.public_id: (names.of(row),) for row in centres}
    if by == "pool":
        pools = Pool.objects.filter(public_id__in=keys).select_related("fabric__centre", "chip")
        return {
            row.public_id: (row.name, names.of(row.fabric.centre), row.chip.model) for row in pools
        }
    return {row.key: (row.label,) for row in rows}


def _behind(request: ConsoleRequest, pool_id: str, period: Period) -> dict[str, Any]:
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
    request: ConsoleRequest, by: GroupBy, period: Period, name: str, within: Q | None
) -> HttpResponseBase:
    rows = _rows(request, by, period, within)
    labels = _labels(rows, by)
    first = {"centre": [_("Centre")], "chip": [_("Chip")]}
    header = funnels.csv_header(first.get(by, [_("Pool"), _("Centre"), _("Chip")]))
    lines = ([*labels[row.key], *funnels.csv_cells(row, period)] for row in rows)
    return exports.stream(name, header, lines)
