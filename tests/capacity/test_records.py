"""What was recorded stays: rights, partitions, and the chain of seals."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from inventory import capacity, journal, partitions, seals, verification
from inventory.models import Binding, Block, Claim, JournalEntry, PoolEvent, Seal, UsageHour
from tests import database, world
from tests.capacity.deals import deal, open_block
from tests.world import SYSTEM, T0

APPEND_ONLY = [
    "inventory_journalentry",
    "inventory_usagehour",
    "inventory_instancehistory",
    "inventory_seal",
    "marketplace_priceversion",
    "marketplace_termsversion",
    "marketplace_leaseprice",
    "marketplace_pricefloor",
    "billing_charge",
    "billing_settlementline",
]


def refused(statement: str) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def note(event: str = "test.noted") -> None:
    journal.record(event=event, object_id="tst_1", actor=SYSTEM, at=T0)


@pytest.mark.django_db
@pytest.mark.parametrize("table", APPEND_ONLY)
def test_the_runtime_role_may_only_add(table: str) -> None:
    for right, wanted in (
        ("INSERT", True),
        ("UPDATE", False),
        ("DELETE", False),
        ("TRUNCATE", False),
    ):
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_table_privilege(%s, %s)", [table, right])
            assert cursor.fetchone()[0] is wanted, right


@pytest.mark.django_db
def test_the_runtime_role_has_no_ddl_and_reaches_no_partition_directly() -> None:
    world.pool(nodes=1)
    refused("CREATE TABLE mine (a int)")
    refused("ALTER TABLE inventory_claim DISABLE TRIGGER ALL")
    refused("DROP FUNCTION capacity_lock")
    refused("SELECT * FROM inventory_journalentry_default")
    refused("SELECT hide_partition('inventory_claim')")
    refused("UPDATE inventory_poollock SET pool_id = pool_id")


@pytest.mark.django_db(transaction=True)
def test_not_even_the_owner_edits_what_was_recorded() -> None:
    note()
    with database.owner_connection(database.test_database_name()) as owner:
        for statement in (
            "UPDATE inventory_journalentry SET reason = 'x'",
            "DELETE FROM inventory_journalentry",
        ):
            with pytest.raises(Exception, match="append-only"), owner.transaction():
                owner.execute(statement)


@pytest.mark.django_db
def test_partitions_are_made_ahead_and_back_by_the_runtime_role() -> None:
    at = datetime(2042, 12, 15, tzinfo=UTC)

    made = partitions.ensure_partitions(at=at, since=at - timedelta(days=40))

    assert "inventory_usagehour_2042_11" in made
    assert "inventory_journalentry_2044_12" in made
    assert partitions.ensure_partitions(at=at) == []
    refused("SELECT * FROM inventory_usagehour_2042_11")


@pytest.mark.django_db
def test_a_month_turns_at_a_partitions_edge_and_strays_raise_an_alarm() -> None:
    edge = datetime(2051, 2, 1, tzinfo=UTC)
    UsageHour.objects.create(
        allocation_id=1, hour=edge - timedelta(hours=1), card_seconds=1, recorded_at=edge
    )
    assert partitions.strays() == [partitions.Stray("inventory_usagehour", 1)]

    partitions.ensure_partitions(at=edge)
    UsageHour.objects.create(allocation_id=1, hour=edge, card_seconds=2, recorded_at=edge)

    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM inventory_usagehour ORDER BY hour")
        homes = [row[0] for row in cursor.fetchall()]
    assert homes == ["inventory_usagehour_default", "inventory_usagehour_2051_02"]
    assert len(partitions.strays()) == 1
    # January's rows lie in DEFAULT: its partition cannot be made, the others can.
    made = partitions.ensure_partitions(at=edge, since=datetime(2050, 12, 1, tzinfo=UTC))
    assert "inventory_usagehour_2051_01" not in made
    assert "inventory_usagehour_2050_12" in made


@pytest.mark.django_db
def test_a_usage_hour_starts_on_the_hour() -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        UsageHour.objects.create(
            allocation_id=1, hour=T0 + timedelta(minutes=1), card_seconds=1, recorded_at=T0
        )


@pytest.mark.django_db(transaction=True)
def test_sealing_follows_commits_and_stops_below_the_oldest_running_one() -> None:
    with (
        database.owner_connection(database.test_database_name()) as slow,
        slow.transaction(),
    ):
        slow.execute(
            "INSERT INTO inventory_journalentry (at, event, object_id, actor_kind, actor)"
            " VALUES (now(), 'slow', 'tst_2', 'system', 'test')"
        )
        note("after.it.began")
        assert seals.seal(source=Seal.Source.JOURNAL, at=T0) is None

    first = seal_all()

    note("later")
    second = seal_all()
    sealed = Seal.objects.filter(source=Seal.Source.JOURNAL).order_by("sequence")
    assert [(row.sequence, row.row_count) for row in sealed] == [(1, 2), (2, 1)]
    assert (second.sequence, bytes(second.previous_hash)) == (2, bytes(first.hash))
    assert seals.verify(source=Seal.Source.JOURNAL) == []
    assert seals.verify(source=Seal.Source.JOURNAL, against=bytes(first.hash).hex()) == []
    assert seals.verify(source=Seal.Source.JOURNAL, against="00" * 32) != []


@pytest.mark.django_db(transaction=True)
def test_the_order_is_that_of_numbers_where_they_gain_a_digit() -> None:
    for xid in (98, 99, 100, 1000, 9):
        database.plant(
            "INSERT INTO inventory_journalentry (at, event, object_id, actor_kind, actor, xid)"
            f" VALUES ('2026-06-01Z', 'x{xid}', 'tst_3', 'system', 'test', '{xid}')"
        )

    seals.seal_all(at=T0, batch=2)

    sealed = Seal.objects.filter(source="journal").order_by("sequence")
    assert list(sealed.values_list("last_xid", "row_count")) == [("98", 2), ("100", 2), ("1000", 1)]
    assert seals.verify(source=Seal.Source.JOURNAL) == []


def seal_all() -> Seal:
    """All that was committed, as soon as no transaction of the cluster is older than it."""
    database.outwait()
    seals.seal_all(at=T0)
    sealed = sum(Seal.objects.filter(source="journal").values_list("row_count", flat=True))
    assert sealed == JournalEntry.objects.count()
    return Seal.objects.filter(source="journal").latest("sequence")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("UPDATE inventory_journalentry SET reason = 'x' WHERE event = 'two'", "a row was changed"),
        ("DELETE FROM inventory_journalentry WHERE event = 'two'", "2 rows, not 3"),
        ("DELETE FROM inventory_seal WHERE sequence = 1", "seal 1 is missing"),
        (  # two entries change places
            "UPDATE inventory_journalentry j SET event = o.event FROM inventory_journalentry o"
            " WHERE j.event IN ('one', 'two') AND o.event IN ('one', 'two')"
            " AND o.event <> j.event",
            "a row was changed",
        ),
    ],
)
def test_a_tampered_journal_is_found(statement: str, why: str) -> None:
    for event in ("one", "two", "three"):
        note(event)
    seal_all()
    note("four")
    seal_all()

    database.plant(statement)

    faults = seals.verify(source=Seal.Source.JOURNAL)
    assert faults[0].why == why
    with pytest.raises(CommandError):
        call_command("verify_journal", stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.django_db(transaction=True)
def test_the_end_cut_off_is_found_against_a_head_that_left_the_house() -> None:
    note("one")
    seal_all()
    note("two")
    seal_all()
    head = seals.head(Seal.Source.JOURNAL)

    database.plant(
        "DELETE FROM inventory_seal WHERE sequence = 2",
        "DELETE FROM inventory_journalentry WHERE event = 'two'",
    )

    assert seals.verify(source=Seal.Source.JOURNAL) == []
    with pytest.raises(CommandError):
        call_command(
            "verify_journal", "--against", head, stdout=io.StringIO(), stderr=io.StringIO()
        )


@pytest.mark.django_db(transaction=True)
def test_a_history_that_was_rewritten_whole_is_found_against_a_head_of_before() -> None:
    note("one")
    seal_all()
    head = seals.head(Seal.Source.JOURNAL)

    database.plant(
        "UPDATE inventory_journalentry SET reason = 'never' WHERE event = 'one'",
        "DELETE FROM inventory_seal",
    )
    seal_all()  # a chain that is right in itself

    assert seals.verify(source=Seal.Source.JOURNAL) == []
    call_command("verify_journal", stdout=io.StringIO())
    with pytest.raises(CommandError):
        call_command(
            "verify_journal", "--against", head, stdout=io.StringIO(), stderr=io.StringIO()
        )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("UPDATE inventory_claim SET unit_count = 3", "a block is never oversold"),
        (
            "UPDATE inventory_block SET unit_count = 9",
            "blocks and external claims fit on the nodes that are neither spare nor planned out",
        ),
        (
            "UPDATE inventory_claim SET blocking = blocking * '[2026-06-01 03:00Z,)'",
            "the claims of an allocation cover its blocking period once",
        ),
        (
            "UPDATE inventory_claim SET state = 'released'",
            "the events of a claim add up to the claim",
        ),
        ("UPDATE inventory_poolversion SET ver = ver + 1", "every version of a pool has its event"),
        (
            "UPDATE inventory_binding SET cards = '[1,9)'",
            "a binding lies on a node of its pool, on cards the node has",
        ),
        (
            "UPDATE inventory_claim SET unit_count = 1",
            "a claim lies in its block, its pool and its allocation",
        ),
        (
            "UPDATE inventory_claim SET blocking = '[2026-06-01Z,2026-06-20Z)'",
            "a claim lies in its block, its pool and its allocation",
        ),
        (
            "UPDATE inventory_claim SET block_id = NULL",
            "a claim lies in its block, its pool and its allocation",
        ),
        ("UPDATE inventory_allocation SET state = 'ended'", "what is over has no live claim"),
        ("UPDATE inventory_allocation SET state = 'held'", "what is over has no live claim"),
        (
            "UPDATE inventory_claim SET state = 'held', held_until = '2100-01-01Z'",
            "what is over has no live claim",
        ),
        (
            "UPDATE inventory_node SET state = 'retired'",
            "blocks and external claims fit on the nodes that are neither spare nor planned out",
        ),
        (
            "UPDATE inventory_pool SET spare_count = 1",
            "blocks and external claims fit on the nodes that are neither spare nor planned out",
        ),
        (
            "UPDATE inventory_allocation SET unit_count = 1",
            "an allocation is bound to no more cards than it has units",
        ),
        (
            "UPDATE inventory_poolevent SET delta = 1 WHERE kind = 'held'",
            "the events of a claim add up to the claim",
        ),
        (
            "DELETE FROM inventory_poolevent WHERE kind = 'held'",
            "the events of a claim add up to the claim",
        ),
        (
            "UPDATE inventory_poolevent SET period = '[2026-06-01Z,2026-06-02Z)'"
            " WHERE kind = 'held'",
            "the events of a claim add up to the claim",
        ),
        (
            "DELETE FROM inventory_poolevent WHERE kind = 'bound'",
            "every version of a pool has its event",
        ),
        (
            "UPDATE inventory_poolversion SET clock = '2020-01-01Z'",
            "every version of a pool has its event",
        ),
        ("DELETE FROM inventory_poollock", "every pool has its lock"),
    ],
)
def test_verification_finds_what_was_planted(sql: str, rule: str) -> None:
    block = open_block(world.pool(nodes=2), 2, 0, 100)
    row = deal(block, units=2, start=0, end=10)
    with capacity.replaying():
        capacity.bind(allocation_id=row.pk, at=T0, actor=SYSTEM)
    assert verification.verify() == []
    assert (Block.objects.count(), Claim.objects.count(), Binding.objects.count()) == (1, 1, 2)
    assert PoolEvent.objects.count() == 4

    refused(sql)
    database.plant(sql)

    assert rule in {fault.rule for fault in verification.verify()}
    with pytest.raises(CommandError):
        call_command("verify_capacity", stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.django_db
def test_a_margin_that_a_lapsed_hold_reached_into_may_be_given_away() -> None:
    pool = world.pool(nodes=1, turnaround_seconds=3600)
    block = open_block(pool, 1, 0, 100)
    held = capacity.claim(
        pool_id=pool.pk,
        block_ids=[block.pk],
        unit_count=1,
        period=world.period(90, 100),
        tenant_id=world.tenant().pk,
        held_until=T0 + timedelta(minutes=15),
        at=T0,
        actor=SYSTEM,
    )
    assert held.blocking.upper == T0 + timedelta(hours=101)

    capacity.open_block(
        pool_id=pool.pk,
        unit_count=1,
        sellable=world.period(100, 200),
        at=T0 + timedelta(minutes=20),
        actor=SYSTEM,
    )

    block.refresh_from_db()
    assert block.period.upper == T0 + timedelta(hours=100)
    assert verification.verify() == []


@pytest.mark.django_db(transaction=True)
def test_verification_finds_a_card_that_serves_two_where_the_last_word_is_missing() -> None:
    block = open_block(world.pool(nodes=2), 2, 0, 100)
    row = deal(block, units=2, start=0, end=10)
    with capacity.replaying():
        capacity.bind(allocation_id=row.pk, at=T0, actor=SYSTEM)
    name = "one_card_one_binding"
    with database.owner_connection(database.test_database_name()) as owner:
        (definition,) = owner.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [name]
        ).fetchone() or ("",)
        database.plant(
            f"ALTER TABLE inventory_binding DROP CONSTRAINT {name}",
            "UPDATE inventory_binding SET node_id = (SELECT min(node_id) FROM inventory_binding)",
        )
        try:
            found = {fault.rule for fault in verification.verify()}
        finally:
            database.plant(
                "DELETE FROM inventory_binding",
                f"ALTER TABLE inventory_binding ADD CONSTRAINT {name} {definition}",
            )

    assert "one card serves one allocation at a time" in found


@pytest.mark.django_db
def test_every_state_change_of_an_allocation_is_journalled() -> None:
    row = deal(open_block(world.pool(nodes=1), 1, 0, 100), units=1, start=0, end=10)

    entries = JournalEntry.objects.filter(object_id=row.public_id).order_by("id")

    assert [(e.event, e.from_state, e.to_state, e.actor) for e in entries] == [
        ("allocation.held", "", "held", "test"),
        ("allocation.scheduled", "held", "scheduled", "test"),
    ]
