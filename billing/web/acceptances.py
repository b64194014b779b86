"""Acceptance of a lease's delivery: what was measured, a report to hand in, the signature."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import acceptance_paper
from billing.web import papers
from inventory import acceptance
from inventory.acceptance import LARGEST_REPORT, ReportInvalid
from inventory.models import Acceptance, AcceptanceRun
from marketplace.models import Lease
from marketplace.web import deals
from marketplace.web.entry import ConsoleRequest, attempt, find, need, page, render
from marketplace.web.forms import ConsoleForm

SHOWN_RUNS = 50
State = Acceptance.State


class ReportForm(ConsoleForm):
    """What the test printed."""

    tool = forms.ChoiceField(label=gettext_lazy("Test"), choices=AcceptanceRun.Tool.choices)
    file = forms.FileField(
        label=gettext_lazy("Report"),
        help_text=gettext_lazy("What the test printed, whole; a text file of up to 1 MB"),
        max_length=200,
    )
    hosts = forms.CharField(
        label=gettext_lazy("Hostfile"),
        required=False,
        max_length=LARGEST_REPORT // 4,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("For HCCL, which names no machines: a line such as node-1:8 each"),
    )

    def text(self) -> str:
        """Raises ReportInvalid."""
        content = self.cleaned_data["file"].read(LARGEST_REPORT + 1)
        try:
            text = content.decode()
        except UnicodeDecodeError as error:
            raise ReportInvalid("It is no text") from error
        if "\x00" in text:
            raise ReportInvalid("It is no text")
        return str(text)


@page(scope="leases:read", changes=True)
def detail(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """The gate, its clock and its runs; both sides hand in reports here."""
    visit = request.visit
    lease, row = _found(request, lease_id)
    posted = request.method == "POST"
    form = ReportForm(request.POST, request.FILES) if posted else ReportForm()
    if posted:
        need(request, "leases:write")
        if form.is_valid():
            run = attempt(
                form,
                lambda: acceptance.report(
                    acceptance_public_id=row.public_id,
                    tool=form.cleaned_data["tool"],
                    text=form.text(),
                    hosts=form.cleaned_data["hosts"],
                    at=visit.at,
                    actor=visit.actor,
                ),
            )
            if run is not None:
                messages.success(
                    request,
                    _("The run passed.")
                    if run.passed
                    else _("The run did not pass. Nothing is billed, and the clock starts again."),
                )
                return redirect("lease_acceptance", lease.public_id)
    return _page(request, lease, row, form)


@page(scope="leases:write", party="tenant", changes=True, posts_only=True)
def sign(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """The tenant takes what passed."""
    visit = request.visit
    lease, row = _found(request, lease_id)
    if visit.organisation.pk != lease.tenant_id:
        raise PermissionDenied
    form = ConsoleForm(request.POST)
    done = attempt(
        form,
        lambda: acceptance.sign(acceptance_public_id=row.public_id, at=visit.at, actor=visit.actor),
    )
    if done is None:
        return _page(request, lease, row, ReportForm(), signing=form)
    messages.success(request, _("Accepted. The lease's time counts from now on."))
    return redirect("lease_acceptance", lease.public_id)


@page(scope="leases:read")
def record_pdf(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """The record on paper, in the reader's language."""
    _lease, row = _found(request, lease_id)
    return papers.reply(
        lambda language: acceptance_paper.pdf(row, language=language),
        f"acceptance-{row.public_id[-8:]}",
    )


def _found(request: ConsoleRequest, lease_id: str) -> tuple[Lease, Acceptance]:
    lease = find(deals.leases_of(request).select_related("tenant", "provider"), lease_id)
    row = Acceptance.objects.filter(allocation=lease.allocation_id).first()
    if row is None:
        raise Http404
    return lease, row


def _page(
    request: ConsoleRequest,
    lease: Lease,
    row: Acceptance,
    form: ReportForm,
    signing: ConsoleForm | None = None,
) -> HttpResponse:
    visit = request.visit
    own = visit.organisation.pk
    tested = row.state in (State.TESTING, State.PASSED)
    may = tested and visit.actor.may("leases:write")
    context: dict[str, Any] = {
        "lease": lease,
        "acceptance": row,
        "runs": row.runs.select_related("posted_by").order_by("-pk")[:SHOWN_RUNS],
        "report": form,
        "may_report": may and own in (lease.tenant_id, lease.provider_id),
        "may_sign": may and own == lease.tenant_id and row.state == State.PASSED,
        "zone": lease.allocation.pool.fabric.centre.timezone,
    }
    return render(request, "console/lease_acceptance.html", context, form=signing or form)
