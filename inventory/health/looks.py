"""A look at every node: what telemetry, engine, plans and people say becomes its condition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory import actors, journal
from inventory.health import failures, telemetry
from inventory.health.cards import FLAPS, FLAPS_WITHIN, RANK, Look, Memory, found, settle
from inventory.models import (
    HealthEntry,
    HealthReport,
    HealthSource,
    HealthState,
    Node,
    NodeHealth,
    Outage,
)

ACTOR = actors.system("health")
AT_ONCE = 1_000  # nodes of one transaction
# A look that changes nothing is written down this often, so that a page can say how old it is.
SAID_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition, who says so, and what it rests on."""

    state: HealthState
    source: HealthSource
    evidence: str


@dataclass(slots=True)
class Facts:
    """What else than telemetry is known of the nodes of a batch, by node."""

    planned: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)  # by others than health
    reports: dict[int, list[HealthReport]] = field(default_factory=lambda: defaultdict(list))
    flaps: Counter[int] = field(default_factory=Counter)


def sweep(*, at: datetime, limit: int = 100_000) -> int:
    """Every node that is not retired has been looked at; returns how many conditions changed.

    Batches of AT_ONCE in a transaction each, in a constant number of statements. Locks the
    rows of health (those another look works on are skipped); afterwards, one by one, the pools of
    nodes that went down or came back. Safe to run twice and beside itself.
    """
    _begin(at)
    keys = list(
        NodeHealth.objects.exclude(node__state=Node.State.RETIRED)
        .order_by("pk")
        .values_list("pk", flat=True)[:limit]
    )
    changed = 0
    for first in range(0, len(keys), AT_ONCE):
        with transaction.atomic():
            changed += _look(keys[first : first + AT_ONCE], at)
    failures.follow(at=at)
    return changed


def _begin(at: datetime) -> None:
    """Every node has a row."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_nodehealth"
            " (node_id, state, source, evidence, since, checked_at, cards, memory)"
            " SELECT n.id, 'healthy', 'driver', '', least(n.installed_at, %(at)s), %(at)s, '{}',"
            " '{}' FROM inventory_node n WHERE n.state <> 'retired'"
            " AND NOT EXISTS (SELECT FROM inventory_nodehealth h WHERE h.node_id = n.id)"
            " ON CONFLICT DO NOTHING",
            {"at": at},
        )


def _look(keys: Sequence[int], at: datetime) -> int:
    rows = list(
        NodeHealth.objects.select_for_update(of=("self",), no_key=True, skip_locked=True)
        .filter(pk__in=keys)
        .select_related("node__pool")
        .order_by("pk")
    )
    if not rows:
        return 0
    looks = telemetry.looks([row.pk for row in rows], at=at)
    facts = _facts(rows, at)
    entries: list[HealthEntry] = []
    touched: list[NodeHealth] = []
    changed: list[tuple[NodeHealth, str]] = []
    for row in rows:
        before, memory = (row.state, row.source, row.evidence, list(row.cards)), dict(row.memory)
        since = _read_cards(row, looks.get(row.pk), at, entries)
        finding = _judge(row, facts)
        if finding.state != row.state:
            changed.append((row, row.state))
            # A condition of cards began when theirs did; a word counts from when it is heard.
            from_telemetry = finding.source == HealthSource.TELEMETRY
            _turn(row, finding, (since if from_telemetry else None) or at, at, entries)
        else:
            row.source, row.evidence = finding.source, finding.evidence[:300]
        is_new = before != (row.state, row.source, row.evidence, list(row.cards))
        if is_new or memory != row.memory or at - row.checked_at >= SAID_EVERY:
            row.checked_at = at
            touched.append(row)
    HealthEntry.objects.bulk_create(entries)
    NodeHealth.objects.bulk_update(
        touched, ["state", "source", "evidence", "since", "checked_at", "cards", "memory"]
    )
    for row, from_state in changed:
        journal.record(
            event=f"health.{row.state}",
            object_id=row.node.public_id,
            actor=ACTOR,
            at=at,
            reason=row.evidence,
            from_state=from_state,
            to_state=row.state,
            provider_id=row.node.provider_id,
            data={"source": row.source, "since": row.since.isoformat()},
        )
    return len(changed)


def _read_cards(
    row: NodeHealth, look: Look | None, at: datetime, entries: list[HealthEntry]
) -> datetime | None:
    """The cards' conditions move on with what telemetry says, if it says anything; since when
    those that changed are what they are."""
    if look is None or not look.is_watched:
        return None
    count = len(look.seen)
    row.cards = [*row.cards[:count], *[HealthState.HEALTHY] * (count - len(row.cards))]
    memory = Memory.of(row.memory, count)
    findings = found(look, memory, at)
    changed_at = []
    for card, (state, since) in enumerate(settle(row.cards, findings, memory, at)):
        if since is None:
            continue
        changed_at.append(since)
        entries.append(
            HealthEntry(
                node_id=row.pk,
                card_index=card,
                from_state=row.cards[card],
                state=state,
                source=HealthSource.TELEMETRY,
                evidence=findings[card][1],
                at=since,
                recorded_at=at,
            )
        )
        row.cards[card] = state
    row.memory = memory.stored()
    return min(changed_at) if changed_at else None


def _judge(row: NodeHealth, facts: Facts) -> Finding:
    """A plan explains everything else; of the rest the worst word counts."""
    if row.pk in facts.planned:
        return Finding(HealthState.MAINTENANCE, HealthSource.PLAN, facts.planned[row.pk])
    findings = [_of_cards(row), _of_engine(row, facts)]
    for each in facts.reports.get(row.pk, []):
        state = HealthState(each.state)
        if each.card_index is not None and state == HealthState.DOWN:
            state = HealthState.DEGRADED  # the other cards serve
        findings.append(Finding(state, HealthSource.REPORT, each.reason))
    worst = max(findings, key=lambda finding: RANK[finding.state])
    if worst.state == HealthState.HEALTHY and facts.flaps[row.pk] >= FLAPS:
        text = f"{facts.flaps[row.pk]} changes within an hour"
        return Finding(HealthState.JITTERING, HealthSource.TELEMETRY, text)
    return worst


def _of_cards(row: NodeHealth) -> Finding:
    """A node is down if all its cards are, degraded if one of them is not well."""
    states = [HealthState(state) for state in row.cards]
    if not states:
        return Finding(HealthState.HEALTHY, HealthSource.DRIVER, "")
    bad = [card for card, state in enumerate(states) if state != HealthState.HEALTHY]
    worst = max(states, key=RANK.__getitem__)
    if worst == HealthState.DOWN and len(set(states)) > 1:
        worst = HealthState.DEGRADED
    listed = ", ".join(f"{card} {states[card]}" for card in bad[:8])
    return Finding(worst, HealthSource.TELEMETRY, f"cards {listed}" if bad else "")


def _of_engine(row: NodeHealth, facts: Facts) -> Finding:
    """Broken by somebody else's word than ours; our own outage is a conclusion, no evidence."""
    if row.pk in facts.failed:
        return Finding(HealthState.DOWN, HealthSource.DRIVER, facts.failed[row.pk])
    if row.node.state == Node.State.BROKEN and row.outage_id is None:
        return Finding(HealthState.DOWN, HealthSource.DRIVER, "broken")
    return Finding(HealthState.HEALTHY, HealthSource.DRIVER, "")


def _turn(
    row: NodeHealth, finding: Finding, since: datetime, at: datetime, entries: list[HealthEntry]
) -> None:
    entries.append(
        HealthEntry(
            node_id=row.pk,
            from_state=row.state,
            state=finding.state,
            source=finding.source,
            evidence=finding.evidence[:300],
            at=since,
            recorded_at=at,
        )
    )
    row.state, row.source, row.evidence = finding.state, finding.source, finding.evidence[:300]
    row.since = since


def _facts(rows: Sequence[NodeHealth], at: datetime) -> Facts:
    keys = [row.pk for row in rows]
    own = {row.outage_id for row in rows if row.outage_id is not None}
    facts = Facts()
    outages = Outage.objects.filter(node__in=keys, state=Outage.State.OPEN).order_by("pk")
    for outage in outages.filter(period__startswith__lte=at):
        if outage.node_id is None or outage.pk in own:
            continue
        if outage.kind == Outage.Kind.FAILED:
            facts.failed[outage.node_id] = outage.reason
        elif outage.period.upper > at:
            facts.planned[outage.node_id] = outage.reason
    standing = HealthReport.objects.filter(node__in=keys, withdrawn_at__isnull=True)
    for report in standing.order_by("pk"):
        facts.reports[report.node_id].append(report)
    facts.flaps = _flaps(keys, at)
    return facts


def _flaps(keys: Sequence[int], at: datetime) -> Counter[int]:
    """How often each has changed within the hour, by the word of telemetry."""
    changes = HealthEntry.objects.filter(
        node__in=keys,
        card_index__isnull=True,
        source=HealthSource.TELEMETRY,
        recorded_at__gt=at - FLAPS_WITHIN,
        at__gt=at - 2 * FLAPS_WITHIN,
    )
    return Counter(changes.values_list("node_id", flat=True))
