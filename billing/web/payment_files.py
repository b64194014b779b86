"""Files of refunds for the bank: chosen among those approved, downloaded as they were made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import refunds
from billing.bank_files import MOST_PAYMENTS
from billing.models import BankAccount, PaymentFile, Refund
from marketplace.web import figures
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged


class FileForm(ConsoleForm):
    """From which account, and which refunds."""

    account = forms.ChoiceField(label=gettext_lazy("Debited account"))
    refunds = forms.MultipleChoiceField(
        label=gettext_lazy("Refunds"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, rows: list[Refund], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = BankAccount.objects.of_operator().order_by("pk")
        self._offer(
            "account",
            [(row.public_id, f"{row.bank_name} {row.number} {row.currency}") for row in own],
        )
        self._offer(
            "refunds",
            [
                (
                    row.public_id,
                    f"{figures.amount(row.amount_minor, row.currency)} {row.payee_name}",
                )
                for row in rows
            ],
        )
        self.fields["refunds"].initial = [row.public_id for row in rows]

    def _offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Files made so far; a POST writes approved refunds into a new one."""
    visit = request.visit
    approved = Refund.objects.visible_to(visit.actor).filter(state=Refund.State.APPROVED)
    waiting = list(approved.order_by("pk")[:MOST_PAYMENTS])
    form = FileForm(request.POST if request.method == "POST" else None, rows=waiting)
    if request.method == "POST":
        need(request, "receipts:approve")
        if form.is_valid():
            made = attempt(
                form,
                lambda: refunds.make_file(
                    refund_public_ids=form.cleaned_data["refunds"],
                    account_public_id=form.cleaned_data["account"],
                    at=visit.at,
                    actor=visit.actor,
                    user=visit.user,
                ),
            )
            if made is not None:
                messages.success(
                    request, _("The file is made. Its refunds count as sent: hand it to the bank.")
                )
                return redirect("payment_files")
    context = {"waiting": waiting, "page": paged(_rows(request), request)}
    return render(request, "console/payment_files.html", context, form=form)


@page(scope="receipts:approve", party="operator")
def content(request: ConsoleRequest, file_id: str) -> HttpResponse:
    """The file itself, the same bytes every time, with its digest beside it."""
    row = find(PaymentFile.objects.visible_to(request.visit.actor), file_id)
    charset = row.encoding.removesuffix("-sig")
    return HttpResponse(
        bytes(row.content),
        content_type=f"text/csv; charset={charset}",
        headers={
            "Content-Disposition": f'attachment; filename="{row.file_name}"',
            "X-Content-SHA256": row.sha256,
        },
    )


def _rows(request: ConsoleRequest) -> QuerySet[PaymentFile]:
    rows = PaymentFile.objects.visible_to(request.visit.actor)
    return rows.select_related("account", "made_by").defer("content")
