"""Contested lines: both sides are heard, the operator decides."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import statements
from billing.models import Contest
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged


class VerdictForm(ConsoleForm):
    """A note, and for a contest upheld how much is given back."""

    verdict = forms.ChoiceField(
        choices=[("answer", ""), ("dismiss", ""), ("uphold", "")], widget=forms.HiddenInput
    )
    note = forms.CharField(
        label=gettext_lazy("Note"), max_length=500, widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, *args: Any, currency: str, decides: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if decides:
            label = _("Amount with VAT, %(currency)s") % {"currency": currency}
            self.fields["amount"] = MoneyField(
                label=label,
                currency=currency,
                required=False,
                help_text=_("Given back; needed to uphold"),
            )
            self.fields["amount"].widget.attrs["class"] = "form-control"

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("verdict") == "uphold" and not data.get("amount"):
            self.add_error(None, _("Say how much is given back."))
        return data


def _visible(request: ConsoleRequest) -> QuerySet[Contest]:
    return Contest.objects.visible_to(request.visit.actor).select_related(
        "line__invoice",
        "line__lease__allocation__pool",
        "tenant",
        "provider",
        "credit_note",
        "opened_by",
        "decided_by",
    )


@page(scope="invoices:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """Contests that the visitor is a side of, newest first."""
    return render(request, "console/contests.html", {"page": paged(_visible(request), request)})


@page(scope="invoices:read", changes=True)
def detail(request: ConsoleRequest, contest_id: str) -> HttpResponse:
    """One contest: the provider answers, the operator decides."""
    visit, row = request.visit, find(_visible(request), contest_id)
    is_open = row.state == Contest.State.OPEN and row.credit_note_id is None
    may_decide = is_open and visit.actor.may("settlements:write")
    may_answer = (
        is_open and row.provider_id == visit.organisation.pk and visit.actor.may("invoices:write")
    )
    form = VerdictForm(
        request.POST if request.method == "POST" else None,
        currency=row.line.invoice.currency,
        decides=may_decide,
    )
    if request.method == "POST":
        answers = request.POST.get("verdict") == "answer"
        need(request, "invoices:write" if answers else "settlements:write")
        if form.is_valid() and _decide(request, row, form):
            return redirect("contest", row.public_id)
        row.refresh_from_db()
    context = {"contest": row, "may_decide": may_decide, "may_answer": may_answer}
    return render(request, "console/contest.html", context, form=form)


def _decide(request: ConsoleRequest, row: Contest, form: VerdictForm) -> bool:
    visit, data = request.visit, form.cleaned_data
    facts: dict[str, Any] = {
        "contest_public_id": row.public_id,
        "note": data["note"],
        "at": visit.at,
        "actor": visit.actor,
    }
    verdict = data["verdict"]
    if verdict == "answer":
        done = attempt(form, lambda: statements.answer(**facts))
        text = _("Your side of it is recorded.")
    elif verdict == "dismiss":
        done = attempt(form, lambda: statements.dismiss(**facts, user=visit.user))
        text = _("Dismissed: the line stands.")
    else:
        done = attempt(
            form,
            lambda: statements.uphold(**facts, gross_minor=data["amount"], user=visit.user),
        )
        text = _("A credit note is asked for; another person has to approve it.")
    if done is not None:
        messages.success(request, text)
    return done is not None
