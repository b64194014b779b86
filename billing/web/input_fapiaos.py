"""Fapiaos that providers issue to the operator: handed in, looked at, counted against payouts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import input_fapiaos, payables, payout_terms
from billing.models import InputFapiao
from billing.web.deciding import DecidingForm, Verdict, decide
from billing.web.payout_terms import terms_of
from billing.web.payouts import traders_only
from inventory.models import Organisation
from marketplace.api.serializers import CURRENCIES
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged

SHOWN = 100
State = InputFapiao.State


class HandInForm(ConsoleForm):
    """A fapiao and what it says."""

    number = forms.CharField(
        label=gettext_lazy("Fapiao number"),
        max_length=20,
        help_text=gettext_lazy("8 or 20 digits"),
    )
    issued_date = forms.DateField(
        label=gettext_lazy("Date on it"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    currency = forms.ChoiceField(label=gettext_lazy("Currency"), choices=CURRENCIES)
    amount = MoneyField(label=gettext_lazy("Amount with its tax"))
    vat = MoneyField(label=gettext_lazy("Tax in it"), allow_zero=True)
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("PDF, OFD, XML or a picture, up to 1 MiB"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = self["currency"].value()
        for name in ("amount", "vat"):
            field = self.fields[name]
            assert isinstance(field, MoneyField)
            field.currency = asked if asked in dict(CURRENCIES) else CURRENCIES[0][0]


@dataclass(frozen=True, slots=True)
class Cover:
    """By how much what is payable against fapiaos goes beyond those that were accepted; negative:
    so much of them is left over."""

    currency: str
    uncovered_minor: int

    @property
    def left_over_minor(self) -> int:
        return -self.uncovered_minor


def cover(provider: Organisation, currency: str) -> Cover:
    """What is in payouts, and what waits for one. Three statements."""
    missing = input_fapiaos.uncovered_minor(provider=provider, currency=currency)
    for part in payables.due(provider_id=provider.pk, currency=currency):
        if part.settlement.terms is not None and part.settlement.terms.needs_fapiao:
            missing += part.amount_minor
    return Cover(currency, missing)


def _covers(provider: Organisation) -> Iterator[Cover]:
    for each in terms_of(provider):
        found = cover(provider, each.currency)
        if each.terms.needs_fapiao or found.uncovered_minor:
            yield found


@page(scope="settlements:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """A provider's fapiaos and what they cover; for the operator those to be looked at."""
    visit = request.visit
    traders_only(visit)
    rows = _rows(request)
    if visit.is_party("operator"):
        waiting = rows.filter(state=State.HANDED_IN).order_by("pk")[:SHOWN]
        context = {"waiting": waiting, "page": paged(rows, request)}
        return render(request, "console/input_fapiaos.html", context)
    posted = request.method == "POST"
    form = HandInForm(request.POST if posted else None, request.FILES if posted else None)
    if posted:
        need(request, "payees:write")
        if form.is_valid() and _hand_in(request, form):
            return redirect("input_fapiaos")
    own = visit.organisation
    context = {
        "covers": list(_covers(own)),
        "needs": any(each.terms.needs_fapiao for each in terms_of(own)),
        "page": paged(rows.filter(provider=own), request),
    }
    return render(request, "console/input_fapiaos_own.html", context, form=form)


def _hand_in(request: ConsoleRequest, form: HandInForm) -> bool:
    visit, data = request.visit, form.cleaned_data
    upload = data["file"]
    made = attempt(
        form,
        lambda: input_fapiaos.hand_in(
            provider_id=visit.organisation.pk,
            number=data["number"],
            issued_date=data["issued_date"],
            currency=data["currency"],
            amount_minor=data["amount"],
            vat_minor=data["vat"],
            file_name=upload.name,
            # Never more than the verb would refuse anyway.
            content=upload.read(input_fapiaos.LARGEST_FILE + 1),
            at=visit.at,
            actor=visit.actor,
            user=visit.user,
        ),
    )
    if made is not None:
        messages.success(request, _("Handed in; the operator looks at it."))
    return made is not None


@page(scope="settlements:read", changes=True)
def detail(request: ConsoleRequest, fapiao_id: str) -> HttpResponse:
    """One fapiao; the operator accepts or rejects it."""
    visit = request.visit
    row = find(_rows(request), fapiao_id)
    is_ours = visit.is_party("operator")
    form = DecidingForm(
        request.POST if request.method == "POST" else None,
        verdicts=_verdicts(row, visit) if is_ours else [],
    )
    if request.method == "POST":
        need(request, "settlements:write")
        if decide(request, form):
            return redirect("input_fapiaos")
        row = find(_rows(request), fapiao_id)
    needs = payout_terms.outlook(provider_id=row.provider_id, currency=row.currency).needs_fapiao
    context = {
        "fapiao": row,
        "is_ours": is_ours,
        "needs": needs,
        "uncovered_minor": cover(row.provider, row.currency).uncovered_minor,
    }
    return render(request, "console/input_fapiao.html", context, form=form)


def _verdicts(row: InputFapiao, visit: Visit) -> list[Verdict]:
    if row.state != State.HANDED_IN or not visit.actor.may("settlements:write"):
        return []
    facts: dict[str, Any] = {
        "fapiao_public_id": row.public_id,
        "at": visit.at,
        "actor": visit.actor,
        "user": visit.user,
    }
    return [
        Verdict(
            code="accept",
            label=_("Accept"),
            said=_("Accepted: it covers payouts up to its amount."),
            act=lambda _data: input_fapiaos.accept(**facts),
            style="primary",
        ),
        Verdict(
            code="reject",
            label=_("Reject"),
            said=_("Rejected; the provider reads why."),
            act=lambda data: input_fapiaos.reject(reason=data["reason"], **facts),
            needs="reason",
            style="danger",
        ),
    ]


@page(scope="settlements:read")
def file(request: ConsoleRequest, fapiao_id: str) -> HttpResponse:
    """The file, as a download only: it came from outside."""
    rows = InputFapiao.objects.visible_to(request.visit.actor)
    row = find(rows, fapiao_id)
    ending = {
        "application/pdf": "pdf",
        "application/vnd.ofd": "ofd",
        "image/png": "png",
        "image/jpeg": "jpg",
        "application/xml": "xml",
    }[row.content_type]
    return HttpResponse(
        bytes(row.content),
        content_type=row.content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{row.number}.{ending}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _rows(request: ConsoleRequest) -> QuerySet[InputFapiao]:
    rows = InputFapiao.objects.visible_to(request.visit.actor)
    return rows.select_related("provider", "handed_in_by", "decided_by").defer("content")
