"""A tenant pays online: Stripe's Payment Element where a key is set, and what became of it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from billing import gateway
from billing.fakestripe import hands
from billing.models import TopUp
from billing.psp import refunds, topups
from marketplace.web.entry import ConsoleRequest, attempt, done, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged

State = TopUp.State
# docs.stripe.com/security/guide: what its scripts load, on the one page that has them.
STRIPE_SOURCES = {
    "script-src": ["https://js.stripe.com", "https://*.js.stripe.com"],
    "frame-src": [
        "https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com",
    ],
    "connect-src": ["https://api.stripe.com"],
    "style-src": ["'unsafe-inline'"],
}  # fmt: skip


class TopUpForm(ConsoleForm):
    """How much."""

    amount = MoneyField(label=gettext_lazy("Amount, CNY"), currency="CNY")


class RefundForm(ConsoleForm):
    """How much of a payment goes back."""

    amount = MoneyField(label=gettext_lazy("Amount, CNY"), currency="CNY")


class PretendForm(ConsoleForm):
    """What the payer of a demo does."""

    deed = forms.ChoiceField(
        choices=[(name, "") for name in ("card", "alipay", "wechat_pay", "decline")],
        widget=forms.HiddenInput,
    )


def _rows(request: ConsoleRequest) -> QuerySet[TopUp]:
    rows = TopUp.objects.visible_to(request.visit.actor)
    return rows.filter(tenant=request.visit.organisation).select_related("tenant")


@page(scope="wallet:read", party="tenant", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """The tenant's online payments; a POST begins one."""
    visit = request.visit
    form = TopUpForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "wallet:write")
        if form.is_valid():
            row = attempt(
                form,
                lambda: topups.start(
                    tenant_id=visit.organisation.pk,
                    amount_minor=form.cleaned_data["amount"],
                    currency=settings.DEFAULT_CURRENCY,
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if row is not None:
                return redirect("topup", row.public_id)
    context = {
        "is_on": gateway.is_on(),
        "is_fake": gateway.is_fake(),
        "page": paged(_rows(request), request),
    }
    return render(request, "console/topups.html", context, form=form)


@page(scope="wallet:read", party="tenant")
def detail(request: ConsoleRequest, topup_id: str) -> HttpResponse:
    """One payment: to be made here, on its way, or over. Stripe sends the payer back here."""
    row = find(_rows(request), topup_id)
    key = settings.STRIPE_PUBLISHABLE_KEY
    pays = (
        row.state == State.OPEN
        and bool(key)
        and not gateway.is_fake()
        and request.visit.actor.may("wallet:write")
    )
    reply = _detail(request, row, RefundForm(), pays)
    if pays:
        reply._csp_update = STRIPE_SOURCES  # type: ignore[attr-defined]
    return reply


def _detail(request: ConsoleRequest, row: TopUp, form: RefundForm, pays: bool) -> HttpResponse:
    is_paid = row.state == State.SUCCEEDED
    context: dict[str, Any] = {
        "topup": row,
        "pays": pays,
        "publishable_key": settings.STRIPE_PUBLISHABLE_KEY,
        "locale": "zh" if (get_language() or "").startswith("zh") else "en",
        "is_fake": gateway.is_fake() and row.state == State.OPEN,
        "waits": row.state in (State.PLANNED, State.PROCESSING)
        or (row.state == State.OPEN and "redirect_status" in request.GET),
        "refundable": refunds.refundable(row) if is_paid else 0,
        "refunds": row.refunds.order_by("pk"),
        "disputes": row.disputes.order_by("pk"),
    }
    return render(request, "console/topup.html", context, form=form)


@page(scope="wallet:write", party="tenant", changes=True, posts_only=True)
def cancel(request: ConsoleRequest, topup_id: str) -> HttpResponse:
    visit = request.visit
    row = find(_rows(request), topup_id)
    form = RefundForm({})
    form.errors.clear()
    if done(
        form,
        lambda: topups.cancel(top_up_public_id=row.public_id, at=visit.at, actor=visit.actor),
    ):
        messages.success(request, _("Stripe is asked to give up this payment."))
        return redirect("topup", row.public_id)
    return _detail(request, row, form, pays=False)


@page(scope="wallet:write", party="tenant", changes=True, posts_only=True)
def refund(request: ConsoleRequest, topup_id: str) -> HttpResponse:
    """Part of a payment goes back to where it came from."""
    visit = request.visit
    row = find(_rows(request), topup_id)
    form = RefundForm(request.POST)
    if form.is_valid():
        made = attempt(
            form,
            lambda: refunds.ask(
                top_up_public_id=row.public_id,
                amount_minor=form.cleaned_data["amount"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(request, _("The refund is on its way; the amount is kept aside."))
            return redirect("topup", row.public_id)
    return _detail(request, row, form, pays=False)


@page(scope="wallet:write", party="tenant", changes=True, posts_only=True)
def pretend(request: ConsoleRequest, topup_id: str) -> HttpResponse:
    """In a demo: what the payer would do with a real Stripe."""
    row = find(_rows(request), topup_id)
    if not gateway.is_fake():
        raise Http404
    form = PretendForm(request.POST)
    if not form.is_valid() or row.intent_id is None:
        return _detail(request, row, RefundForm(), pays=False)
    if form.cleaned_data["deed"] == "decline":
        hands.decline(row.intent_id)
    else:
        hands.pay(row.intent_id, method=form.cleaned_data["deed"])
    return redirect("topup", row.public_id)
