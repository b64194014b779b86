"""A tenant agrees, contests line by line, or silence is consent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import invoices, rating, statements
from billing.models import Charge, Contest, Invoice, InvoiceLine, Statement
from billing.payments import SamePerson
from inventory.errors import NotFound
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db

FINAL = datetime(2026, 7, 3, 16, tzinfo=UTC)  # the 4th in Shanghai, a Saturday
SOON = FINAL + hours(1)


@pytest.fixture
def statement() -> Statement:
    world.operator()
    books.top_up(world.tenant(), 10**8)
    lease = books.activate(books.lease(scene.listing()))
    books.meter(lease, until=T0 + hours(15))
    rating.rate_due(at=FINAL, limit=1000)
    invoices.finalise_due(at=FINAL, limit=10)
    assert statements.issue_due(at=FINAL, limit=10) == 1
    assert statements.issue_due(at=FINAL, limit=10) == 0
    return Statement.objects.get()


def contest(reason: str = "the network was down") -> Contest:
    return statements.contest(
        line_public_id=InvoiceLine.objects.filter(corrects=None).get().public_id,
        reason=reason,
        at=SOON,
        actor=world.actor(world.tenant()),
        user=world.member(world.tenant()),
    )


def test_silence_is_consent_after_five_business_days(statement: Statement) -> None:
    # Five business days after Saturday, 4 July: Friday the 10th, 17:00 in Shanghai.
    assert statement.due_at == datetime(2026, 7, 10, 9, tzinfo=UTC)
    assert statements.deem_due(at=statement.due_at - timedelta(seconds=1), limit=10) == 0
    assert statements.deem_due(at=statement.due_at, limit=10) == 1
    assert statements.deem_due(at=statement.due_at, limit=10) == 0
    statement.refresh_from_db()
    assert (statement.state, statement.deemed_at) == ("deemed", statement.due_at)
    with scene.refused(statements.StatementClosed):
        contest()


def test_the_tenant_alone_accepts_and_once(statement: Statement) -> None:
    facts: dict[str, Any] = {"statement_public_id": statement.public_id, "at": SOON}
    for other in (world.operator(), world.provider(), world.stranger()):
        with scene.refused(NotFound):
            statements.accept(**facts, actor=world.actor(other), user=world.member(other))
    tenant = world.tenant()
    row = statements.accept(**facts, actor=world.actor(tenant), user=world.member(tenant))
    assert (row.state, row.accepted_at) == ("accepted", SOON)
    with scene.refused(statements.StatementClosed):
        statements.accept(**facts, actor=world.actor(tenant), user=world.member(tenant))


def test_what_is_contested_is_frozen_until_dismissed(statement: Statement) -> None:
    row = contest()
    assert statements.contested_charges().count() == 5
    with scene.refused(statements.AlreadyContested):
        contest()
    statements.answer(
        contest_public_id=row.public_id,
        note="the switch logs say otherwise",
        at=SOON,
        actor=world.actor(world.provider()),
    )
    with scene.refused(NotFound):
        statements.answer(
            contest_public_id=row.public_id, note="x", at=SOON, actor=world.actor(world.tenant())
        )
    first, _second = books.people()
    row = statements.dismiss(
        contest_public_id=row.public_id,
        note="the logs are convincing",
        at=SOON,
        actor=world.actor(world.operator()),
        user=first,
    )
    assert (row.state, row.provider_note) == ("dismissed", "the switch logs say otherwise")
    assert statements.contested_charges().count() == 0
    with scene.refused(statements.ContestDecided):
        statements.dismiss(
            contest_public_id=row.public_id, note="x", at=SOON,
            actor=world.actor(world.operator()), user=first,
        )  # fmt: skip


@pytest.mark.parametrize("approve", [True, False])
def test_upholding_takes_two_persons_and_a_credit_note(statement: Statement, approve: bool) -> None:
    row, (first, second) = contest(), books.people()
    operator, before = world.actor(world.operator()), books.available()
    row = statements.uphold(
        contest_public_id=row.public_id, gross_minor=5440, note="an hour was lost",
        at=SOON, actor=operator, user=first,
    )  # fmt: skip
    assert (row.state, statements.contested_charges().count()) == ("open", 5)
    note = row.credit_note
    assert note is not None
    facts: dict[str, Any] = {
        "invoice_public_id": note.public_id,
        "at": SOON + hours(1),
        "actor": operator,
    }
    with scene.refused(SamePerson):
        invoices.approve_credit(**facts, user=first)

    if approve:
        invoices.approve_credit(**facts, user=second)
    else:
        invoices.discard_credit(**facts, user=second, reason="it was not")

    row.refresh_from_db()
    assert row.state == ("upheld" if approve else "open")
    assert statements.contested_charges().count() == (0 if approve else 5)
    assert books.available() == before + (5440 if approve else 0)
    assert Invoice.objects.filter(kind="credit_note", state="finalised").count() == int(approve)
    assert Charge.objects.filter(kind="credit").count() == int(approve)
    assert not books.differences()


def test_nobody_elses_line_is_contested(statement: Statement) -> None:
    line = InvoiceLine.objects.get()
    for other in (world.operator(), world.provider(), world.stranger()):
        with scene.refused(NotFound):
            statements.contest(
                line_public_id=line.public_id, reason="x", at=SOON,
                actor=world.actor(other), user=world.member(other),
            )  # fmt: skip
    assert Contest.objects.count() == 0
