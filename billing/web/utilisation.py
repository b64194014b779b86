"""What telemetry saw of a lease, on its page: the last two weeks by day, and idle cards."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from inventory.periods import Period, ceil_hour
from marketplace import idling, utilisation
from marketplace.models import IdleNotice, Lease
from marketplace.utilisation.leases import Hour, Total
from marketplace.web import charts, deals
from marketplace.web.entry import ConsoleRequest, confirmation, done, find, page
from marketplace.web.forms import ConsoleForm

DAYS = 14


@dataclass(frozen=True, slots=True)
class Day:
    """One day at the centre."""

    date: date
    measured_hours: float
    busy_share: float | None
    temperature_celsius: int | None
    unhealthy_hours: float


@dataclass(frozen=True, slots=True)
class Panel:
    """The last two weeks of a lease. Without telemetry there are no days in it."""

    total: Total
    days: list[Day]
    points: str  # of the busy share by hour
    notice: IdleNotice | None

    @property
    def notice_percent(self) -> float | None:
        return None if self.notice is None else self.notice.busy_permille / 10


def panel(lease: Lease, *, request: ConsoleRequest, zone: str) -> Panel:
    """Two statements."""
    until = ceil_hour(request.visit.at)
    hours = utilisation.leases.of_allocation(
        lease.allocation_id, Period(until - timedelta(days=DAYS), until)
    )
    shares = [hour.busy_share for hour in hours]
    return Panel(
        total=utilisation.leases.total(hours),
        days=_days(hours, zone),
        points=charts.polyline(shares, width=160, height=32, low=0.0, high=1.0),
        notice=idling.of(lease),
    )


def _days(hours: list[Hour], zone: str) -> list[Day]:
    place = ZoneInfo(zone)
    groups: dict[date, list[Hour]] = defaultdict(list)
    for hour in hours:
        groups[hour.hour.astimezone(place).date()].append(hour)
    found = []
    for day, members in sorted(groups.items(), reverse=True):
        sums = utilisation.leases.total(members)
        degrees = [row.temperature_celsius for row in members if row.temperature_celsius]
        found.append(
            Day(
                date=day,
                measured_hours=sums.measured_card_seconds / 3600,
                busy_share=sums.busy_share,
                temperature_celsius=max(degrees, default=None),
                unhealthy_hours=(sums.seen_card_seconds - sums.healthy_card_seconds) / 3600,
            )
        )
    return found


@page(scope="leases:write", party="tenant", changes=True)
def keep_idle(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """The tenant's answer to a notice of idle cards: they stay."""
    visit = request.visit
    lease = find(deals.leases_of(request).filter(tenant_id=visit.organisation.pk), lease_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    if (
        request.method == "POST"
        and form.is_valid()
        and done(form, lambda: idling.keep(lease=lease, at=visit.at, actor=visit.actor))
    ):
        messages.success(request, _("The cards are kept. You are not told of them again."))
        return redirect("lease", lease.public_id)
    return confirmation(
        request,
        form,
        title=_("Keep idle cards"),
        lines=[_("The lease goes on as it is, and is paid for as agreed.")],
        submit=_("Keep them"),
        back=redirect("lease", lease.public_id).url,
        is_harmless=True,
    )
