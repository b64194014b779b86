"""The operator's decision on an organisation's papers: what it changes, then done."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from inventory import organisations
from inventory.models import Organisation, Verification
from marketplace.models import Lease, Listing, Reservation
from marketplace.web import names
from marketplace.web.entry import ConsoleRequest, Visit, attempt, confirmation, find, page
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.oversight import traders

TITLES = {
    "verify": gettext_lazy("Verify %(name)s"),
    "reject": gettext_lazy("Reject %(name)s"),
}


class DecisionForm(ConsoleForm):
    """The operator's verdict on an organisation's papers, and why."""

    verdict = forms.ChoiceField(choices=[("verify", ""), ("reject", "")], widget=forms.HiddenInput)
    reason = reason_field(required=False)

    def __init__(self, *args: Any, verdict: str, **kwargs: Any) -> None:
        super().__init__(*args, initial={"verdict": verdict}, **kwargs)
        self.fields["reason"].required = verdict == "reject"


def open_to(organisation: Organisation, visit: Visit) -> list[str]:
    """What the visitor may decide on it now."""
    if not visit.actor.may("organisations:write"):
        return []
    taken = {Verification.VERIFIED: "verify", Verification.REJECTED: "reject"}
    return [verdict for verdict in TITLES if taken.get(Verification(organisation.state)) != verdict]


@page(scope="organisations:write", party="operator", changes=True)
def decide(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    """Says what a verdict would change; a POST decides."""
    visit = request.visit
    organisation = find(traders(), organisation_id)
    posted = request.method == "POST"
    verdict = (request.POST if posted else request.GET).get("verdict", "")
    if verdict not in open_to(organisation, visit):
        if posted and verdict in TITLES:  # a page that is older than the organisation's state
            messages.error(request, _("This was decided meanwhile; look at it again."))
            return redirect("organisation", organisation.public_id)
        raise Http404
    form = DecisionForm(request.POST if posted else None, verdict=verdict)
    if posted and form.is_valid():
        done = attempt(
            form,
            lambda: organisations.decide(
                organisation_id=organisation.pk,
                verified=verdict == "verify",
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if done is not None:
            messages.success(request, _("Decided: %(name)s.") % {"name": names.of(done)})
            return redirect("organisation", organisation.public_id)
    title = TITLES[verdict] % {"name": names.of(organisation)}
    return confirmation(
        request,
        form,
        title=title,
        lines=_outlook(organisation, verdict),
        submit=_("Verify") if verdict == "verify" else _("Reject"),
        back=reverse("organisation", args=[organisation.public_id]),
        about=names.of(organisation),
        is_harmless=verdict == "verify",
    )


def _outlook(organisation: Organisation, verdict: str) -> list[str]:
    """What will be true once it is decided so."""
    to = Verification.VERIFIED if verdict == "verify" else Verification.REJECTED
    change = _("%(name)s (%(code)s) is “%(current)s” now and will be “%(wanted)s”.") % {
        "name": organisation.name,
        "code": organisation.credit_code or _("no credit code"),
        "current": organisation.get_state_display(),
        "wanted": to.label,
    }
    return [change, *(_trusted if verdict == "verify" else _distrusted)(organisation)]


def _trusted(organisation: Organisation) -> list[str]:
    lines = []
    if organisation.is_provider:
        lines.append(_("It can list capacity, and is paid for what it delivers."))
    if organisation.is_tenant:
        lines.append(_("It can hold and confirm capacity, as far as its wallet and credit reach."))
    return [*lines, _("The decision can be taken back; deals made by then stay.")]


def _distrusted(organisation: Organisation) -> list[str]:
    lines = []
    if organisation.is_provider:
        lines += [_("It can list nothing new, and none of its paused listings sells again.")]
        lines += _still_on_sale(organisation)
    if organisation.is_tenant:
        lines += [_("It can hold nothing new.")]
        lines += _still_held(organisation)
    return [
        *lines,
        *_still_running(organisation),
        _("Its members keep their log-ins; its wallet, and what it is owed, stay as they are."),
        _("The decision can be taken back once it hands in its papers again."),
    ]


def _still_on_sale(organisation: Organisation) -> list[str]:
    count = Listing.objects.filter(provider=organisation, state=Listing.State.PUBLISHED).count()
    text = ngettext(
        "%(n)s of its listings sells nothing from then on and is paused; once this is taken back,"
        " it can resume it.",
        "%(n)s of its listings sell nothing from then on and are paused; once this is taken back,"
        " it can resume them.",
        count,
    )
    return [text % {"n": f"{count:,}"}] if count else []


def _still_held(organisation: Organisation) -> list[str]:
    rows = Reservation.objects.filter(tenant=organisation, state=Reservation.State.HELD)
    count = rows.count()
    text = ngettext(
        "%(n)s of its holds can no longer be confirmed, and lapses unless this is taken back.",
        "%(n)s of its holds can no longer be confirmed, and lapse unless this is taken back.",
        count,
    )
    return [text % {"n": f"{count:,}"}] if count else []


def _still_running(organisation: Organisation) -> list[str]:
    over = [state for state in Lease.State.values if Lease.LIFECYCLE.is_final(state)]
    own = Q(provider=organisation) | Q(tenant=organisation)
    count = Lease.objects.filter(own).exclude(state__in=over).count()
    text = ngettext(
        "%(n)s of its leases is not over: it is delivered, charged and settled to its end.",
        "%(n)s of its leases are not over: they are delivered, charged and settled to their end.",
        count,
    )
    return [text % {"n": f"{count:,}"}] if count else []
