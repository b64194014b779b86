"""Settlements: looked at before they are made, and their statements afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, QuerySet, Sum
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import payout_terms, settlement, settlement_lines, settlement_paper
from billing.models import Charge, LedgerAccount, Settlement
from billing.settlement_lines import Sums
from billing.web import papers
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import money, money_text
from marketplace.models import Lease
from marketplace.web import deals, exports, figures, names
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

MONTHS = 24
SHOWN_LEASES = 500
EXPORT_ROWS = 10_000


class SettleForm(ConsoleForm):
    """Which provider, month and currency."""

    provider = forms.ChoiceField(label=gettext_lazy("Provider"))
    month = forms.ChoiceField(label=gettext_lazy("Month"))
    currency = forms.ChoiceField(label=gettext_lazy("Currency"))

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.at = at
        rows = Organisation.objects.filter(is_provider=True).order_by("name", "pk")
        self.providers = {row.public_id: row for row in rows}
        self.months = {_name(month): month for month in _months_due(at)}
        self._offer("provider", [(key, names.of(row)) for key, row in self.providers.items()])
        self._offer("month", [(key, key) for key in self.months])
        codes = [(code, code) for code in _currencies()]
        currency = self.fields["currency"]
        assert isinstance(currency, forms.ChoiceField)
        currency.choices = codes
        if len(codes) == 1:  # nothing to choose
            currency.widget = forms.HiddenInput()
            currency.initial = codes[0][0]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("choose")), *choices]

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if len(data) == len(self.fields):
            provider, month, currency = self.chosen()
            terms = payout_terms.outlook(provider_id=provider.pk, currency=currency)
            if (due := settlement.due_at(month, terms)) > self.at:
                words = _("By the provider's payout terms this month is settled from %(when)s on.")
                self.add_error("month", words % {"when": figures.instant(due)})
        return data

    def chosen(self) -> tuple[Organisation, Period, str]:
        data = self.cleaned_data
        return self.providers[data["provider"]], self.months[data["month"]], data["currency"]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would be settled, and what waits because its tenant owes for it."""

    provider: Organisation
    month: str
    row: Settlement
    sums: Sums
    waiting_count: int
    waiting_minor: int


@dataclass(frozen=True, slots=True)
class LeaseSum:
    """The charges of one lease in a settlement."""

    lease: Lease
    sums: Sums


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Every settlement; a month looked at by query, and settled by a POST."""
    visit = request.visit
    given = request.POST if request.method == "POST" else request.GET
    is_asked = request.method == "POST" or "provider" in request.GET
    form = SettleForm(given if is_asked else None, at=visit.at)
    if request.method == "POST":
        need(request, "settlements:write")
        made = _settle(request, form) if form.is_valid() else None
        if made is not None:
            return redirect("settlement", made.public_id)
    rows = Settlement.objects.visible_to(visit.actor).select_related("provider")
    found = paged(rows, request)
    context = {
        "outlook": _outlook(form) if is_asked and form.is_valid() else None,
        "page": found,
        "settled": with_sums(found.rows),
    }
    return render(request, "console/settlements.html", context, form=form)


def _settle(request: ConsoleRequest, form: SettleForm) -> Settlement | None:
    provider, month, currency = form.chosen()
    done = attempt(
        form,
        lambda: (
            settlement.settle(
                provider_id=provider.pk,
                period=month,
                currency=currency,
                at=request.visit.at,
                actor=request.visit.actor,
            ),
        ),
    )
    if done is None:
        return None
    if done[0] is None:
        form.add_error(None, _("The net is not positive, so it is carried to a later month."))
    else:
        messages.success(request, _("Settled for %(name)s.") % {"name": names.of(provider)})
    return done[0]


def _outlook(form: SettleForm) -> Outlook:
    provider, month, currency = form.chosen()
    row = settlement.preview(provider_id=provider.pk, period=month, currency=currency)
    open_charges = Charge.objects.filter(
        provider=provider, currency=currency, hour__lt=month.end, settlement_line__isnull=True
    ).aggregate(count=Count("pk"), net=Sum("accrued_minor", default=0))
    is_made = row.pk is not None
    return Outlook(
        provider=provider,
        month=_name(month),
        row=row,
        sums=settlement_lines.totals([row])[row.pk]
        if is_made
        else settlement_lines.open_sums(provider.pk, currency, month),
        waiting_count=0 if is_made else open_charges["count"] - row.line_count,
        waiting_minor=0 if is_made else open_charges["net"] - row.net_minor,
    )


@page(scope="settlements:read", party="any")
def statement(request: ConsoleRequest, settlement_id: str) -> HttpResponse:
    """One settlement for its provider and the operator, lease by lease."""
    row = find(_visible(request), settlement_id)
    found = settlement_lines.by_lease(row)
    lines = row.payout_lines.select_related("payout").order_by("pk")
    context = {
        "settlement": row,
        "month": _name(Period.of(row.period)),
        "whole": settlement_lines.totals([row])[row.pk],
        "sums": _with_leases(found[:SHOWN_LEASES]),
        "more": max(0, len(found) - SHOWN_LEASES),
        "payout_lines": lines,
    }
    return render(request, "console/settlement.html", context)


@page(scope="settlements:read", party="any")
def statement_pdf(request: ConsoleRequest, settlement_id: str) -> HttpResponse:
    """The statement on paper, in the reader's language."""
    row = find(_visible(request), settlement_id)
    return papers.reply(
        lambda language: settlement_paper.pdf(row, language=language),
        f"settlement-{settlement_paper.month_of(row)}",
    )


@page(scope="settlements:read", party="any")
def statement_csv(request: ConsoleRequest, settlement_id: str) -> StreamingHttpResponse:
    """Every charge of the settlement, hour by hour."""
    row = find(_visible(request), settlement_id)
    header = [
        _("Charge"), _("Lease"), _("Pool"), _("Kind"), _("Hour (UTC)"), _("Revision"),
        _("Card-seconds"), _("Currency"), _("Gross"), _("Paid to you directly"), _("Fee"),
        _("VAT"), _("Net"),
    ]  # fmt: skip
    charges = (
        Charge.objects.filter(settlement_line__settlement=row)
        .select_related("lease__allocation__pool")
        .order_by("lease_id", "hour", "revision", "pk")
    )
    lines = (
        [
            charge.public_id, charge.lease.public_id, charge.lease.allocation.pool.name,
            charge.get_kind_display(), charge.hour.isoformat(), charge.revision,
            charge.card_seconds, charge.currency,
            *(
                money_text.plain_money(amount, charge.currency)
                for amount in (
                    charge.gross_minor, charge.direct_minor, charge.fee_minor,
                    charge.fee_vat_minor if charge.selling == "direct" else charge.vat_minor,
                    charge.accrued_minor,
                )
            ),
        ]
        for charge in charges.iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream(f"settlement-{_name(Period.of(row.period))}", header, lines)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    header = [
        _("Settlement"), _("Provider"), _("Month"), _("State"), _("Charges"), _("Card-hours"),
        _("Currency"), _("Gross"), _("Paid directly"), _("Fee"), _("VAT"), _("Net"),
        _("Settled (UTC)"),
    ]  # fmt: skip
    rows = list(_visible(request).order_by("-pk")[:EXPORT_ROWS])
    lines = (
        [
            row.public_id, names.of(row.provider), _name(Period.of(row.period)),
            row.get_state_display(), row.line_count, f"{row.card_seconds / 3600:.2f}",
            row.currency,
            *(
                money_text.plain_money(amount, row.currency)
                for amount in (
                    sums.gross_minor, sums.direct_minor, sums.fee_minor, sums.vat_minor,
                    sums.net_minor,
                )
            ),
            row.created_at.isoformat(),
        ]
        for row, sums in with_sums(rows)
    )  # fmt: skip
    return exports.stream("settlements", header, lines)


def with_sums(rows: Sequence[Settlement]) -> list[tuple[Settlement, Sums]]:
    """Settlements with what each comes to, for `settlement_rows.html`."""
    found = settlement_lines.totals(rows)
    return [(row, found[row.pk]) for row in rows]


def _visible(request: ConsoleRequest) -> QuerySet[Settlement]:
    return Settlement.objects.visible_to(request.visit.actor).select_related("provider")


def _with_leases(found: Sequence[tuple[int, Sums]]) -> list[LeaseSum]:
    leases = {lease.pk: lease for lease in deals.with_parties(pk for pk, _sums in found)}
    return [LeaseSum(leases[pk], sums) for pk, sums in found]


def _currencies() -> list[str]:
    """In which anybody earns, the usual one first."""
    found = LedgerAccount.objects.filter(purpose="provider_accrued")
    codes = set(found.values_list("currency", flat=True).distinct())
    usual = settings.DEFAULT_CURRENCY
    return [usual, *sorted(codes - {usual})]


def _months_due(at: datetime) -> list[Period]:
    """The calendar months that somebody's terms let be settled by now, the last one first."""
    months: list[Period] = []
    over = at - timedelta(days=payout_terms.shortest_delay())
    month = money.month_of(over, settings.BILLING_ZONE)
    for _number in range(MONTHS):
        month = money.month_of(month.start - timedelta(days=1), settings.BILLING_ZONE)
        months.append(month)
    return months


def _name(month: Period) -> str:
    return f"{month.start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}"
