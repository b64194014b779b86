"""By which terms a provider is paid, and what of its earnings is kept back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import payout_terms
from billing.models import PayoutTerms, Settlement
from billing.payout_terms import (
    LARGEST_MINIMUM_MINOR,
    LARGEST_RESERVE_BPS,
    LATEST_DAYS,
    LONGEST_RESERVE_DAYS,
    Terms,
)
from inventory.models import Organisation
from marketplace import money_text
from marketplace.api.serializers import CURRENCIES
from marketplace.web import names
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.oversight import traders

SHOWN = 100


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


@page(scope="settlements:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """By which terms a provider is paid, and what is kept back of what it earned."""
    own = request.visit.organisation
    context = {
        "terms": terms_of(own),
        "reserves": Settlement.objects.filter(
            provider=own, reserve_minor__gt=0, reserve_released_at=None
        ).order_by("reserve_until", "pk")[:SHOWN],
    }
    return render(request, "console/payout_terms_own.html", context)


@page(scope="settlements:write", party="operator", changes=True)
def put(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
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
