"""One organisation for the operator: who it is, what it has, its deals and its money."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import earnings, ledger
from billing.models import LedgerAccount, Settlement
from billing.receipts import LARGEST_RECEIPT_MINOR
from billing.web import settlements
from inventory import organisations as verbs
from inventory.models import Centre, Membership, Node, Organisation, Pool
from marketplace import money_text
from marketplace.api.serializers import CURRENCIES
from marketplace.models import Lease
from marketplace.web import figures, names, verdicts
from marketplace.web.entry import ConsoleRequest, done, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.oversight import roles_of, traders
from marketplace.web.paging import paged

SHOWN = 200


@dataclass(frozen=True, slots=True)
class Side:
    """The leases of an organisation in one of its two roles."""

    words: str
    count: int
    open_count: int
    url: str


class CreditForm(ConsoleForm):
    """How far below zero a wallet may go, and why."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=CURRENCIES)
    limit = MoneyField(
        label=gettext_lazy("Credit limit"),
        allow_zero=True,
        help_text=gettext_lazy("The wallet may go this far below zero; 0 gives no credit"),
    )
    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit, asked = self.fields["limit"], self["currency"].value()
        assert isinstance(limit, MoneyField)
        limit.currency = asked if asked in dict(CURRENCIES) else settings.DEFAULT_CURRENCY

    def clean_limit(self) -> int:
        limit = int(self.cleaned_data["limit"])
        if limit > LARGEST_RECEIPT_MINOR:
            raise forms.ValidationError(_("The amount is too large"))
        return limit


@page(scope="audit:read", party="operator")
def detail(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    """Everything that the operator knows of one organisation, and what it may decide on it."""
    visit = request.visit
    organisation = find(traders(), organisation_id)
    members = Membership.objects.filter(organisation=organisation)
    settled = paged(Settlement.objects.filter(provider=organisation), request)
    context = {
        "organisation": organisation,
        "bank_accounts": organisation.bank_accounts.filter(state="verified").order_by("pk"),
        "roles": roles_of(organisation),
        "verdicts": verdicts.open_to(organisation, visit),
        "decision": verbs.verdict(organisation),
        "member_count": members.count(),
        "members": _people(organisation) if visit.actor.may("organisations:write") else None,
        "pools": _pools(organisation),
        "bare_centres": _bare_centres(organisation),
        "sides": list(_sides(organisation)),
        "wallets": _wallets(organisation),
        "payable": earnings.payable(provider_id=organisation.pk),
        "page": settled,
        "settled": settlements.with_sums(settled.rows),
    }
    return render(request, "console/organisation.html", context)


def _people(organisation: Organisation) -> list[Membership]:
    rows = Membership.objects.filter(organisation=organisation).select_related("user")
    return list(rows.order_by("user__email")[:SHOWN])


def _pools(organisation: Organisation) -> list[Pool]:
    """With how many nodes of theirs are not retired."""
    return list(
        Pool.objects.filter(provider=organisation)
        .select_related("fabric__centre", "chip")
        .annotate(node_count=Count("nodes", filter=~Q(nodes__state=Node.State.RETIRED)))
        .order_by("fabric__centre__name", "name", "pk")[:SHOWN]
    )


def _bare_centres(organisation: Organisation) -> list[Centre]:
    """Those without a pool, which the pools do not name."""
    rows = Centre.objects.filter(provider=organisation).exclude(fabrics__pools__isnull=False)
    return list(rows.order_by("name", "pk")[:SHOWN])


def _sides(organisation: Organisation) -> Iterator[Side]:
    over = [state for state in Lease.State.values if Lease.LIFECYCLE.is_final(state)]
    for role, words in (("provider", _("As provider")), ("tenant", _("As tenant"))):
        if getattr(organisation, f"is_{role}"):
            found = Lease.objects.filter(**{role: organisation}).aggregate(
                all=Count("pk"), open=Count("pk", filter=~Q(state__in=over))
            )
            address = f"{reverse('all_leases')}?{role}={organisation.public_id}"
            yield Side(words, found["all"], found["open"], address)


def _wallets(organisation: Organisation) -> list[ledger.WalletBalance]:
    """Of each currency in which it has one; of the usual one for every tenant."""
    accounts = LedgerAccount.objects.filter(owner=organisation, purpose="wallet")
    found = set(accounts.values_list("currency", flat=True))
    if organisation.is_tenant:
        found.add(settings.DEFAULT_CURRENCY)
    usual_first = sorted(found, key=lambda code: (code != settings.DEFAULT_CURRENCY, code))
    return [ledger.balance(organisation, currency=code) for code in usual_first]


@page(scope="credit:write", party="operator", changes=True)
def credit(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    """How far below zero a tenant's wallets may go; a POST sets it for one currency."""
    tenant = find(traders().filter(is_tenant=True), organisation_id)
    posted = request.method == "POST"
    form = CreditForm(request.POST if posted else None, initial=_present(request, tenant))
    if posted and form.is_valid() and _set_limit(request, tenant, form):
        balance = ledger.balance(tenant, currency=form.cleaned_data["currency"])
        messages.success(
            request,
            _("The credit limit of %(name)s is %(limit)s now; %(available)s is available.")
            % {
                "name": names.of(tenant),
                "limit": figures.amount(balance.credit_minor, balance.currency),
                "available": figures.amount(balance.available_minor, balance.currency),
            },
        )
        return redirect("organisation", tenant.public_id)
    context = {"tenant": tenant, "wallets": _wallets(tenant)}
    return render(request, "console/organisation_credit.html", context, form=form)


def _present(request: ConsoleRequest, tenant: Organisation) -> dict[str, str]:
    """The limit as it stands in the currency that is asked for."""
    asked = request.GET.get("currency", "")
    currency = asked if asked in dict(CURRENCIES) else settings.DEFAULT_CURRENCY
    now = ledger.balance(tenant, currency=currency).credit_minor
    return {"currency": currency, "limit": money_text.plain_money(now, currency)}


def _set_limit(request: ConsoleRequest, tenant: Organisation, form: CreditForm) -> bool:
    visit, data = request.visit, form.cleaned_data
    now = ledger.balance(tenant, currency=data["currency"])
    used = figures.amount(max(0, now.held_minor - now.posted_minor), now.currency)
    return done(
        form,
        lambda: ledger.set_credit_limit(
            tenant,
            currency=data["currency"],
            limit_minor=data["limit"],
            reason=data["reason"],
            at=visit.at,
            actor=visit.actor,
        ),
        instead={
            "insufficient_funds": _(
                "%(used)s of credit is in use already; the limit cannot be lower than that."
            )
            % {"used": used}
        },
    )
