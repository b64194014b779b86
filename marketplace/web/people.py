"""Members and keys of an organisation."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from inventory import keys as key_verbs
from inventory import organisations
from inventory.models import ApiKey, Membership, Project
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm


class MemberForm(ConsoleForm):
    """A person and what they may do here."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"), max_length=254)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=100, required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=Membership.Role.choices)
    expires_on = forms.DateField(
        label=gettext_lazy("Until (auditors)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


class KeyForm(ConsoleForm):
    """A new key: no more than its maker may do."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    project = forms.ChoiceField(label=gettext_lazy("Project"), required=False)
    expires_on = forms.DateField(
        label=gettext_lazy("Expires on"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    ip_allow = forms.CharField(
        label=gettext_lazy("Only from these addresses"),
        max_length=500,
        required=False,
        help_text=gettext_lazy("Separated by spaces; empty: from anywhere"),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("Scopes"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self, *args: Any, scopes: list[str], projects: QuerySet[Project], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.projects = {row.public_id: row for row in projects}
        wanted, project = self.fields["scopes"], self.fields["project"]
        assert isinstance(wanted, forms.MultipleChoiceField)
        assert isinstance(project, forms.ChoiceField)
        wanted.choices = [(scope, scope) for scope in scopes]
        project.choices = [
            ("", gettext_lazy("all")),
            *((key, row.name) for key, row in self.projects.items()),
        ]


def _end_of(day: Any) -> datetime | None:
    """The end of a day on the market's clock."""
    if day is None:
        return None
    return datetime.combine(day, time.max, tzinfo=ZoneInfo(settings.BILLING_ZONE))


@never_cache
@page()
def members(request: ConsoleRequest) -> HttpResponse:
    """Who may act for the organisation; a POST adds a person.

    The first password is shown once, so this reply is never stored.
    """
    visit = request.visit
    form = MemberForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {}
    if request.method == "POST":
        need(request, "members:write")
        if form.is_valid():
            data = form.cleaned_data
            added = attempt(
                form,
                lambda: organisations.add_member(
                    organisation_id=visit.organisation.pk,
                    email=data["email"],
                    name=data["name"],
                    role=data["role"],
                    expires_at=_end_of(data["expires_on"]),
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if added is not None:
                context = {"added": added[0], "password": added[1]}
                form = MemberForm()
    context["rows"] = (
        Membership.objects.filter(organisation=visit.organisation)
        .select_related("user")
        .order_by("user__email")
    )
    return render(request, "console/members.html", context, form=form)


@page(scope="members:write", changes=True, posts_only=True)
def remove_member(request: ConsoleRequest, user_id: str) -> HttpResponse:
    visit = request.visit
    form = ConsoleForm(request.POST)
    attempt(
        form,
        lambda: organisations.remove_member(
            organisation_id=visit.organisation.pk,
            user_public_id=user_id,
            at=visit.at,
            actor=visit.actor,
        ),
    )
    for error in form.non_field_errors():
        messages.error(request, str(error))
    return redirect("members")


@never_cache
@page(scope="keys:write")
def keys(request: ConsoleRequest) -> HttpResponse:
    """The organisation's keys; a POST makes one, whose text is shown once and never stored."""
    visit = request.visit
    form = KeyForm(
        request.POST if request.method == "POST" else None,
        scopes=sorted(visit.actor.scopes),
        projects=Project.objects.filter(organisation=visit.organisation).order_by("name"),
    )
    context: dict[str, Any] = {}
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        project = form.projects.get(data["project"])
        issued = attempt(
            form,
            lambda: key_verbs.issue(
                organisation_id=visit.organisation.pk,
                name=data["name"],
                scopes=data["scopes"],
                project_id=project.pk if project else None,
                created_by_id=visit.user.pk,
                expires_at=_end_of(data["expires_on"]),
                ip_allow=data["ip_allow"].replace(",", " ").split(),
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if issued is not None:
            context = {"issued": issued[0], "text": issued[1]}
    context["rows"] = (
        ApiKey.objects.visible_to(visit.actor).select_related("project").order_by("-created_at")
    )
    return render(request, "console/keys.html", context, form=None if "issued" in context else form)


@page(scope="keys:write", changes=True, posts_only=True)
def revoke_key(request: ConsoleRequest, key_id: str) -> HttpResponse:
    visit = request.visit
    key = find(ApiKey.objects.visible_to(visit.actor), key_id)
    key_verbs.revoke(key_public_id=key.public_id, at=visit.at, actor=visit.actor)
    messages.success(request, _("The key opens nothing any more."))
    return redirect("keys")
