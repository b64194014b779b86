"""Where a stage of the funnel lost its card-hours: the pools that lost most, and their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _

from marketplace.utilisation import readings
from marketplace.utilisation.readings import Place, PoolSum
from marketplace.web import exports, funnels, names
from marketplace.web.audit import within_asked
from marketplace.web.entry import ConsoleRequest, page, render

MOST_ROWS = 100
# Which rows of a pool say why.
ROWS = {
    "down": "outages",
    "unlisted": "listings",
    "unsold": "listings",
    "undelivered": "leases",
}


@dataclass(frozen=True, slots=True)
class Loss:
    """What one pool lost at the stage."""

    pool: str
    centre: str
    chip: str
    url: str
    lost: int  # card-seconds
    before: int  # of so many
    of_all: float  # its part of what was lost everywhere

    @property
    def share(self) -> float | None:
        return self.lost / self.before if self.before else None


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest, drop: str) -> HttpResponse:
    asked, (title, query, within) = funnels.asked(request), within_asked(request)
    name = _name(drop)
    context: dict[str, Any] = {
        "asked": asked, "zone": settings.BILLING_ZONE, "drop": drop, "name": name, "title": title,
        "within_query": query,
        "kept": [(word, request.GET[word]) for word in ("by", "key") if query],
    }  # fmt: skip
    if asked.days is not None:
        losses = _losses(readings.of_pools(asked.days, within), drop, asked.query)
        context |= {
            "losses": losses[:MOST_ROWS],
            "more": len(losses) - MOST_ROWS,
            "count": len(losses),
            "lost": sum(loss.lost for loss in losses),
        }
    return render(request, "console/audit_drop.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest, drop: str) -> HttpResponseBase:
    """Every pool that lost something."""
    asked, (_title, _query, within) = funnels.asked(request), within_asked(request)
    name = _name(drop)
    if asked.days is None:
        address = reverse("audit_drop", args=[drop])
        return HttpResponseRedirect(f"{address}?{request.GET.urlencode()}")
    losses = _losses(readings.of_pools(asked.days, within), drop, "")
    header = [_("Pool"), _("Centre"), _("Chip"), name, _("Of so many")]
    lines = (
        [row.pool, row.centre, row.chip, f"{row.lost / 3600:.2f}", f"{row.before / 3600:.2f}"]
        for row in losses
    )
    return exports.table(request, f"funnel-{drop}", header, lines, numbers=2)


def _name(drop: str) -> str:
    if drop not in funnels.DROPS:
        raise Http404
    return str(funnels.DROPS[drop][0])


def _losses(sums: list[PoolSum], drop: str, query: str) -> list[Loss]:
    """The largest first."""
    _word, _code, before, after = funnels.DROPS[drop]
    lost = [(one.amounts[before] - one.amounts[after], one) for one in sums]
    whole = sum(amount for amount, _one in lost) or 1
    rows = [
        Loss(
            pool=one.place.pool_name, centre=_centre(one.place), chip=one.place.chip_model,
            url=_rows(one.place, drop, query), lost=amount, before=one.amounts[before],
            of_all=amount / whole,
        )
        for amount, one in lost
        if amount
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (-row.lost, row.pool))


def _centre(place: Place) -> str:
    return names.choose(place.centre_name, place.centre_name_en)


def _rows(place: Place, drop: str, query: str) -> str:
    address = reverse("audit_part", args=["pool", place.pool_id])
    return f"{address}{'?' if query else ''}{query}#{ROWS[drop]}"
