"""Cases: put to the other side, answered within their clock or escalated, closed, reopened."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from inventory.errors import Forbidden, Invalid, NotFound
from inventory.models import JournalEntry
from inventory.transitions import IllegalTransition
from marketplace import cases
from marketplace.cases import AttachmentRefused, CaseClosed
from marketplace.models import Case, CaseAttachment, Lease
from tests import world
from tests.marketplace import scene
from tests.world import T0

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20


def lease() -> Lease:
    return scene.lease(scene.listing())


def opened(row: Lease | None = None, **changes: Any) -> Case:
    facts: dict[str, Any] = {
        "lease_public_id": (row or lease()).public_id,
        "title": "Slow links",
        "text": "NCCL says 20 GB/s",
        "category": "performance",
        "priority": "high",
        "at": T0,
        "actor": world.actor(world.tenant()),
        **changes,
    }
    return cases.open_case(**facts)


def by(name: str) -> dict[str, Any]:
    orgs = {
        "tenant": world.tenant, "provider": world.provider, "operator": world.operator,
        "stranger": world.stranger,
    }  # fmt: skip
    return {"actor": world.actor(orgs[name]())}


def reply(row: Case, who: str, at=T0 + MINUTE, **facts: Any) -> Case:
    cases.reply(case_public_id=row.public_id, text="…", at=at, **by(who), **facts)
    row.refresh_from_db()
    return row


def test_a_tenants_case_goes_to_the_provider_and_its_clock_runs() -> None:
    row = opened()

    assert (row.state, row.assignee, row.respond_by) == ("open", "provider", T0 + 120 * MINUTE)
    assert row.messages.get().text == "NCCL says 20 GB/s"
    entry = JournalEntry.objects.get(event="case.opened")
    assert (entry.tenant_id, entry.provider_id) == (row.tenant_id, row.provider_id)


def test_a_providers_case_about_a_node_goes_to_the_operator() -> None:
    node = world.pool().nodes.order_by("pk")[0]
    row = opened(lease_public_id="", node_public_id=node.public_id, **by("provider"))

    assert (row.assignee, row.tenant_id, row.node_id) == ("operator", None, node.pk)


def test_an_answer_stops_the_clock_and_its_opener_starts_it_again() -> None:
    row = opened()

    assert (reply(row, "provider").state, row.respond_by) == ("answered", None)
    later = T0 + 10 * MINUTE
    assert (reply(row, "tenant", later).state, row.respond_by) == ("open", later + 120 * MINUTE)
    assert (reply(row, "provider", later, asks_back=True).state, row.respond_by) == (
        "waiting", None,
    )  # fmt: skip


def test_it_is_closed_and_reopened_by_who_opened_it() -> None:
    row = opened()
    facts: dict[str, Any] = {"case_public_id": row.public_id, "at": T0}
    with pytest.raises(Forbidden):
        cases.close(**facts, **by("provider"))

    cases.close(**facts, **by("tenant"))
    for act in (
        lambda: cases.reply(**facts, text="x", **by("provider")),
        lambda: cases.attach(**facts, name="a", content=PNG, **by("tenant")),
    ):
        with pytest.raises(CaseClosed):
            act()
    with pytest.raises(IllegalTransition):
        cases.close(**facts, **by("tenant"))
    with pytest.raises(Forbidden):
        cases.reopen(**facts, text="x", **by("provider"))
    cases.reopen(**facts, text="still slow", **by("tenant"))

    row.refresh_from_db()
    assert (row.state, row.respond_by) == ("reopened", T0 + 120 * MINUTE)


def test_a_clock_that_ran_out_brings_it_to_the_operator_once_with_a_clock_of_its_own() -> None:
    row = opened()
    due = T0 + 120 * MINUTE

    assert cases.escalate_due(at=due - MINUTE, limit=10) == 0
    assert cases.escalate_due(at=due, limit=10) == 1
    assert cases.escalate_due(at=due, limit=10) == 0
    row.refresh_from_db()
    assert (row.assignee, row.escalated_at, row.respond_by) == (
        "operator", due, due + 120 * MINUTE,
    )  # fmt: skip

    assert cases.escalate_due(at=due + 120 * MINUTE, limit=10) == 1
    row.refresh_from_db()
    assert (row.respond_by, row.escalated_at) == (None, due)
    events = JournalEntry.objects.filter(object_id=row.public_id).order_by("id")
    assert list(events.values_list("event", flat=True)) == [
        "case.opened", "case.escalated", "case.late",
    ]  # fmt: skip


def test_nobody_else_knows_of_it() -> None:
    row = opened()

    for act in (
        lambda: cases.reply(case_public_id=row.public_id, text="x", at=T0, **by("stranger")),
        lambda: cases.close(case_public_id=row.public_id, at=T0, **by("stranger")),
        lambda: opened(row.lease, **by("stranger")),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(Forbidden):
        opened(row.lease, **by("operator"))


def test_a_providers_own_case_about_a_lease_is_not_its_tenants() -> None:
    row = opened(**by("provider"))

    assert Case.objects.visible_to(world.actor(world.tenant())).count() == 0
    with pytest.raises(NotFound):
        reply(row, "tenant")


@pytest.mark.parametrize(
    ("name", "content", "media_type"),
    [
        ("top.png", PNG, "image/png"),
        ("log.txt", "一行\nnext".encode(), "text/plain"),
        ("evil.html", b"<script>alert(1)</script>", "text/plain"),
        ("../../etc/passwd", b"%PDF-1.7 ...", "application/pdf"),
        ("a.gz", b"\x1f\x8b\x08rest", "application/gzip"),
    ],
)
def test_what_a_file_is_is_read_from_its_bytes(name: str, content: bytes, media_type: str) -> None:
    row = opened()
    found = cases.attach(
        case_public_id=row.public_id,
        name=name,
        content=content,
        at=T0,
        **by("tenant"),
    )

    assert found.media_type == media_type
    assert "/" not in found.name
    assert not found.name.startswith(".")


@pytest.mark.parametrize(
    "content", [b"", b"\x7fELF\x00binary", b"\x89PNG\r\n\x1a\n" + b"0" * 5 * 1024 * 1024]
)
def test_files_that_are_too_large_or_of_no_form_are_refused(content: bytes) -> None:
    row = opened()

    with pytest.raises(AttachmentRefused):
        cases.attach(
            case_public_id=row.public_id,
            name="a",
            content=content,
            at=T0,
            **by("tenant"),
        )
    assert CaseAttachment.objects.count() == 0


def test_a_case_has_twenty_attachments_at_the_most() -> None:
    row = opened()
    facts: dict[str, Any] = {"case_public_id": row.public_id, "name": "a", "content": PNG, "at": T0}
    for _ in range(20):
        cases.attach(**facts, **by("tenant"))

    with pytest.raises(AttachmentRefused):
        cases.attach(**facts, **by("provider"))
    last = row.attachments.latest("number")
    for changes in ({"number": 21}, {"number": 20}, {"size": 5}):
        copied = {
            f.attname: getattr(last, f.attname)
            for f in CaseAttachment._meta.concrete_fields
            if f.attname not in ("id", "public_id")
        }
        with pytest.raises(DatabaseError), transaction.atomic():
            CaseAttachment.objects.create(**copied | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"lease_public_id": ""},
        {"node_public_id": "nod_" + "0" * 32},
        {"title": "  "},
        {"text": "\n"},
        {"text": "x" * 8001},
        {"category": "weather"},
        {"priority": "now"},
    ],
)
def test_what_says_nothing_is_refused(changes: dict[str, Any]) -> None:
    row = lease()

    with pytest.raises(Invalid), transaction.atomic():
        opened(row, **changes)
    assert Case.objects.count() == 0
