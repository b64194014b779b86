"""Credits, messages, incidents and files at once: each once; with controls that show what else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from billing import rating, sla_credits
from billing.models import Charge, LeaseTally, LedgerTransaction, SlaMonth
from inventory import capacity, chips, journal
from inventory.periods import HOUR, Period
from marketplace import cases, incidents, notifications
from marketplace.cases import AttachmentRefused
from marketplace.models import CaseAttachment, Delivery, Incident, Lease
from marketplace.notifications import sending
from tests import robots, world
from tests.api.rows.service import TERMS
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.test_cases import PNG, opened
from tests.races.crowd import together
from tests.races.test_invoice_races import at_once
from tests.robots import Robots
from tests.world import SYSTEM, T0

pytestmark = [pytest.mark.race, pytest.mark.django_db(transaction=True)]
OVER = datetime(2026, 7, 1, tzinfo=UTC)
MESSAGES = 10


@pytest.fixture
def lacking(transactional_db: None) -> Lease:
    """A lease whose June lacked two of its hundred hours."""
    chips.load_catalogue()
    world.operator()
    books.top_up(world.tenant(), 10**8)
    row = books.activate(books.lease(scene.listing(terms=TERMS), start=10, end=110))
    gaps = {T0 + number * HOUR: 8 * 3600 for number in (20, 21)}
    books.meter(row, until=T0 + 110 * HOUR, gaps=gaps)
    rating.rate_due(at=T0 + 111 * HOUR, limit=100_000)
    return row


def test_a_month_that_four_count_at_once_is_credited_once(lacking: Lease) -> None:
    errors = at_once(*[lambda: sla_credits.credit_due(at=OVER, limit=10)] * 4)

    assert errors == []
    assert SlaMonth.objects.count() == 1
    charge = Charge.objects.get(kind=Charge.Kind.SLA_CREDIT)
    assert charge.gross_minor == -SlaMonth.objects.get().credit_minor < 0
    posted = LedgerTransaction.objects.filter(kind=LedgerTransaction.Kind.SLA_CREDITED)
    assert posted.count() == 1
    assert not books.differences()


def test_the_control_without_the_lock_two_counts_meet(
    lacking: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see no earlier count; only the unique fact in the database stops the second."""
    meet, delivery = threading.Barrier(2), sla_credits._delivery

    class Unlocked:
        class objects:
            @staticmethod
            def select_for_update(**_: Any) -> Any:
                return LeaseTally.objects.all()

    def wait(*given: Any) -> Any:
        meet.wait(20)
        return delivery(*given)

    monkeypatch.setattr(sla_credits, "LeaseTally", Unlocked)
    monkeypatch.setattr(sla_credits, "_delivery", wait)
    month = datetime(2026, 6, 1, tzinfo=UTC).date()

    errors = at_once(*[lambda: sla_credits.count(lease_id=lacking.pk, month=month, at=OVER)] * 2)

    assert len(errors) == 1
    assert SlaMonth.objects.count() == 1
    assert not books.differences()


@pytest.fixture
def there(settings: Any) -> Iterator[Robots]:
    with robots.running() as found:
        settings.ROBOT_API_BASE = found.base
        yield found


@pytest.fixture
def told(transactional_db: None, there: Robots) -> None:
    """A feishu robot hears of leases, and ten have ended."""
    notifications.add(
        organisation_id=world.provider().pk, kind="feishu", name="NOC", secret=robots.SECRET,
        address=robots.HOOKS["feishu"], topics=["leases"], at=T0, actor=SYSTEM,
    )  # fmt: skip
    for number in range(MESSAGES):
        journal.record(
            event="lease.ended", object_id=f"lse_{number:032x}", actor=SYSTEM, at=T0,
            provider_id=world.provider().pk,
        )  # fmt: skip


def test_entries_that_four_read_at_once_are_told_once(told: None) -> None:
    now = datetime.now(UTC)

    errors = at_once(*[lambda: notifications.fan_out(at=now)] * 4)
    notifications.fan_out(at=now)

    assert errors == []
    assert Delivery.objects.count() == MESSAGES


def test_messages_that_four_send_at_once_arrive_once(told: None, there: Robots) -> None:
    now = datetime.now(UTC)
    notifications.fan_out(at=now)

    errors = at_once(*[lambda: notifications.send_due(at=now, limit=100)] * 4)

    assert errors == []
    assert len(there.taken) == MESSAGES
    assert set(Delivery.objects.values_list("state", flat=True)) == {"sent"}


def test_the_control_without_a_claim_they_arrive_twice(told: None, there: Robots) -> None:
    now = datetime.now(UTC)
    notifications.fan_out(at=now)
    (claimed,) = sending.claim(at=now, limit=1)

    errors = at_once(*[lambda: sending._send(claimed, now)] * 2)

    assert errors == []
    assert len(there.taken) == 2  # the very same one: what a claim is there to prevent
    assert Delivery.objects.filter(state="sent").count() == 1


def test_one_incident_is_opened_however_many_look(transactional_db: None) -> None:
    chips.load_catalogue()
    pool = world.pool()
    capacity.set_outage(
        pool_id=pool.pk, kind="failed", node_id=pool.nodes.order_by("pk")[0].pk, reason="x",
        period=Period(T0, T0 + timedelta(days=1)), at=T0, actor=SYSTEM,
    )  # fmt: skip

    results = together(*[lambda: incidents.follow(pool_id=pool.pk, at=T0)] * 4)

    assert sorted(results) == [False, False, False, True]
    assert Incident.objects.count() == 1
    assert Incident.objects.get().entries.filter(kind="opened").count() == 1


def test_the_last_place_for_a_file_is_given_once(transactional_db: None) -> None:
    chips.load_catalogue()
    with transaction.atomic():
        row = opened()
    facts: dict[str, Any] = {
        "case_public_id": row.public_id, "name": "a", "content": PNG, "at": T0,
        "actor": world.actor(world.tenant()),
    }  # fmt: skip
    for _ in range(cases.MOST_ATTACHMENTS - 1):
        cases.attach(**facts)
    assert row.attachments.count() == cases.MOST_ATTACHMENTS - 1

    results = together(*[lambda: cases.attach(**facts)] * 4)

    assert sum(isinstance(result, AttachmentRefused) for result in results) == 3
    assert CaseAttachment.objects.count() == cases.MOST_ATTACHMENTS
