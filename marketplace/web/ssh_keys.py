"""Public keys of an organisation, which its later deals let in."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import ssh_keys
from inventory.models import SshKey
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm


class KeyForm(ConsoleForm):
    """A public key, and what it is called."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    public_key = forms.CharField(
        label=gettext_lazy("Public key"),
        max_length=ssh_keys.MOST_LETTERS,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=gettext_lazy("The line of a file such as id_ed25519.pub; never the private key"),
    )


def _own(request: ConsoleRequest) -> QuerySet[SshKey]:
    rows = SshKey.objects.filter(organisation=request.visit.organisation, removed_at=None)
    return rows.order_by("pk")


@page(scope="leases:read", party="tenant", changes=True)
def index(request: ConsoleRequest) -> HttpResponse:
    """The keys, and a form for another."""
    visit = request.visit
    form = KeyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        need(request, "leases:write")
        if form.is_valid():
            row = attempt(
                form,
                lambda: ssh_keys.add(
                    organisation_id=visit.organisation.pk,
                    name=form.cleaned_data["name"],
                    text=form.cleaned_data["public_key"],
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if row is not None:
                messages.success(request, _("Deals made from now on let this key in."))
                return redirect("ssh_keys")
    context = {"keys": _own(request), "may_write": visit.actor.may("leases:write")}
    return render(request, "console/ssh_keys.html", context, form=form)


@page(scope="leases:write", party="tenant", changes=True, posts_only=True)
def remove(request: ConsoleRequest, key_id: str) -> HttpResponse:
    """Later deals do not let it in."""
    visit = request.visit
    row = find(_own(request), key_id)
    form = ConsoleForm(request.POST)
    attempt(
        form,
        lambda: ssh_keys.remove(key_public_id=row.public_id, at=visit.at, actor=visit.actor),
    )
    messages.success(request, _("Later deals do not let this key in."))
    return redirect("ssh_keys")
