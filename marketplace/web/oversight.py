"""The operator's view of who trades."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from inventory import organisations as verbs
from inventory.models import Organisation, Verification
from marketplace.web.entry import ConsoleRequest, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, reason_field
from marketplace.web.paging import paged


class DecisionForm(ConsoleForm):
    """The operator's verdict on an organisation's papers."""

    verdict = forms.ChoiceField(choices=[("verify", ""), ("reject", "")])
    reason = reason_field(required=False)


@page(scope="audit:read", party="operator")
def organisations(request: ConsoleRequest) -> HttpResponse:
    """Who trades; those who wait for a decision first."""
    waiting = Organisation.objects.filter(
        is_operator=False, state__in=[Verification.UNVERIFIED, Verification.PENDING]
    ).order_by("created_at", "pk")
    context = {
        "waiting": waiting[:100],
        "page": paged(Organisation.objects.filter(is_operator=False), request),
    }
    return render(request, "console/organisations.html", context)


@page(scope="organisations:write", party="operator", changes=True, posts_only=True)
def decide(request: ConsoleRequest, organisation_id: str) -> HttpResponse:
    visit = request.visit
    organisation = find(Organisation.objects.filter(is_operator=False), organisation_id)
    form = DecisionForm(request.POST)
    if not form.is_valid():
        raise Http404
    done = attempt(
        form,
        lambda: verbs.decide(
            organisation_id=organisation.pk,
            verified=form.cleaned_data["verdict"] == "verify",
            reason=form.cleaned_data["reason"],
            at=visit.at,
            actor=visit.actor,
        ),
    )
    if done is not None:
        messages.success(request, _("Decided: %(name)s.") % {"name": done.name})
    for error in form.non_field_errors():
        messages.error(request, str(error))
    return redirect("organisations")
