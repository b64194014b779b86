"""The books beside the bank and Stripe, what disagrees, and who says what is what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import ageing, reconciliation, reconciliation_report, reconciliation_sides
from billing.models import (
    BankLine,
    BankStatement,
    LedgerTransaction,
    PspBalanceTransaction,
    ReconciliationMatch,
)
from billing.reconciliation_report import Equality, ReconciliationException
from billing.web import book_words
from inventory import identifiers
from inventory.errors import DomainError, NotFound
from marketplace import money_text
from marketplace.web import exports, refusals
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.paging import paged

SHOWN = 200


class DayForm(ConsoleForm):
    """At whose end the figures are."""

    day = forms.DateField(
        label=gettext_lazy("At the end of"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class MatchForm(ConsoleForm):
    """A line and a transaction that a person says are one, or two that cancel each other."""

    line = forms.CharField(
        label=gettext_lazy("Line, or the key of a movement that is cancelled"), max_length=200
    )
    transaction = forms.CharField(label=gettext_lazy("Key of the transaction"), max_length=200)
    reason = reason_field(help_text=gettext_lazy("How it is known that they are the same"))


class UndoForm(ConsoleForm):
    """Why a match was a mistake."""

    reason = reason_field()


@dataclass(frozen=True, slots=True)
class Row:
    """An exception, ready to be read."""

    found: ReconciliationException
    days: int

    @property
    def name(self) -> str:
        return self.found.line.name if self.found.line is not None else ""

    @property
    def key(self) -> str:
        return self.found.movement.key if self.found.movement is not None else ""

    @property
    def text(self) -> str:
        return self.found.line.text if self.found.line is not None else self.key

    @property
    def account(self) -> object:
        return book_words.account(self.found.code)


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Both figures of each account, exceptions by age, matches; a POST matches by hand."""
    visit = request.visit
    posted = request.method == "POST"
    form = MatchForm(request.POST if posted else None)
    if posted:
        need(request, "settlements:write")
        if form.is_valid() and _match(request, form) is not None:
            messages.success(request, _("Matched."))
            return redirect("reconciliation")
    day_form = DayForm(request.GET if request.GET.get("day") else None)
    day = _today(visit.at)
    if day_form.is_bound and day_form.is_valid():
        day = day_form.cleaned_data["day"] or day
    found = reconciliation_report.findings(at=visit.at)
    rows = [_row(each, visit.at) for each in found.exceptions]
    matches = ReconciliationMatch.objects.visible_to(visit.actor).select_related(
        "transaction", "offset", "bank_line", "opening", "account", "reversal"
    )
    context: dict[str, Any] = {
        "day": day,
        "day_form": day_form,
        "accounts": [(each, _causes(each)) for each in reconciliation_report.equality(day=day)],
        "exceptions": rows[:SHOWN],
        "exception_count": len(rows),
        "late_count": sum(row.found.is_late for row in rows),
        "in_flight": len(found.in_flight),
        "lying": [
            (each, book_words.account(each.code), (visit.at - each.since).days)
            for each in ageing.clearing(at=visit.at)
        ],
        "page": paged(matches, request),
        "undo_form": UndoForm(),
    }
    return render(request, "console/reconciliation.html", context, form=form)


def _match(request: ConsoleRequest, form: MatchForm) -> ReconciliationMatch | None:
    visit = request.visit
    name, key = form.cleaned_data["line"].strip(), form.cleaned_data["transaction"].strip()
    transaction = LedgerTransaction.objects.filter(idempotency_key=key).first()
    if transaction is None:
        form.add_error("transaction", _("There is no transaction of that key."))
        return None
    facts: dict[str, Any] = {
        "reason": form.cleaned_data["reason"],
        "at": visit.at,
        "actor": visit.actor,
    }
    line = _line(name)
    if line is not None:
        number = transaction.pk
        return attempt(
            form,
            lambda: reconciliation.match_by_hand(transaction_id=number, line=line, **facts),
        )
    other = LedgerTransaction.objects.filter(idempotency_key=name).first()
    code = _common_account(transaction, other) if other is not None else None
    if other is None or code is None:
        form.add_error("line", _("There is no such line, and no such movement of that account."))
        return None
    ids = (transaction.pk, other.pk)
    return attempt(
        form,
        lambda: reconciliation.offset_by_hand(transaction_ids=ids, account_code=code, **facts),
    )


def _line(name: str) -> BankLine | BankStatement | PspBalanceTransaction | None:
    try:
        if name.startswith("bln_"):
            return identifiers.find(BankLine.objects.all(), name)
        if name.startswith("bst_"):
            return identifiers.find(BankStatement.objects.select_related("account"), name)
    except NotFound:
        return None
    return PspBalanceTransaction.objects.filter(pk=name).first()


def _common_account(one: LedgerTransaction, other: LedgerTransaction) -> str | None:
    """The account of money outside that both moved."""
    codes = [
        set(
            row.entries.filter(account__purpose__in=reconciliation.PURPOSES).values_list(
                "account__code", flat=True
            )
        )
        for row in (one, other)
    ]
    return min(codes[0] & codes[1], default=None)


@page(scope="settlements:write", party="operator", changes=True, posts_only=True)
def undo(request: ConsoleRequest, match_id: str) -> HttpResponse:
    """A match was a mistake."""
    visit = request.visit
    form = UndoForm(request.POST)
    row = find(ReconciliationMatch.objects.visible_to(visit.actor), match_id)
    if not form.is_valid():
        messages.error(request, _("Say why the match is undone."))
        return redirect("reconciliation")
    try:
        reconciliation.undo(
            match_public_id=row.public_id,
            reason=form.cleaned_data["reason"],
            at=visit.at,
            actor=visit.actor,
        )
    except DomainError as error:
        messages.error(request, refusals.explain(error))
    else:
        messages.success(request, _("Undone; both sides are open again."))
    return redirect("reconciliation")


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> StreamingHttpResponse:
    """Every exception."""
    at = request.visit.at
    header = [
        _("Kind"), _("Account"), _("Currency"), _("In the books"), _("Outside"), _("Difference"),
        _("Since (UTC)"), _("Days"), _("Too old"), _("Line"), _("Transaction"), _("Text"),
    ]  # fmt: skip
    found = reconciliation_report.findings(at=at).exceptions
    return exports.stream("reconciliation", header, (_cells(_row(each, at)) for each in found))


def _cells(row: Row) -> list[object]:
    found, currency = row.found, row.found.currency
    return [
        found.kind.label, found.code, currency,
        money_text.plain_money(found.books_minor, currency),
        money_text.plain_money(found.outside_minor, currency),
        money_text.plain_money(found.difference_minor, currency),
        found.since.isoformat(), row.days, _("yes") if found.is_late else _("no"),
        row.name, row.key, row.text,
    ]  # fmt: skip


def _row(found: ReconciliationException, at: datetime) -> Row:
    return Row(found, max(0, (at - found.since).days))


def _causes(found: Equality) -> list[tuple[object, int, int]]:
    return [(book_words.CAUSES[item.kind], item.count, item.minor) for item in found.items]


def _today(at: datetime) -> date:
    return at.astimezone(reconciliation_sides.zone()).date()
