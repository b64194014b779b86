from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory import organisations
from inventory.errors import Invalid
from inventory.models import JournalEntry, Membership, Organisation, User, Verification
from inventory.transitions import IllegalTransition
from tests import world
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db

# Real ones, from public registers: Huawei, Tencent, Alibaba.
GOOD_CODES = ["914403001922038216", "9144030071526726XG", "91330100799655058B"]


@pytest.mark.parametrize("code", GOOD_CODES)
def test_a_real_credit_code_is_taken(code: str) -> None:
    organisations.check_credit_code(code)


@pytest.mark.parametrize(
    "code",
    [
        "914403001922038217",
        "91440300192203821",
        "9144030019220382160",
        "91440300I922038216",
        "",
        "９" * 18,
    ],
)
def test_a_wrong_credit_code_is_refused(code: str) -> None:
    with pytest.raises(Invalid):
        organisations.check_credit_code(code)


def test_a_code_is_registered_once() -> None:
    facts: dict[str, Any] = {
        "credit_code": GOOD_CODES[0],
        "is_tenant": True,
        "at": T0,
        "actor": SYSTEM,
    }
    organisations.register(name="First", **facts)

    with pytest.raises(organisations.OrganisationExists):
        organisations.register(name="Second", **facts)

    assert Organisation.objects.count() == 1


def test_the_operator_verifies_and_takes_back() -> None:
    row = organisations.register(name="Fresh", is_tenant=True, at=T0, actor=SYSTEM)
    assert not row.is_verified

    row = organisations.decide(organisation_id=row.pk, verified=True, at=T0, actor=SYSTEM)
    assert row.is_verified
    row = organisations.decide(
        organisation_id=row.pk, verified=False, at=T0, actor=SYSTEM, reason="papers forged"
    )

    assert row.state == Verification.REJECTED
    with pytest.raises(IllegalTransition):
        organisations.decide(
            organisation_id=row.pk, verified=False, at=T0, actor=SYSTEM, reason="again"
        )
    events = JournalEntry.objects.filter(object_id=row.public_id).order_by("id")
    assert [entry.event for entry in events] == [
        "organisation.registered",
        "organisation.verified",
        "organisation.rejected",
    ]
    assert events[2].reason == "papers forged"


def test_a_rejected_organisation_may_hand_in_again() -> None:
    row = organisations.register(name="Fresh", is_tenant=True, at=T0, actor=SYSTEM)
    organisations.decide(
        organisation_id=row.pk, verified=False, at=T0, actor=SYSTEM, reason="unreadable scan"
    )

    row = organisations.decide(
        organisation_id=row.pk, verified=True, at=T0, actor=SYSTEM, reason="new papers"
    )

    assert row.is_verified
    with pytest.raises(IllegalTransition):
        organisations.decide(organisation_id=row.pk, verified=True, at=T0, actor=SYSTEM)
    states = JournalEntry.objects.filter(object_id=row.public_id).order_by("id")
    assert [entry.to_state for entry in states][1:] == [
        "pending", "rejected", "pending", "verified",
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_rejection_says_why(reason: str) -> None:
    row = organisations.register(name="Fresh", is_tenant=True, at=T0, actor=SYSTEM)

    with pytest.raises(Invalid):
        organisations.decide(
            organisation_id=row.pk, verified=False, at=T0, actor=SYSTEM, reason=reason
        )

    row.refresh_from_db()
    assert row.state == Verification.UNVERIFIED


def test_a_new_member_gets_a_password_once() -> None:
    org = world.tenant()

    membership, password = organisations.add_member(
        organisation_id=org.pk, email="New@Example.com", role="viewer", at=T0, actor=SYSTEM
    )

    assert membership.user.email == "new@example.com"
    assert password is not None
    assert membership.user.check_password(password)
    with pytest.raises(organisations.MemberExists):
        organisations.add_member(
            organisation_id=org.pk, email="new@example.com", role="owner", at=T0, actor=SYSTEM
        )


def test_a_known_person_keeps_the_password() -> None:
    user = world.member(world.tenant())

    membership, password = organisations.add_member(
        organisation_id=world.provider().pk, email=user.email, role="finance", at=T0, actor=SYSTEM
    )

    assert password is None
    assert membership.user_id == user.pk
    assert User.objects.count() == 1


def test_the_last_owner_stays() -> None:
    org = world.tenant()
    owner = world.member(org)

    with pytest.raises(organisations.LastOwner):
        organisations.remove_member(
            organisation_id=org.pk, user_public_id=owner.public_id, at=T0, actor=SYSTEM
        )

    assert Membership.objects.filter(organisation=org).count() == 1


def test_an_auditor_sees_everything_until_the_end() -> None:
    org = world.operator()
    membership, _ = organisations.add_member(
        organisation_id=org.pk,
        email="audit@example.com",
        role="auditor",
        at=T0,
        actor=SYSTEM,
        expires_at=T0 + timedelta(days=7),
    )
    user = membership.user

    before = organisations.actor_of(user=user, organisation=org, at=T0 + timedelta(days=6))
    after = organisations.actor_of(user=user, organisation=org, at=T0 + timedelta(days=7))

    assert before is not None
    assert before.sees_everything
    assert not before.may("receipts:approve")
    assert after is None


def test_an_auditor_without_an_end_is_refused() -> None:
    with pytest.raises(Invalid):
        organisations.add_member(
            organisation_id=world.operator().pk,
            email="a@example.com",
            role="auditor",
            at=T0,
            actor=SYSTEM,
        )


def test_no_role_gives_its_holder_both_sides_of_the_market() -> None:
    traders = organisations.ROLE_SCOPES.values()
    runners = organisations.OPERATOR_ROLE_SCOPES.values()

    assert not any("receipts:approve" in scopes for scopes in traders)
    assert not any("audit:read" in scopes for scopes in traders)
    assert not any("reservations:write" in scopes for scopes in runners)
    assert not any("credentials:reveal" in scopes for scopes in runners)
