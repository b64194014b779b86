"""Cases: opened about a lease or a node, written to by both sides, closed by who opened them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from marketplace import cases
from marketplace.models import Case
from marketplace.models.case import LARGEST_ATTACHMENT
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm
from marketplace.web.paging import paged

_LINES = {"rows": 4}
MOST_LETTERS = 8000


class OpenForm(ConsoleForm):
    """What is wrong with what."""

    about = forms.CharField(
        label=gettext_lazy("Lease or node"), max_length=40, help_text=gettext_lazy("lse_… or nod_…")
    )
    category = forms.ChoiceField(label=gettext_lazy("Category"), choices=Case.Category.choices)
    priority = forms.ChoiceField(
        label=gettext_lazy("Priority"),
        choices=Case.Priority.choices,
        initial=Case.Priority.NORMAL,
        help_text=gettext_lazy("It says how soon the other side has to answer"),
    )
    title = forms.CharField(label=gettext_lazy("Title"), max_length=120)
    text = forms.CharField(
        label=gettext_lazy("What happened"),
        max_length=MOST_LETTERS,
        widget=forms.Textarea(attrs=_LINES),
    )


class ReplyForm(ConsoleForm):
    """A message."""

    text = forms.CharField(
        label=gettext_lazy("Message"), max_length=MOST_LETTERS, widget=forms.Textarea(attrs=_LINES)
    )
    asks_back = forms.BooleanField(label=gettext_lazy("Waits for who opened it"), required=False)


class AttachForm(ConsoleForm):
    """A file."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy("PNG, JPEG, PDF, text, ZIP or GZIP, up to 5 MB"),
        max_length=120,
    )


class CloseForm(ConsoleForm):
    """Closed, or opened again with a word why."""

    verdict = forms.ChoiceField(choices=[("close", ""), ("reopen", "")], widget=forms.HiddenInput)
    text = forms.CharField(label=gettext_lazy("Why"), max_length=200, required=False)


def _visible(request: ConsoleRequest) -> QuerySet[Case]:
    rows = Case.objects.visible_to(request.visit.actor)
    return rows.select_related("opener", "provider", "lease", "node__pool")


@page(scope="cases:read")
def index(request: ConsoleRequest) -> HttpResponse:
    """The newest first; those that wait for an answer say until when."""
    return render(request, "console/cases.html", {"page": paged(_visible(request), request)})


@page(scope="cases:write", party="trader", changes=True)
def create(request: ConsoleRequest) -> HttpResponse:
    """Puts a case to the other side."""
    visit = request.visit
    posted = request.POST if request.method == "POST" else None
    form = OpenForm(posted, initial={"about": request.GET.get("about", "")[:40]})
    if posted is not None and form.is_valid():
        data = dict(form.cleaned_data)
        about = data.pop("about").strip()
        kind = "node_public_id" if about.startswith("nod_") else "lease_public_id"
        row = attempt(
            form,
            lambda: cases.open_case(**{kind: about}, **data, at=visit.at, actor=visit.actor),
        )
        if row is not None:
            messages.success(request, _("The case is open; its clock runs."))
            return redirect("case", row.public_id)
    context = {"title": _("Open a case"), "submit": _("Open"), "back": "cases"}
    return render(request, "console/form_page.html", context, form=form)


@page(scope="cases:read", changes=True)
def detail(request: ConsoleRequest, case_id: str) -> HttpResponse:
    """Its messages and files; a reply is written here."""
    visit = request.visit
    row = find(_visible(request), case_id)
    form = ReplyForm(request.POST if request.method == "POST" else None)
    if visit.organisation.pk == row.opener_id:
        del form.fields["asks_back"]
    if request.method == "POST":
        need(request, "cases:write")
        if form.is_valid():
            written = attempt(
                form,
                lambda: cases.reply(
                    case_public_id=row.public_id,
                    **form.cleaned_data,
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if written is not None:
                return redirect("case", row.public_id)
    return _page(request, row, form)


@page(scope="cases:write", changes=True, posts_only=True)
def attach(request: ConsoleRequest, case_id: str) -> HttpResponse:
    """Adds a file to it."""
    visit = request.visit
    row = find(_visible(request), case_id)
    form = AttachForm(request.POST, request.FILES)
    if form.is_valid():
        upload = form.cleaned_data["file"]
        content = upload.read(LARGEST_ATTACHMENT + 1)
        found = attempt(
            form,
            lambda: cases.attach(
                case_public_id=row.public_id,
                name=upload.name,
                content=content,
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if found is not None:
            messages.success(request, _("The file is attached."))
            return redirect("case", row.public_id)
    return _page(request, row, ReplyForm(), attaching=form)


@page(scope="cases:write", changes=True, posts_only=True)
def close(request: ConsoleRequest, case_id: str) -> HttpResponse:
    """Closes it, or opens it again."""
    visit = request.visit
    row = find(_visible(request), case_id)
    form = CloseForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        facts: dict[str, Any] = {
            "case_public_id": row.public_id, "at": visit.at, "actor": visit.actor
        }  # fmt: skip
        done = attempt(
            form,
            lambda: (
                cases.reopen(text=data["text"], **facts)
                if data["verdict"] == "reopen"
                else cases.close(reason=data["text"], **facts)
            ),
        )
        if done is not None:
            return redirect("case", row.public_id)
    return _page(request, row, ReplyForm(), closing=form)


@page(scope="cases:read")
def attachment(request: ConsoleRequest, case_id: str, attachment_id: str) -> HttpResponse:
    """A file, as a download only: it came from outside."""
    row = find(_visible(request), case_id)
    found = find(row.attachments.all(), attachment_id)
    return HttpResponse(
        bytes(found.content),
        content_type=found.media_type,
        headers={
            "Content-Disposition": content_disposition_header(True, found.name) or "attachment",
            "X-Content-Type-Options": "nosniff",
        },
    )


def _page(
    request: ConsoleRequest,
    row: Case,
    form: ReplyForm,
    *,
    attaching: AttachForm | None = None,
    closing: CloseForm | None = None,
) -> HttpResponse:
    visit = request.visit
    is_opener = visit.organisation.pk == row.opener_id
    may_write = visit.actor.may("cases:write")
    if request.method == "POST" and not may_write:
        raise PermissionDenied
    refused = next((each for each in (attaching, closing) if each is not None), form)
    context = {
        "case": row,
        "case_messages": row.messages.select_related("author").order_by("pk"),
        "attachments": row.attachments.defer("content").order_by("number"),
        "is_opener": is_opener,
        "may_write": may_write,
        "reply": form,
        "attaching": attaching or AttachForm(),
        "closing": closing or CloseForm(),
        "is_closed": row.state == Case.State.CLOSED,
    }
    return render(request, "console/case.html", context, form=refused)
