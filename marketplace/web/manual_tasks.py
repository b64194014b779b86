"""Tasks of a centre's people: what is to be done to which machine by when, and the answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from inventory import manual_tasks
from inventory.manual_tasks import WayIn
from inventory.models import ManualTask
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm, reason_field, words
from marketplace.web.paging import paged


class HandOverForm(ConsoleForm):
    """How the customer gets into a machine that is set up."""

    address = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=253,
        help_text=gettext_lazy("An IP address or a host name"),
    )
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65_535, initial=22)
    user = forms.CharField(label=gettext_lazy("User"), max_length=32)
    host_fingerprints = forms.CharField(
        label=gettext_lazy("Fingerprints of the host's keys"),
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("As ssh-keygen -l prints them: SHA256:…, one a line"),
    )
    secret = forms.CharField(
        label=gettext_lazy("Password or private key"),
        max_length=manual_tasks.MOST_SECRET_LETTERS,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off"}),
        help_text=gettext_lazy("Empty where the tenant's own keys let it in"),
    )

    def way_in(self) -> WayIn:
        """Raises WayInInvalid."""
        data = self.cleaned_data
        return WayIn(
            address=data["address"],
            port=data["port"],
            user=data["user"],
            host_fingerprints=words(data["host_fingerprints"]),
            secret=data["secret"],
        )


class GiveUpForm(ConsoleForm):
    """Why it cannot be done."""

    reason = reason_field()


def _visible(request: ConsoleRequest) -> QuerySet[ManualTask]:
    rows = ManualTask.objects.visible_to(request.visit.actor)
    rows = rows.filter(provider_id=request.visit.organisation.pk)
    return rows.select_related("allocation__tenant", "node__pool__fabric__centre")


@page(scope="inventory:read", party="provider")
def index(request: ConsoleRequest) -> HttpResponse:
    """What is to be done, the most urgent first; then what was."""
    rows = _visible(request)
    context = {
        "open": rows.filter(state=ManualTask.State.OPEN).order_by("due_at", "pk")[:200],
        "page": paged(rows.exclude(state=ManualTask.State.OPEN), request),
        "at": request.visit.at,
    }
    return render(request, "console/manual_tasks.html", context)


@page(scope="inventory:read", party="provider", changes=True)
def detail(request: ConsoleRequest, task_id: str) -> HttpResponse:
    """One task; who may change machines answers it here."""
    task = find(_visible(request), task_id)
    form = _form(task, request)
    if request.method == "POST":
        need(request, "inventory:write")
        if form.is_valid():
            facts = {"task_public_id": task.public_id, **_when_and_who(request)}
            done = attempt(
                form,
                lambda: (
                    manual_tasks.hand_over(way_in=form.way_in(), **facts)
                    if isinstance(form, HandOverForm)
                    else manual_tasks.confirm(**facts)
                ),
            )
            if done is not None:
                messages.success(request, _("Noted. The delivery goes on from here."))
                return redirect("manual_tasks")
    return _page(request, task, form)


@page(scope="inventory:write", party="provider", changes=True, posts_only=True)
def give_up(request: ConsoleRequest, task_id: str) -> HttpResponse:
    """It cannot be done; the machine counts as failed."""
    task = find(_visible(request), task_id)
    form = GiveUpForm(request.POST)
    if form.is_valid():
        done = attempt(
            form,
            lambda: manual_tasks.give_up(
                task_public_id=task.public_id,
                reason=form.cleaned_data["reason"],
                **_when_and_who(request),
            ),
        )
        if done is not None:
            messages.success(request, _("Noted. The machine counts as failed."))
            return redirect("manual_tasks")
    return _page(request, task, _form(task), giving_up=form)


def _form(task: ManualTask, request: ConsoleRequest | None = None) -> HandOverForm | ConsoleForm:
    posted = request.POST if request is not None and request.method == "POST" else None
    return HandOverForm(posted) if task.hands_over else ConsoleForm(posted)


def _when_and_who(request: ConsoleRequest) -> dict[str, Any]:
    return {"at": request.visit.at, "actor": request.visit.actor}


def _page(
    request: ConsoleRequest,
    task: ManualTask,
    form: HandOverForm | ConsoleForm,
    giving_up: GiveUpForm | None = None,
) -> HttpResponse:
    is_open = task.state == ManualTask.State.OPEN
    context = {
        "task": task,
        "answer": form,
        "giving_up": giving_up or GiveUpForm(),
        "may_answer": is_open and request.visit.actor.may("inventory:write"),
        "zone": task.node.pool.fabric.centre.timezone,
        "last_card": task.first_card + task.card_count - 1,
        "is_late": is_open and task.due_at <= request.visit.at,
    }
    refused = giving_up if giving_up is not None else form
    return render(request, "console/manual_task.html", context, form=refused)
