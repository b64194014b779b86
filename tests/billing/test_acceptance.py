"""Money and acceptance: nothing before it, nothing where it fails; the record on paper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing import acceptance_paper, closing, ledger, rating, sla_credits
from billing.models import SlaMonth
from inventory import acceptance, metering
from inventory.models import Acceptance
from inventory.periods import HOUR
from marketplace import leases
from marketplace.asking import TermsInput
from marketplace.models import Lease
from tests import world
from tests.billing import books
from tests.delivery import scene as delivery
from tests.delivery.test_acceptance import nccl
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db
START = T0 + 10 * HOUR


def being_tested(**terms_more: Any) -> tuple[Lease, Acceptance]:
    books.top_up(world.tenant(), 10**8)
    terms = TermsInput(acceptance_mb_per_second=300_000, acceptance_hours=4, **terms_more)
    row = books.lease(scene.listing(terms=terms), units=2, start=10, end=20)
    delivery.run(START, START + timedelta(seconds=30))
    row = leases.follow(lease_id=row.pk, at=START + timedelta(minutes=1))
    return row, Acceptance.objects.get(allocation=row.allocation_id)


def report(row: Lease, gate: Acceptance, **facts: Any) -> None:
    serving = row.allocation.bindings.select_related("node").order_by("pk")
    acceptance.report(
        acceptance_public_id=gate.public_id,
        tool="nccl",
        text=nccl([each.node.hostname for each in serving], **facts),
        hosts="",
        at=START + hours(1),
        actor=world.actor(world.provider()),
    )


def follow(row: Lease, at: Any) -> Lease:
    delivery.run(at, at + timedelta(seconds=20))
    return leases.follow(lease_id=row.pk, at=at)


def test_hours_before_the_signature_are_not_charged() -> None:
    row, gate = being_tested()
    report(row, gate)
    signed = START + hours(2)
    acceptance.sign(
        acceptance_public_id=gate.public_id, at=signed, actor=world.actor(world.tenant())
    )
    before = row.state
    row = follow(row, signed)
    metering.sweep(at=START + hours(5))
    rating.rate_due(at=START + hours(5), limit=100_000)
    charged = row.charges.filter(card_seconds__gt=0).order_by("hour")

    assert (before, row.state, row.active_at) == ("delivering", "active", signed)
    assert [(each.hour, each.card_seconds) for each in charged] == [
        (START + hours(2), 16 * 3600),
        (START + hours(3), 16 * 3600),
    ]


def test_a_delivery_that_never_passed_is_given_back_whole() -> None:
    row, gate = being_tested()
    report(row, gate, algbw=90.0)

    row = follow(row, START + hours(5.1))
    closing.close_leases(at=START + hours(30), limit=10)
    row.refresh_from_db()

    assert (row.state, row.end_reason) == ("failed", "delivery_failed")
    found = ledger.balance(world.tenant())
    assert (found.posted_minor, found.held_minor, found.deposit_minor) == (10**8, 0, 0)
    assert not row.charges.exists()
    assert not books.differences()


def test_waiting_for_the_signature_is_no_fault_of_the_providers() -> None:
    row, gate = being_tested(
        sla_availability_bps=9_900, sla_credits=((9_900, 1_000),), sla_cap_bps=5_000
    )
    report(row, gate)  # an hour after the start: that hour counts as missing
    signed = START + hours(3)
    acceptance.sign(
        acceptance_public_id=gate.public_id, at=signed, actor=world.actor(world.tenant())
    )
    follow(row, signed)
    delivery.run(T0 + 20 * HOUR, T0 + 20 * HOUR + timedelta(seconds=30))
    metering.sweep(at=T0 + 30 * HOUR)
    rating.rate_due(at=T0 + 30 * HOUR, limit=100_000)
    sla_credits.credit_due(at=datetime(2026, 7, 1, tzinfo=UTC), limit=10)

    month = SlaMonth.objects.get(lease=row)
    assert month.missing_card_seconds == 16 * 3600  # up to the pass
    assert month.excluded_card_seconds == 2 * 16 * 3600


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_record_is_the_same_bytes_in_the_same_state(language: Any) -> None:
    row, gate = being_tested()
    report(row, gate, algbw=90.0)
    report(row, gate)
    gate.refresh_from_db()
    unsigned = acceptance_paper.pdf(gate, language=language)
    acceptance.sign(
        acceptance_public_id=gate.public_id,
        at=START + hours(2),
        actor=world.actor(world.tenant()),
    )
    gate.refresh_from_db()

    signed = acceptance_paper.pdf(gate, language=language)

    assert signed.startswith(b"%PDF-")
    assert signed == acceptance_paper.pdf(gate, language=language)
    assert signed != unsigned
