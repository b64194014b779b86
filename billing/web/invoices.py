"""Invoices and credit notes: read, taken away as PDF and CSV, accepted, contested, corrected."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import invoices, paper, statements
from billing.invoices import credits, papers
from billing.models import Contest, Invoice, InvoiceLine, Statement
from marketplace import money_text
from marketplace.web import exports
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.money_fields import MoneyField
from marketplace.web.paging import paged

SHOWN_LINES = 500
State = Invoice.State


class DecisionForm(ConsoleForm):
    """What is done with a document: accept a statement, approve or reject a credit note."""

    verdict = forms.ChoiceField(
        choices=[("accept", ""), ("approve", ""), ("reject", "")], widget=forms.HiddenInput
    )
    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Needed to reject"),
    )

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        if data.get("verdict") == "reject" and not data.get("reason"):
            self.add_error("reason", _("Say why."))
        return data


class ContestForm(ConsoleForm):
    """What is wrong with a line."""

    reason = forms.CharField(
        label=gettext_lazy("What is wrong"),
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class CreditForm(ConsoleForm):
    """How much of a line is given back, and why."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=200)

    def __init__(self, *args: Any, currency: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        label = _("Amount with VAT, %(currency)s") % {"currency": currency}
        self.fields["amount"] = MoneyField(label=label, currency=currency)
        self.fields["amount"].widget.attrs["class"] = "form-control"
        self.order_fields(["amount", "reason"])


def _visible(request: ConsoleRequest) -> QuerySet[Invoice]:
    return Invoice.objects.visible_to(request.visit.actor).select_related("issuer", "party")


@page(scope="invoices:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """The visitor's documents, newest first; narrowed to drafts, finals or corrections."""
    rows, chosen = _visible(request), request.GET.get("show", "")
    narrowed: dict[str, dict[str, Any]] = {
        "drafts": {"state": State.DRAFT},
        "final": {"state": State.FINALISED, "kind": Invoice.Kind.INVOICE},
        "notes": {"kind": Invoice.Kind.CREDIT_NOTE},
        "open": {"payment_status__in": ("open", "overdue")},
    }
    waiting = rows.filter(state=State.DRAFT, requested_by__isnull=False).order_by("pk")[:100]
    context = {
        "page": paged(rows.filter(**narrowed.get(chosen, {})), request),
        "chosen": chosen,
        "filters": [
            ("", _("All")),
            ("drafts", _("Drafts")),
            ("final", _("Invoices")),
            ("notes", _("Credit notes")),
            ("open", _("Unpaid")),
        ],
        "waiting": waiting if request.visit.is_party("operator") else [],
    }
    return render(request, "console/invoices.html", context)


@page(scope="invoices:read", changes=True)
def detail(request: ConsoleRequest, invoice_id: str) -> HttpResponse:
    """One document; its tenant accepts its statement, a second person decides a correction."""
    visit = request.visit
    row = find(_visible(request), invoice_id)
    statement = Statement.objects.visible_to(visit.actor).filter(invoice=row).first()
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and _decide(request, row, statement, form):
        return redirect("invoice", row.public_id)
    row.refresh_from_db()
    lines = list(
        row.lines.select_related(
            "lease__allocation__pool", "price", "corrects__invoice", "invoice"
        ).order_by("lease_id", "month", "pk")[: SHOWN_LINES + 1]
    )
    contests = {
        contest.line_id: contest
        for contest in Contest.objects.visible_to(visit.actor).filter(line__in=lines)
    }
    is_waiting = row.state == State.DRAFT and row.requested_by_id is not None
    own = statement is not None and statement.tenant_id == visit.organisation.pk
    context = {
        "invoice": row,
        "lines": [(line, papers.what(line), contests.get(line.pk)) for line in lines[:SHOWN_LINES]],
        "is_cut": len(lines) > SHOWN_LINES,
        "vat": papers.vat_by_rate(lines).items(),
        "period": papers.period_text(row),
        "statement": statement,
        "may_answer": own
        and statement is not None
        and statement.state == Statement.State.ISSUED
        and statement.due_at > visit.at
        and visit.actor.may("invoices:write"),
        "may_credit": row.is_final
        and row.kind == Invoice.Kind.INVOICE
        and visit.actor.may("settlements:write"),
        "may_decide": is_waiting and visit.actor.may("settlements:write"),
        "is_own": is_waiting and row.requested_by_id == visit.user.pk,
    }
    return render(request, "console/invoice.html", context, form=form)


def _decide(
    request: ConsoleRequest, row: Invoice, statement: Statement | None, form: DecisionForm
) -> bool:
    visit = request.visit
    accepts = request.POST.get("verdict") == "accept"
    need(request, "invoices:write" if accepts else "settlements:write")
    if not form.is_valid():
        return False
    facts: dict[str, Any] = {"at": visit.at, "actor": visit.actor, "user": visit.user}
    if accepts:
        if statement is None:
            raise Http404
        key = statement.public_id
        done = (
            attempt(form, lambda: statements.accept(statement_public_id=key, **facts)) is not None
        )
        text = _("The statement is accepted.")
    elif form.cleaned_data["verdict"] == "approve":
        facts["invoice_public_id"] = row.public_id
        done = attempt(form, lambda: invoices.approve_credit(**facts)) is not None
        text = _("The credit note is issued and the money given back.")
    else:
        facts |= {"invoice_public_id": row.public_id, "reason": form.cleaned_data["reason"]}
        done = attempt(form, lambda: invoices.discard_credit(**facts)) is not None
        text = _("The credit note is discarded.")
    if done:
        messages.success(request, text)
    return done


@page(scope="invoices:read")
def pdf(request: ConsoleRequest, invoice_id: str, language: str) -> HttpResponse:
    """The final document, in Chinese or English."""
    row = find(_visible(request), invoice_id)
    chosen = next((each for each in paper.LANGUAGES if each == language), None)
    if chosen is None or not row.is_final:
        raise Http404
    made = invoices.paper(invoice=row, language=chosen, at=request.visit.at)
    name = f"{row.label}-{chosen}.pdf"
    return HttpResponse(
        bytes(made.content),
        content_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"'},
    )


@page(scope="invoices:read")
def lines_csv(request: ConsoleRequest, invoice_id: str) -> StreamingHttpResponse:
    row = find(_visible(request), invoice_id)
    header = [
        _("Line"), _("Lease"), _("Pool"), _("Kind"), _("Used"), _("From (UTC)"),
        _("Until (UTC)"), _("Card-seconds"), _("Currency"), _("Net"), _("VAT code"),
        _("VAT rate, %"), _("VAT"), _("Gross"), _("Corrects"),
    ]  # fmt: skip
    found = row.lines.select_related("lease__allocation__pool", "corrects").order_by("pk")
    cells = (
        [
            line.public_id, line.lease.public_id, line.lease.allocation.pool.name,
            line.get_kind_display(), f"{line.month:%Y-%m}", line.from_at.isoformat(),
            line.until_at.isoformat(), line.card_seconds, row.currency,
            money_text.plain_money(line.net_minor, row.currency), line.vat_code,
            f"{line.vat_bps / 100:g}", money_text.plain_money(line.vat_minor, row.currency),
            money_text.plain_money(line.gross_minor, row.currency),
            line.corrects.public_id if line.corrects else "",
        ]
        for line in found.iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream(row.label or f"draft-{row.month:%Y-%m}", header, cells)


def _line(request: ConsoleRequest, line_id: str) -> InvoiceLine:
    rows = InvoiceLine.objects.visible_to(request.visit.actor)
    return find(rows.select_related("invoice", "lease__allocation__pool"), line_id)


@page(scope="invoices:write", changes=True)
def contest(request: ConsoleRequest, line_id: str) -> HttpResponse:
    """The tenant objects to a line of its statement."""
    visit, line = request.visit, _line(request, line_id)
    if line.lease.tenant_id != visit.organisation.pk:
        raise Http404
    form = ContestForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: statements.contest(
                line_public_id=line.public_id,
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
                user=visit.user,
            ),
        )
        if made is not None:
            messages.success(request, _("The line is contested; the operator decides."))
            return redirect("contest", made.public_id)
    context = {"line": line, "title": _("Contest a line"), "submit": _("Contest")}
    return render(request, "console/invoice_line.html", context, form=form)


@page(scope="settlements:write", party="operator", changes=True)
def credit(request: ConsoleRequest, line_id: str) -> HttpResponse:
    """The operator asks for a credit note over a part of a line."""
    visit, line = request.visit, _line(request, line_id)
    form = CreditForm(
        request.POST if request.method == "POST" else None, currency=line.invoice.currency
    )
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: invoices.request_credit(
                line_public_id=line.public_id,
                gross_minor=form.cleaned_data["amount"],
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
                user=visit.user,
            ),
        )
        if made is not None:
            messages.success(request, _("Asked for; another person has to approve it."))
            return redirect("invoice", made.public_id)
    context = {
        "line": line,
        "title": _("Credit a line"),
        "submit": _("Ask for it"),
        "left_minor": credits.left_minor(line),
    }
    return render(request, "console/invoice_line.html", context, form=form)
