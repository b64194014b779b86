"""Members of an organisation: who they are, and what they may do."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from inventory import organisations
from inventory.models import Membership, User
from marketplace.web.entry import (
    ConsoleRequest,
    attempt,
    back_to,
    confirmation,
    done,
    find,
    need,
    page,
    render,
)
from marketplace.web.forms import ConsoleForm


class MemberForm(ConsoleForm):
    """A person and what they may do here."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"), max_length=254)
    name = forms.CharField(label=gettext_lazy("Full name"), max_length=100, required=False)
    role = forms.ChoiceField(
        label=gettext_lazy("Role"),
        choices=Membership.Role.choices,
        initial=Membership.Role.VIEWER,
        help_text=gettext_lazy(
            "Viewers and finance read; operators run machines, listings and deals; owners also"
            " manage members and keys; auditors read until a date."
        ),
    )
    expires_on = forms.DateField(
        label=gettext_lazy("Last day (needed for auditors)"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


def end_of(day: Any) -> datetime | None:
    """The end of a day on the market's clock."""
    if day is None:
        return None
    return datetime.combine(day, time.max, tzinfo=ZoneInfo(settings.BILLING_ZONE))


@never_cache
@page(changes=True)
def members(request: ConsoleRequest) -> HttpResponse:
    """Who may act for the organisation; a POST adds a person.

    The first password is shown once: what is kept of the reply only says that it was.
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
                    expires_at=end_of(data["expires_on"]),
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if added is not None:
                context = {"added": added[0], "password": added[1]}
                form = MemberForm()
    elif "added" in request.GET:
        messages.info(request, _("This person was added by the same form a moment ago."))
    context["rows"] = (
        Membership.objects.filter(organisation=visit.organisation)
        .select_related("user")
        .order_by("user__email")
    )
    reply = render(request, "console/members.html", context, form=form)
    if "added" in context:
        reply.kept_as = back_to("members", added="")  # type: ignore[attr-defined]
    return reply


@page(scope="members:write", changes=True)
def remove_member(request: ConsoleRequest, user_id: str) -> HttpResponse:
    """Says who goes and asks once more."""
    visit = request.visit
    people = User.objects.filter(memberships__organisation=visit.organisation)
    user = find(people, user_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if done(
            form,
            lambda: organisations.remove_member(
                organisation_id=visit.organisation.pk,
                user_public_id=user.public_id,
                at=visit.at,
                actor=visit.actor,
            ),
        ):
            messages.success(
                request, _("%(name)s is a member no more.") % {"name": user.get_full_name()}
            )
            return redirect("members")
    lines = [
        _("%(name)s (%(email)s) will no longer act for %(organisation)s.")
        % {
            "name": user.get_full_name(),
            "email": user.email,
            "organisation": visit.organisation.name,
        },
        _("Keys that this person made stay; revoke them on the page of keys if need be."),
    ]
    return confirmation(
        request, form, title=_("Remove a member"), lines=lines, submit=_("Remove"), back="members"
    )
