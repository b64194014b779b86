"""Where and by which terms a provider is paid: it names the account, two persons check it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import payees, payout_terms
from billing.models import PayeeAccount, PayoutTerms, Settlement
from billing.payout_terms import (
    LARGEST_MINIMUM_MINOR,
    LARGEST_RESERVE_BPS,
    LATEST_DAYS,
    LONGEST_RESERVE_DAYS,
    Terms,
)
from billing.web.deciding import DecidingForm, Verdict, decide
from billing.web.payouts import traders_only
from inventory.models import Organisation
from marketplace import money_text
from marketplace.api.serializers import CURRENCIES
from marketplace.web import names
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.oversight import traders
from marketplace.web.paging import paged

SHOWN = 100
State = PayeeAccount.State


class PayeeForm(ConsoleForm):
    """A bank account in the provider's own name."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=CURRENCIES)
    bank_name = forms.CharField(
        label=gettext_lazy("Bank"),
        max_length=200,
        help_text=gettext_lazy("With its branch, as it stands on the account's papers"),
    )
    bank_code = forms.CharField(
        label=gettext_lazy("Bank code"),
        max_length=14,
        required=False,
        help_text=gettext_lazy("The CNAPS code of 12 digits, or a BIC"),
    )
    account_number = forms.CharField(label=gettext_lazy("Account number"), max_length=60)


class TermsForm(ConsoleForm):
    """When and how a provider is paid in one currency."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=CURRENCIES)
    settle_after_days = forms.IntegerField(
        label=gettext_lazy("Settled so many days after a month"), min_value=0, max_value=LATEST_DAYS
    )
    minimum = MoneyField(
        label=gettext_lazy("Smallest payout"),
        allow_zero=True,
        help_text=gettext_lazy("Less waits for more"),
    )
    reserve_percent = forms.DecimalField(
        label=gettext_lazy("Reserve, % of each net"),
        min_value=0,
        max_value=LARGEST_RESERVE_BPS / 100,
        decimal_places=2,
    )
    reserve_days = forms.IntegerField(
        label=gettext_lazy("Reserve kept for so many days"),
        min_value=0,
        max_value=LONGEST_RESERVE_DAYS,
    )
    method = forms.ChoiceField(label=gettext_lazy("Method"), choices=PayoutTerms.Method.choices)
    needs_fapiao = forms.BooleanField(
        label=gettext_lazy("Paid only against the provider's fapiaos"), required=False
    )
    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        minimum, asked = self.fields["minimum"], self["currency"].value()
        assert isinstance(minimum, MoneyField)
        minimum.currency = asked if asked in dict(CURRENCIES) else settings.DEFAULT_CURRENCY

    def clean_minimum(self) -> int:
        return min(int(self.cleaned_data["minimum"]), LARGEST_MINIMUM_MINOR + 1)

    def terms(self) -> Terms:
        data = self.cleaned_data
        return Terms(
            settle_after_days=data["settle_after_days"],
            minimum_minor=data["minimum"],
            reserve_bps=int(data["reserve_percent"] * 100),
            reserve_days=data["reserve_days"],
            needs_fapiao=data["needs_fapiao"],
            method=data["method"],
        )


@dataclass(frozen=True, slots=True)
class TermsOf:
    """By what a provider is paid in one currency now; the standard without a version."""

    currency: str
    terms: Terms
    version: int | None
    method: str


def terms_of(provider: Organisation) -> list[TermsOf]:
    """Of each currency it has terms in, and of the usual one. Two statements."""
    newest = PayoutTerms.objects.filter(provider=provider).order_by("currency", "-version")
    found = {row.currency: row for row in newest.distinct("currency")}
    usual = settings.DEFAULT_CURRENCY
    codes = [usual, *sorted(set(found) - {usual})]
    return [_terms_of(code, found.get(code)) for code in codes]


def _terms_of(currency: str, row: PayoutTerms | None) -> TermsOf:
    terms = payout_terms.standard() if row is None else payout_terms.facts(row)
    return TermsOf(
        currency, terms, row.version if row else None, str(PayoutTerms.Method(terms.method).label)
    )


@page(scope="settlements:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """A provider's accounts, terms and reserves; for the operator the accounts to be checked."""
    visit = request.visit
    traders_only(visit)
    if visit.is_party("operator"):
        rows = _rows(request)
        waiting = rows.filter(state__in=[State.PROPOSED, State.CHECKED]).order_by("pk")
        context = {"waiting": waiting[:SHOWN], "page": paged(rows, request)}
        return render(request, "console/payees.html", context)
    form = PayeeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "payees:write")
        if form.is_valid() and _propose(request, form):
            return redirect("payees")
    own = visit.organisation
    context = {
        "accounts": _rows(request).filter(provider=own).order_by("-pk")[:SHOWN],
        "terms": terms_of(own),
        "reserves": Settlement.objects.filter(
            provider=own, reserve_minor__gt=0, reserve_released_at=None
        ).order_by("reserve_until", "pk")[:SHOWN],
        "holder": own.name,
        "cooling_hours": settings.PAYEE_COOLING_HOURS,
    }
    return render(request, "console/payees_own.html", context, form=form)


def _propose(request: ConsoleRequest, form: PayeeForm) -> bool:
    visit = request.visit
    made = attempt(
        form,
        lambda: payees.propose(
            provider_id=visit.organisation.pk,
            at=visit.at,
            actor=visit.actor,
            **form.cleaned_data,
        ),
    )
    if made is not None:
        messages.success(request, _("Named; two people of the operator check it."))
    return made is not None


@page(scope="audit:read", party="operator", changes=True)
def detail(request: ConsoleRequest, payee_id: str) -> HttpResponse:
    """One account; a first person checks it, a second one verifies it."""
    visit = request.visit
    row = find(_rows(request), payee_id)
    form = DecidingForm(
        request.POST if request.method == "POST" else None, verdicts=_verdicts(row, visit)
    )
    if request.method == "POST":
        need(request, "settlements:write")
        if decide(request, form):
            return redirect("payees")
        row = find(_rows(request), payee_id)
    in_use = PayeeAccount.objects.filter(
        provider=row.provider, currency=row.currency, state=State.VERIFIED
    ).exclude(pk=row.pk)
    context = {
        "payee": row,
        "in_use": in_use.first(),
        "is_own": row.state == State.CHECKED and row.checked_by_id == visit.user.pk,
        "cooling_hours": settings.PAYEE_COOLING_HOURS,
    }
    return render(request, "console/payee.html", context, form=form)


def _verdicts(row: PayeeAccount, visit: Visit) -> list[Verdict]:
    if not visit.actor.may("settlements:write"):
        return []
    facts: dict[str, Any] = {
        "payee_public_id": row.public_id,
        "at": visit.at,
        "actor": visit.actor,
        "user": visit.user,
    }
    check = Verdict(
        code="check",
        label=_("I have checked it"),
        said=_("Noted; another person has to verify it."),
        act=lambda _data: payees.check(**facts),
        style="primary",
    )
    verify = Verdict(
        code="verify",
        label=_("Verify"),
        said=_("Verified; it is paid to once it has cooled."),
        act=lambda _data: payees.verify(**facts),
        style="primary",
    )
    reject = Verdict(
        code="reject",
        label=_("Reject"),
        said=_("Rejected; the provider reads why."),
        act=lambda data: payees.reject(reason=data["reason"], **facts),
        needs="reason",
        style="danger",
    )
    if row.state == State.PROPOSED:
        return [check, reject]
    if row.state == State.CHECKED:
        return [reject] if row.checked_by_id == visit.user.pk else [verify, reject]
    return []


@page(scope="settlements:write", party="operator", changes=True)
def terms(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    """By what a provider is paid from its next settlement on; a POST makes a new version."""
    visit = request.visit
    provider = find(traders().filter(is_provider=True), organisation_id)
    posted = request.method == "POST"
    form = TermsForm(request.POST if posted else None, initial=_present(request, provider))
    if posted and form.is_valid():
        made = attempt(
            form,
            lambda: payout_terms.put(
                provider_id=provider.pk,
                currency=form.cleaned_data["currency"],
                terms=form.terms(),
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(
                request,
                _("%(name)s is paid by version %(n)s of its terms from its next settlement on.")
                % {"name": names.of(provider), "n": made.version},
            )
            return redirect("organisation", provider.public_id)
    context = {"provider": provider, "terms": terms_of(provider)}
    return render(request, "console/payout_terms.html", context, form=form)


def _present(request: ConsoleRequest, provider: Organisation) -> dict[str, Any]:
    """The terms as they stand in the currency that is asked for."""
    asked = request.GET.get("currency", "")
    currency = asked if asked in dict(CURRENCIES) else settings.DEFAULT_CURRENCY
    now = payout_terms.outlook(provider_id=provider.pk, currency=currency)
    return {
        "currency": currency,
        "settle_after_days": now.settle_after_days,
        "minimum": money_text.plain_money(now.minimum_minor, currency),
        "reserve_percent": f"{now.reserve_bps / 100:.2f}",
        "reserve_days": now.reserve_days,
        "method": now.method,
        "needs_fapiao": now.needs_fapiao,
    }


def _rows(request: ConsoleRequest) -> QuerySet[PayeeAccount]:
    rows = PayeeAccount.objects.visible_to(request.visit.actor)
    return rows.select_related("provider", "checked_by", "decided_by")
