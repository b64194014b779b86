"""A provider's account with Stripe: opened, completed on Stripe's own page, and looked at here."""

from __future__ import annotations

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import gateway
from billing.fakestripe import hands
from billing.models import PayoutAccount
from billing.psp import accounts
from inventory.errors import DomainError
from marketplace.web import refusals
from marketplace.web.entry import ConsoleRequest, attempt, need, page, render
from marketplace.web.forms import ConsoleForm

COUNTRIES = {
    "HK": gettext_lazy("Hong Kong"),
    "SG": gettext_lazy("Singapore"),
    "JP": gettext_lazy("Japan"),
}


class AccountForm(ConsoleForm):
    """Where the provider's company is."""

    country = forms.ChoiceField(label=gettext_lazy("Country or region"))

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["country"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(c, COUNTRIES.get(c, c)) for c in settings.STRIPE_PAYOUT_COUNTRIES]


def _rows(request: ConsoleRequest) -> QuerySet[PayoutAccount]:
    rows = PayoutAccount.objects.visible_to(request.visit.actor)
    return rows.filter(provider=request.visit.organisation).order_by("-pk")


@page(scope="settlements:read", party="provider", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """The live account, and what Stripe still wants; a POST opens one."""
    visit = request.visit
    form = AccountForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "payouts:write")
        if form.is_valid():
            made = attempt(
                form,
                lambda: accounts.open_account(
                    provider_id=visit.organisation.pk,
                    country=form.cleaned_data["country"],
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if made is not None:
                messages.success(request, _("Stripe is asked to open the account."))
                return redirect("payout_account")
    account = _rows(request).first()
    context = {
        "account": account,
        "is_live": account is not None and account.state != PayoutAccount.State.CLOSED,
        "is_on": gateway.is_on(),
    }
    return render(request, "console/payout_account.html", context, form=form)


@page(scope="payouts:write", party="provider", posts_only=True)
def link(request: ConsoleRequest) -> HttpResponse:
    """To Stripe's page, and back here. Stripe is asked, so there is no transaction around it."""
    account = _rows(request).exclude(state=PayoutAccount.State.CLOSED).first()
    here = request.build_absolute_uri(reverse("payout_account"))
    try:
        if account is None:
            raise accounts.AccountNotThere()
        url = accounts.onboarding_link(account, refresh_url=here, return_url=here)
    except DomainError as error:
        messages.error(request, refusals.explain(error))
        return redirect("payout_account")
    if gateway.is_fake() and account.account_id:  # in a demo the provider answers at once
        hands.complete(account.account_id)
    return HttpResponseRedirect(url)
