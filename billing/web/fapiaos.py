"""Fapiaos: asked for by tenants, issued by hand by the operator, taken back by red notes."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bank_accounts, fapiaos
from billing.fapiaos import Buyer, Part
from billing.fapiaos.files import ENDINGS
from billing.fapiaos.requests import NAMES
from billing.models import BillingDetails, Fapiao, FapiaoFile, Invoice
from inventory.models import Organisation
from marketplace.web import figures
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

OFFERED = 60  # invoices to choose from, newest first


class DetailsForm(ConsoleForm):
    """How an organisation stands on documents."""

    title = forms.CharField(label=gettext_lazy("Title on documents"), max_length=200)
    tax_number = forms.CharField(label=gettext_lazy("Tax number"), max_length=40, required=False)
    address = forms.CharField(label=gettext_lazy("Address"), max_length=300, required=False)
    phone = forms.CharField(label=gettext_lazy("Phone"), max_length=40, required=False)
    bank_name = forms.CharField(label=gettext_lazy("Bank"), max_length=200, required=False)
    bank_account = forms.CharField(
        label=gettext_lazy("Account number"), max_length=64, required=False
    )

    def buyer(self) -> Buyer:
        return Buyer(**{name: self.cleaned_data[name] for name in NAMES})


class RequestForm(DetailsForm):
    """Of which kind, over which invoices."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=Fapiao.Kind.choices)
    invoices = forms.MultipleChoiceField(
        label=gettext_lazy("Invoices"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, rows: list[Invoice], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["invoices"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [
            (row.public_id, f"{row.label} · {figures.amount(row.total_minor, row.currency)}")
            for row in rows
        ]
        self.order_fields(["invoices", "kind", *NAMES])


class IssueForm(ConsoleForm):
    """What the operator does with a fapiao."""

    verdict = forms.ChoiceField(
        choices=[("withdraw", ""), ("issue", ""), ("refuse", ""), ("reverse", "")],
        widget=forms.HiddenInput,
    )
    number = forms.CharField(label=gettext_lazy("Fapiao number"), max_length=40, required=False)
    date = forms.DateField(
        label=gettext_lazy("Date on it"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        required=False,
        help_text=gettext_lazy("PDF, OFD or XML, as the tax service gave it"),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=200, required=False)

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        verdict = data.get("verdict")
        if verdict in ("issue", "reverse"):
            for name in ("number", "date"):
                if not data.get(name) and name not in self.errors:
                    self.add_error(name, _("Needed here."))
        if verdict in ("refuse", "reverse") and not data.get("reason"):
            self.add_error("reason", _("Say why."))
        return data


def _visible(request: ConsoleRequest) -> QuerySet[Fapiao]:
    rows = Fapiao.objects.visible_to(request.visit.actor)
    return rows.select_related("buyer", "replaces", "replaced_by")


@page(scope="invoices:read", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Fapiaos, those to be issued first; a tenant asks for one here."""
    visit = request.visit
    own = list(
        Invoice.objects.filter(
            party=visit.organisation,
            kind=Invoice.Kind.INVOICE,
            state=Invoice.State.FINALISED,
            total_minor__gt=0,
        ).order_by("-pk")[:OFFERED]
    )
    form = RequestForm(
        request.POST if request.method == "POST" else None,
        rows=own,
        initial=_known(visit.organisation),
    )
    if request.method == "POST":
        need(request, "invoices:write")
        if form.is_valid():
            made = attempt(
                form,
                lambda: fapiaos.request(
                    kind=form.cleaned_data["kind"],
                    buyer=form.buyer(),
                    parts=[Part(key) for key in form.cleaned_data["invoices"]],
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if made is not None:
                messages.success(request, _("The fapiao is requested."))
                return redirect("fapiao", made.public_id)
    rows = _visible(request)
    context = {
        "page": paged(rows, request),
        "waiting": rows.filter(state=Fapiao.State.REQUESTED).order_by("pk")[:100]
        if visit.is_party("operator")
        else [],
        "may_ask": bool(own) and visit.actor.may("invoices:write"),
    }
    return render(request, "console/fapiaos.html", context, form=form)


def _known(organisation: Organisation) -> dict[str, str]:
    row = BillingDetails.objects.filter(pk=organisation.pk).first()
    if row is not None:
        return {name: getattr(row, name) for name in NAMES}
    account = bank_accounts.of(organisation, settings.DEFAULT_CURRENCY)
    return {
        "title": organisation.name,
        "tax_number": organisation.credit_code or "",
        "bank_name": account.bank_name if account else "",
        "bank_account": account.number if account else "",
    }


@page(scope="invoices:read", changes=True)
def detail(request: ConsoleRequest, fapiao_id: str) -> HttpResponse:
    """One fapiao: its buyer may withdraw it; the operator issues, refuses or reverses it."""
    visit, row = request.visit, find(_visible(request), fapiao_id)
    form = IssueForm(
        request.POST if request.method == "POST" else None,
        request.FILES if request.method == "POST" else None,
    )
    if request.method == "POST":
        withdraws = request.POST.get("verdict") == "withdraw"
        need(request, "invoices:write" if withdraws else "settlements:write")
        if form.is_valid() and _act(request, row, form):
            return redirect("fapiao", row.public_id)
        row.refresh_from_db()
    context = {
        "fapiao": row,
        "parts": row.parts.select_related("invoice").order_by("pk"),
        "files": row.files.defer("content").order_by("pk"),
        "may_withdraw": row.state == Fapiao.State.REQUESTED
        and row.buyer_id == visit.organisation.pk
        and visit.actor.may("invoices:write"),
        "may_issue": row.state == Fapiao.State.REQUESTED and visit.actor.may("settlements:write"),
        "may_reverse": row.state == Fapiao.State.ISSUED and visit.actor.may("settlements:write"),
    }
    return render(request, "console/fapiao.html", context, form=form)


def _act(request: ConsoleRequest, row: Fapiao, form: IssueForm) -> bool:
    visit, data, key = request.visit, form.cleaned_data, row.public_id
    facts: dict[str, Any] = {"fapiao_public_id": key, "at": visit.at, "actor": visit.actor}

    def act() -> Fapiao:
        upload = fapiaos.read_upload(data["file"]) if data.get("file") else None
        match data["verdict"]:
            case "withdraw":
                return fapiaos.withdraw(**facts)
            case "refuse":
                return fapiaos.refuse(**facts, reason=data["reason"])
            case "issue":
                return fapiaos.issue(
                    **facts, number=data["number"], issued_date=data["date"], upload=upload
                )
        return fapiaos.reverse(
            **facts,
            number=data["number"],
            red_date=data["date"],
            reason=data["reason"],
            upload=upload,
        )

    done = attempt(form, act)
    if done is not None:
        messages.success(request, _("Recorded."))
    return done is not None


@page(scope="invoices:read")
def file(request: ConsoleRequest, fapiao_id: str, role: str) -> HttpResponse:
    """The file, as a download only: it came from outside."""
    row = find(_visible(request), fapiao_id)
    found = FapiaoFile.objects.filter(fapiao=row, role=role).first()
    if found is None:
        raise Http404
    name = f"{row.number or row.public_id}-{role}.{ENDINGS[found.media_type]}"
    return HttpResponse(
        bytes(found.content),
        content_type=found.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
        },
    )


@page(scope="invoices:write", changes=True)
def details(request: ConsoleRequest) -> HttpResponse:
    """How the visitor's organisation stands on documents from now on."""
    visit = request.visit
    form = DetailsForm(
        request.POST if request.method == "POST" else None, initial=_known(visit.organisation)
    )
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: fapiaos.put_details(
                organisation_id=visit.organisation.pk,
                details=form.buyer(),
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(request, _("Saved; documents that are final keep what they say."))
            return redirect("billing_details")
    context = {"title": _("Billing details"), "submit": _("Save"), "back": "invoices"}
    return render(request, "console/form_page.html", context, form=form)
