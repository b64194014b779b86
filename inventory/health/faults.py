"""How often cards fail, by chip generation and centre, and what that means for a job.

A fault is a failed outage of a node: from telemetry, the engine or a person. The time it is held
against is that of all cards of nodes in service in the window, a month and a year of which are
asked for most. Between nodes of one generation the counts add up; the interval says how much one
knows. Source of the interval: `inventory.health.poisson`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from django.db import connection

from inventory.health import poisson
from inventory.models import FaultRate

WINDOW = timedelta(days=365)
MILLION = 1_000_000
SPARE_CONFIDENCE = 0.95
REPAIR_HOURS = 24.0  # until a broken node serves again, where nobody says otherwise


@dataclass(frozen=True, slots=True)
class Rate:
    """Faults seen in so many card-hours, and per million card-hours with the 95 % interval.

    Without any card-hours the figures are None: unknown, never guessed.
    """

    fault_count: int
    card_seconds: int

    @property
    def card_hours(self) -> float:
        return self.card_seconds / 3600

    @property
    def per_million(self) -> float | None:
        return self._per_million(self.fault_count)

    @property
    def low_per_million(self) -> float | None:
        return self._per_million(poisson.interval(self.fault_count)[0])

    @property
    def high_per_million(self) -> float | None:
        return self._per_million(poisson.interval(self.fault_count)[1])

    def _per_million(self, faults: float) -> float | None:
        return faults * MILLION * 3600 / self.card_seconds if self.card_seconds else None

    def __add__(self, other: Rate) -> Rate:
        return Rate(self.fault_count + other.fault_count, self.card_seconds + other.card_seconds)


@dataclass(frozen=True, slots=True)
class Key:
    """Of which centre and chip generation."""

    centre_id: int
    generation: str


def rates(
    *, at: datetime, window: timedelta = WINDOW, centre_ids: Sequence[int] | None = None
) -> dict[Key, Rate]:
    """By centre and chip generation, the faults of the window that ends at `at`. One statement.

    A node is in service from its installation to its retirement, less the time of its outages: a
    machine that is out cannot fail.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH node AS (
                SELECT n.id, f.centre_id, c.generation, p.cards_per_node AS cards,
                       greatest(n.installed_at, %(since)s) AS opens,
                       least(coalesce(n.retired_at, %(at)s), %(at)s) AS closes
                FROM inventory_node n
                JOIN inventory_pool p ON p.id = n.pool_id
                JOIN inventory_fabric f ON f.id = p.fabric_id
                JOIN inventory_chip c ON c.code = p.chip_id
                WHERE (%(centres)s::bigint[] IS NULL OR f.centre_id = ANY(%(centres)s::bigint[]))
            ), outage AS (
                SELECT o.node_id, o.kind, lower(o.period) AS began,
                       least(coalesce(o.closed_at, upper(o.period)), upper(o.period)) AS ended
                FROM inventory_outage o
                WHERE o.node_id IS NOT NULL AND lower(o.period) < %(at)s
            ), out AS (
                -- What outages of one node cover together counts once.
                SELECT n.id, (SELECT coalesce(sum(extract(epoch FROM upper(r) - lower(r))), 0)
                              FROM unnest(range_agg(
                                  tstzrange(greatest(o.began, n.opens), least(o.ended, n.closes))
                              )) r)::bigint AS seconds
                FROM node n JOIN outage o ON o.node_id = n.id
                WHERE greatest(o.began, n.opens) < least(o.ended, n.closes)
                GROUP BY n.id
            ), fault AS (
                SELECT n.id, count(*) AS faults FROM node n JOIN outage o ON o.node_id = n.id
                WHERE o.kind = 'failed' AND o.began >= n.opens AND o.began < n.closes
                GROUP BY n.id
            )
            SELECT n.centre_id, n.generation, sum(coalesce(x.faults, 0))::bigint,
                   sum(n.cards * greatest(0, floor(extract(epoch FROM n.closes - n.opens))
                                             - coalesce(o.seconds, 0)))::bigint
            FROM node n LEFT JOIN out o USING (id) LEFT JOIN fault x USING (id)
            WHERE n.opens < n.closes
            GROUP BY 1, 2 ORDER BY 1, 2
            """,
            {
                "since": at - window,
                "at": at,
                "centres": None if centre_ids is None else list(centre_ids),
            },
        )
        return {
            Key(centre_id, generation): Rate(faults, seconds)
            for centre_id, generation, faults, seconds in cursor.fetchall()
        }


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a job is to expect, at the rate seen and at both ends of its interval. None: unknown."""

    expected_faults: float | None = None
    expected_faults_low: float | None = None
    expected_faults_high: float | None = None
    suggested_spares: int | None = None


def estimate(
    rate: Rate,
    *,
    cards: int,
    hours: float,
    cards_per_node: int = 8,
    repair_hours: float = REPAIR_HOURS,
) -> Estimate:
    """The faults and spares of so many cards over so many hours at a rate."""
    if rate.per_million is None or rate.low_per_million is None or rate.high_per_million is None:
        return Estimate()
    at_rates = (rate.per_million, rate.low_per_million, rate.high_per_million)
    seen, low, high = (
        expected_faults(cards=cards, hours=hours, per_million=each) for each in at_rates
    )
    spares = suggested_spares(
        cards=cards,
        hours=hours,
        per_million=rate.per_million,
        cards_per_node=cards_per_node,
        repair_hours=repair_hours,
    )
    return Estimate(seen, low, high, spares)


def keep_rates(*, at: datetime) -> int:
    """What `rates` finds now is what offers show; returns how many rates. Idempotent.

    One statement to count and one to write, so that a search need not add up a year of outages.
    """
    found = [_kept(key, rate, at) for key, rate in rates(at=at).items() if rate.card_seconds]
    FaultRate.objects.bulk_create(
        found,
        update_conflicts=True,
        unique_fields=["centre", "generation"],
        update_fields=[
            "fault_count", "card_seconds", "per_million", "low_per_million", "high_per_million",
            "counted_at",
        ],
    )  # fmt: skip
    return len(found)


def _kept(key: Key, rate: Rate, at: datetime) -> FaultRate:
    seen, low, high = rate.per_million, rate.low_per_million, rate.high_per_million
    assert seen is not None
    assert low is not None
    assert high is not None
    return FaultRate(
        centre_id=key.centre_id,
        generation=key.generation,
        fault_count=rate.fault_count,
        card_seconds=rate.card_seconds,
        per_million=seen,
        low_per_million=low,
        high_per_million=high,
        counted_at=at,
    )


def expected_faults(*, cards: int, hours: float, per_million: float) -> float:
    """How many faults so many cards are expected to have in so many hours.

    1,024 cards for a week at one per 33,333 card-hours (30 per million): 5.2.
    """
    return float(Fraction(per_million) * Fraction(hours) * cards / MILLION)


def suggested_spares(
    *,
    cards: int,
    hours: float,
    per_million: float,
    cards_per_node: int = 8,
    repair_hours: float = REPAIR_HOURS,
    confidence: float = SPARE_CONFIDENCE,
) -> int:
    """How many whole nodes to keep beside a job, so that with `confidence` one is free whenever
    one fails: the quantile of the faults within the time a broken node takes to come back."""
    within = min(hours, repair_hours)
    mean = expected_faults(cards=cards, hours=within, per_million=per_million)
    most = -(-cards // cards_per_node)
    return min(most, poisson.quantile(mean, confidence))
