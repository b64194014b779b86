"""Money that goes back by bank: a tenant asks for unused money; the operator lets it go by two
persons, and sends back transfers that are nobody's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import ledger, refunds
from billing.models import BankAccount, BankReceipt, Refund
from billing.web.deciding import DecidingForm, Verdict, decide
from inventory.models import Organisation
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged

SHOWN = 100
State = Refund.State


class RefundForm(ConsoleForm):
    """How much goes to which own account."""

    account = forms.ChoiceField(label=gettext_lazy("To the account"))
    amount = MoneyField(label=gettext_lazy("Amount"))
    reason = reason_field()

    def __init__(self, *args: Any, tenant: Organisation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = BankAccount.objects.filter(owner=tenant, state=BankAccount.State.VERIFIED)
        self.accounts = {row.public_id: row for row in rows.order_by("-pk")[:SHOWN]}
        choice, amount = self.fields["account"], self.fields["amount"]
        assert isinstance(choice, forms.ChoiceField)
        assert isinstance(amount, MoneyField)
        choice.choices = [
            (key, f"{row.bank_name} {row.number} {row.currency}")
            for key, row in self.accounts.items()
        ]
        chosen = self.accounts.get(str(self["account"].value()))
        if chosen is not None:
            amount.currency = chosen.currency


class SendBackForm(ConsoleForm):
    """To which account a transfer goes back, and why."""

    payee_bank = forms.CharField(
        label=gettext_lazy("Payer's bank"),
        max_length=200,
        help_text=gettext_lazy("With its branch: the bank's file asks for it"),
    )
    payee_account = forms.CharField(label=gettext_lazy("Payer's account"), max_length=60)
    reason = reason_field()

    def __init__(self, *args: Any, receipt: BankReceipt, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if receipt.payer_account:  # the statement has said it
            del self.fields["payee_account"]


@page(scope="wallet:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """A tenant's refunds, and asking for one; for the operator what waits for somebody."""
    visit = request.visit
    rows = _rows(request)
    if visit.is_party("operator"):
        need(request, "audit:read")
        context = {
            "to_check": rows.filter(state=State.ASKED).order_by("pk")[:SHOWN],
            "to_approve": rows.filter(state=State.CHECKED).order_by("pk")[:SHOWN],
            "to_send": rows.filter(state=State.APPROVED).count(),
            "sent": [
                (row, max(0, (visit.at - (row.sent_at or visit.at)).days))
                for row in rows.filter(state=State.SENT).order_by("pk")[:SHOWN]
            ],
            "page": paged(rows, request),
        }
        return render(request, "console/refunds.html", context)
    if not visit.is_party("tenant"):
        raise Http404
    own = visit.organisation
    form = RefundForm(request.POST if request.method == "POST" else None, tenant=own)
    if request.method == "POST":
        need(request, "wallet:write")
        if form.is_valid() and (made := _ask(request, form)) is not None:
            messages.success(request, _("Asked for; the amount is kept aside until it has left."))
            return redirect("refund", made.public_id)
    currencies = sorted({row.currency for row in form.accounts.values()})
    context = {
        "accounts": form.accounts,
        "unused": [_unused(own, code) for code in currencies],
        "page": paged(rows.filter(tenant=own), request),
    }
    return render(request, "console/refunds_own.html", context, form=form)


def _unused(tenant: Organisation, currency: str) -> tuple[str, int]:
    """What of the wallet is neither kept aside nor credit."""
    balance = ledger.balance(tenant, currency=currency)
    return currency, max(0, balance.posted_minor - balance.held_minor)


def _ask(request: ConsoleRequest, form: RefundForm) -> Refund | None:
    visit, data = request.visit, form.cleaned_data
    account = form.accounts[data["account"]]
    return attempt(
        form,
        lambda: refunds.ask(
            tenant=visit.organisation,
            account_public_id=account.public_id,
            amount_minor=data["amount"],
            currency=account.currency,
            reason=data["reason"],
            at=visit.at,
            actor=visit.actor,
        ),
    )


@page(scope="wallet:read", changes=True)
def detail(request: ConsoleRequest, refund_id: str) -> HttpResponse:
    """One refund; its tenant may withdraw it, the operator checks, approves and follows it."""
    visit = request.visit
    row = find(_rows(request), refund_id)
    form = DecidingForm(
        request.POST if request.method == "POST" else None, verdicts=_verdicts(row, visit)
    )
    if request.method == "POST":
        need(request, "receipts:approve" if visit.is_party("operator") else "wallet:write")
        if decide(request, form):
            return redirect("refund", row.public_id)
        row = find(_rows(request), refund_id)
    context = {
        "refund": row,
        "is_ours": visit.is_party("operator"),
        "is_own": row.state == State.CHECKED and row.checked_by_id == visit.user.pk,
    }
    return render(request, "console/refund.html", context, form=form)


def _verdicts(row: Refund, visit: Visit) -> list[Verdict]:
    key: dict[str, Any] = {"refund_public_id": row.public_id, "at": visit.at, "actor": visit.actor}
    if not visit.is_party("operator"):
        may = row.tenant_id == visit.organisation.pk and visit.actor.may("wallet:write")
        withdraw = Verdict(
            code="withdraw",
            label=_("Withdraw the request"),
            said=_("Withdrawn; the amount is free again."),
            act=lambda _data: refunds.withdraw(**key),
        )
        return [withdraw] if may and row.state in (State.ASKED, State.CHECKED) else []
    if not visit.actor.may("receipts:approve"):
        return []

    def because(verb: Any) -> Any:
        def act(data: Mapping[str, Any]) -> object:
            return verb(reason=data["reason"], **key)

        return act

    check = Verdict(
        code="check",
        label=_("I have checked it"),
        said=_("Noted; another person has to approve it."),
        act=lambda _data: refunds.check(user=visit.user, **key),
        style="primary",
    )
    approve = Verdict(
        code="approve",
        label=_("Approve"),
        said=_("Approved: it goes into the next file for the bank."),
        act=lambda _data: refunds.approve(user=visit.user, **key),
        style="primary",
    )
    refuse = Verdict(
        code="refuse",
        label=_("Refuse"),
        said=_("Refused; the amount is free again."),
        act=because(refunds.refuse),
        needs="reason",
        style="danger",
    )
    send = Verdict(
        code="send",
        label=_("Entered at the bank by hand"),
        said=_("Sent."),
        act=lambda data: refunds.send_by_hand(bank_reference=data["reference"], **key),
        needs="reference",
    )
    complete = Verdict(
        code="complete",
        label=_("It has left"),
        said=_("Paid."),
        act=lambda _data: refunds.complete(**key),
        style="primary",
    )
    fail = Verdict(
        code="fail",
        label=_("The bank refused it"),
        said=_("Failed; the amount is free again."),
        act=because(refunds.fail),
        needs="reason",
        style="danger",
    )
    match row.state:
        case State.ASKED:
            return [check, refuse]
        case State.CHECKED:
            return [refuse] if row.checked_by_id == visit.user.pk else [approve, refuse]
        case State.APPROVED:
            return [send, refuse]
        case State.SENT:
            return [complete, fail]
    return []


@page(scope="receipts:record", party="operator", changes=True)
def send_back(request: ConsoleRequest, receipt_id: str) -> HttpResponse:
    """A transfer that is nobody's goes back to its sender; another person approves it."""
    visit = request.visit
    rows = BankReceipt.objects.visible_to(visit.actor).select_related("tenant", "candidate")
    receipt = find(rows, receipt_id)
    form = SendBackForm(request.POST if request.method == "POST" else None, receipt=receipt)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: refunds.send_back(
                receipt_public_id=receipt.public_id,
                at=visit.at,
                actor=visit.actor,
                user=visit.user,
                **form.cleaned_data,
            ),
        )
        if made is not None:
            messages.success(request, _("Noted; another person has to approve it."))
            return redirect("refund", made.public_id)
    return render(request, "console/send_back.html", {"receipt": receipt}, form=form)


def _rows(request: ConsoleRequest) -> QuerySet[Refund]:
    rows = Refund.objects.visible_to(request.visit.actor)
    return rows.select_related("tenant", "receipt", "file", "checked_by", "approved_by")
