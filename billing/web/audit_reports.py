"""The monthly reports: every version that was made, and what each restated."""

from __future__ import annotations

from django.http import HttpResponse

from billing import audit_reports
from billing.models import AuditReport
from billing.web import papers
from marketplace.web import funnels
from marketplace.web.entry import ConsoleRequest, find, page, render

MOST_ROWS = 120


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    """The newest month first, each with its versions."""
    rows = AuditReport.objects.order_by("-month", "-version")[:MOST_ROWS]
    word = audit_reports.words()
    context = {
        "asked": funnels.asked(request),
        "tab": "reports",
        "lines": [
            (row, row.figures["whole"],
             [(word.get(one.stage, one.stage), one) for one in audit_reports.deltas(row)])
            for row in rows
        ],
    }  # fmt: skip
    return render(request, "console/audit_reports.html", context)


@page(scope="audit:read", party="operator")
def paper(request: ConsoleRequest, report_id: str) -> HttpResponse:
    """The report as PDF, in the reader's language."""
    row = find(AuditReport.objects.all(), report_id)
    return papers.reply(
        lambda language: audit_reports.pdf(row, language=language),
        f"card-hours-{row.month:%Y-%m}-v{row.version}",
    )
