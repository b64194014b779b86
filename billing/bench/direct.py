"""The verbs called in the database itself: claim and release, a commit each, by pgbench.

pgbench calls the very functions that `inventory.capacity` calls, as the runtime role. A client
in Python would spend more of the shared processors on itself than the database on a hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import connections

from billing.bench import floor, pgbench, processes, world
from billing.bench.floor import Writes
from billing.bench.measure import Row, percentile, ratio
from billing.bench.world import Good, Scene
from inventory import capacity
from inventory.actors import system
from inventory.periods import Period

ACTOR = system("bench")
HOLD_SECONDS = 900
TARGET = (
    f"CREATE TABLE {pgbench.SCHEMA}.target (number int PRIMARY KEY, pool bigint, block bigint,"
    " units int, hours int, first timestamptz, choices int)"
)
TENANT = f"CREATE TABLE {pgbench.SCHEMA}.tenant (client int PRIMARY KEY, id bigint, changes bigint)"

CLAIM = f"""
SELECT coalesce((capacity_claim(
    p_pool => t.pool, p_blocks => ARRAY[t.block], p_units => t.units,
    p_period => tstzrange(s, s + make_interval(hours => t.hours)), p_tenant => b.id,
    p_held_until => clock_timestamp() + interval '{HOLD_SECONDS} seconds',
    p_public_id => fresh_uuid(), p_ssh_keys => '[]', p_at => clock_timestamp(),
    p_replay => false, p_actor_kind => 'system', p_actor => 'bench') ->> 'id')::bigint, 0) AS a
FROM {pgbench.SCHEMA}.target t, {pgbench.SCHEMA}.tenant b,
     LATERAL (SELECT t.first + floor(:spot * t.choices::float8 / 1000000) * interval '1 hour') l (s)
WHERE t.number = :n AND b.client = :client_id \\gset
"""
RELEASE = """
SELECT capacity_release(p_allocation => :a, p_reason => 'bench', p_at => clock_timestamp(),
                        p_replay => false, p_actor_kind => 'system', p_actor => 'bench');
"""


def script(good_count: int) -> str:
    """One hold and its release on one of the first so many goods, at a random hour."""
    return (
        f"\\set n random(1, {good_count})\n\\set spot random(0, 999999)\n"
        f"{CLAIM}\n\\if :a\n{RELEASE}\n\\endif\n"
    )


def prepare(scene: Scene, *extra_tables: str) -> None:
    """What the scripts read: the goods, and a tenant for each client number."""
    pgbench.make_schema(TARGET, TENANT, *extra_tables)
    with connections["owner"].cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {pgbench.SCHEMA}.target VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    number,
                    good.pool_pk,
                    good.block_pk,
                    good.units,
                    good.hours,
                    good.first,
                    good.choices,
                )
                for number, good in enumerate(scene.goods, start=1)
            ],
        )
        cursor.executemany(
            f"INSERT INTO {pgbench.SCHEMA}.tenant VALUES (%s, %s, 0)",
            [
                (client, scene.buyers[client % len(scene.buyers)].organisation_pk)
                for client in range(64)
            ],
        )


def writes(scene: Scene) -> Sequence[Writes]:
    """The rows that a claim writes, and those that its release writes."""
    good, tenant_id = scene.goods[0], scene.buyers[0].organisation_pk
    made: list[int] = []

    def hold() -> None:
        if (number := claim(good, tenant_id)) is not None:
            made.append(number)

    def release() -> None:
        capacity.release(allocation_id=made.pop(), at=world.now(), actor=ACTOR, reason="bench")

    return [floor.writes_of(hold), floor.writes_of(release)]


def claim(good: Good, tenant_id: int) -> int | None:
    """One unit of a good, midway ahead; None where it is taken."""
    start = good.first + timedelta(hours=good.choices // 2)
    at = world.now()
    try:
        return capacity.claim(
            pool_id=good.pool_pk,
            block_ids=[good.block_pk],
            unit_count=1,
            period=Period(start, start + timedelta(hours=good.hours)),
            tenant_id=tenant_id,
            held_until=at + timedelta(seconds=HOLD_SECONDS),
            at=at,
            actor=ACTOR,
        ).pk
    except capacity.CapacityTaken:
        return None


def measure(
    scene: Scene,
    *,
    case: str,
    good_count: int,
    clients: int,
    seconds: float,
    writes: Sequence[Writes],
    progress: Callable[[str], None],
) -> Row:
    """Holds a second in the database beside the same rows written blindly, just before."""
    progress(f"database {case}, {clients} clients: the floor, then the verbs, {seconds:g} s each")
    bare = floor.per_second(writes, pool_count=good_count, clients=clients, seconds=seconds)
    server = processes.postmaster()
    text = script(good_count)
    pgbench.run(text, clients=clients, seconds=1)  # pages and plans are warm
    before, cpu = _held(), processes.cpu_seconds(server)
    pace = pgbench.run(text, clients=clients, seconds=seconds)
    after, cpu_after = _held(), processes.cpu_seconds(server)
    held = after - before
    tried = len(pace.took_ms)
    per_second = pace.per_second * held / tried if tried else 0.0
    return Row(
        case=f"database {case}",
        clients=clients,
        per_second=round(per_second, 1),
        p50_ms=percentile(pace.took_ms, 0.50),
        p95_ms=percentile(pace.took_ms, 0.95),
        p99_ms=percentile(pace.took_ms, 0.99),
        sql=1,
        db_cpu_ms=_each(cpu, cpu_after, tried),
        refused=tried - held,
        floor_per_second=round(bare, 1),
        of_floor=ratio(per_second, bare),
    )


def _each(before: float | None, after: float | None, count: int) -> float | None:
    if before is None or after is None or not count:
        return None
    return round((after - before) * 1000 / count, 2)


def _held() -> int:
    """How many holds there have been: the numbers given out so far."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT last_value FROM inventory_allocation_id_seq")
        return int(cursor.fetchone()[0])
