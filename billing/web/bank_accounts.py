"""Accounts at banks, an organisation's own and the operator's: two persons see them first."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bank_accounts, bank_files, statement_files
from billing.models import BankAccount
from billing.web.deciding import DecidingForm, Verdict, decide
from inventory.models import User
from marketplace.api.serializers import CURRENCIES
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

SHOWN = 100
State = BankAccount.State
WAITING = (State.PROPOSED, State.CHECKED)


class AccountForm(ConsoleForm):
    """An account in the organisation's own name."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=CURRENCIES)
    holder_name = forms.CharField(label=gettext_lazy("Account name"), max_length=200)
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
    number = forms.CharField(label=gettext_lazy("Account number"), max_length=60)


class OwnAccountForm(AccountForm):
    """An account of the operator: also how its bank writes files, and a range of numbers."""

    statement_layout = forms.ChoiceField(
        label=gettext_lazy("Layout of its statements"), required=False
    )
    file_layout = forms.ChoiceField(label=gettext_lazy("Layout of its files"), required=False)
    virtual_prefix = forms.CharField(
        label=gettext_lazy("Prefix of virtual accounts"),
        max_length=30,
        required=False,
        help_text=gettext_lazy("Where the bank keeps a range: each tenant has a number of its own"),
    )
    virtual_digits = forms.IntegerField(
        label=gettext_lazy("Digits that follow"), min_value=2, max_value=10, required=False
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, layouts in (
            ("statement_layout", statement_files.layouts()),
            ("file_layout", bank_files.layouts()),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            own = [key for key in layouts if key != "plain"]
            field.choices = [("", _("plain")), *((key, key) for key in own)]

    def clean_virtual_digits(self) -> int:
        return self.cleaned_data["virtual_digits"] or 0


@page(scope="wallet:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """An organisation's accounts, or all of them for the operator; a POST enters an own one."""
    visit = request.visit
    is_ours = visit.is_party("operator")
    kind = OwnAccountForm if is_ours else AccountForm
    initial = {"holder_name": visit.organisation.name}
    form = kind(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST":
        need(request, "wallet:write")
        if form.is_valid():
            made = attempt(
                form,
                lambda: bank_accounts.propose(
                    owner=visit.organisation,
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                    **form.cleaned_data,
                ),
            )
            if made is not None:
                messages.success(request, _("Entered; two people of the operator look at it."))
                return redirect("bank_accounts")
    rows = _rows(request)
    context = {
        "is_ours": is_ours,
        "waiting": rows.filter(state__in=WAITING).order_by("pk")[:SHOWN] if is_ours else [],
        "cooling_hours": settings.BANK_ACCOUNT_COOLING_HOURS,
        "page": paged(rows if is_ours else rows.filter(owner=visit.organisation), request),
    }
    return render(request, "console/bank_accounts.html", context, form=form)


@page(scope="wallet:read", changes=True)
def detail(request: ConsoleRequest, account_id: str) -> HttpResponse:
    """One account: the operator decides on it, its owner closes it."""
    visit = request.visit
    row = find(_rows(request), account_id)
    form = DecidingForm(
        request.POST if request.method == "POST" else None, verdicts=_verdicts(row, visit)
    )
    if request.method == "POST":
        decides = request.POST.get("verdict") in ("check", "verify", "reject")
        need(request, "receipts:approve" if decides else "wallet:write")
        if decide(request, form):
            return redirect("bank_accounts")
        row = find(_rows(request), account_id)
    context = {
        "account": row,
        "is_ours": visit.is_party("operator"),
        "is_own": row.state in WAITING and visit.user.pk in (row.proposed_by_id, row.checked_by_id),
        "cooling_hours": settings.BANK_ACCOUNT_COOLING_HOURS,
    }
    return render(request, "console/bank_account.html", context, form=form)


def _verdicts(row: BankAccount, visit: Visit) -> list[Verdict]:
    key: dict[str, Any] = {
        "account_public_id": row.public_id,
        "at": visit.at,
        "actor": visit.actor,
    }
    if row.state in WAITING and visit.actor.may("receipts:approve"):
        return _decisions(row, visit.user, key)
    if row.state == State.VERIFIED and visit.actor.may("wallet:write"):
        return [
            Verdict(
                code="close",
                label=_("Close"),
                said=_("Closed: no money goes there any more."),
                act=lambda _data: bank_accounts.close(**key),
                style="danger",
            )
        ]
    return []


def _decisions(row: BankAccount, user: User, key: dict[str, Any]) -> list[Verdict]:
    """What this person may say of an account that waits."""
    if user.pk == row.proposed_by_id:
        return []
    check = Verdict(
        code="check",
        label=_("I have checked it"),
        said=_("Noted; another person has to verify it."),
        act=lambda _data: bank_accounts.check(user=user, **key),
        style="primary",
    )
    verify = Verdict(
        code="verify",
        label=_("Verify"),
        said=_("Verified; it is paid to once it has cooled."),
        act=lambda _data: bank_accounts.decide(verified=True, user=user, **key),
        style="primary",
    )
    reject = Verdict(
        code="reject",
        label=_("Reject"),
        said=_("Rejected."),
        act=lambda data: bank_accounts.decide(
            verified=False, reason=data["reason"], user=user, **key
        ),
        needs="reason",
        style="danger",
    )
    if row.state == State.PROPOSED:
        return [check, reject]
    return [reject] if row.checked_by_id == user.pk else [verify, reject]


def _rows(request: ConsoleRequest) -> QuerySet[BankAccount]:
    rows = BankAccount.objects.visible_to(request.visit.actor)
    return rows.select_related("owner", "proposed_by", "checked_by", "decided_by")
