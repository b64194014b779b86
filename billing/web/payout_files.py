"""Files of payout orders for the bank: made of what is approved, downloaded as they were made."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import Count, QuerySet, Sum
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import bank_accounts, bank_files, payout_files
from billing.models import Payout, PayoutFile, PayoutTerms
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged


class FileForm(ConsoleForm):
    """Of which currency, in which bank's layout."""

    currency = forms.ChoiceField(label=gettext_lazy("Currency"))
    layout = forms.ChoiceField(
        label=gettext_lazy("The bank's layout"),
        help_text=gettext_lazy("As the bank's own import asks for it; plain for none"),
    )

    def __init__(self, *args: Any, currencies: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        usual = settings.DEFAULT_CURRENCY
        own = bank_accounts.of_operator(usual)
        choices = {
            "currency": currencies or [usual],
            "layout": bank_files.layouts(),
        }
        for name, values in choices.items():
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(key, _("plain") if key == "plain" else key) for key in values]
        self.fields["layout"].initial = (own[0].file_layout if own else "") or "plain"


@page(scope="audit:read", party="operator", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """Files made so far; a POST puts every approved payout by bank into a new one."""
    visit = request.visit
    waiting = list(
        Payout.objects.visible_to(visit.actor)
        .filter(state=Payout.State.APPROVED, method=PayoutTerms.Method.BANK)
        .values("currency")
        .annotate(count=Count("pk"), sum=Sum("amount_minor"))
        .order_by("currency")
    )
    form = FileForm(
        request.POST if request.method == "POST" else None,
        currencies=[row["currency"] for row in waiting],
    )
    if request.method == "POST":
        need(request, "settlements:write")
        if form.is_valid():
            made = attempt(
                form,
                lambda: payout_files.make(
                    **form.cleaned_data, at=visit.at, actor=visit.actor, user=visit.user
                ),
            )
            if made is not None:
                messages.success(
                    request, _("The file is made. Its payouts count as sent: hand it to the bank.")
                )
                return redirect("payout_files")
    context = {"waiting": waiting, "page": paged(_rows(request), request)}
    return render(request, "console/payout_files.html", context, form=form)


@page(scope="settlements:write", party="operator")
def content(request: ConsoleRequest, file_id: str) -> HttpResponse:
    """The file itself, the same bytes every time."""
    row = find(_rows(request), file_id)
    reply = HttpResponse(bytes(row.content), content_type=row.content_type)
    reply["Content-Disposition"] = f'attachment; filename="{row.file_name}"'
    return reply


def _rows(request: ConsoleRequest) -> QuerySet[PayoutFile]:
    if not request.visit.actor.sees_everything:
        raise Http404
    return PayoutFile.objects.select_related("made_by").defer("content")
