"""Closing a month: its checklist, and the two persons who lock it."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import accounting_periods, closing_checklist, closing_months
from billing.models import AccountingPeriod
from billing.web import book_words
from billing.web.trial_balance import chosen_month, months_before
from inventory.errors import DomainError
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field


class MonthForm(ConsoleForm):
    """Which month is looked at, or asked to be closed."""

    month = forms.ChoiceField(label=gettext_lazy("Month"))

    def __init__(self, *args: Any, at: datetime, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        months = self.fields["month"]
        assert isinstance(months, forms.ChoiceField)
        months.choices = [(text, text) for text in months_before(at)]
        months.initial = f"{_usual(at):%Y-%m}"  # the month that is shown


class PutOffForm(ConsoleForm):
    """Why the month stays open."""

    reason = reason_field()


def _usual(at: datetime) -> date:
    """The month that closes next, or the one before this."""
    return accounting_periods.next_month() or chosen_month(months_before(at)[1])


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """The checklist of a month, each item with its page; the months that were closed."""
    at = request.visit.at
    form = MonthForm(request.GET if "month" in request.GET else None, at=at)
    month = _usual(at)
    if form.is_bound and form.is_valid():
        month = chosen_month(form.cleaned_data["month"])
    items = list(closing_checklist.items(month=month, at=at, verify=False))
    period = AccountingPeriod.objects.filter(month=month).first()
    context = {
        "month": f"{month:%Y-%m}",
        "items": [
            (item, book_words.CHECKS[item.name], reverse(item.page), _lacks(item)) for item in items
        ],
        "is_ready": all(item.is_done for item in items),
        "period": period,
        "is_own": period is not None and period.closing_by_id == request.visit.user.pk,
        "closed": AccountingPeriod.objects.filter(state=AccountingPeriod.State.CLOSED)
        .select_related("closing_by", "closed_by")
        .order_by("-month")[:24],
        "put_off_form": PutOffForm(),
    }
    return render(request, "console/closing.html", context, form=form)


def _lacks(item: closing_checklist.Item) -> str:
    """What is missing, in a few words; empty where nothing is."""
    facts = item.facts
    match item.name:
        case "usage_rated":
            words = _("%(a)s leases not metered, %(b)s not charged")
            return "" if item.is_done else words % {"a": facts["unmetered"], "b": facts["unrated"]}
        case "invoices_finalised":
            words = _("%(a)s charges on no invoice, %(b)s drafts")
            return "" if item.is_done else words % {"a": facts["unbilled"], "b": facts["drafts"]}
        case "no_late_exceptions":
            return _("%(a)s open, %(b)s too old") % {"a": facts["open"], "b": facts["late"]}
        case "reconciled" | "clearing_accounts":
            return ", ".join(str(each["account"]) for each in facts["accounts"])
        case "books_verified":
            if not item.is_done and not facts.get("differences"):
                return _("not looked at since the month was over, or long ago")
            return ", ".join(map(str, facts.get("differences", [])))
    return "" if item.is_done else str(item.count)


@page(scope="settlements:write", party="operator", changes=True, posts_only=True)
def ask(request: ConsoleRequest) -> HttpResponse:
    """One person asks to close a month."""
    visit = request.visit
    form = MonthForm(request.POST, at=visit.at)
    if not form.is_valid():
        messages.error(request, _("Choose a month."))
        return redirect("closing")
    month = chosen_month(form.cleaned_data["month"])
    try:
        closing_months.ask(month=month, at=visit.at, actor=visit.actor, user=visit.user)
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Asked for; another person closes the month."))
    return redirect(f"{reverse('closing')}?month={month:%Y-%m}")


@page(scope="settlements:write", party="operator", changes=True, posts_only=True)
def close(request: ConsoleRequest, period_id: str) -> HttpResponse:
    """Another person closes it, for good."""
    visit = request.visit
    row = find(AccountingPeriod.objects.all(), period_id)
    try:
        closing_months.close(period=row, at=visit.at, actor=visit.actor, user=visit.user)
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Closed: nothing is posted into that month any more."))
    return redirect(f"{reverse('closing')}?month={row.month:%Y-%m}")


@page(scope="settlements:write", party="operator", changes=True, posts_only=True)
def put_off(request: ConsoleRequest, period_id: str) -> HttpResponse:
    """The month stays open for now."""
    visit = request.visit
    row = find(AccountingPeriod.objects.all(), period_id)
    form = PutOffForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why the month stays open."))
        return redirect("closing")
    try:
        accounting_periods.put_off(
            period_public_id=row.public_id,
            reason=form.cleaned_data["reason"],
            at=visit.at,
            actor=visit.actor,
        )
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Put off: the month stays open."))
    return redirect(f"{reverse('closing')}?month={row.month:%Y-%m}")
