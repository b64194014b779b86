"""Caps on what an organisation, its projects and its keys commit: looked at, set, lifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory.errors import DomainError
from inventory.models import ApiKey, Organisation, Project
from marketplace import money_text
from marketplace import quotas as verbs
from marketplace.models import Quota
from marketplace.quotas import Limit, QuotaUse
from marketplace.web import figures, refusals
from marketplace.web.entry import (
    ConsoleRequest,
    attempt,
    confirmation,
    done,
    find,
    need,
    page,
    render,
)
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.money_fields import plain
from marketplace.web.oversight import traders

MOST_CARD_HOURS = 10**12
CURRENCIES = [(code, code) for code in figures.SYMBOLS]
_KINDS = {
    "spend month": gettext_lazy("Spend in each calendar month"),
    "spend total": gettext_lazy("Spend in all"),
    "card_hours month": gettext_lazy("Card-hours in each calendar month"),
    "card_hours total": gettext_lazy("Card-hours in all"),
    "held_card_hours at_once": gettext_lazy("Card-hours held and unpaid at one time"),
}


class QuotaForm(ConsoleForm):
    """Who is capped, in what, and at how much."""

    subject = forms.ChoiceField(label=gettext_lazy("Applies to"))
    kind = forms.ChoiceField(label=gettext_lazy("Capped"))
    currency = forms.ChoiceField(
        label=gettext_lazy("Currency"), choices=CURRENCIES, help_text=gettext_lazy("Of spend")
    )
    limit = forms.CharField(
        label=gettext_lazy("Limit"),
        max_length=40,
        help_text=gettext_lazy("An amount for spend, a whole number for card-hours; 0 stops deals"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    reason = reason_field(required=False)

    def __init__(
        self, *args: Any, organisation: Organisation, by_operator: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, initial={"currency": settings.DEFAULT_CURRENCY}, **kwargs)
        self.projects = _by_id(Project.objects.filter(organisation=organisation).order_by("name"))
        keys = ApiKey.objects.filter(organisation=organisation, revoked_at=None)
        self.keys = _by_id(keys.order_by("name"))
        if by_operator:
            self.projects, self.keys = {}, {}
        subject, kind = self.fields["subject"], self.fields["kind"]
        assert isinstance(subject, forms.ChoiceField)
        assert isinstance(kind, forms.ChoiceField)
        subject.choices = [
            ("", gettext_lazy("the whole organisation")),
            *(
                (key, _("Project %(name)s") % {"name": row.name})
                for key, row in self.projects.items()
            ),
            *((key, _("Key %(name)s") % {"name": row.name}) for key, row in self.keys.items()),
        ]
        subject.required = False
        held = "held_card_hours at_once"
        kind.choices = [
            (name, text) for name, text in _KINDS.items() if by_operator or name != held
        ]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "limit" in data and "kind" in data and "currency" in data:
            try:
                data["limit"] = self._limit(data)
            except (forms.ValidationError, DomainError) as error:
                told = refusals.explain(error) if isinstance(error, DomainError) else error
                self.add_error("limit", told)
        return data

    @staticmethod
    def _limit(data: dict[str, Any]) -> Limit:
        """Raises ValidationError, and what `parse_money` raises."""
        measure, _blank, window = data["kind"].partition(" ")
        text = plain(data["limit"])
        if measure == Quota.Measure.SPEND:
            currency = data["currency"]
            nothing = not text.strip("0.")
            minor = 0 if nothing else money_text.parse_money(text, currency)
            return Limit(measure, window, currency, limit_minor=minor)
        if "." in text or int(text) > MOST_CARD_HOURS:
            raise forms.ValidationError(_("Write a whole number of card-hours."))
        return Limit(measure, window, limit_card_hours=int(text))


@dataclass(frozen=True, slots=True)
class Line:
    """A quota as a row of the page."""

    quota: Quota
    subject: str
    kind: object
    used: str
    limit: str
    share: int  # used of the limit, per cent, at most 100
    counted: bool
    removable: bool


def _by_id(rows: QuerySet[Any]) -> dict[str, Any]:
    return {row.public_id: row for row in rows}


@page(scope="reservations:read", party="tenant", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """The organisation's caps with what is used of each; a POST of an owner sets one."""
    return _serve(request, request.visit.organisation, back=reverse("quotas"))


@page(scope="audit:read", party="operator", changes=True)
def of_organisation(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    """A tenant's caps, for the operator; a POST sets one of the operator's."""
    tenant = find(traders().filter(is_tenant=True), organisation_id)
    return _serve(request, tenant, back=reverse("organisation_quotas", args=[tenant.public_id]))


def _serve(request: ConsoleRequest, tenant: Organisation, *, back: str) -> HttpResponse:
    visit = request.visit
    posted = request.method == "POST"
    form = QuotaForm(
        request.POST if posted else None,
        organisation=tenant,
        by_operator=visit.organisation.is_operator,
    )
    if posted:
        need(request, "quotas:write")
        if form.is_valid() and _set(request, tenant, form) is not None:
            messages.success(request, _("The quota is set; it binds the next hold."))
            return redirect(back)
    rows = Quota.objects.filter(organisation=tenant).select_related("project", "api_key")
    ordered = rows.order_by("project__name", "api_key__name", "measure", "window", "pk")
    authority = "operator" if visit.organisation.is_operator else "tenant"
    context = {
        "tenant": tenant,
        "lines": [_line(use, authority) for use in verbs.used(ordered, at=visit.at)],
    }
    may_set = visit.actor.may("quotas:write")
    context["form"] = form if may_set else None
    return render(request, "console/quotas.html", context, form=form if may_set else None)


def _set(request: ConsoleRequest, tenant: Organisation, form: QuotaForm) -> Quota | None:
    data = form.cleaned_data
    project, key = form.projects.get(data["subject"]), form.keys.get(data["subject"])
    return attempt(
        form,
        lambda: verbs.put(
            organisation_id=tenant.pk,
            project_id=project.pk if project else None,
            api_key_id=key.pk if key else None,
            limit=data["limit"],
            reason=data["reason"],
            at=request.visit.at,
            actor=request.visit.actor,
        ),
    )


def _line(use: QuotaUse, authority: str) -> Line:
    quota = use.quota
    if quota.limit_minor is not None:
        most, used = quota.limit_minor, use.used_minor
        texts = [figures.amount(value, quota.currency) for value in (used, most)]
    else:
        most, used = quota.limit_card_hours or 0, -(-use.used_card_seconds // 3600)
        texts = [f"{value:,}" for value in (used, most)]
    return Line(
        quota=quota,
        subject=_subject(quota),
        kind=_KINDS[f"{quota.measure} {quota.window}"],
        used=texts[0],
        limit=texts[1],
        share=min(100, 100 * used // most) if most else 100,
        counted=quota.window != Quota.Window.AT_ONCE,
        removable=quota.authority == authority,
    )


def _subject(quota: Quota) -> str:
    if quota.project:
        return _("Project %(name)s") % {"name": quota.project.name}
    if quota.api_key:
        return _("Key %(name)s") % {"name": quota.api_key.name}
    return _("the whole organisation")


@page(scope="quotas:write", changes=True)
def remove(request: ConsoleRequest, quota_id: str) -> HttpResponse:
    """Says what is no longer capped and asks once more."""
    visit = request.visit
    quota = find(Quota.objects.visible_to(visit.actor), quota_id)
    line = _line(verbs.used([quota], at=visit.at)[0], quota.authority)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    back = reverse("quotas")
    if visit.organisation.is_operator:
        back = reverse("organisation_quotas", args=[quota.organisation.public_id])
    if request.method == "POST" and form.is_valid():
        if done(
            form,
            lambda: verbs.remove(quota_public_id=quota.public_id, at=visit.at, actor=visit.actor),
        ):
            messages.success(request, _("The quota is lifted."))
            return redirect(back)
    lines = [
        _("%(kind)s of “%(subject)s” is capped at %(limit)s now, and will not be any more.")
        % {"kind": line.kind, "subject": line.subject, "limit": line.limit},
        _("Quotas beside it stay. The journal keeps that it was lifted, and by whom."),
    ]
    return confirmation(
        request, form, title=_("Lift a quota"), lines=lines, submit=_("Lift"), back=back
    )
