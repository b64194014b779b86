"""Bank transfers: recorded by one person, decided by another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bank_matching, receipts
from billing.models import BankReceipt
from inventory.models import JournalEntry, Organisation
from marketplace import money_text
from marketplace.web import exports, figures, names
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged

CURRENCY = "CNY"
EXPORT_ROWS = 50_000
State = BankReceipt.State


class ReceiptForm(ConsoleForm):
    """One line of the bank statement."""

    tenant = forms.ChoiceField(label=gettext_lazy("Tenant"), required=False)
    amount = MoneyField(label=gettext_lazy("Amount, CNY"), currency=CURRENCY)
    received_date = forms.DateField(
        label=gettext_lazy("Received on"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    bank_reference = forms.CharField(
        label=gettext_lazy("Bank reference"),
        max_length=80,
        help_text=gettext_lazy("As the statement has it; each is recorded once"),
    )
    payer_name = forms.CharField(label=gettext_lazy("Payer"), max_length=200)
    payer_account = forms.CharField(
        label=gettext_lazy("Payer's account"), max_length=64, required=False
    )

    text = forms.CharField(
        label=gettext_lazy("Remittance text"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("Without a tenant the reference in it says whose it is"),
    )
    late_reason = forms.CharField(
        label=gettext_lazy("Why so late"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Needed for a transfer of long ago"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Organisation.objects.filter(is_tenant=True).order_by("name", "pk")
        self.tenants = {row.public_id: row for row in rows}
        choice = self.fields["tenant"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            ("", _("choose")),
            *((key, names.of(row)) for key, row in self.tenants.items()),
        ]


class AttributeForm(ConsoleForm):
    """Whose money it is, and how that is known."""

    tenant = forms.ChoiceField(label=gettext_lazy("Tenant"))
    reason = reason_field(help_text=gettext_lazy("How it is known whose money this is"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = Organisation.objects.filter(is_tenant=True).order_by("name", "pk")
        self.tenants = {row.public_id: row for row in rows}
        choice = self.fields["tenant"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", _("choose")), *((k, names.of(v)) for k, v in self.tenants.items())]


class VerdictForm(ConsoleForm):
    """Approve, or reject with a reason."""

    verdict = forms.ChoiceField(choices=[("approve", ""), ("reject", "")], widget=forms.HiddenInput)
    reason = reason_field(required=False, help_text=gettext_lazy("Needed to reject"))

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("verdict") == "reject" and not data.get("reason"):
            self.add_error("reason", _("Say why: whoever recorded it reads this."))
        return data


def _rows(request: ConsoleRequest) -> QuerySet[BankReceipt]:
    rows = BankReceipt.objects.visible_to(request.visit.actor)
    return rows.select_related("tenant", "candidate", "recorded_by", "decided_by", "line")


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
                lambda: receipts.record(
                    tenant_id=form.tenants[data["tenant"]].pk if data["tenant"] else None,
                    text=data["text"],
                    late_reason=data["late_reason"],
                    bank_reference=data["bank_reference"],
                    payer_name=data["payer_name"],
                    payer_account=data["payer_account"],
                    amount_minor=data["amount"],
                    currency=CURRENCY,
                    received_date=data["received_date"],
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if made is not None:
                messages.success(request, _("Recorded; another person has to approve it."))
                return redirect("receipts")
    rows = _rows(request)
    nobodys = rows.filter(state=State.RECORDED, tenant__isnull=True).order_by("created_at")[:100]
    context = {
        "waiting": rows.filter(state=State.RECORDED, tenant__isnull=False).order_by("pk")[:100],
        "exceptions": [(row, (visit.at - row.created_at).days) for row in nobodys],
        "alarm_days": settings.UNMATCHED_ALARM_DAYS,
        "page": paged(rows, request),
    }
    return render(request, "console/receipts.html", context, form=form)


@page(scope="audit:read", party="operator", changes=True)
def detail(request: ConsoleRequest, receipt_id: str) -> HttpResponse:
    """One receipt, who recorded it and who decided; a POST is the second person's verdict."""
    visit = request.visit
    receipt = find(_rows(request), receipt_id)
    form = VerdictForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "receipts:approve")
        if form.is_valid() and _decide(request, receipt, form):
            return redirect("receipts")
        receipt.refresh_from_db()
    reason = JournalEntry.objects.filter(
        object_id=receipt.public_id, event="bankreceipt.rejected"
    ).values_list("reason", flat=True)
    context = {
        "receipt": receipt,
        "reason": reason.first(),
        "refunds": receipt.refunds.order_by("pk"),
        "may_decide": receipt.state == State.RECORDED and visit.actor.may("receipts:approve"),
        "is_own": receipt.recorded_by_id == visit.user.pk,
        "is_own_money": receipt.tenant is None
        and receipt.line is not None
        and bank_matching.is_own_money(receipt.line),
    }
    return render(request, "console/receipt.html", context, form=form)


@page(scope="receipts:record", party="operator", changes=True)
def attribute(request: ConsoleRequest, receipt_id: str) -> HttpResponse:
    """Says whose money an exception is; another person still approves it."""
    visit = request.visit
    receipt = find(_rows(request), receipt_id)
    named = {"tenant": receipt.candidate.public_id} if receipt.candidate else None
    form = AttributeForm(request.POST if request.method == "POST" else None, initial=named)
    if request.method == "POST" and form.is_valid():
        whose = receipts.Whose(form.tenants[form.cleaned_data["tenant"]])
        done = attempt(
            form,
            lambda: receipts.attribute(
                receipt_public_id=receipt.public_id,
                whose=whose,
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
                user=visit.user,
            ),
        )
        if done is not None:
            messages.success(request, _("Noted; another person has to approve it."))
            return redirect("receipts")
    context = {"title": _("Whose money is it?"), "submit": _("Attribute"), "back": "receipts"}
    return render(request, "console/form_page.html", context, form=form)


def _decide(request: ConsoleRequest, receipt: BankReceipt, form: VerdictForm) -> bool:
    visit = request.visit
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
            receipts.approve(**facts)
            if approve
            else receipts.reject(reason=form.cleaned_data["reason"], **facts)
        ),
    )
    if done is None:
        return False
    text = (
        _("%(amount)s is in the wallet of %(tenant)s.")
        if approve
        else _("Rejected: %(amount)s of %(tenant)s was reversed.")
    )
    amount = figures.amount(receipt.amount_minor, receipt.currency)
    messages.success(
        request,
        text % {"amount": amount, "tenant": names.of(receipt.tenant) if receipt.tenant else "–"},
    )
    return True


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    header = [
        _("Receipt"), _("Received on"), _("Tenant"), _("Payer"), _("Payer's account"),
        _("Bank reference"), _("Amount"), _("Currency"), _("State"), _("Recorded by"),
        _("Recorded (UTC)"), _("Decided by"), _("Decided (UTC)"),
    ]  # fmt: skip
    lines = (_cells(row) for row in _rows(request).order_by("-pk")[:EXPORT_ROWS].iterator())
    return exports.stream("receipts", header, lines)


def _cells(row: BankReceipt) -> list[object]:
    decided_at = row.approved_at or row.rejected_at
    return [
        row.public_id, row.received_date.isoformat(), _tenant(row), row.payer_name,
        row.payer_account, row.bank_reference,
        money_text.plain_money(row.amount_minor, row.currency), row.currency,
        row.get_state_display(), row.recorded_by.get_full_name(), row.created_at.isoformat(),
        row.decided_by.get_full_name() if row.decided_by else "",
        decided_at.isoformat() if decided_at else "",
    ]  # fmt: skip


def _tenant(row: BankReceipt) -> str:
    return names.of(row.tenant) if row.tenant else "–"
