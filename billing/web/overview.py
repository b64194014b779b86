"""A provider's first page: four numbers, the idle calendar, three things to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from billing import earnings
from inventory.models import Node, Pool
from inventory.periods import Period, floor_hour
from marketplace import money, utilisation
from marketplace.models import Lease, PriceFloor
from marketplace.web import idle, names, pools
from marketplace.web.entry import ConsoleRequest, Visit, page, render

PAST_DAYS = 28
SHOWN_POOLS = 12
THINGS = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """Something worth doing now."""

    words: str
    url: str
    verb: str


@page(scope="listings:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    visit = request.visit
    selling = list(pools.own(request).exclude(state=Pool.State.RETIRED))
    rows = idle.calendar(selling, at=visit.at)
    until = floor_hour(visit.at)
    weeks = [
        utilisation.funnel(
            period=Period(until - timedelta(days=back), until - timedelta(days=back - 7)),
            group_by="provider",
            actor=visit.actor,
        )
        for back in range(PAST_DAYS, 0, -7)
    ]
    earned = earnings.earnings(
        provider_id=visit.organisation.pk, period=Period(visit.at - timedelta(days=190), visit.at)
    )
    currency = settings.DEFAULT_CURRENCY  # others are on the page of earnings
    months = [month for month in earned.months if month.currency == currency]
    this_month = money.month_of(visit.at, settings.BILLING_ZONE)
    days = (
        [sum(row.days[number].idle for row in rows) for number in range(idle.DAYS)] if rows else []
    )
    context = {
        "rows": sorted(rows, key=lambda row: -row.idle)[:SHOWN_POOLS],
        "hidden_pools": max(0, len(rows) - SHOWN_POOLS),
        "idle": sum(days),
        "idle_days": days[1:],  # today is only what is left of it
        "listed_rates": [row[0].listed_rate if row else None for row in weeks],
        "sold_rates": [row[0].sold_rate if row else None for row in weeks],
        "income": sum(m.net_minor for m in months if m.month == this_month),
        "incomes": [m.net_minor for m in months],
        "currency": currency,
        "things": _things(visit, rows)[:THINGS],
    }
    return render(request, "console/overview.html", context)


def _things(visit: Visit, rows: list[idle.Row]) -> list[Thing]:
    """The most useful first: what is broken, what is idle, what starts, what could go wrong."""
    things: list[Thing] = []
    broken = Node.objects.visible_to(visit.actor).filter(state=Node.State.BROKEN)
    by_pool = {node.pool_id for node in broken.only("pool_id")[:200]}
    if by_pool:
        pool = next((row.pool for row in rows if row.pool.pk in by_pool), None)
        url = reverse("pool", args=[pool.public_id]) if pool else reverse("pools")
        words = ngettext(
            "Nodes are down in %(n)s pool.", "Nodes are down in %(n)s pools.", len(by_pool)
        ) % {"n": len(by_pool)}
        things.append(Thing(words, url, _("Look")))
    gap = max(rows, key=lambda row: row.unlisted, default=None)
    if gap is not None and gap.unlisted >= 1:
        words = _("%(pool)s has %(n)s card-hours that nobody can see.") % {
            "pool": _named(gap.pool),
            "n": f"{gap.unlisted:,.0f}",
        }
        can = visit.actor.may("listings:write")
        url = (
            reverse("listing_create") + f"?pool={gap.pool.public_id}"
            if can
            else reverse("pool", args=[gap.pool.public_id])
        )
        things.append(Thing(words, url, _("List them") if can else _("Look")))
    soon = Lease.objects.filter(
        provider=visit.organisation,
        state=Lease.State.SCHEDULED,
        period__startswith__lte=visit.at + timedelta(days=1),
    ).count()
    if soon:
        words = ngettext(
            "%(n)s lease starts within a day.", "%(n)s leases start within a day.", soon
        ) % {"n": soon}
        things.append(Thing(words, reverse("deals"), _("Look")))
    known = set(
        PriceFloor.objects.filter(pool__in=[row.pool for row in rows]).values_list(
            "pool_id", flat=True
        )
    )
    for row in rows:
        if row.pool.pk not in known:
            words = _("%(pool)s has no floor price.") % {"pool": _named(row.pool)}
            can = visit.actor.may("listings:write")
            url = reverse("floor" if can else "pool", args=[row.pool.public_id])
            things.append(Thing(words, url, _("Set it") if can else _("Look")))
            break
    return things


def _named(pool: Pool) -> str:
    """With its centre: two may have a pool of the same name."""
    return f"{names.of(pool.fabric.centre)} · {pool.name}"
