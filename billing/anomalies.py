"""What an auditor should look at: findings by fixed rules, each with the evidence it rests on.

A finding accuses nobody: it says what was counted, and where the rows are. Nothing is stored; a
rule asks the rows as they are.
"""

# ruff: noqa: S608  statements are put together from parts of this file

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from statistics import median
from typing import Any

from django.db import connection

from inventory.periods import Period
from marketplace.utilisation.readings import PoolSum

MAD_TIMES = 3  # off the median of the class by so many median absolute deviations
MAD_PEERS = 5  # listings a class needs before its median says anything
LEAST_DEVIATION = 0.02  # of the median: where all ask the same, a cent off is no finding
BUSY_LEAST = 0.05  # of what telemetry measured; below it the cards were paid for and stood still
MEASURED_LEAST = 1000 * 3600  # card-seconds of telemetry before a pool is judged
LAPSED_LEAST, LAPSED_SHARE = 5, 0.8  # holds of one tenant that lapsed
CANCELLED_LEAST, CANCELLED_SHARE = 3, 0.5  # leases of one tenant cancelled before their start
HOURS_A_MONTH = 730  # for comparison only


class Rule(StrEnum):
    """What is looked for."""

    IDLE_USE = "idle_use"
    """Delivered and measured, and hardly busy: use that is claimed and not seen."""
    UNSEEN_USE = "unseen_use"
    """Delivered in a pool whose telemetry saw other hours, but none of these."""
    PRICE = "price"
    """A price far off the median of its class."""
    SHARED_ACCOUNT = "shared_account"
    """Provider and tenant of a lease have the same bank account."""
    SHARED_REGISTRATION = "shared_registration"
    """Provider and tenant of a lease have the same tax number, telephone or address."""
    LAPSED_HOLDS = "lapsed_holds"
    """A tenant whose holds nearly always lapse."""
    CANCELLED = "cancelled"
    """A tenant who cancels again and again before the start."""
    OVERLISTED = "overlisted"
    """More units on sale or taken than the pool has nodes for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `facts` are numbers by name: what the words of a page are made of."""

    rule: Rule
    kind: str  # of the subject: pool, listing, organisation
    subject: str  # its public id
    name: str
    name_en: str
    facts: dict[str, Any] = field(default_factory=dict)


def find(*, period: Period, sums: Iterable[PoolSum], at: datetime) -> list[Finding]:
    """Every rule's findings over the period, in the order of the rules. Five statements."""
    return [
        *_use(sums),
        *_prices(),
        *_shared(period),
        *_lapsed(period),
        *_cancelled(period),
        *_overlisted(at),
    ]


def _use(sums: Iterable[PoolSum]) -> list[Finding]:
    found = []
    for one in sums:
        delivered, measured, busy = (
            one.amounts[name] for name in ("delivered", "measured", "busy")
        )
        facts = {"delivered": delivered, "measured": measured, "busy": busy}
        if measured >= MEASURED_LEAST and busy < BUSY_LEAST * measured:
            rule = Rule.IDLE_USE
        elif measured and delivered - measured >= max(MEASURED_LEAST, measured):
            rule = Rule.UNSEEN_USE
        else:
            continue
        found.append(Finding(rule, "pool", one.place.pool_id, one.place.pool_name, "", facts))
    return found


# What each published listing asks now, per card and hour whatever its basis.
_ASKED = f"""
    SELECT public_id('lst', l.public_id), p.name, p.chip_id, pr.currency,
           CASE pr.basis WHEN 'card_hour' THEN pr.amount_micro
                WHEN 'node_hour' THEN pr.amount_micro / p.cards_per_node
                ELSE pr.amount_micro / p.cards_per_node / {HOURS_A_MONTH} END
    FROM marketplace_listing l
    JOIN inventory_pool p ON p.id = l.pool_id
    CROSS JOIN LATERAL (
        SELECT v.currency, v.basis, v.amount_micro FROM marketplace_priceversion v
        WHERE v.listing_id = l.id AND v.purpose = 'listed' ORDER BY v.version DESC LIMIT 1
    ) pr
    WHERE l.state = 'published'
"""


def _prices() -> list[Finding]:
    """By chip and currency: a class in the sense of a price is what is bought alike."""
    classes: dict[tuple[str, str], list[tuple[str, str, int]]] = {}
    for listing, pool, chip, currency, asked in _rows(_ASKED):
        classes.setdefault((chip, currency), []).append((listing, pool, asked))
    found = []
    for (chip, currency), members in classes.items():
        if len(members) < MAD_PEERS:
            continue
        middle = median(asked for _listing, _pool, asked in members)
        deviation = median(abs(asked - middle) for _listing, _pool, asked in members)
        allowed = max(MAD_TIMES * deviation, LEAST_DEVIATION * middle)
        for listing, pool, asked in members:
            if abs(asked - middle) > allowed:
                facts = {
                    "asked_micro": asked, "median_micro": round(middle), "mad_micro": deviation,
                    "currency": currency, "chip": chip, "peers": len(members),
                }  # fmt: skip
                found.append(Finding(Rule.PRICE, "listing", listing, pool, "", facts))
    return found


# Pairs that dealt with each other in the period, and what they share.
_SHARED = """
    WITH pair AS (
        SELECT l.provider_id, l.tenant_id, count(*) AS leases FROM marketplace_lease l
        WHERE l.period && tstzrange(%(start)s, %(end)s) GROUP BY 1, 2
    ), shared AS (
        SELECT p.*, 'shared_account' AS rule, a.number AS what
        FROM pair p
        JOIN billing_bankaccount a ON a.owner_id = p.provider_id AND a.state <> 'rejected'
        JOIN billing_bankaccount b ON b.owner_id = p.tenant_id AND b.state <> 'rejected'
             AND b.number = a.number
        UNION
        SELECT p.*, f.rule, f.mine
        FROM pair p
        JOIN billing_billingdetails a ON a.organisation_id = p.provider_id
        JOIN billing_billingdetails b ON b.organisation_id = p.tenant_id
        CROSS JOIN LATERAL (VALUES
            ('shared_account', a.bank_account, b.bank_account),
            ('shared_registration', a.tax_number, b.tax_number),
            ('shared_registration', a.phone, b.phone),
            ('shared_registration', a.address, b.address)) AS f (rule, mine, theirs)
        WHERE f.mine = f.theirs AND f.mine <> ''
    )
    SELECT s.rule, public_id('org', o.public_id), o.name, o.name_en,
           public_id('org', t.public_id), t.name, t.name_en, s.leases,
           string_agg(DISTINCT s.what, ' · ')
    FROM shared s
    JOIN inventory_organisation o ON o.id = s.provider_id
    JOIN inventory_organisation t ON t.id = s.tenant_id
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 3, 6
"""


def _shared(period: Period) -> list[Finding]:
    return [
        Finding(
            Rule(rule), "organisation", own_id, own, own_en,
            {"tenant_id": tenant_id, "tenant": tenant, "tenant_en": tenant_en, "leases": leases,
             "shared": what},
        )
        for rule, own_id, own, own_en, tenant_id, tenant, tenant_en, leases, what in _rows(
            _SHARED, period
        )
    ]  # fmt: skip


_LAPSED = f"""
    SELECT public_id('org', o.public_id), o.name, o.name_en,
           count(*) FILTER (WHERE r.state = 'expired'), count(*)
    FROM marketplace_reservation r JOIN inventory_organisation o ON o.id = r.tenant_id
    WHERE r.created_at >= %(start)s AND r.created_at < %(end)s AND r.state <> 'held'
    GROUP BY 1, 2, 3
    HAVING count(*) FILTER (WHERE r.state = 'expired') >= greatest({LAPSED_LEAST},
                                                                   {LAPSED_SHARE} * count(*))
    ORDER BY 4 DESC, 2
"""
_CANCELLED = f"""
    SELECT public_id('org', o.public_id), o.name, o.name_en,
           count(*) FILTER (WHERE l.state = 'cancelled'), count(*)
    FROM marketplace_lease l JOIN inventory_organisation o ON o.id = l.tenant_id
    WHERE l.created_at >= %(start)s AND l.created_at < %(end)s
    GROUP BY 1, 2, 3
    HAVING count(*) FILTER (WHERE l.state = 'cancelled') >= greatest({CANCELLED_LEAST},
                                                                {CANCELLED_SHARE} * count(*))
    ORDER BY 4 DESC, 2
"""


def _lapsed(period: Period) -> list[Finding]:
    return [_counted(Rule.LAPSED_HOLDS, row) for row in _rows(_LAPSED, period)]


def _cancelled(period: Period) -> list[Finding]:
    return [_counted(Rule.CANCELLED, row) for row in _rows(_CANCELLED, period)]


def _counted(rule: Rule, row: tuple[Any, ...]) -> Finding:
    public_id, name, name_en, count, of = row
    return Finding(rule, "organisation", public_id, name, name_en, {"count": count, "of": of})


# Invariant 1 forbids it; the auditor need not believe that.
_OVERLISTED = """
    SELECT public_id('pool', p.public_id), p.name, coalesce(b.units, 0), coalesce(x.units, 0),
           coalesce(n.nodes, 0) * (p.cards_per_node / p.unit_cards)
    FROM inventory_pool p
    LEFT JOIN (SELECT pool_id, sum(unit_count) AS units FROM inventory_block
               WHERE state = 'open' AND period @> %(at)s::timestamptz GROUP BY 1) b
           ON b.pool_id = p.id
    LEFT JOIN (SELECT pool_id, sum(unit_count) AS units FROM inventory_claim
               WHERE block_id IS NULL AND state = 'confirmed'
                 AND blocking @> %(at)s::timestamptz GROUP BY 1) x ON x.pool_id = p.id
    LEFT JOIN (SELECT pool_id, count(*) AS nodes FROM inventory_node
               WHERE retired_at IS NULL GROUP BY 1) n ON n.pool_id = p.id
    WHERE coalesce(b.units, 0) + coalesce(x.units, 0)
          > coalesce(n.nodes, 0) * (p.cards_per_node / p.unit_cards)
    ORDER BY 2
"""


def _overlisted(at: datetime) -> list[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(_OVERLISTED, {"at": at})
        return [
            Finding(
                Rule.OVERLISTED, "pool", public_id, name, "",
                {"listed": int(listed), "external": int(external), "units": int(units)},
            )
            for public_id, name, listed, external, units in cursor.fetchall()
        ]  # fmt: skip


def _rows(statement: str, period: Period | None = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            statement,
            None if period is None else {"start": period.start, "end": period.end},
        )
        return list(cursor.fetchall())
