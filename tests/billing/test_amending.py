"""Changes that are negotiated: the lease stays as it is, byte by byte, until both have signed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from billing import amending, ledger
from billing.amending import Proposal
from inventory import capacity
from inventory.errors import Invalid, NotFound
from inventory.models import Allocation, JournalEntry
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from marketplace import amendments
from marketplace.models import Amendment, Lease
from tests import world
from tests.billing import books
from tests.billing.test_quotes import HOUR, MONEY, accept, ask, row_of, running
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

NOW = T0 + hours(12)


def propose(lease: Lease, by: str = "tenant", at: datetime = NOW, **wanted: Any) -> Amendment:
    return amending.propose(
        lease_public_id=lease.public_id,
        proposal=Proposal(**wanted),
        at=at,
        actor=world.actor(getattr(lease, by)),
        reason="as agreed by telephone",
    )


def sign(amendment: Amendment, by: str = "provider", at: datetime = NOW) -> Amendment:
    return amending.sign(
        amendment_public_id=amendment.public_id,
        at=at,
        actor=world.actor(getattr(amendment, by)),
    )


def test_a_lease_is_untouched_byte_by_byte_until_the_other_side_signs() -> None:
    lease = running()
    before, money = row_of(lease), books.available()

    amendment = propose(lease, end=T0 + hours(16))

    assert row_of(lease) == before
    assert books.available() == money
    assert Period.of(Allocation.objects.get().period) == period(10, 20)
    assert (amendment.state, amendment.tenant_signed_by != "") == ("proposed", True)
    assert amendment.provider_signed_at is None
    sign(amendment)
    assert row_of(lease) != before
    assert books.available() == money + 4 * HOUR
    lease.refresh_from_db()
    assert Period.of(lease.period) == period(10, 16)
    assert Period.of(Allocation.objects.get().period) == period(10, 16)
    assert lease.amendment == amendment
    assert not books.differences()


@pytest.mark.parametrize("verb", [amendments.decline, amendments.withdraw])
def test_what_is_declined_or_taken_back_changes_nothing(verb) -> None:
    lease = running()
    before = row_of(lease)
    amendment = propose(lease, end=T0 + hours(16))
    right, wrong = ("provider", "tenant") if verb is amendments.decline else ("tenant", "provider")
    said = {"amendment_public_id": amendment.public_id, "at": NOW, "reason": "no"}

    with refused(amendments.WrongSide):
        verb(actor=world.actor(getattr(lease, wrong)), **said)
    with refused(NotFound):
        verb(actor=world.actor(world.stranger()), **said)
    verb(actor=world.actor(getattr(lease, right)), **said)

    with refused(IllegalTransition):
        sign(amendment)
    assert row_of(lease) == before
    assert not books.differences()


def test_a_proposal_expires_and_another_may_follow() -> None:
    lease = running()
    before = row_of(lease)
    amendment = propose(lease, end=T0 + hours(16))
    with refused(amendments.AmendmentOpen):
        propose(lease, by="provider", end=T0 + hours(17))

    assert amendment.expires_at == T0 + hours(16)
    with refused(amendments.AmendmentExpired):
        sign(amendment, at=amendment.expires_at)
    assert amendments.expire_due(at=amendment.expires_at, limit=10) == 1
    assert amendments.expire_due(at=amendment.expires_at, limit=10) == 0

    assert row_of(lease) == before
    assert propose(lease, at=T0 + hours(16.5), end=T0 + hours(18)).state == "proposed"


def test_a_provider_proposes_a_later_end_and_the_tenant_pays_by_signing() -> None:
    lease = running()
    money = books.available()

    amendment = propose(lease, by="provider", end=T0 + hours(30))
    with refused(amendments.WrongSide):
        sign(amendment, by="provider")
    with refused(NotFound):
        amending.sign(
            amendment_public_id=amendment.public_id, at=NOW, actor=world.actor(world.stranger())
        )
    sign(amendment, by="tenant")

    assert books.available() == money - 10 * HOUR
    lease.refresh_from_db()
    assert (lease.gross_minor, lease.due_minor) == (20 * HOUR, 20 * HOUR)
    assert not books.differences()


def test_what_comes_back_of_an_agreed_earlier_end_is_agreed_too() -> None:
    lease = running()
    money = books.available()

    sign(propose(lease, end=T0 + hours(15), refund_bps=4_000))

    assert books.available() == money + 2 * HOUR
    charge = lease.charges.get()
    assert (charge.kind, charge.gross_minor) == ("leaving", 3 * HOUR)
    assert not books.differences()


def test_a_proposal_upon_a_lease_that_has_changed_since_is_stale() -> None:
    lease = running()
    amendment = propose(lease, end=T0 + hours(16))
    accept(ask(lease, "extend", 25, at=NOW))
    before = row_of(lease)

    with refused(amendments.AmendmentStale):
        sign(amendment)

    assert row_of(lease) == before


def test_capacity_or_money_that_is_gone_refuses_the_signature_whole() -> None:
    listing = scene.listing(units=1)
    lease = running(listing, money=20 * HOUR)
    amendment = propose(lease, end=T0 + hours(40))
    before = row_of(lease)

    with refused(ledger.InsufficientFunds):
        sign(amendment)
    books.lease(listing, start=30, end=35)
    with refused(capacity.CapacityTaken):
        sign(amendment)

    amendment.refresh_from_db()
    assert (amendment.state, row_of(lease)) == ("proposed", before)
    assert not books.differences()


def test_added_units_are_a_child_lease_of_their_own() -> None:
    lease = running(units=1)
    before, money = row_of(lease), books.available()

    amendment = propose(lease, added_units=2, added_from=T0 + hours(14))
    assert row_of(lease) == before
    sign(amendment)

    amendment.refresh_from_db()
    child = amendment.child
    assert child is not None
    assert (child.parent, child.unit_count, child.state) == (lease, 2, "scheduled")
    assert Period.of(child.period) == period(14, 20)
    assert child.allocation_id != lease.allocation_id
    assert (child.price, child.terms) == (lease.price, lease.terms)
    assert books.available() == money - 2 * 6 * HOUR
    lease.refresh_from_db()
    assert (lease.unit_count, lease.gross_minor) == (1, 10 * HOUR)
    assert not books.differences()


def test_the_wallet_of_added_units_is_locked_before_their_pool() -> None:
    amendment = propose(running(units=1), added_units=2, added_from=T0 + hours(14))

    with CaptureQueriesContext(connection) as seen:
        sign(amendment)

    said = [query["sql"] for query in seen]
    wallet = max(n for n, sql in enumerate(said) if "ledger_lock(" in sql)
    pool = min(n for n, sql in enumerate(said) if "capacity_claim" in sql)
    assert wallet < pool


@pytest.mark.parametrize(
    "wanted",
    [
        {}, {"added_units": 1}, {"end": T0 + hours(15), "added_units": 1},
        {"added_units": 1, "added_from": T0 + hours(12)},
        {"added_units": 1, "added_from": T0 + hours(20)},
        {"added_units": 0, "added_from": T0 + hours(15)},
        {"end": T0 + hours(15), "refund_bps": 10_001},
    ],
)  # fmt: skip
def test_what_cannot_be_is_not_proposed(wanted) -> None:
    lease = running()

    with refused(Invalid):
        propose(lease, **wanted)

    assert not Amendment.objects.exists()


def test_both_sides_read_every_step_in_the_journal() -> None:
    lease = running()

    amendment = propose(lease, end=T0 + hours(16))
    sign(amendment)

    entries = JournalEntry.objects.filter(object_id=amendment.public_id).order_by("id")
    assert [entry.event for entry in entries] == ["amendment.proposed", "amendment.signed"]
    assert {(e.provider_id, e.tenant_id) for e in entries} == {(lease.provider_id, lease.tenant_id)}


def execute(sql: str, *values: Any) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def test_the_database_lets_nobody_change_a_lease_without_a_signed_amendment() -> None:
    lease = running()
    amendment = propose(lease, end=T0 + hours(16))
    before = row_of(lease)
    update = "UPDATE marketplace_lease SET "
    agreed = (
        "period = a.period, gross_minor = a.gross_minor, due_minor = a.due_minor,"
        " amendment_id = a.id FROM marketplace_amendment a"
        f" WHERE marketplace_lease.id = {lease.pk} AND a.id = {amendment.pk}"
    )

    for statement in (
        update + f"gross_minor = 1 WHERE id = {lease.pk}",
        update + f"due_minor = due_minor - 1 WHERE id = {lease.pk}",
        update + f"period = tstzrange(lower(period), now()) WHERE id = {lease.pk}",
        update + f"amendment_id = {amendment.pk} WHERE id = {lease.pk}",
        update + agreed,  # proposed, not signed
        update + f"unit_count = 2 WHERE id = {lease.pk}",
        update + f"price_id = price_id + 1 WHERE id = {lease.pk}",
    ):
        with pytest.raises(DatabaseError):
            execute(statement)

    assert row_of(lease) == before


def test_the_database_takes_up_a_signed_amendment_once_and_by_its_values_only() -> None:
    lease = running()
    first = sign(propose(lease, end=T0 + hours(16)))
    other = books.lease(scene.listing(), start=40, end=50)
    before = row_of(lease)
    update = f"UPDATE marketplace_lease SET amendment_id = {first.pk}"

    for statement in (
        f"{update} WHERE id = {other.pk}",  # another lease's
        f"{update}, gross_minor = gross_minor + 1 WHERE id = {lease.pk}",
        f"UPDATE marketplace_lease SET amendment_id = NULL WHERE id = {lease.pk}",
    ):
        with pytest.raises(DatabaseError):
            execute(statement)

    assert row_of(lease) == before


def test_the_database_keeps_what_was_proposed_and_what_was_signed() -> None:
    lease = running()
    amendment = propose(lease, end=T0 + hours(16))
    table = "UPDATE marketplace_amendment SET "

    for change in (
        "refund_minor = 0", "period = before_period", "expires_at = now()",
        "state = 'signed'",  # with one signature
    ):  # fmt: skip
        with pytest.raises(DatabaseError):
            execute(f"{table}{change} WHERE id = {amendment.pk}")
    sign(amendment)
    for change in ("provider_signed_by = 'somebody'", "state = 'declined'", "signed_at = now()"):
        with pytest.raises(DatabaseError):
            execute(f"{table}{change} WHERE id = {amendment.pk}")
    with pytest.raises(DatabaseError):
        execute(f"DELETE FROM marketplace_amendment WHERE id = {amendment.pk}")


def test_money_of_two_amendments_after_each_other_adds_up() -> None:
    lease = running()

    for end in (25, 18, 22):
        sign(propose(lease, end=T0 + hours(end)))
    accept(ask(lease, "leave", 14, at=NOW))

    lease.refresh_from_db()
    assert Period.of(lease.period) == period(10, 14)
    kept = 8 * HOUR * 7 // 10
    assert lease.due_minor == 4 * HOUR + kept
    assert books.available() == MONEY - 4 * HOUR - kept
    assert lease.amendments.filter(state="signed").count() == 4
    assert not books.differences()


def test_a_lapsed_proposal_that_no_sweep_has_seen_stands_in_nobodys_way() -> None:
    lease = running()
    lapsed = propose(lease, end=T0 + hours(16))

    following = propose(lease, at=lapsed.expires_at + hours(0.5), end=T0 + hours(18))

    lapsed.refresh_from_db()
    assert (lapsed.state, following.state) == ("expired", "proposed")
