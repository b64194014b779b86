"""Holds that wait for the provider: who approved so far, until when, and by what rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace import approvals as verbs
from marketplace import money_text
from marketplace.approvals import MOST_MEMBERS
from marketplace.models import Approval, ApprovalRule, Reservation
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.money_fields import MoneyField

_ROWS = 5  # of thresholds on the form


class ApproveForm(ConsoleForm):
    """The document that allows the deal."""

    document_number = forms.CharField(label=gettext_lazy("Document number"), max_length=80)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A hold with who has agreed to it, and whether the visitor still may."""

    row: Reservation
    given: list[Approval]
    is_mine: bool  # the visitor has agreed already

    @property
    def missing_count(self) -> int:
        return max(0, self.row.approvals_needed - len(self.given))


class RuleForm(ConsoleForm):
    """From which amount on how many members approve."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number in range(1, _ROWS + 1):
            self.fields[f"amount_{number}"] = MoneyField(
                label=_("From, CNY (%(n)s)") % {"n": number}, required=False, allow_zero=True
            )
            self.fields[f"members_{number}"] = forms.IntegerField(
                label=_("Members (%(n)s)") % {"n": number},
                min_value=2,
                max_value=MOST_MEMBERS,
                required=False,
            )
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-control"

    @classmethod
    def of(cls, newest: ApprovalRule | None, data: Any) -> RuleForm:
        initial: dict[str, Any] = {}
        for number, (amount, members) in enumerate(newest.thresholds if newest else (), start=1):
            initial[f"amount_{number}"] = money_text.plain_money(amount, "CNY")
            initial[f"members_{number}"] = members
        return cls(data, initial=initial)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        for number in range(1, _ROWS + 1):
            amount, members = data.get(f"amount_{number}"), data.get(f"members_{number}")
            if (amount is None) != (members is None) and not self.errors:
                self.add_error(f"members_{number}", _("An amount and its members go together."))
        return data

    def thresholds(self) -> list[tuple[int, int]]:
        data = self.cleaned_data
        pairs = [(data[f"amount_{n}"], data[f"members_{n}"]) for n in range(1, _ROWS + 1)]
        return [(amount, members) for amount, members in pairs if amount is not None]


@page(scope="reservations:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """What waits for a decision, the nearest deadline first."""
    visit = request.visit
    rows = (
        Reservation.objects.filter(provider=visit.organisation, decide_by__gt=visit.at)
        .waiting()
        .select_related("tenant", "allocation__pool__fabric__centre", "allocation__pool__chip")
        .prefetch_related("approvals__member")
        .order_by("decide_by", "pk")[:100]
    )
    context = {
        "waiting": [_waiting(row, request) for row in rows],
        "rule": verbs.rule_of(visit.organisation.pk),
        "may_set_rule": visit.actor.may("members:write"),
    }
    return render(request, "console/approvals.html", context, form=ApproveForm())


def _waiting(row: Reservation, request: ConsoleRequest) -> Waiting:
    given = sorted(row.approvals.all(), key=lambda approval: approval.pk)
    mine = any(approval.member_id == request.visit.user.pk for approval in given)
    return Waiting(row=row, given=given, is_mine=mine)


@page(scope="reservations:write", party="provider", changes=True, posts_only=True)
def approve(request: ConsoleRequest, reservation_id: str) -> HttpResponse:
    """The visitor agrees, under the number of a document."""
    visit = request.visit
    row = find(Reservation.objects.filter(provider=visit.organisation), reservation_id)
    form = ApproveForm(request.POST)
    if form.is_valid():
        agreed = attempt(
            form,
            lambda: verbs.approve(
                reservation_public_id=row.public_id,
                at=visit.at,
                actor=visit.actor,
                **form.cleaned_data,
            ),
        )
        if agreed is not None:
            messages.success(
                request,
                _("Approved; the tenant may confirm now.")
                if agreed.decision
                else _("Noted. Other members have to approve it too."),
            )
            return redirect("approvals")
    sentence = _("Give the number of the document that allows the deal, up to 80 characters.")
    context = {"back": "approvals", "sentence": sentence}
    return render(request, "console/refused.html", context, form=form)


@page(scope="members:write", party="provider", changes=True)
def rule(request: ConsoleRequest) -> HttpResponse:
    """From which amount on how many different members have to approve."""
    visit = request.visit
    newest = verbs.rule_of(visit.organisation.pk)
    form = RuleForm.of(newest, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: verbs.set_rule(
                provider_id=visit.organisation.pk,
                thresholds=form.thresholds(),
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(request, _("The rule counts for holds made from now on."))
            return redirect("approvals")
    context = {"deciders": verbs.deciders(visit.organisation, visit.at)}
    return render(request, "console/approval_rule.html", context, form=form)
