"""Bank transfers: recorded by one person, decided by another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import payments
from billing.models import BankReceipt
from inventory.models import Organisation
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged


class ReceiptForm(ConsoleForm):
    """One line of the bank statement."""

    tenant = forms.ChoiceField(label=gettext_lazy("Tenant"))
    amount = MoneyField(label=gettext_lazy("Amount, CNY"))
    received_date = forms.DateField(
        label=gettext_lazy("Received on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    bank_reference = forms.CharField(label=gettext_lazy("Bank reference"), max_length=80)
    payer_name = forms.CharField(label=gettext_lazy("Payer"), max_length=200)
    payer_account = forms.CharField(
        label=gettext_lazy("Payer's account"), max_length=64, required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Organisation.objects.filter(is_tenant=True).order_by("name")
        self.tenants = {row.public_id: row for row in rows}
        choice = self.fields["tenant"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [(key, row.name) for key, row in self.tenants.items()]


class VerdictForm(ConsoleForm):
    """Approve, or reject with a reason."""

    verdict = forms.ChoiceField(choices=[("approve", ""), ("reject", "")])
    reason = reason_field(required=False)


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Receipts that wait for a second person, then all; a POST records one."""
    visit = request.visit
    form = ReceiptForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "receipts:record")
        if form.is_valid():
            data = form.cleaned_data
            made = attempt(
                form,
                lambda: payments.record_receipt(
                    tenant_id=form.tenants[data["tenant"]].pk,
                    bank_reference=data["bank_reference"],
                    payer_name=data["payer_name"],
                    payer_account=data["payer_account"],
                    amount_minor=data["amount"],
                    currency="CNY",
                    received_date=data["received_date"],
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if made is not None:
                messages.success(request, _("Recorded; another person has to approve it."))
                return redirect("receipts")
    rows = BankReceipt.objects.visible_to(visit.actor).select_related("tenant", "recorded_by")
    context = {
        "waiting": rows.filter(state=BankReceipt.State.RECORDED).order_by("pk")[:100],
        "page": paged(rows, request),
    }
    return render(request, "console/receipts.html", context, form=form)


@page(scope="receipts:approve", party="operator", changes=True, posts_only=True)
def decide(request: ConsoleRequest, receipt_id: str) -> HttpResponse:
    """The second person's verdict."""
    visit = request.visit
    receipt = find(BankReceipt.objects.visible_to(visit.actor), receipt_id)
    form = VerdictForm(request.POST)
    if not form.is_valid():
        raise Http404
    approve = form.cleaned_data["verdict"] == "approve"
    facts: dict[str, Any] = {
        "receipt_public_id": receipt.public_id,
        "at": visit.at,
        "actor": visit.actor,
        "user": visit.user,
    }
    done = attempt(
        form,
        lambda: (
            payments.approve_receipt(**facts)
            if approve
            else payments.reject_receipt(reason=form.cleaned_data["reason"], **facts)
        ),
    )
    if done is None:
        return render(request, "console/refused.html", {"back": "receipts"}, form=form)
    messages.success(
        request, _("In the tenant's wallet.") if approve else _("Rejected and reversed.")
    )
    return redirect("receipts")
