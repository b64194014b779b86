"""Vouchers: proposed by one accountant, posted by another."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import vouchers
from billing.ledger import Entry
from billing.models import Voucher
from billing.vouchers import Evidence
from billing.web import book_words
from inventory.errors import DomainError
from marketplace import money_text
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.paging import paged

State = Voucher.State


class EntriesField(forms.CharField):
    """One leg a line: an account's code and an amount, credits with a minus before them."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 30_000)
        super().__init__(widget=forms.Textarea(attrs={"rows": 4}), **kwargs)

    def clean(self, value: Any) -> Any:
        found: list[Entry] = []
        for number, line in enumerate(str(super().clean(value)).splitlines(), start=1):
            words = line.split()
            if not words:
                continue
            if len(words) != 2:
                raise ValidationError(
                    _("Line %(n)s: an account and an amount are wanted, such as %(example)s.")
                    % {"n": number, "example": "asset:bank:CNY -3.00"}
                )
            found.append((words[0], _minor(words[0], words[1], number)))
        return found


def _minor(code: str, text: str, number: int) -> int:
    sign = -1 if text[:1] in ("-", "−") else 1
    try:
        return sign * money_text.parse_money(text.lstrip("+-−").replace(",", ""), code[-3:])
    except DomainError as error:
        raise ValidationError(
            _("Line %(n)s: %(text)s is no amount of that currency.")
            % {"n": number, "text": text[:40]}
        ) from error


class VoucherForm(ConsoleForm):
    """What is to be posted, on which day, and why."""

    entries = EntriesField(
        label=gettext_lazy("Entries"),
        help_text=gettext_lazy(
            "One a line: an account and an amount; a debit is positive, a credit has a minus."
        ),
    )
    effective_date = forms.DateField(
        label=gettext_lazy("Day of the books"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)
    evidence = forms.CharField(
        label=gettext_lazy("Evidence"),
        max_length=200,
        help_text=gettext_lazy("The document that shows it, and its number"),
    )
    external_reference = forms.CharField(
        label=gettext_lazy("Line that it books"),
        max_length=120,
        required=False,
        help_text=gettext_lazy("A line's id or reference: reconciliation finds the posting by it"),
    )
    file = forms.FileField(label=gettext_lazy("File"), required=False)


class DecisionForm(ConsoleForm):
    """Post it, or reject it with a reason."""

    verdict = forms.ChoiceField(choices=[("post", ""), ("reject", "")], widget=forms.HiddenInput)
    reason = reason_field(required=False, help_text=gettext_lazy("Needed to reject"))

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("verdict") == "reject" and not data.get("reason"):
            self.add_error("reason", _("Say why: whoever proposed it reads this."))
        return data


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Vouchers that wait, then all; a POST proposes one."""
    visit = request.visit
    posted = request.method == "POST"
    initial = {"external_reference": request.GET.get("line", "")[:120]}
    form = VoucherForm(
        request.POST if posted else None, request.FILES if posted else None, initial=initial
    )
    if posted:
        need(request, "settlements:write")
        if form.is_valid():
            data = form.cleaned_data
            file = data["file"]
            evidence = Evidence(
                data["evidence"], file.name if file else "", file.read() if file else b""
            )
            made = attempt(
                form,
                lambda: vouchers.propose(
                    entries=data["entries"],
                    effective_date=data["effective_date"],
                    reason=data["reason"],
                    evidence=evidence,
                    external_reference=data["external_reference"],
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if made is not None:
                messages.success(request, _("Proposed; another person has to post it."))
                return redirect("vouchers")
    rows = Voucher.objects.visible_to(visit.actor).defer("content")
    rows = rows.select_related("proposed_by", "decided_by").prefetch_related("entries")
    context = {
        "waiting": rows.filter(state=State.PROPOSED).order_by("pk")[:100],
        "page": paged(rows, request),
        "accounts": [(code, book_words.account(code)) for code in vouchers.BY_HAND],
    }
    return render(request, "console/vouchers.html", context, form=form)


@page(scope="audit:read", party="operator", changes=True)
def detail(request: ConsoleRequest, voucher_id: str) -> HttpResponse:
    """One voucher; a POST is the second person's decision."""
    visit = request.visit
    rows = Voucher.objects.visible_to(visit.actor).defer("content")
    row = find(rows.select_related("proposed_by", "decided_by"), voucher_id)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "settlements:write")
        if form.is_valid() and _decide(request, row, form):
            return redirect("vouchers")
        row.refresh_from_db()
    context = {
        "voucher": row,
        "entries": [
            (entry, entry.account_code[-3:], book_words.account(entry.account_code))
            for entry in row.entries.order_by("number")
        ],
        "may_decide": row.state == State.PROPOSED and visit.actor.may("settlements:write"),
        "is_own": row.proposed_by_id == visit.user.pk,
    }
    return render(request, "console/voucher.html", context, form=form)


def _decide(request: ConsoleRequest, row: Voucher, form: DecisionForm) -> bool:
    visit = request.visit
    facts: dict[str, Any] = {
        "voucher_public_id": row.public_id,
        "at": visit.at,
        "actor": visit.actor,
        "user": visit.user,
    }
    posts = form.cleaned_data["verdict"] == "post"
    reason = form.cleaned_data["reason"]
    done = attempt(
        form,
        lambda: vouchers.post(**facts) if posts else vouchers.reject(reason=reason, **facts),
    )
    if done is None:
        return False
    messages.success(request, _("Posted.") if posts else _("Rejected; nothing was posted."))
    return True


@page(scope="audit:read", party="operator")
def file(request: ConsoleRequest, voucher_id: str) -> HttpResponse:
    """The evidence that was handed in."""
    row: Any = find(Voucher.objects.visible_to(request.visit.actor), voucher_id)
    if row.content is None:
        raise Http404
    reply = HttpResponse(bytes(row.content), content_type=row.content_type)
    # Downloaded, never shown: what it claims to be is its sender's word.
    reply["Content-Disposition"] = f'attachment; filename="{row.public_id}"'
    reply["X-Content-Type-Options"] = "nosniff"
    return reply
