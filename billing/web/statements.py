"""Bank statements: looked at first, then imported."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bank_statements, statement_files
from billing.models import BankAccount, BankStatement
from inventory.errors import DomainError
from marketplace.web import node_imports, refusals
from marketplace.web.entry import ConsoleRequest, attempt, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

SHOWN = 100


class StatementForm(ConsoleForm):
    """A file of the bank, and of which account it is."""

    account = forms.ChoiceField(label=gettext_lazy("Account"))
    file = forms.FileField(
        label=gettext_lazy("CSV file"),
        allow_empty_file=True,
        help_text=gettext_lazy("As the bank exports it, in UTF-8 or GBK"),
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = BankAccount.objects.of_operator().select_related("owner").order_by("pk")
        self.accounts = {row.public_id: row for row in rows}
        choice = self.fields["account"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            (key, f"{row.bank_name} {row.number} {row.currency}")
            for key, row in self.accounts.items()
        ]


class ImportForm(ConsoleForm):
    """The file that was looked at, packed."""

    account = forms.CharField(max_length=40, widget=forms.HiddenInput)
    content = forms.CharField(widget=forms.HiddenInput, max_length=node_imports.PACKED_LIMIT)
    file_name = forms.CharField(max_length=200, widget=forms.HiddenInput, required=False)
    late_reason = forms.CharField(
        label=gettext_lazy("Why so late"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Needed for a transfer of long ago"),
    )


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Statements that were imported; a POST says what a file has and changes nothing."""
    posted = request.method == "POST"
    form = StatementForm(request.POST if posted else None, request.FILES if posted else None)
    context: dict[str, Any] = {}
    if posted:
        need(request, "receipts:record")
        if form.is_valid():
            account = form.accounts[form.cleaned_data["account"]]
            upload = form.cleaned_data["file"]
            try:
                if upload.size > statement_files.BYTE_LIMIT:
                    raise statement_files.StatementUnreadable(reason="too_large")
                content = upload.read()
                plan = bank_statements.preview(account=account, content=content)
            except DomainError as error:
                form.add_error("file", refusals.explain(error))
            else:
                packed = node_imports.pack(content)
                context = {
                    "plan": plan,
                    "account": account,
                    "lines": plan.statement.lines[:SHOWN],
                    "errors": plan.errors[:SHOWN],
                    "again": ImportForm(
                        initial={
                            "account": account.public_id,
                            "content": packed,
                            "file_name": upload.name[-200:],
                        }
                    ),
                    "may_import": not plan.errors and len(packed) <= node_imports.PACKED_LIMIT,
                }
    rows = BankStatement.objects.visible_to(request.visit.actor)
    context["page"] = paged(rows.select_related("account", "imported_by"), request)
    return render(request, "console/statements.html", context, form=form)


@page(scope="receipts:record", party="operator", changes=True, posts_only=True)
def apply(request: ConsoleRequest) -> HttpResponse:
    """The lines of the file that was looked at are recorded, each once."""
    visit = request.visit
    form = ImportForm(request.POST)
    content = node_imports.unpack(form.cleaned_data["content"]) if form.is_valid() else None
    if content is None:
        messages.error(request, _("The file did not arrive whole; choose it again."))
        return redirect("statements")
    data = form.cleaned_data
    done = attempt(
        form,
        lambda: bank_statements.bring_in(
            account_public_id=data["account"],
            content=content,
            file_name=data["file_name"],
            late_reason=data["late_reason"],
            at=visit.at,
            actor=visit.actor,
            user=visit.user,
        ),
    )
    if done is None:
        return render(request, "console/refused.html", {"back": "statements"}, form=form)
    messages.success(
        request,
        _("Imported: %(proposed)s receipts to approve, %(exceptions)s in nobody's wallet.")
        % {"proposed": done.proposed_count, "exceptions": done.exception_count},
    )
    return redirect("receipts")
