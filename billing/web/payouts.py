"""Payouts: a provider follows its own; for the operator one person plans, another approves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, QuerySet, Sum
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import earnings, payout_files, payouts
from billing.models import LedgerAccount, Payout, PayoutLine, PayoutTerms
from billing.web.deciding import DecidingForm, Verdict, decide
from inventory.models import Organisation
from marketplace import money_text
from marketplace.web import exports, names
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

SHOWN = 100
EXPORT_ROWS = 50_000
State = Payout.State


class PlanForm(ConsoleForm):
    """Whom to pay: one provider, or everybody who can be."""

    provider = forms.ChoiceField(label=gettext_lazy("Provider"), required=False)
    currency = forms.ChoiceField(label=gettext_lazy("Currency"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        accounts = LedgerAccount.objects.filter(
            purpose="provider_settling", balance__posted__gt=0
        ).select_related("owner")
        found = {row.owner.public_id: row.owner for row in accounts if row.owner is not None}
        self.providers: dict[str, Organisation] = dict(
            sorted(found.items(), key=lambda pair: pair[1].name)
        )
        codes = sorted({row.currency for row in accounts} | {"CNY"}, key=lambda c: (c != "CNY", c))
        self._offer(
            "provider",
            [
                ("", _("everybody who can be paid")),
                *((key, names.of(row)) for key, row in self.providers.items()),
            ],
        )
        self._offer("currency", [(code, code) for code in codes])
        if len(codes) == 1:  # nothing to choose
            self.fields["currency"].widget = forms.HiddenInput()
            self.fields["currency"].initial = codes[0]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


def traders_only(visit: Visit) -> None:
    """Pages about a provider's money are the provider's and the operator's. Raises Http404."""
    if not (visit.is_party("provider") or visit.is_party("operator")):
        raise Http404


@page(scope="settlements:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """A provider's own payouts; for the operator what waits for somebody, and planning."""
    visit = request.visit
    traders_only(visit)
    if not visit.is_party("operator"):
        context = {
            "payable": earnings.payable(provider_id=visit.organisation.pk),
            "page": paged(_rows(request).filter(provider=visit.organisation), request),
        }
        return render(request, "console/payouts_own.html", context)
    form = PlanForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "settlements:write")
        if form.is_valid() and (_plan_one if form.cleaned_data["provider"] else _plan_all)(
            request, form
        ):
            return redirect("payouts")
    rows = _rows(request)
    context = {
        "waiting": rows.filter(state=State.PLANNED).order_by("pk")[:SHOWN],
        "for_bank": rows.filter(state=State.APPROVED, method=PayoutTerms.Method.BANK)
        .values("currency")
        .annotate(count=Count("pk"), sum=Sum("amount_minor"))
        .order_by("currency"),
        "on_their_way": [
            (row, _days(row, visit.at))
            for row in rows.filter(state__in=[State.SENDING, State.SENT]).order_by("pk")[:SHOWN]
        ],
        "came_back": _came_back(rows)[:SHOWN],
        "page": paged(rows, request),
    }
    return render(request, "console/payouts.html", context, form=form)


def _days(row: Payout, at: datetime) -> int:
    """Since it was handed to the bank or the rail."""
    since = row.sent_at or row.sending_at or row.created_at
    return max(0, (at - since).days)


def _came_back(rows: QuerySet[Payout]) -> QuerySet[Payout]:
    """Failed or returned, and part of what was in them is in no other payout yet."""
    again = PayoutLine.objects.filter(
        settlement=OuterRef("settlement"), part=OuterRef("part"), is_live=True
    )
    left = PayoutLine.objects.filter(~Exists(again), payout=OuterRef("pk"))
    found = rows.filter(Exists(left), state__in=[State.FAILED, State.RETURNED])
    return found.order_by("-pk")


def _plan_one(request: ConsoleRequest, form: PlanForm) -> bool:
    visit, data = request.visit, form.cleaned_data
    row = attempt(
        form,
        lambda: payouts.plan(
            provider_id=form.providers[data["provider"]].pk,
            currency=data["currency"],
            at=visit.at,
            actor=visit.actor,
            user=visit.user,
        ),
    )
    if row is not None:
        messages.success(request, _("Planned; another person has to approve it."))
    return row is not None


def _plan_all(request: ConsoleRequest, form: PlanForm) -> bool:
    """In every currency: who can be paid does not wait for who cannot."""
    visit = request.visit
    planned, refused_count = payouts.plan_due(at=visit.at, actor=visit.actor, user=visit.user)
    if not planned:
        form.add_error(
            None,
            _("Nobody can be paid now. Choose one provider to read why.")
            if refused_count
            else _("Nothing is settled that is not in a payout already."),
        )
        return False
    messages.success(
        request,
        _("Planned: %(n)s. Not yet possible: %(m)s. Another person has to approve them.")
        % {"n": f"{len(planned):,}", "m": f"{refused_count:,}"},
    )
    return True


@page(scope="settlements:read", changes=True)
def detail(request: ConsoleRequest, payout_id: str) -> HttpResponse:
    """One payout and what is in it; the operator's verdicts by the state it is in."""
    visit = request.visit
    row = find(_rows(request), payout_id)
    is_ours = visit.is_party("operator")
    form = DecidingForm(
        request.POST if request.method == "POST" else None,
        verdicts=_verdicts(row, visit) if is_ours else [],
    )
    if request.method == "POST":
        need(request, "settlements:write")
        if decide(request, form):
            return redirect("payout", row.public_id)
        row = find(_rows(request), payout_id)
    context = {
        "payout": row,
        "lines": row.lines.select_related("settlement").order_by("pk"),
        "is_ours": is_ours,
        "is_own": row.state == State.PLANNED and row.planned_by_id == visit.user.pk,
        "reference": payout_files.reference_of(row)
        if row.method == PayoutTerms.Method.BANK
        else "",
    }
    return render(request, "console/payout.html", context, form=form)


def _verdicts(row: Payout, visit: Visit) -> list[Verdict]:
    if not visit.actor.may("settlements:write"):
        return []
    key: dict[str, Any] = {"payout_public_id": row.public_id, "at": visit.at, "actor": visit.actor}

    def ending(verb: Any) -> Any:
        def act(data: Mapping[str, Any]) -> object:
            return verb(reason=data["reason"], **key)

        return act

    approve = Verdict(
        code="approve",
        label=_("Approve"),
        said=_("Approved: the amount is held until it has left."),
        act=lambda _data: payouts.approve(user=visit.user, **key),
        style="primary",
    )
    cancel = Verdict(
        code="cancel",
        label=_("Cancel"),
        said=_("Cancelled; its settlements wait for another payout."),
        act=ending(payouts.cancel),
        needs="reason",
        style="danger",
    )
    paid = Verdict(
        code="paid",
        label=_("It has left"),
        said=_("Paid."),
        act=lambda data: payouts.mark_paid(reference=data["reference"], **key),
        needs="reference",
        style="primary",
    )
    failed = Verdict(
        code="failed",
        label=_("The bank refused it"),
        said=_("Failed; its settlements wait for another payout."),
        act=ending(payouts.mark_failed),
        needs="reason",
        style="danger",
    )
    returned = Verdict(
        code="returned",
        label=_("It came back"),
        said=_("Back in our books; its settlements wait for another payout."),
        act=ending(payouts.mark_returned),
        needs="reason",
        style="danger",
    )
    by_bank = row.method == PayoutTerms.Method.BANK  # a rail speaks for itself
    match row.state:
        case State.PLANNED:
            return [cancel] if row.planned_by_id == visit.user.pk else [approve, cancel]
        case State.APPROVED:
            return [cancel]
        case State.SENT if by_bank:
            return [paid, failed]
        case State.PAID if by_bank:
            return [returned]
    return []


@page(scope="settlements:read")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    traders_only(request.visit)
    header = [
        _("Payout"), _("Provider"), _("State"), _("Method"), _("Currency"), _("Amount"),
        _("Account"), _("Bank reference"), _("Planned (UTC)"), _("Paid (UTC)"), _("Error"),
    ]  # fmt: skip
    lines = (
        [
            row.public_id, names.of(row.provider), row.get_state_display(),
            row.get_method_display(), row.currency,
            money_text.plain_money(row.amount_minor, row.currency), row.payee_account,
            row.rail_reference, row.created_at.isoformat(),
            row.paid_at.isoformat() if row.paid_at else "", row.last_error,
        ]
        for row in _rows(request).order_by("-pk")[:EXPORT_ROWS].iterator()
    )  # fmt: skip
    return exports.stream("payouts", header, lines)


def _rows(request: ConsoleRequest) -> QuerySet[Payout]:
    rows = Payout.objects.visible_to(request.visit.actor)
    return rows.select_related("provider", "planned_by", "approved_by", "terms", "file")
