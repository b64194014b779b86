"""For the operator: what was asked of Stripe, what it told, who disputes."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from billing import gateway
from billing.models import BankWithdrawal, Dispute, GatewayEvent, PspRequest, WalletRefund
from billing.psp import events
from marketplace.web import exports, names
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

SHOWN = 50
EXPORT_ROWS = 50_000


class RetryForm(ConsoleForm):
    """Which parked event."""

    event = forms.CharField(max_length=80, widget=forms.HiddenInput)


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """What needs a person first: disputes, refunds that came back, events nobody could apply."""
    late = GatewayEvent.objects.filter(state__in=["parked", "received"], attempt_count__gt=1)
    context = {
        "is_on": gateway.is_on(),
        "is_fake": gateway.is_fake(),
        "disputes": Dispute.objects.filter(state__in=["inquiry", "open"])
        .select_related("tenant", "top_up")
        .order_by("answer_by", "pk")[:SHOWN],
        "refunds": WalletRefund.objects.filter(state="failed")
        .select_related("tenant", "top_up")
        .order_by("-pk")[:SHOWN],
        "events": late.order_by("-pk")[:SHOWN],
        "withdrawals": BankWithdrawal.objects.order_by("-pk")[:10],
        "page": paged(PspRequest.objects.select_related("organisation"), request),
    }
    return render(request, "console/online_payments.html", context)


@page(scope="settlements:write", party="operator", changes=True, posts_only=True)
def retry(request: ConsoleRequest) -> HttpResponse:
    """A parked event is tried again."""
    form = RetryForm(request.POST)
    if form.is_valid():
        events.retry(event_id=form.cleaned_data["event"], at=request.visit.at)
        messages.success(request, _("It is tried again."))
    return redirect("online_payments")


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    header = [
        _("Request"), _("Operation"), _("For"), _("Organisation"), _("State"), _("Attempts"),
        _("Stripe's object"), _("Error"), _("Written (UTC)"), _("Done (UTC)"),
    ]  # fmt: skip
    rows = PspRequest.objects.select_related("organisation").order_by("-pk")[:EXPORT_ROWS]
    lines = (
        [
            row.public_id, row.operation, row.subject, names.of(row.organisation),
            row.get_state_display(), row.attempt_count, row.object_id, row.error_code,
            row.created_at.isoformat(),
            row.succeeded_at.isoformat() if row.succeeded_at else "",
        ]
        for row in rows.iterator()
    )  # fmt: skip
    return exports.stream("stripe-requests", header, lines)
