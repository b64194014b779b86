"""Caps on what a tenant, a project or a key commits: set, counted, refused, given back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from inventory import keys, organisations
from inventory.actors import Actor
from inventory.errors import Forbidden, Invalid, NotFound
from inventory.models import ApiKey, JournalEntry, Organisation, Project
from marketplace import policy, quotas, reservations
from marketplace.models import Commitment, Quota, Reservation
from marketplace.quotas import Limit
from tests import world
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours

pytestmark = pytest.mark.django_db
GROSS = 680 * 8 * 10  # of one unit of eight cards for ten hours, in fen
MINUTE = timedelta(minutes=1)


def cap(tenant: Organisation | None = None, *, by: Actor | None = None, **facts: Any) -> Quota:
    """A cap on a month's spend in CNY, unless told otherwise."""
    tenant = tenant or world.tenant()
    subject = {name: facts.pop(name) for name in ("project_id", "api_key_id") if name in facts}
    limit = {"measure": "spend", "window": "month", **facts}
    if limit["measure"] == "spend":
        limit.setdefault("currency", "CNY")
    return quotas.put(
        organisation_id=tenant.pk,
        limit=Limit(**limit),
        at=T0,
        actor=by or world.actor(tenant),
        **subject,
    )


def project(name: str = "Pre-training", tenant: Organisation | None = None) -> Project:
    return organisations.create_project(
        organisation_id=(tenant or world.tenant()).pk, name=name, at=T0, actor=SYSTEM
    )


def key(maker: Actor = SYSTEM) -> tuple[ApiKey, Actor]:
    tenant = world.tenant()
    scopes = sorted(maker.scopes or {"reservations:write", "keys:write", "quotas:write"})
    row, _ = keys.issue(organisation_id=tenant.pk, name="ci", scopes=scopes, at=T0, actor=maker)
    actor = Actor(
        kind="key",
        label=row.public_id,
        organisation_id=tenant.pk,
        scopes=frozenset(row.scopes),
    )
    return row, actor


def used(quota: Quota, at: datetime = T0) -> tuple[int, int]:
    (use,) = quotas.used([quota], at=at)
    return use.used_minor, use.used_card_seconds


def test_a_hold_that_would_pass_the_cap_is_refused_and_told_by_how_much() -> None:
    listing = scene.listing()
    quota = cap(limit_minor=2 * GROSS)
    scene.hold(listing)
    scene.hold(listing)

    with pytest.raises(policy.QuotaExceeded) as refusal:
        scene.hold(listing)

    assert refusal.value.status == 403
    assert refusal.value.fields() == {
        "quota": quota.public_id,
        "subject": "organisation",
        "measure": "spend",
        "window": "month",
        "currency": "CNY",
        "asked_minor": GROSS,
        "used_minor": 2 * GROSS,
        "limit_minor": 2 * GROSS,
    }
    assert Reservation.objects.count() == 2
    assert used(quota) == (2 * GROSS, 2 * 80 * 3600)
    assert scene.hold(listing, tenant=world.tenant("Other")).state == "held"


def test_card_hours_are_capped_to_the_second() -> None:
    listing = scene.listing()
    cap(measure="card_hours", limit_card_hours=160)
    scene.hold(listing)
    scene.hold(listing, start=30, end=40)

    with pytest.raises(policy.QuotaExceeded) as refusal:
        scene.hold(listing, start=50, end=51)

    fields = refusal.value.fields()
    assert (fields["measure"], fields["currency"]) == ("card_hours", None)
    assert (fields["asked_card_hours"], fields["used_card_hours"]) == (8, 160)
    assert fields["limit_card_hours"] == 160


def test_a_price_in_another_currency_counts_under_none_of_its_caps() -> None:
    quota = cap(limit_minor=0)
    dollars = scene.listing(currency="USD")

    scene.hold(dollars)

    assert used(quota) == (0, 80 * 3600)
    with refused(policy.QuotaExceeded):
        scene.hold(scene.listing())


def test_a_lapse_or_a_hold_given_back_frees_what_it_took_up() -> None:
    listing = scene.listing()
    quota = cap(limit_minor=GROSS)
    first = scene.hold(listing)

    assert used(quota, first.expires_at) == (0, 0)  # before any sweep has been there
    second = scene.hold(listing, at=first.expires_at)
    reservations.expire(reservation=reservations.lock(first.pk), at=first.expires_at)
    assert used(quota, first.expires_at) == (GROSS, 80 * 3600)
    reservations.cancel(
        reservation=reservations.lock(second.pk),
        at=second.created_at + MINUTE,
        actor=world.actor(second.tenant),
        reason="",
    )

    assert used(quota, first.expires_at) == (0, 0)
    assert scene.hold(listing, at=first.expires_at + 2 * MINUTE).state == "held"


def test_a_confirmed_deal_stays_committed() -> None:
    listing = scene.listing()
    quota = cap(limit_minor=GROSS)
    scene.lease(listing)

    with refused(policy.QuotaExceeded):
        scene.hold(listing, at=T0 + hours(1))

    assert used(quota, T0 + hours(9)) == (GROSS, 80 * 3600)


def test_a_month_is_the_billing_zone_s_and_the_deal_counts_in_the_one_it_was_made_in() -> None:
    listing = scene.listing()
    quota = cap(limit_minor=GROSS)
    midnight = datetime(2026, 6, 30, 16, tzinfo=UTC)  # 1 July in Shanghai
    scene.hold(listing, at=midnight - timedelta(seconds=1), start=800, end=810)

    with refused(policy.QuotaExceeded):
        scene.hold(listing, at=midnight - timedelta(seconds=1), start=820, end=830)
    held = scene.hold(listing, at=midnight, start=820, end=830)

    assert held.state == "held"
    assert used(quota, midnight) == (GROSS, 80 * 3600)


def test_a_cap_in_all_forgets_nothing() -> None:
    listing = scene.listing()
    cap(window="total", limit_minor=GROSS)
    scene.lease(listing)

    with refused(policy.QuotaExceeded):
        scene.hold(listing, at=T0 + timedelta(days=40), start=1000, end=1010)


def test_a_project_s_cap_binds_that_project() -> None:
    listing, own, other = scene.listing(), project(), project("Inference")
    quota = cap(project_id=own.pk, limit_minor=GROSS)
    scene.hold(listing, project_id=own.pk)

    with pytest.raises(policy.QuotaExceeded) as refusal:
        scene.hold(listing, project_id=own.pk)

    assert refusal.value.fields()["subject"] == "project"
    scene.hold(listing, project_id=other.pk)
    scene.hold(listing)
    assert used(quota) == (GROSS, 80 * 3600)


def test_a_key_s_cap_binds_it_and_the_keys_it_makes() -> None:
    listing = scene.listing()
    row, actor = key()
    _, made = key(actor)
    _, beside = key()
    quota = cap(api_key_id=row.pk, limit_minor=2 * GROSS)
    scene.hold(listing, actor=actor)
    scene.hold(listing, actor=made)

    with pytest.raises(policy.QuotaExceeded) as refusal:
        scene.hold(listing, actor=made)
    with refused(policy.QuotaExceeded):
        scene.hold(listing, actor=actor)

    assert refusal.value.fields()["subject"] == "key"
    assert used(quota) == (2 * GROSS, 160 * 3600)
    scene.hold(listing, actor=beside)
    scene.hold(listing)


def test_who_is_bound_to_a_project_is_not_told_the_organisation_s_sums() -> None:
    cap(limit_minor=7)
    standing = policy.standing(tenant_id=world.tenant().pk, at=T0, discreet=True)
    ask = policy.Ask("gpu", 8, world.period(0, 10), "CNY", 100)

    with pytest.raises(policy.QuotaExceeded) as refusal:
        policy.check_quotas(standing, ask)

    assert "used_minor" not in refusal.value.fields()
    assert "limit_minor" not in refusal.value.fields()
    assert refusal.value.fields()["asked_minor"] == 100


def test_holds_made_together_are_added_up() -> None:
    cap(limit_minor=250)
    standing = policy.standing(tenant_id=world.tenant().pk, at=T0)
    ask = policy.Ask("gpu", 8, world.period(0, 10), "CNY", 100)
    policy.check_quotas(standing.plus(ask), ask)

    with refused(policy.QuotaExceeded):
        policy.check_quotas(standing.plus(ask).plus(ask), ask)


def test_the_operator_s_cap_stands_beside_the_tenant_s_own_and_is_not_the_tenant_s_to_lift() -> (
    None
):
    listing, operator = scene.listing(), world.actor(world.operator())
    theirs = cap(by=operator, limit_minor=GROSS)
    own = cap(limit_minor=100 * GROSS)
    scene.hold(listing)

    assert {theirs.authority, own.authority} == {"operator", "tenant"}
    with pytest.raises(policy.QuotaExceeded) as refusal:
        scene.hold(listing)
    assert refusal.value.fields()["quota"] == theirs.public_id
    with refused(Forbidden):
        quotas.remove(quota_public_id=theirs.public_id, at=T0, actor=world.actor(world.tenant()))
    with refused(Forbidden):
        quotas.remove(quota_public_id=own.public_id, at=T0, actor=operator)
    assert Quota.objects.count() == 2


def test_the_operator_moves_the_limit_of_what_is_held_at_one_time(settings) -> None:
    settings.HOLD_CARD_HOURS_LIMIT = 80
    listing = scene.listing()
    operator = world.actor(world.operator())
    scene.hold(listing)
    with refused(policy.HoldLimit):
        scene.hold(listing, start=20, end=21)

    held: dict[str, Any] = {"measure": "held_card_hours", "window": "at_once"}
    cap(by=operator, limit_card_hours=88, **held)

    scene.hold(listing, start=20, end=21)
    with pytest.raises(policy.HoldLimit) as refusal:
        scene.hold(listing, start=30, end=31)
    assert refusal.value.fields() == {"card_hours": 96, "limit_card_hours": 88}
    cap(by=operator, limit_card_hours=8, **held)  # below the market's own too
    with refused(policy.HoldLimit):
        scene.hold(listing, start=40, end=41, at=T0 + hours(1), units=2)


def test_setting_a_cap_again_gives_it_a_new_limit_and_both_are_journalled() -> None:
    first = cap(limit_minor=100)

    again = cap(limit_minor=GROSS)

    assert again.pk == first.pk
    assert Quota.objects.get().limit_minor == GROSS
    entries = JournalEntry.objects.filter(event="quota.set").order_by("id")
    assert [entry.data["before"] for entry in entries] == [{}, {"limit_minor": 100}]
    assert entries[1].data["now"] == {"limit_minor": GROSS}
    assert entries[1].tenant_id == world.tenant().pk


def test_a_removed_cap_binds_nobody() -> None:
    quota = cap(limit_minor=0)
    actor = world.actor(world.tenant())

    quotas.remove(quota_public_id=quota.public_id, at=T0, actor=actor, reason="enough")

    assert scene.hold(scene.listing()).state == "held"
    assert JournalEntry.objects.get(event="quota.removed").reason == "enough"
    with refused(NotFound):
        quotas.remove(quota_public_id=quota.public_id, at=T0, actor=actor)


def test_a_cap_below_what_is_committed_takes_nothing_back() -> None:
    listing = scene.listing()
    held = scene.hold(listing)
    cap(limit_minor=1)

    assert reservations.confirm(
        reservation=reservations.lock(held.pk), at=T0, actor=world.actor(held.tenant)
    )
    with refused(policy.QuotaExceeded):
        scene.hold(listing)


@pytest.mark.parametrize(
    "limit",
    [
        {"measure": "spend", "window": "month", "limit_minor": 1},
        {"measure": "spend", "window": "month", "currency": "CNY"},
        {"measure": "spend", "window": "month", "currency": "CNY", "limit_card_hours": 1},
        {"measure": "spend", "window": "month", "currency": "XYZ", "limit_minor": 1},
        {"measure": "spend", "window": "at_once", "currency": "CNY", "limit_minor": 1},
        {"measure": "card_hours", "window": "total", "limit_minor": 1},
        {"measure": "card_hours", "window": "total", "currency": "CNY", "limit_card_hours": 1},
        {"measure": "card_hours", "window": "week", "limit_card_hours": 1},
        {"measure": "held_card_hours", "window": "at_once", "limit_card_hours": 1},
        {"measure": "nodes", "window": "total", "limit_card_hours": 1},
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(limit: dict[str, Any]) -> None:
    tenant = world.tenant()

    with refused(Invalid):
        quotas.put(
            organisation_id=tenant.pk, limit=Limit(**limit), at=T0, actor=world.actor(tenant)
        )

    assert not Quota.objects.exists()


def test_nobody_caps_another_s_organisation_project_or_key() -> None:
    theirs = project("Secret", world.stranger())
    row, actor = key()

    with refused(NotFound):
        cap(by=world.actor(world.stranger()), limit_minor=1)
    with refused(NotFound):
        cap(project_id=theirs.pk, limit_minor=1)
    with refused(NotFound):
        cap(world.stranger(), api_key_id=row.pk, limit_minor=1)
    with refused(Forbidden):
        cap(by=world.actor(world.operator()), project_id=project().pk, limit_minor=1)
    with refused(Invalid):
        cap(project_id=project("A").pk, api_key_id=row.pk, limit_minor=1)
    assert not Quota.objects.exists()
    assert actor.may("quotas:write")


def test_a_key_lifts_neither_its_own_cap_nor_its_maker_s() -> None:
    row, actor = key()
    _, made = key(actor)
    quota = cap(api_key_id=row.pk, limit_minor=GROSS)

    for who in (actor, made):
        with refused(Forbidden):
            cap(by=who, api_key_id=row.pk, limit_minor=100 * GROSS)
        with refused(Forbidden):
            quotas.remove(quota_public_id=quota.public_id, at=T0, actor=who)

    assert Quota.objects.get().limit_minor == GROSS


@pytest.mark.parametrize(
    "change",
    [
        "measure = 'card_hours'",
        "limit_minor = -1",
        "limit_card_hours = 5",
        "window = 'at_once'",
        "currency = ''",
    ],
)
def test_the_database_refuses_a_cap_that_makes_no_sense(change: str) -> None:
    cap(limit_minor=1)

    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT owners_hand(%s)", [
            f"WITH c AS (UPDATE marketplace_quota SET {change} RETURNING 1) SELECT 1"
        ])  # fmt: skip


def test_commitments_add_up_to_one_row_and_lose_nothing() -> None:
    listing, own = scene.listing(), project()
    quota = cap(limit_minor=10 * GROSS)
    for start in (10, 30, 50):
        scene.hold(listing, start=start, end=start + 10)
    held = scene.hold(listing, start=70, end=80, project_id=own.pk)
    reservations.cancel(
        reservation=reservations.lock(held.pk), at=T0, actor=world.actor(held.tenant), reason=""
    )
    before = used(quota)

    assert quotas.add_up() == 5
    assert quotas.add_up() == 0

    assert used(quota) == before == (3 * GROSS, 3 * 80 * 3600)
    row = Commitment.objects.get()
    assert (row.minor, row.card_seconds, row.currency) == (3 * GROSS, 240 * 3600, "CNY")
    assert (row.month.isoformat(), row.project_id, row.api_key) == ("2026-06-01", None, "")
    scene.hold(listing, start=90, end=100)
    assert used(quota) == (4 * GROSS, 4 * 80 * 3600)
