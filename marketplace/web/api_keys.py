"""Keys of an organisation: made, looked at, revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache

from inventory import keys as verbs
from inventory.models import ApiKey, Project
from marketplace.web.entry import (
    ConsoleRequest,
    attempt,
    back_to,
    confirmation,
    done,
    find,
    page,
    render,
)
from marketplace.web.forms import ConsoleForm, words
from marketplace.web.people import end_of

SCOPES = {
    "inventory:read": gettext_lazy("see centres, pools and nodes"),
    "inventory:write": gettext_lazy("change centres, pools and nodes"),
    "listings:read": gettext_lazy("see listings"),
    "listings:write": gettext_lazy("publish, reprice and withdraw listings"),
    "offers:read": gettext_lazy("search the market"),
    "reservations:read": gettext_lazy("see holds"),
    "reservations:write": gettext_lazy("hold, confirm and cancel"),
    "leases:read": gettext_lazy("see leases"),
    "leases:write": gettext_lazy("change leases and sign amendments"),
    "usage:read": gettext_lazy("see delivered hours"),
    "credentials:reveal": gettext_lazy("read how to get into leased machines"),
    "wallet:read": gettext_lazy("see the wallet"),
    "wallet:write": gettext_lazy("ask for money back and name own bank accounts"),
    "settlements:read": gettext_lazy("see settlements"),
    "settlements:write": gettext_lazy("settle"),
    "invoices:read": gettext_lazy("see invoices, statements and fapiaos"),
    "invoices:write": gettext_lazy("answer statements, ask for fapiaos, correct invoices"),
    "journal:read": gettext_lazy("read the journal"),
    "keys:write": gettext_lazy("make and revoke keys"),
    "members:write": gettext_lazy("add and remove members"),
    "quotas:write": gettext_lazy("set quotas"),
    "organisations:write": gettext_lazy("register and verify organisations"),
    "receipts:record": gettext_lazy("record bank receipts"),
    "receipts:approve": gettext_lazy("approve bank receipts"),
    "audit:read": gettext_lazy("audit the market"),
}


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
        help_text=gettext_lazy("Separated by spaces or commas; empty: from anywhere"),
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
        wanted.choices = [
            (scope, format_html("<code>{}</code> {}", scope, SCOPES.get(scope, "")))
            for scope in scopes
        ]
        project.choices = [
            ("", gettext_lazy("all")),
            *((key, row.name) for key, row in self.projects.items()),
        ]


@never_cache
@page(scope="keys:write", changes=True)
def keys(request: ConsoleRequest) -> HttpResponse:
    """The organisation's keys; a POST makes one.

    Its text is shown once: what is kept of the reply only says that it was.
    """
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
            lambda: verbs.issue(
                organisation_id=visit.organisation.pk,
                name=data["name"],
                scopes=data["scopes"],
                project_id=project.pk if project else None,
                created_by_id=visit.user.pk,
                expires_at=end_of(data["expires_on"]),
                ip_allow=words(data["ip_allow"]),
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if issued is not None:
            context = {"issued": issued[0], "text": issued[1]}
    elif "made" in request.GET:
        messages.info(
            request,
            _(
                "The same form made a key a moment ago. Its text was shown once; if it was not"
                " copied, revoke that key and make another."
            ),
        )
    context["rows"] = (
        ApiKey.objects.visible_to(visit.actor)
        .select_related("project", "created_by")
        .order_by("-created_at", "-pk")
    )
    made = "issued" in context
    reply = render(request, "console/keys.html", context, form=None if made else form)
    if made:
        reply.kept_as = back_to("keys", made="")  # type: ignore[attr-defined]
    return reply


@page(scope="keys:write", changes=True)
def revoke_key(request: ConsoleRequest, key_id: str) -> HttpResponse:
    """Says what stops working and asks once more."""
    visit = request.visit
    key = find(ApiKey.objects.visible_to(visit.actor), key_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if done(
            form,
            lambda: verbs.revoke(key_public_id=key.public_id, at=visit.at, actor=visit.actor),
        ):
            messages.success(
                request, _("Key “%(name)s” opens nothing any more.") % {"name": key.name}
            )
            return redirect("keys")
    lines = [
        _("Whatever uses key “%(name)s” (ck_live_%(lookup)s_…) is refused from now on.")
        % {"name": key.name, "lookup": key.lookup},
        _("Keys that it made are revoked with it. This cannot be undone."),
    ]
    return confirmation(
        request, form, title=_("Revoke a key"), lines=lines, submit=_("Revoke"), back="keys"
    )
