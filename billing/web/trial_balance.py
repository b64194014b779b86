"""The trial balance of a month, down to the legs of each transaction; vouchers for others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import accounting_periods, trial_balance, voucher_export
from billing.models import LedgerAccount, LedgerEntry, LedgerTransaction
from billing.trial_balance import TrialBalance
from billing.web import book_words
from inventory.errors import DomainError
from inventory.periods import Period
from marketplace import money, money_text
from marketplace.web import exports, refusals
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

MONTHS = 36
SHOWN = 500  # accounts on the page; the file has them all


class MonthForm(ConsoleForm):
    """Which month, in which currency."""

    month = forms.ChoiceField(label=gettext_lazy("Month"))
    currency = forms.ChoiceField(label=gettext_lazy("Currency"))

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        months, currencies = self.fields["month"], self.fields["currency"]
        assert isinstance(months, forms.ChoiceField)
        assert isinstance(currencies, forms.ChoiceField)
        months.choices = [(text, text) for text in months_before(at)]
        found = trial_balance.currencies() or [settings.DEFAULT_CURRENCY]
        currencies.choices = [(code, code) for code in found]


class ExportForm(MonthForm):
    """And for which accounting system, at which rate where the month is in another currency."""

    layout = forms.ChoiceField(label=gettext_lazy("Accounting system"))
    rate = forms.CharField(
        label=gettext_lazy("Rate"),
        required=False,
        max_length=30,
        help_text=gettext_lazy("Needed where the month is in another currency than that system's"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        layouts = self.fields["layout"]
        assert isinstance(layouts, forms.ChoiceField)
        layouts.choices = [
            (name, voucher_export.title_of(name)) for name in voucher_export.layouts()
        ]


def months_before(at: datetime) -> list[str]:
    """The months up to the one that `at` lies in, the newest first, as they are written."""
    found, start = [], money.month_of(at, settings.BILLING_ZONE).start
    for _number in range(MONTHS):
        middle = start + timedelta(days=14)
        found.append(f"{middle:%Y-%m}")
        start = money.month_of(start - timedelta(days=1), settings.BILLING_ZONE).start
    return found


def chosen_month(text: str) -> date:
    return date.fromisoformat(f"{text}-01")


def _asked(request: ConsoleRequest) -> tuple[MonthForm, date, str]:
    """What the query names, or this month in the usual currency."""
    at = request.visit.at
    form = MonthForm(request.GET if "month" in request.GET else None, at=at)
    if form.is_bound and form.is_valid():
        data = form.cleaned_data
        return form, chosen_month(data["month"]), data["currency"]
    return form, chosen_month(months_before(at)[0]), settings.DEFAULT_CURRENCY


def _of(month: date, currency: str) -> TrialBalance:
    return trial_balance.of(currency=currency, period=accounting_periods.month_period(month))


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Kinds, purposes and accounts: opening, debits, credits, closing; and that they balance."""
    form, month, currency = _asked(request)
    found = _of(month, currency)
    initial = {"month": f"{month:%Y-%m}", "currency": currency}
    context = {
        "month": f"{month:%Y-%m}",
        "currency": currency,
        "found": found,
        "levels": [(level, book_words.account(level.name)) for level in found.levels()],
        "accounts": found.rows[:SHOWN],
        "more": max(0, len(found.rows) - SHOWN),
        "export_form": ExportForm(at=request.visit.at, initial=initial),
    }
    return render(request, "console/trial_balance.html", context, form=form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    """Every account, its sums, and the totals of each level."""
    _form, month, currency = _asked(request)
    found = _of(month, currency)
    header = [
        _("Account"), _("Name"), _("Currency"), _("Opening"), _("Debits"), _("Credits"),
        _("Closing"),
    ]  # fmt: skip
    return exports.stream(f"trial-balance-{month:%Y-%m}-{currency}", header, _lines(found))


def _lines(found: TrialBalance) -> Iterator[list[object]]:
    named = [(level.name, level.sums) for level in found.levels()]
    accounts = [(row.code, row.sums) for row in found.rows]
    for name, sums in [*named, *accounts, ("", found.total)]:
        figures = (sums.opening_minor, sums.debit_minor, sums.credit_minor, sums.closing_minor)
        yield [
            name or _("Total"),
            book_words.account(name) if name else "",
            found.currency,
            *(money_text.plain_money(figure, found.currency) for figure in figures),
        ]


@page(scope="audit:read", party="operator")
def account(request: ConsoleRequest, code: str) -> HttpResponse:
    """What moved one account in a month."""
    row = LedgerAccount.objects.filter(code=code).first()
    if row is None:
        raise Http404
    _form, month, _currency = _asked(request)
    period: Period = accounting_periods.month_period(month)
    rows: QuerySet[LedgerEntry] = trial_balance.entries(code=code, period=period)
    context = {
        "account": row,
        "name": book_words.account(code),
        "month": f"{month:%Y-%m}",
        "page": paged(rows, request),
        "opening": trial_balance.opening(code=code, at=period.start),
        "closing": trial_balance.opening(code=code, at=period.end),
    }
    return render(request, "console/ledger_account.html", context)


@page(scope="audit:read", party="operator")
def transaction(request: ConsoleRequest, key: str) -> HttpResponse:
    """One transaction and all its legs."""
    row = LedgerTransaction.objects.filter(idempotency_key=key).first()
    if row is None:
        raise Http404
    context = {
        "transaction": row,
        "legs": [
            (code, minor, code[-3:], book_words.account(code))
            for code, minor in trial_balance.legs(row)
        ],
        "reverses": row.reverses,
        "voucher": getattr(row, "voucher", None),
    }
    return render(request, "console/ledger_transaction.html", context)


@page(scope="audit:read", party="operator")
def export(request: ConsoleRequest) -> HttpResponse:
    """The month as a file for another accounting system; a refusal is said on the page."""
    form = ExportForm(request.GET, at=request.visit.at)
    if not form.is_valid():
        messages.error(request, _("Choose a month, a currency and an accounting system."))
        return redirect("trial_balance")
    data = form.cleaned_data
    try:
        made = voucher_export.render(
            month=chosen_month(data["month"]),
            currency=data["currency"],
            layout=data["layout"],
            rate=voucher_export.rate_of(data["rate"]),
        )
    except voucher_export.AccountUnmapped as error:
        names = ", ".join(map(str, error.fields()["accounts"]))
        messages.error(request, _("No counterpart in this layout: %(names)s.") % {"names": names})
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        reply = HttpResponse(made.content, content_type=made.content_type)
        reply["Content-Disposition"] = f'attachment; filename="{made.file_name}"'
        return reply
    return redirect("trial_balance")
