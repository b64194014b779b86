"""What the rules of a hold need to know of its tenant, read in one statement.

The rules themselves are pure: they take a `Standing` and an `Ask`, and read nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection

from inventory.identifiers import PublicIdField
from inventory.periods import Period
from marketplace import money

LAPSE_MEMORY = timedelta(days=30)

Subject = Literal["organisation", "project", "key"]
_KEY_ID = PublicIdField(prefix="key")
_QUOTA_ID = PublicIdField(prefix="quo")


@dataclass(frozen=True, slots=True)
class Ask:
    """What a hold would take: these cards over this period, at this price."""

    chip_class: str
    card_count: int
    period: Period
    currency: str
    gross_minor: int

    @property
    def card_seconds(self) -> int:
        return self.card_count * self.period.seconds


@dataclass(frozen=True, slots=True)
class LiveHold:
    """Cards of a class that the tenant holds and has not paid for yet."""

    chip_class: str
    card_count: int
    period: Period
    need: int = 0  # those of one basket serve one need together


@dataclass(frozen=True, slots=True)
class Cap:
    """A quota and what is committed under it: minor units, or card-seconds."""

    quota_id: str
    subject: Subject
    measure: str  # Quota.Measure
    window: str  # Quota.Window
    currency: str
    limit: int  # minor units of spend, card-hours of anything else
    used_minor: int
    used_card_seconds: int

    def plus(self, ask: Ask) -> Cap:
        """With that much more committed."""
        minor = ask.gross_minor if ask.currency == self.currency else 0
        return replace(
            self,
            used_minor=self.used_minor + minor,
            used_card_seconds=self.used_card_seconds + ask.card_seconds,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """A tenant at one instant: what it let lapse, what it holds, what it has committed.

    `discreet`: the asker is bound to one project and is told nothing of the organisation's sums.
    """

    at: datetime
    lapsed_count: int
    live_holds: tuple[LiveHold, ...]
    caps: tuple[Cap, ...]
    held_limit_card_hours: int
    discreet: bool = False

    def plus(self, *asks: Ask) -> Standing:
        """As if these were held too, all of them for one need."""
        caps = self.caps
        for ask in asks:
            caps = tuple(cap.plus(ask) for cap in caps)
        holds = (LiveHold(ask.chip_class, ask.card_count, ask.period) for ask in asks)
        return replace(self, live_holds=(*self.live_holds, *holds), caps=caps)


def standing(
    *,
    tenant_id: int,
    at: datetime,
    project_id: int | None = None,
    key_id: str | None = None,
    discreet: bool = False,
) -> Standing:
    """Reads a tenant's standing for a hold in that project, by that key (its public id).

    One statement, without a lock: who decides by it has locked the tenant's organisation, so
    that two holds at once cannot both pass.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, _parameters(tenant_id, at, project_id, key_id))
        lapsed, shelves, classes, listings, starts, ends, cards, needs, *columns = cursor.fetchone()
    class_of = dict(zip(shelves, classes, strict=True))
    live = zip(map(class_of.__getitem__, listings), cards, starts, ends, needs, strict=True)
    caps = _caps(zip(*columns, strict=True))
    held = [cap.limit for cap in caps if cap.measure == "held_card_hours"]
    return Standing(
        at=at,
        lapsed_count=lapsed,
        live_holds=tuple(
            LiveHold(name, n, Period(start, end), need) for name, n, start, end, need in live
        ),
        caps=tuple(cap for cap in caps if cap.measure != "held_card_hours"),
        held_limit_card_hours=held[0] if held else settings.HOLD_CARD_HOURS_LIMIT,
        discreet=discreet,
    )


def lapsed_count(tenant_id: int, at: datetime) -> int:
    """How many holds the tenant let lapse in the 30 days before.

    One given back in the second half of its time kept others away as long, and counts too:
    else a hold cancelled just in time and made anew would cost nothing for ever. One that
    lapsed exactly 30 days ago counts no more, and one that its provider rejected, or left
    undecided, is no fault of the tenant's. A basket is one hold, however much lies in it.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_LAPSED}", _parameters(tenant_id, at, None, None))
        return int(cursor.fetchone()[0])


def caps_of(quota_ids: Iterable[int], *, at: datetime) -> dict[str, Cap]:
    """Quotas by their public ids, with what is committed under each at that instant.

    One statement. Under one of what is held at one time nothing is counted.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {_CAP_COLUMNS} FROM {_CAPS} WHERE q.id = ANY(%(quotas)s)",  # noqa: S608
            {**_parameters(None, at, None, None), "quotas": list(quota_ids)},
        )
        return {cap.quota_id: cap for cap in _caps(cursor.fetchall())}


def _parameters(
    tenant_id: int | None, at: datetime, project_id: int | None, key_id: str | None
) -> dict[str, Any]:
    month = money.month_of(at, settings.BILLING_ZONE)
    return {
        "tenant": tenant_id,
        "project": project_id,
        "key": None if key_id is None else _KEY_ID.parse(key_id),
        "at": at,
        "since": at - LAPSE_MEMORY,
        "month": month.start.astimezone(ZoneInfo(settings.BILLING_ZONE)).date(),
        "month_start": month.start,
        "month_end": month.end,
    }


def _caps(rows: Iterable[tuple[Any, ...]]) -> list[Cap]:
    return [
        Cap(
            _QUOTA_ID.to_python(quota_id),
            subject,
            measure,
            window,
            currency,
            limit,
            *map(int, used),
        )
        for quota_id, subject, measure, window, currency, limit, *used in rows
    ]


_LAPSED = """
    (SELECT count(DISTINCT coalesce(r.basket_id, -r.id)) FROM marketplace_reservation r
      WHERE r.tenant_id = %(tenant)s AND r.state = 'expired'
        AND r.expired_at > %(since)s AND r.expired_at <= %(at)s
        AND (r.decide_by IS NULL OR r.decision = 'approved'))
  + (SELECT count(DISTINCT coalesce(r.basket_id, -r.id)) FROM marketplace_reservation r
      WHERE r.tenant_id = %(tenant)s AND r.state = 'cancelled' AND r.confirmed_at IS NULL
        AND r.cancelled_at > %(since)s AND r.cancelled_at <= %(at)s
        AND r.cancelled_at - r.created_at >= r.expires_at - r.cancelled_at
        AND r.decision <> 'rejected')
"""

# What the deals of a quota's subject commit in its window, less the holds that have lapsed and no
# sweep has seen yet. A key's quota counts the keys it made too.
_CAPS = """
    marketplace_quota q, LATERAL (
        WITH RECURSIVE made AS (
            SELECT k.id, k.public_id FROM inventory_apikey k WHERE k.id = q.api_key_id
            UNION ALL
            SELECT k.id, k.public_id FROM inventory_apikey k JOIN made ON k.maker_id = made.id
        ), deals AS (
            SELECT c.project_id, c.api_key, c.currency, c.minor, c.card_seconds
            FROM marketplace_commitment c
            WHERE c.tenant_id = q.organisation_id
              AND (q.window = 'total' OR c.month = %(month)s)
            UNION ALL
            SELECT r.project_id, r.actor, r.currency,
                   -r.committed_minor, -r.committed_card_seconds
            FROM marketplace_reservation r
            WHERE r.tenant_id = q.organisation_id AND r.state = 'held' AND r.expires_at <= %(at)s
              AND (q.window = 'total'
                   OR (r.created_at >= %(month_start)s AND r.created_at < %(month_end)s))
        )
        SELECT coalesce(sum(d.minor) FILTER (WHERE d.currency = q.currency), 0) AS used_minor,
               coalesce(sum(d.card_seconds), 0) AS used_card_seconds
        FROM deals d
        WHERE q.measure <> 'held_card_hours'
          AND (q.project_id IS NULL OR d.project_id = q.project_id)
          AND (q.api_key_id IS NULL OR d.api_key IN (
              SELECT 'key_' || replace(made.public_id::text, '-', '') FROM made))
    ) u
"""

_CAP_COLUMNS = """
    q.public_id,
    CASE WHEN q.project_id IS NOT NULL THEN 'project'
         WHEN q.api_key_id IS NOT NULL THEN 'key' ELSE 'organisation' END AS subject,
    q.measure, q.window, q.currency, coalesce(q.limit_minor, q.limit_card_hours) AS cap,
    u.used_minor, u.used_card_seconds
"""

_STANDING = f"""
    WITH live AS MATERIALIZED (
        SELECT coalesce(array_agg(r.listing_id), '{{}}') AS listings,
               coalesce(array_agg(lower(r.period)), '{{}}') AS starts,
               coalesce(array_agg(upper(r.period)), '{{}}') AS ends,
               coalesce(array_agg(r.card_count), '{{}}') AS cards,
               coalesce(array_agg(coalesce(r.basket_id, -r.id)), '{{}}') AS needs
        FROM marketplace_reservation r
        WHERE r.tenant_id = %(tenant)s AND r.state = 'held' AND r.expires_at > %(at)s
    )
    SELECT {_LAPSED},
           -- Of each listing once: a tenant holds many times from few.
           ARRAY(SELECT l.id FROM marketplace_listing l WHERE l.id = ANY(live.listings)
                 ORDER BY l.id),
           ARRAY(SELECT c.chip_class FROM marketplace_listing l
                 JOIN inventory_pool p ON p.id = l.pool_id
                 JOIN inventory_chip c ON c.code = p.chip_id
                 WHERE l.id = ANY(live.listings) ORDER BY l.id),
           live.listings, live.starts, live.ends, live.cards, live.needs,
           caps.*
    FROM live, (
        SELECT coalesce(array_agg(x.public_id), '{{}}'), coalesce(array_agg(x.subject), '{{}}'),
               coalesce(array_agg(x.measure), '{{}}'), coalesce(array_agg(x.window), '{{}}'),
               coalesce(array_agg(x.currency), '{{}}'), coalesce(array_agg(x.cap), '{{}}'),
               coalesce(array_agg(x.used_minor), '{{}}'),
               coalesce(array_agg(x.used_card_seconds), '{{}}')
        FROM (
            SELECT {_CAP_COLUMNS} FROM {_CAPS}
            WHERE q.organisation_id = %(tenant)s
              AND (q.project_id IS NULL OR q.project_id = %(project)s)
              AND (q.api_key_id IS NULL OR q.api_key_id IN (
                  WITH RECURSIVE makers AS (
                      SELECT k.id, k.maker_id FROM inventory_apikey k WHERE k.public_id = %(key)s
                      UNION ALL
                      SELECT k.id, k.maker_id FROM inventory_apikey k
                      JOIN makers ON k.id = makers.maker_id
                  )
                  SELECT makers.id FROM makers))
            ORDER BY q.project_id NULLS FIRST, q.api_key_id NULLS FIRST, q.id
        ) x
    ) caps
"""  # noqa: S608 - pieces of this file
