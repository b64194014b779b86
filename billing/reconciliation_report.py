"""What does not agree, how old it is, and why the books and the outside differ at a cut."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import connection, models, transaction
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from billing import ageing
from billing.models import PspBalance, PspBalanceTransaction
from billing.reconciliation_sides import (
    Line,
    Movement,
    open_lines,
    open_movements,
    start_of,
    zone,
)
from inventory import actors, journal

logger = logging.getLogger(__name__)


class Disagreement(models.TextChoices):
    """How a line and the books disagree."""

    MISSING_IN_BOOKS = "missing_in_books", _("missing in the books")
    """The bank or Stripe has a line, and no transaction is it."""
    MISSING_OUTSIDE = "missing_outside", _("missing at the bank or Stripe")
    """Booked more than a day ago, and no line is it."""
    AMOUNT_DIFFERS = "amount_differs", _("the amounts differ")
    """One reference stands on both, and they are not of one amount."""
    UNKNOWN_TYPE = "unknown_type", _("of an unknown type")
    """Stripe has a line of a kind that nothing here books."""


# The bank and Stripe may be so late; what is younger is on its way.
GRACE = timedelta(hours=24)
# From then on an exception is an alarm: as long as money may lie in the clearing account that
# it passes (`ageing.LIMITS`), else so many days.
USUAL = timedelta(days=3)
_OF_LINE = {
    ("bank", True): ageing.LIMITS["unmatched_receipts"],
    ("bank", False): ageing.LIMITS["provider_settling"],
}
STRIPE_LINE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ReconciliationException:
    """A line without a movement, a movement without a line, or two that disagree (对账差异)."""

    kind: Disagreement
    code: str  # the ledger account
    currency: str
    books_minor: int
    outside_minor: int
    since: datetime
    limit: timedelta
    is_late: bool
    line: Line | None
    movement: Movement | None

    @property
    def difference_minor(self) -> int:
        """So much more is in the books than outside."""
        return self.books_minor - self.outside_minor


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that is open: exceptions, and what is only on its way."""

    exceptions: list[ReconciliationException]
    in_flight: list[Movement]
    line_count: int  # open ones; each is in exactly one exception


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a difference that has a name."""

    kind: str
    count: int
    minor: int  # so much more in the books than outside


@dataclass(frozen=True, slots=True)
class HeldAt:
    """What one bank account of the operator's, or Stripe, holds by its own word."""

    name: str
    minor: int
    lines_minor: int  # what was there first, and every line since
    is_said: bool  # the bank or Stripe gave this figure; else the lines come to it


@dataclass(frozen=True, slots=True)
class Equality:
    """An account of the ledger and what is outside for it, at the end of a day."""

    code: str
    purpose: str
    currency: str
    books_minor: int
    outside_minor: int
    held_at: list[HeldAt]
    items: list[Item] = field(default_factory=list)

    @property
    def difference_minor(self) -> int:
        return self.books_minor - self.outside_minor

    @property
    def unexplained_minor(self) -> int:
        """Zero, always: anything else is a fault of this program."""
        return self.difference_minor - sum(item.minor for item in self.items)

    @property
    def is_equal(self) -> bool:
        return self.difference_minor == 0


def findings(*, at: datetime) -> Findings:
    """What is open now, the oldest first. A constant number of statements, no lock."""
    lines, movements = open_lines(), open_movements()
    exceptions: list[ReconciliationException] = []
    rest: list[Line] = []
    for line in lines:
        if line.is_of_known_type:
            rest.append(line)
        else:
            exceptions.append(_exception(Disagreement.UNKNOWN_TYPE, line, None, at))
    differing = _differing(rest, movements)
    taken = {line.name for line, _m in differing}
    gone = {(m.transaction_id, m.account_id) for _line, m in differing}
    exceptions += [_exception(Disagreement.AMOUNT_DIFFERS, line, m, at) for line, m in differing]
    exceptions += [
        _exception(Disagreement.MISSING_IN_BOOKS, line, None, at)
        for line in rest
        if line.name not in taken
    ]
    in_flight = []
    for movement in movements:
        if (movement.transaction_id, movement.account_id) in gone:
            continue
        if at - movement.created_at <= GRACE:
            in_flight.append(movement)
        else:
            exceptions.append(_exception(Disagreement.MISSING_OUTSIDE, None, movement, at))
    exceptions.sort(key=lambda each: (each.since, each.code))
    return Findings(exceptions, in_flight, len(lines))


def _differing(lines: Sequence[Line], movements: Sequence[Movement]) -> list[tuple[Line, Movement]]:
    """Lines and movements of one reference whose amounts are not the same."""
    named: dict[tuple[str, str, str], list[Movement]] = {}
    for movement in movements:
        for name in (movement.key, *movement.references):
            named.setdefault((movement.purpose, movement.currency, name), []).append(movement)
    pairs: list[tuple[Line, Movement]] = []
    taken: set[tuple[int, int]] = set()
    for line in lines:
        for name in (*line.documents, *line.references):
            found = [
                m
                for m in named.get((line.purpose, line.currency, name), ())
                if (m.transaction_id, m.account_id) not in taken
                and m.net_minor != line.net_minor
                and (m.net_minor > 0) == (line.net_minor > 0)
            ]
            if len(found) == 1:
                taken.add((found[0].transaction_id, found[0].account_id))
                pairs.append((line, found[0]))
                break
    return pairs


def _exception(
    kind: Disagreement, line: Line | None, movement: Movement | None, at: datetime
) -> ReconciliationException:
    side = line or movement
    assert side is not None
    since = line.since if line is not None else _created(movement)
    limit = _limit(line, movement)
    return ReconciliationException(
        kind=kind,
        code=side.code,
        currency=side.currency,
        books_minor=movement.net_minor if movement is not None else 0,
        outside_minor=line.net_minor if line is not None else 0,
        since=since,
        limit=limit,
        is_late=at - since > limit,
        line=line,
        movement=movement,
    )


def _created(movement: Movement | None) -> datetime:
    assert movement is not None
    return movement.created_at


def _limit(line: Line | None, movement: Movement | None) -> timedelta:
    if movement is not None:
        passed = [ageing.LIMITS[name] for name in movement.passes if name in ageing.LIMITS]
        return min(passed, default=USUAL)
    assert line is not None
    return _OF_LINE.get((line.purpose, line.net_minor > 0), STRIPE_LINE)


def equality(*, day: date) -> list[Equality]:
    """Each account of money outside at the end of a day of the billing zone, by its code.

    Both figures, and the difference by its causes. A constant number of statements, no lock.
    """
    cut = start_of(day + timedelta(days=1))
    books = _books(cut)
    outside = _outside(day, cut)
    causes = _causes(day, cut)
    found = []
    for purpose, currency in sorted(set(books) | set(outside)):
        held_at = outside.get((purpose, currency), [])
        items = causes.get((purpose, currency), {})
        gap = sum(each.lines_minor - each.minor for each in held_at)
        if gap:
            items["lines_not_imported"] = (
                sum(each.lines_minor != each.minor for each in held_at),
                gap,
            )
        found.append(
            Equality(
                code=f"asset:{purpose}:{currency}",
                purpose=purpose,
                currency=currency,
                books_minor=books.get((purpose, currency), 0),
                outside_minor=sum(each.minor for each in held_at),
                held_at=held_at,
                items=[Item(kind, *sums) for kind, sums in sorted(items.items())],
            )
        )
    return found


Keyed = tuple[str, str]


def _books(cut: datetime) -> dict[Keyed, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.purpose, a.currency, coalesce(sum(e.amount_minor), 0)"
            " FROM billing_ledgeraccount a JOIN billing_ledgerentry e ON e.account_id = a.id"
            " JOIN billing_ledgertransaction t ON t.id = e.transaction_id"
            " WHERE a.purpose IN ('bank', 'stripe') AND t.effective_at < %s GROUP BY 1, 2",
            [cut],
        )
        return {(purpose, currency): int(minor) for purpose, currency, minor in cursor.fetchall()}


def _outside(day: date, cut: datetime) -> dict[Keyed, list[HeldAt]]:
    """What the banks' newest statements up to the day say, moved by the lines after them."""
    found: dict[Keyed, list[HeldAt]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT b.currency, b.number, s.closing_minor + coalesce((
                       SELECT sum(l.amount_minor) FROM billing_bankline l
                       WHERE l.account_id = b.id AND l.booked_date > s.last_date
                         AND l.booked_date <= %(day)s), 0),
                   coalesce(o.net_minor, 0) + coalesce((
                       SELECT sum(l.amount_minor) FROM billing_bankline l
                       WHERE l.account_id = b.id AND l.booked_date <= %(day)s), 0)
            FROM billing_bankaccount b
            JOIN reconciliation_opening o ON o.held_at_id = b.id AND o.booked_date <= %(day)s
            LEFT JOIN LATERAL (
                SELECT closing_minor, last_date FROM billing_bankstatement
                WHERE account_id = b.id AND closing_minor IS NOT NULL AND last_date <= %(day)s
                ORDER BY last_date DESC, id DESC LIMIT 1) s ON true
            ORDER BY b.currency, b.number
            """,
            {"day": day},
        )
        for currency, number, said, lines in cursor.fetchall():
            held = HeldAt(
                number, int(lines if said is None else said), int(lines), said is not None
            )
            found.setdefault(("bank", currency), []).append(held)
        cursor.execute(
            "SELECT currency, sum(net_minor) FROM billing_pspbalancetransaction"
            " WHERE created_at < %s GROUP BY 1",
            [cut],
        )
        for currency, lines in cursor.fetchall():
            missing = _not_imported(currency, cut)
            found["stripe", currency] = [
                HeldAt("Stripe", int(lines) + (missing or 0), int(lines), missing is not None)
            ]
    return found


def _not_imported(currency: str, cut: datetime) -> int | None:
    """So much more than its lines until then had Stripe itself, when last asked before the cut."""
    row = PspBalance.objects.filter(currency=currency, at__lt=cut).order_by("-at").first()
    if row is None:
        return None
    lines = PspBalanceTransaction.objects.filter(currency=currency, created_at__lte=row.at)
    known = lines.aggregate(net=Sum("net_minor", default=0))["net"]
    return row.available_minor + row.pending_minor - int(known)


def _causes(day: date, cut: datetime) -> dict[Keyed, dict[str, tuple[int, int]]]:
    """Why the books have more than the outside: by account and cause, how many and how much."""
    with connection.cursor() as cursor:
        cursor.execute(_CAUSES, {"day": day, "cut": cut, "zone": str(zone())})
        found: dict[Keyed, dict[str, tuple[int, int]]] = {}
        for purpose, currency, cause, count, minor in cursor.fetchall():
            found.setdefault((purpose, currency), {})[cause] = (int(count), int(minor))
    return found


_CAUSES = """
    WITH movement AS (
        SELECT m.account_id, m.transaction_id, m.purpose, m.currency, m.net_minor,
               t.effective_at < %(cut)s AS is_before
        FROM reconciliation_movement m JOIN billing_ledgertransaction t ON t.id = m.transaction_id
    ), line AS (
        SELECT 'bank' AS purpose, currency, amount_minor AS net_minor,
               booked_date <= %(day)s AS is_before, id AS bank_line_id,
               NULL::varchar AS psp_line_id, NULL::bigint AS opening_id FROM billing_bankline
        UNION ALL
        SELECT 'stripe', currency, net_minor, created_at < %(cut)s, NULL, transaction_id, NULL
        FROM billing_pspbalancetransaction WHERE net_minor <> 0
        UNION ALL
        SELECT 'bank', currency, net_minor, booked_date <= %(day)s, NULL, NULL, statement_id
        FROM reconciliation_opening WHERE coalesce(net_minor, 0) <> 0
    ), met AS (
        SELECT x.id, v.purpose, v.currency, v.net_minor, v.is_before AS in_books,
               coalesce(b.is_before, s.is_before, o.is_before) AS outside,
               x.offset_id IS NOT NULL AS is_offset, w.is_before AS earlier_in_books,
               coalesce(w.net_minor, 0) AS earlier_minor
        FROM reconciliation_live x
        JOIN movement v ON (v.account_id, v.transaction_id) = (x.account_id, x.transaction_id)
        LEFT JOIN line b ON b.bank_line_id = x.bank_line_id
        LEFT JOIN line s ON s.psp_line_id = x.psp_line_id
        LEFT JOIN line o ON o.opening_id = x.opening_id
        LEFT JOIN movement w ON (w.account_id, w.transaction_id) = (x.account_id, x.offset_id)
    ), parts (purpose, currency, cause, minor) AS (
        SELECT purpose, currency, CASE WHEN is_offset THEN 'offset_later'
               WHEN outside IS NULL THEN 'opening_superseded'
               WHEN in_books THEN 'outside_later' ELSE 'booked_later' END,
               CASE WHEN in_books THEN net_minor WHEN is_offset THEN earlier_minor
                    ELSE -net_minor END
        FROM met WHERE in_books <> CASE WHEN is_offset THEN earlier_in_books
                                        ELSE coalesce(outside, false) END
        UNION ALL
        SELECT v.purpose, v.currency, 'missing_outside', v.net_minor FROM movement v
        WHERE v.is_before AND NOT EXISTS (
            SELECT FROM reconciliation_live x WHERE x.account_id = v.account_id
             AND x.transaction_id = v.transaction_id)
          AND NOT EXISTS (SELECT FROM reconciliation_live x WHERE x.account_id = v.account_id
             AND x.offset_id = v.transaction_id)
        UNION ALL
        SELECT l.purpose, l.currency, 'missing_in_books', -l.net_minor FROM line l
        WHERE l.is_before
          AND NOT EXISTS (SELECT FROM reconciliation_live x WHERE x.bank_line_id = l.bank_line_id)
          AND NOT EXISTS (SELECT FROM reconciliation_live x WHERE x.psp_line_id = l.psp_line_id)
          AND NOT EXISTS (SELECT FROM reconciliation_live x WHERE x.opening_id = l.opening_id)
    )
    SELECT purpose, currency, cause, count(*), sum(minor) FROM parts GROUP BY 1, 2, 3
"""


def warn(*, at: datetime) -> int:
    """Exceptions and clearing accounts that are too old are logged and journalled; how many.

    Journalled only where something is late, so that a quiet day leaves no row.
    """
    late = [each for each in findings(at=at).exceptions if each.is_late]
    lying = [each for each in ageing.clearing(at=at) if each.is_late]
    for each in late:
        logger.warning(
            "%s on %s: %s since %s", each.kind, each.code, each.difference_minor, each.since.date()
        )
    for account in lying:
        logger.warning("%s lies on %s since %s", account.open_minor, account.code, account.since)
    if late or lying:
        with transaction.atomic():
            journal.record(
                event="reconciliation.late",
                object_id="books",
                actor=actors.system("reconciliation"),
                at=at,
                data={"exceptions": len(late), "clearing": len(lying)},
            )
    return len(late) + len(lying)
