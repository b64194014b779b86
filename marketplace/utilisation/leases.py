"""What telemetry saw of a lease: hour by hour on the cards that served it.

An hour in which a card served only for a part of it counts by that part of its time: what is kept
of an hour are sums, not slots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from inventory.periods import Period, floor_hour

_SQL = """
WITH span AS (
    SELECT b.node_id, lower(b.cards) AS first_card, upper(b.cards) AS next_card,
           b.during * tstzrange(%(start)s, %(end)s) AS during
    FROM inventory_binding b
    WHERE b.allocation_id = %(allocation)s AND b.during && tstzrange(%(start)s, %(end)s)
), part AS (
    SELECT t.hour, s.first_card, s.next_card, t.card_count, t.seen_slots, t.unhealthy_slots,
           t.busy_slots, t.busy_permille_sum, t.memory_slots, t.memory_permille_sum,
           t.power_slots, t.power_watt_sum, t.temperature_max, t.last_error,
           extract(epoch FROM upper(s.during * h.whole) - lower(s.during * h.whole)) / 3600
               AS share
    FROM span s
    JOIN inventory_telemetryhour t ON t.node_id = s.node_id
    CROSS JOIN LATERAL (SELECT tstzrange(t.hour, t.hour + interval '1 hour') AS whole) h
    WHERE t.hour >= %(first_hour)s AND t.hour < %(end)s AND s.during && h.whole
)
SELECT p.hour,
       sum(30 * p.share * p.seen_slots[c + 1]),
       sum(30 * p.share * (p.seen_slots[c + 1] - p.unhealthy_slots[c + 1])),
       sum(30 * p.share * p.busy_slots[c + 1]),
       sum(0.03 * p.share * p.busy_permille_sum[c + 1]),
       sum(p.memory_slots[c + 1]), sum(p.memory_permille_sum[c + 1]),
       sum(p.power_slots[c + 1]), sum(p.power_watt_sum[c + 1]),
       max(nullif(p.temperature_max[c + 1], 0)), max(nullif(p.last_error[c + 1], 0)),
       count(*) FILTER (WHERE p.seen_slots[c + 1] > 0)
FROM part p
CROSS JOIN LATERAL generate_series(p.first_card, least(p.next_card, p.card_count) - 1) AS c
GROUP BY p.hour
HAVING sum(p.seen_slots[c + 1]) > 0
ORDER BY p.hour
"""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of a lease, over all of its cards. A fact that nobody reported is None."""

    hour: datetime
    seen_card_seconds: int  # slots with a sample of utilisation or health
    healthy_card_seconds: int  # of them, those in which the card was well
    measured_card_seconds: int  # slots with a sample of utilisation
    busy_card_seconds: int
    memory_share: float | None
    power_watts: float | None  # of one card, on average
    temperature_celsius: int | None  # the highest
    last_error: int | None
    card_count: int  # cards that were seen

    @property
    def busy_share(self) -> float | None:
        """Of the time that was measured."""
        return _share(self.busy_card_seconds, self.measured_card_seconds)


@dataclass(frozen=True, slots=True)
class Total:
    """A lease over a period."""

    seen_card_seconds: int
    healthy_card_seconds: int
    measured_card_seconds: int
    busy_card_seconds: int

    @property
    def busy_share(self) -> float | None:
        return _share(self.busy_card_seconds, self.measured_card_seconds)


def of_allocation(allocation_id: int, period: Period) -> list[Hour]:
    """The hours of the period that telemetry saw something of, in order. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SQL,
            {
                "allocation": allocation_id,
                "start": period.start,
                "end": period.end,
                "first_hour": floor_hour(period.start),
            },
        )
        return [
            Hour(
                hour=row[0],
                seen_card_seconds=round(row[1]),
                healthy_card_seconds=round(row[2]),
                measured_card_seconds=round(row[3]),
                busy_card_seconds=round(row[4]),
                memory_share=_share(row[6], row[5] * 1000),
                power_watts=_share(row[8], row[7]),
                temperature_celsius=row[9],
                last_error=row[10],
                card_count=row[11],
            )
            for row in cursor.fetchall()
        ]


def total(hours: Iterable[Hour]) -> Total:
    """The hours added up."""
    rows = list(hours)
    return Total(
        seen_card_seconds=sum(row.seen_card_seconds for row in rows),
        healthy_card_seconds=sum(row.healthy_card_seconds for row in rows),
        measured_card_seconds=sum(row.measured_card_seconds for row in rows),
        busy_card_seconds=sum(row.busy_card_seconds for row in rows),
    )


def _share(part: float, whole: float) -> float | None:
    return round(float(part) / float(whole), 4) if whole else None
