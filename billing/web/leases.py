"""One lease: what was agreed and delivered, what it was charged, and what happens next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import TruncDate
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from billing import dunning, selling, sla_credits
from billing.models import Charge, DirectReceipt, LeaseTally
from billing.web import cancelling, changes, utilisation
from inventory import credentials, renewals
from inventory.drivers import registry
from inventory.errors import DomainError
from inventory.models import Acceptance, UsageHour
from marketplace import ending, lease_prices, money_text
from marketplace.models import Lease, PriceVersion
from marketplace.money import Amounts
from marketplace.web import deals, exports, refusals, troubles
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm

SHOWN_DAYS = 31
SHOWN_AMENDMENTS = 20
SHOWN_INSTALMENTS = 200
SHOWN_SLA_MONTHS = 24
State = Lease.State


@dataclass(frozen=True, slots=True)
class Day:
    """The charges of one day at the centre, corrections counted with the day they correct."""

    date: date
    card_seconds: int
    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int

    @property
    def card_hours(self) -> float:
        return self.card_seconds / 3600


@dataclass(frozen=True, slots=True)
class Bill:
    """What a lease has been charged so far, in minor units."""

    currency: str
    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int
    owed_minor: int  # of it, what the tenant's wallet could not pay at the time
    kept: Amounts  # of it, for a cancellation or for leaving early
    credits: Amounts  # given back by the service level; none where nothing was, else negative
    compensation_minor: int  # paid by the provider for withdrawing; taken off the gross
    paid_minor: int  # ahead, at confirmation and by amendments
    security_minor: int  # kept now
    arrears_minor: int  # used, and not to be paid yet
    deposit_left_minor: int
    returned_minor: int  # of what was paid ahead, given back
    days: list[Day]
    day_count: int
    card_hours: float  # of all days; the hours delivered last are charged a little later


@page(scope="leases:read")
def detail(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    return _detail(request, find(_rows(request), lease_id), {})


@never_cache
@page(scope="credentials:reveal", party="tenant", posts_only=True)
def reveal(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """Shows the way in; every look is journalled. Never kept as a stored reply."""
    visit = request.visit
    lease = find(_rows(request), lease_id)
    try:
        secret = credentials.reveal(
            allocation_id=lease.allocation_id, at=visit.at, actor=visit.actor
        )
    except DomainError as error:
        messages.error(
            request,
            _("There is no way in yet, or no more.")
            if error.status == 404
            else refusals.explain(error),
        )
        return redirect("lease", lease.public_id)
    return _detail(request, lease, {"secret": secret})


@page(scope="credentials:reveal", party="tenant", changes=True, posts_only=True)
def renew(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """Every machine gets another way in; the old one is closed as that is made."""
    visit = request.visit
    lease = find(_rows(request), lease_id)
    form = ConsoleForm(request.POST)
    asked = attempt(
        form,
        lambda: renewals.ask(allocation_id=lease.allocation_id, at=visit.at, actor=visit.actor),
    )
    if asked is None:
        return _detail(request, lease, {}, form)
    messages.success(request, _("Asked for. Look at the way in again in a while."))
    return redirect("lease", lease.public_id)


@page(scope="leases:read")
def charges_csv(request: ConsoleRequest, lease_id: str) -> StreamingHttpResponse:
    """Every charge of the lease, hour by hour."""
    lease = find(_rows(request), lease_id)
    header = [
        _("Charge"), _("Kind"), _("Hour (UTC)"), _("Revision"), _("Card-seconds"), _("Currency"),
        _("Gross"), _("VAT"), _("Fee"), _("Net"),
    ]  # fmt: skip
    lines = (
        [
            row.public_id, row.get_kind_display(), row.hour.isoformat(), row.revision,
            row.card_seconds, row.currency,
            *(
                money_text.plain_money(amount, row.currency)
                for amount in (
                    row.gross_minor, row.vat_minor, row.fee_minor, row.provider_minor
                )
            ),
        ]
        for row in lease.charges.order_by("hour", "revision", "pk").iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream(f"charges-{lease.public_id[-8:]}", header, lines)


def _rows(request: ConsoleRequest) -> QuerySet[Lease]:
    return deals.leases_of(request).select_related(
        "price", "terms", "project", "tenant", "provider", "reservation"
    )


def _detail(
    request: ConsoleRequest, lease: Lease, extra: dict[str, Any], form: ConsoleForm | None = None
) -> HttpResponse:
    visit = request.visit
    zone = lease.allocation.pool.fabric.centre.timezone
    usage = UsageHour.objects.filter(allocation_id=lease.allocation_id).aggregate(
        delivered=Sum("card_seconds"), missed=Sum("gap_card_seconds")
    )
    is_tenant = visit.organisation.pk == lease.tenant_id
    is_provider = visit.organisation.pk == lease.provider_id or visit.actor.sees_everything
    runs_it = visit.organisation.pk == lease.provider_id
    bindings = lease.allocation.bindings.select_related("node", "instance")
    can_cancel = lease.state == State.SCHEDULED and visit.at < lease.period.lower
    context = {
        "lease": lease,
        "pool": lease.allocation.pool,
        "zone": zone,
        "delivered_hours": (usage["delivered"] or 0) / 3600,
        "missed_hours": (usage["missed"] or 0) / 3600,
        "bindings": bindings.order_by("during", "node_id")[:100] if is_provider else [],
        "runs_it": runs_it,
        "may_remedy": runs_it and visit.actor.may("inventory:write"),
        "failure": troubles.FAILURES.get(lease.allocation.failure_code, ""),
        "is_tenant": is_tenant,
        "is_provider": is_provider,
        "can_cancel": can_cancel and is_tenant,
        # While it is being accepted, its tenant tests it.
        "can_look": lease.state in (State.ACTIVE, State.DELIVERING)
        and lease.allocation.credentials.filter(revoked_at=None).exists(),
        "can_renew": is_tenant and _can_renew(lease),
        "acceptance": Acceptance.objects.filter(allocation=lease.allocation_id).first(),
        "steps": cancelling.steps(lease, at=visit.at) if can_cancel else [],
        "prepared_at": _prepared_at(lease),
        "ending": ending.of(lease),
        "later_prices": lease_prices.of(lease)[1:],
        "changes": changes.possible(lease, visit),
        "amendments": lease.amendments.select_related("child").order_by("-pk")[:SHOWN_AMENDMENTS],
        "by_hour": lease.price.schedule == PriceVersion.Schedule.DEPOSIT_HOURLY,
        "bill": _bill(lease, zone),
        "instalments": lease.instalments.order_by("due_at", "pk")[:SHOWN_INSTALMENTS],
        "dunning": dunning.of(lease),
        "use": utilisation.panel(lease, request=request, zone=zone),
        "sla_months": sla_credits.newest(lease)[:SHOWN_SLA_MONTHS],
        **extra,
    }
    return render(request, "console/lease.html", context, form=form)


def _can_renew(lease: Lease) -> bool:
    """Whether its engine can make another way in while the machines run."""
    try:
        return lease.state == State.ACTIVE and renewals.can(lease.allocation.pool.driver)
    except registry.UnknownDriver:
        return False


def _prepared_at(lease: Lease) -> datetime:
    """From when on its nodes are made ready."""
    start: datetime = lease.period.lower
    return start - timedelta(seconds=lease.allocation.lead_seconds)


def _bill(lease: Lease, zone: str) -> Bill:
    usage = _days(lease, zone)
    sums = lease.charges.aggregate(
        **{f"sum_{name}": Sum(name, default=0) for name in _AMOUNTS},
        owed=Sum("receivable_minor", default=0),
        **{f"kept_{name}": Sum(name, filter=Q(kind__in=_KEPT), default=0) for name in _AMOUNTS},
        **{f"credit_{name}": Sum(name, filter=Q(kind=_CREDIT), default=0) for name in _AMOUNTS},
        from_deposit=Sum("deposit_minor", default=0),
        compensation=Sum("gross_minor", filter=Q(kind=Charge.Kind.COMPENSATION), default=0),
    )
    tally = LeaseTally.objects.get(lease=lease)
    left = tally.deposit_left_minor
    collected = lease.instalments.aggregate(
        minor=Sum("deposit_minor", filter=~Q(kind="security"), default=0)
    )["minor"]
    if selling.is_direct(lease):  # by instalments of nobody: the centre has it, and gives it back
        paid, returned = _paid_to_the_centre(lease), 0
    else:
        paid, returned = collected, collected - left - sums["from_deposit"]
    return Bill(
        currency=lease.currency,
        **{name: sums[f"sum_{name}"] for name in _AMOUNTS},
        owed_minor=sums["owed"],
        kept=Amounts(**{name: sums[f"kept_{name}"] for name in _AMOUNTS}),
        credits=Amounts(**{name: sums[f"credit_{name}"] for name in _AMOUNTS}),
        compensation_minor=-sums["compensation"],
        paid_minor=paid,
        security_minor=tally.security_minor,
        arrears_minor=tally.arrears_minor,
        deposit_left_minor=left,
        returned_minor=returned,
        days=usage[:SHOWN_DAYS],
        day_count=len(usage),
        card_hours=sum(day.card_hours for day in usage),
    )


def _paid_to_the_centre(lease: Lease) -> int:
    """By its own word; of units added later, what was due for them."""
    receipt = DirectReceipt.objects.filter(reservation=lease.reservation_id).first()
    return receipt.amount_minor if receipt is not None else lease.due_minor


_KEPT = (Charge.Kind.CANCELLATION, Charge.Kind.LEAVING)
_CREDIT = Charge.Kind.SLA_CREDIT
_AMOUNTS = ("gross_minor", "vat_minor", "fee_minor", "provider_minor")


def _days(lease: Lease, zone: str) -> list[Day]:
    """By day at the centre, the newest first."""
    rows = (
        lease.charges.filter(kind=Charge.Kind.USAGE)
        .annotate(day=TruncDate("hour", tzinfo=ZoneInfo(zone)))
        .values("day")
        .annotate(seconds=Sum("card_seconds"), **{f"sum_{name}": Sum(name) for name in _AMOUNTS})
        .order_by("-day")
        .values_list("day", "seconds", *(f"sum_{name}" for name in _AMOUNTS))
    )
    return [Day(*row) for row in rows]
