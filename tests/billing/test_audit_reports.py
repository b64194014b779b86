"""A month is reported as it was known, restated where it changed, and leaves the house."""

from __future__ import annotations

from datetime import date, timedelta
from io import StringIO

import pytest
from django.core import mail
from django.core.management import call_command
from django.db import DatabaseError, transaction
from pytest_django import Settings

from billing import audit_mail, audit_reports
from billing.models import AuditReport
from inventory import seals
from inventory.models import JournalEntry
from marketplace.utilisation import rollups
from tests import database, world
from tests.capacity.test_records import seal_all
from tests.marketplace import scene
from tests.marketplace.test_utilisation import usage
from tests.world import T0, hours

JULY = T0 + timedelta(days=31)


@pytest.fixture
def lease(transactional_db: object):
    """June has a lease with ten hours of usage, and is over."""
    with transaction.atomic():
        row = scene.lease(scene.listing(world.pool(nodes=4)), units=2, start=24, end=90)
        usage(row.allocation_id, 24, *[16 * 3600] * 10)
    database.outwait()
    rollups.sweep(at=JULY)
    return row


def test_a_month_is_reported_once_and_restated_where_it_changed(lease) -> None:
    assert audit_reports.make_due(at=T0 + hours(1))[-1].month == date(2026, 5, 1)
    first = audit_reports.make_due(at=JULY)[-1]

    assert (first.month, first.version) == (date(2026, 6, 1), 1)
    assert first.figures["whole"]["delivered"] == 160 * 3600
    assert first.figures["groups"]["hub"][0]["key"] == "gzh"
    assert audit_reports.make_due(at=JULY) == []

    usage(lease.allocation_id, 26, -7200, revision=1)
    database.outwait()
    rollups.sweep(at=JULY + hours(1))
    (second,) = audit_reports.make_due(at=JULY + hours(1))

    assert (second.month, second.version) == (first.month, 2)
    (delta,) = audit_reports.deltas(second)
    assert (delta.stage, delta.before, delta.change) == ("delivered", 160 * 3600, -7200)
    assert audit_reports.deltas(first) == []
    events = JournalEntry.objects.filter(object_id=second.public_id).values_list("event", "data")
    assert list(events) == [("report.restated", {"month": "2026-06", "version": 2})]
    with pytest.raises(DatabaseError), transaction.atomic():
        AuditReport.objects.filter(pk=first.pk).update(version=3)


def test_the_paper_is_the_same_whenever_it_is_made(lease) -> None:
    audit_reports.make_due(at=JULY)
    usage(lease.allocation_id, 26, -7200, revision=1)
    database.outwait()
    rollups.sweep(at=JULY)
    (row,) = audit_reports.make_due(at=JULY)

    papers = {audit_reports.pdf(row, language=language) for language in ("zh", "en")}

    assert len(papers) == 2
    assert all(paper.startswith(b"%PDF") for paper in papers)
    assert audit_reports.pdf(row, language="zh") in papers


def test_the_heads_leave_the_house_once_a_day(lease, settings: Settings) -> None:
    assert not audit_mail.send(at=JULY)  # nobody is named
    settings.AUDIT_MAIL = ["auditor@outside.example"]
    made = audit_reports.make_due(at=JULY)
    seal_all()
    head = seals.head("journal")

    assert audit_mail.send(at=JULY)
    assert not audit_mail.send(at=JULY + hours(3))

    (sent,) = mail.outbox
    assert sent.to == ["auditor@outside.example"]
    assert f"--against journal:{head}" in sent.body
    assert [name for name, _content, _kind in sent.attachments] == [
        f"cardhour-{row.month:%Y-%m}-v1.pdf" for row in made
    ]
    out = StringIO()
    call_command("verify_journal", "--against", f"journal:{head}", stdout=out)
    assert head in out.getvalue()
    assert audit_mail.send(at=JULY + timedelta(days=1))
    assert mail.outbox[1].attachments == []
    entry = JournalEntry.objects.filter(event="journal.head_sent").earliest("id")
    assert entry.data["heads"]["journal"] == head
