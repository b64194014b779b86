"""The operator's list of who trades, narrowed down, and as a file."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.models import Organisation, Verification
from marketplace.web import exports
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

EXPORT_ROWS = 50_000
ROLES = {
    "provider": gettext_lazy("provider"),
    "tenant": gettext_lazy("tenant"),
    "reseller": gettext_lazy("reseller"),
}
_WAITING = (Verification.UNVERIFIED, Verification.PENDING)
_ID = re.compile(r"org_[0-9a-f]{32}")


class FilterForm(ConsoleForm):
    """Which organisations; what is left open takes all."""

    text = forms.CharField(
        label=gettext_lazy("Name, credit code or id"), max_length=100, required=False
    )
    state = forms.ChoiceField(label=gettext_lazy("State"), required=False)
    role = forms.ChoiceField(label=gettext_lazy("Trades as"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, choices in (("state", Verification.choices), ("role", list(ROLES.items()))):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", _("any")), *choices]

    def narrow(self, rows: QuerySet[Organisation]) -> QuerySet[Organisation]:
        data = self.cleaned_data
        if text := data["text"]:
            rows = rows.filter(_called(text))
        if data["state"]:
            rows = rows.filter(state=data["state"])
        if data["role"]:
            rows = rows.filter(**{f"is_{data['role']}": True})
        return rows

    @property
    def is_narrow(self) -> bool:
        return self.is_valid() and any(self.cleaned_data.values())


def _called(text: str) -> Q:
    if _ID.fullmatch(text):
        return Q(public_id=text)
    return Q(name__icontains=text) | Q(name_en__icontains=text) | Q(credit_code__icontains=text)


def traders() -> QuerySet[Organisation]:
    """Everybody but the operator, who never trades."""
    return Organisation.objects.filter(is_operator=False)


def roles_of(organisation: Organisation) -> list[str]:
    """The words of what an organisation trades as."""
    return [str(word) for role, word in ROLES.items() if getattr(organisation, f"is_{role}")]


def _asked(request: ConsoleRequest) -> tuple[FilterForm, QuerySet[Organisation] | None]:
    """The filter, and the rows it leaves; None where it makes no sense."""
    form = FilterForm(request.GET)
    return form, form.narrow(traders()) if form.is_valid() else None


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """Who trades, narrowed down; those who wait for a decision first."""
    form, rows = _asked(request)
    found = paged(traders().none() if rows is None else rows, request)
    context = {
        "waiting": traders().filter(state__in=_WAITING).order_by("created_at", "pk")[:100],
        "page": found,
        "rows": [(row, roles_of(row)) for row in found.rows],
        "is_narrow": form.is_narrow,
        "query": request.GET.urlencode(),
    }
    return render(request, "console/organisations.html", context, form=form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """The organisations the page shows, all of them, in UTC."""
    _form, rows = _asked(request)
    if rows is None:  # the page says what is wrong with the filter
        return HttpResponseRedirect(f"{reverse('organisations')}?{request.GET.urlencode()}")
    header = [
        _("Organisation"), _("Name"), _("Name in English"), _("Credit code"), _("Trades as"),
        _("State"), _("Since"),
    ]  # fmt: skip
    lines = (
        [
            row.public_id, row.name, row.name_en, row.credit_code or "",
            ", ".join(roles_of(row)), row.get_state_display(), row.created_at.isoformat(),
        ]
        for row in rows.order_by("-pk")[:EXPORT_ROWS].iterator(chunk_size=1000)
    )  # fmt: skip
    return exports.stream("organisations", header, lines)
