"""What a provider has earned, month by month, and what it is owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext as _

from billing import earnings
from billing.earnings import MonthEarned
from billing.models import Settlement
from billing.web import settlements
from inventory.periods import Period
from marketplace import money, money_text
from marketplace.web import charts, exports
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.paging import paged

MONTHS = 12


@dataclass(frozen=True, slots=True)
class Bar:
    """A month and its stacked bar, against the best month."""

    row: MonthEarned
    parts: list[charts.Part]

    @property
    def card_hours(self) -> float:
        return self.row.card_seconds / 3600


def last_months(at: datetime, count: int = MONTHS) -> Period:
    """The present month and those before it, in the billing zone."""
    end = money.month_of(at, settings.BILLING_ZONE).end
    start = end
    for _number in range(count):
        start = money.month_of(start - timedelta(days=1), settings.BILLING_ZONE).start
    return Period(start, end)


@page(scope="settlements:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """Gross, fee, tax and net by month; settlements; what is payable now."""
    visit = request.visit
    found = earnings.earnings(provider_id=visit.organisation.pk, period=last_months(visit.at))
    best: dict[str, int] = {}  # by currency: yuan and dollars are no lengths of one scale
    for row in found.months:
        best[row.currency] = max(best.get(row.currency, 0), row.gross_minor)
    settled = paged(Settlement.objects.filter(provider=visit.organisation), request)
    context = {
        "payable": found.payable,
        "months": [_bar(row, best[row.currency]) for row in reversed(found.months)],
        "has_direct": any(row.direct_minor for row in found.months),
        "page": settled,
        "settled": settlements.with_sums(settled.rows),
    }
    return render(request, "console/earnings.html", context)


def _bar(row: MonthEarned, best: int) -> Bar:
    parts = charts.bar(
        [
            ("p-sold", "", max(0, row.net_minor)),
            # A net below zero is owed for what was paid directly, and comes off that.
            ("p-held", "", row.direct_minor + min(0, row.net_minor)),
            ("p-listed", "", row.fee_minor),
            ("p-external", "", row.vat_minor),
        ],
        whole=best,
    )
    return Bar(row, parts)


@page(scope="settlements:read", party="provider")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    visit = request.visit
    found = earnings.earnings(provider_id=visit.organisation.pk, period=last_months(visit.at))
    header = [_("Month"), _("Currency"), _("Card-hours"), _("Gross")]
    header += [_("Paid to you directly"), _("Fee"), _("VAT"), _("Net")]

    def text(amount: int, currency: str) -> str:
        return money_text.plain_money(amount, currency)

    lines = (
        [
            f"{row.month.start.astimezone(ZoneInfo(settings.BILLING_ZONE)):%Y-%m}", row.currency,
            f"{row.card_seconds / 3600:.2f}", text(row.gross_minor, row.currency),
            text(row.direct_minor, row.currency),
            text(row.fee_minor, row.currency), text(row.vat_minor, row.currency),
            text(row.net_minor, row.currency),
        ]
        for row in found.months
    )  # fmt: skip
    return exports.stream("earnings", header, lines)
