"""A body of remote write, from its bytes to the hours it changed; the same for queried samples."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction

from inventory.errors import Busy
from inventory.models import TelemetrySource
from inventory.telemetry import hours, identity, remote_write
from inventory.telemetry.folding import Batch, Counts, sort
from inventory.telemetry.identity import Directory, Series
from inventory.telemetry.remote_write import Labels, Sample

# A binding, a new node and one taken away are heeded after so long at most.
DIRECTORY_AGE = timedelta(seconds=60)
# A member of an HA pair that is silent for so long is no longer the one we follow.
REPLICA_SILENCE = timedelta(seconds=60)
# Label bytes that a process remembers, of all its feeds: beyond it starts to learn anew.
REMEMBERED_BYTES = 256 * 1024 * 1024
UNKNOWN_KEPT = 1_000  # identities that a feed's page can show
LOCK_TIMEOUT = "3s"


@dataclass(eq=False)
class Feed:
    """What a process knows of one source's series. May be forgotten at any time."""

    source_id: int
    centre_id: int
    replica_label: str
    known: dict[bytes, Series | None] = field(default_factory=dict)
    directory: Directory = field(default_factory=Directory)
    loaded_at: datetime | None = None
    size: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, key: bytes, labels: Labels) -> Series | None:
        """A series that was not seen before, or not since everything was forgotten."""
        series = self.read(dict(labels))
        self.known[key] = series
        self.size += len(key) + (800 if series is not None else 100)
        return series

    def read(self, labels: dict[str, str]) -> Series | None:
        series = identity.read(labels, replica_label=self.replica_label)
        if series is not None:
            series.settle(self.directory)
        return series

    def refresh(self, at: datetime) -> None:
        """Two statements a minute: whose the feed's series are, if that has changed."""
        with self.lock:
            if self.loaded_at is not None and abs(at - self.loaded_at) < DIRECTORY_AGE:
                return
            found = identity.directory(source_id=self.source_id, centre_id=self.centre_id)
            if found != self.directory:
                self.directory = found
                for series in list(self.known.values()):
                    if series is not None:
                        series.settle(found)
            self.loaded_at = at


_feeds: dict[int, Feed] = {}
_feeds_lock = threading.Lock()


def feed_of(source: TelemetrySource, *, at: datetime) -> Feed:
    """What this process knows of the source, its directory not older than a minute."""
    with _feeds_lock:
        feed = _feeds.get(source.pk)
        if feed is None or feed.replica_label != source.replica_label:
            feed = _feeds[source.pk] = Feed(source.pk, source.centre_id, source.replica_label)
        if sum(each.size for each in _feeds.values()) > REMEMBERED_BYTES:
            for each in _feeds.values():
                each.known, each.size = {}, 0
    feed.refresh(at)
    return feed


def forget() -> None:
    """This process starts to learn anew."""
    with _feeds_lock:
        _feeds.clear()


def receive(*, source: TelemetrySource, body: bytes, at: datetime) -> Counts:
    """What a remote write body says is stored, and counted for the source's page.

    Good samples are stored whatever the others are. One transaction; locks the hours of nodes in
    order, then the source. Idempotent: a body that comes again finds its slots taken. Raises
    Malformed, BodyTooLarge, and Busy when a lock is not granted in time.
    """
    feed = feed_of(source, at=at)
    raw = remote_write.decompress(body)
    samples, unused = remote_write.decode(raw, feed.known, feed.learn)
    return store(feed, source, samples, unused=unused, at=at)


def store(
    feed: Feed,
    source: TelemetrySource,
    samples: Iterable[Sample[Series]],
    *,
    unused: int,
    at: datetime,
) -> Counts:
    """The samples' facts are in the hours of their nodes. See `receive`."""
    batch = sort(samples, at=at)
    batch.counts.unused += unused
    replica = min(batch.replicas, default="")
    followed = source.replica if _is_followed(source, at) else replica
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [LOCK_TIMEOUT])
        hours.fold(batch, replica=followed, at=at)
        if batch.unknown:
            _keep_unknown(source, batch, at)
        _count(source, batch.counts, replica, at)
    return batch.counts


def _is_followed(source: TelemetrySource, at: datetime) -> bool:
    return source.replica_until is not None and source.replica_until > at


def _count(source: TelemetrySource, counts: Counts, replica: str, at: datetime) -> None:
    """The last statement, so that the row is locked for no longer than the commit takes."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE inventory_telemetrysource SET
                stored_count = stored_count + %(stored)s,
                repeated_count = repeated_count + %(repeated)s,
                unused_count = unused_count + %(unused)s,
                unknown_count = unknown_count + %(unknown)s,
                late_count = late_count + %(late)s,
                early_count = early_count + %(early)s,
                void_count = void_count + %(void)s,
                last_seen_at = greatest(last_seen_at, %(at)s),
                replica = CASE WHEN replica_until > %(at)s THEN replica ELSE %(replica)s END,
                replica_until = CASE
                    WHEN replica_until > %(at)s AND replica <> %(replica)s THEN replica_until
                    ELSE %(until)s END
            WHERE id = %(source)s AND closed_at IS NULL
            """,
            {
                **vars(counts),
                "source": source.pk,
                "at": at,
                "replica": replica,
                "until": at + REPLICA_SILENCE,
            },
        )
        if cursor.rowcount != 1:
            raise Busy("The feed was closed meanwhile")


def _keep_unknown(source: TelemetrySource, batch: Batch, at: datetime) -> None:
    """Known ones are counted on; new ones are kept while there is room."""
    rows = [(*named, card, batch.unknown[named, card]) for named, card in sorted(batch.unknown)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO inventory_unknownseries
                (source_id, identity, value, card, labels, sample_count, first_seen_at,
                 last_seen_at)
            SELECT %(source)s, n.identity, n.value, n.card, n.labels::jsonb, n.count, %(at)s, %(at)s
            FROM unnest(%(identities)s::text[], %(values)s::text[], %(cards)s::text[],
                        %(labels)s::text[], %(counts)s::bigint[])
                 WITH ORDINALITY AS n (identity, value, card, labels, count, number)
            WHERE n.number <= greatest(0, %(room)s - (
                      SELECT count(*) FROM inventory_unknownseries WHERE source_id = %(source)s))
               OR EXISTS (SELECT FROM inventory_unknownseries u
                          WHERE u.source_id = %(source)s AND u.identity = n.identity
                            AND u.value = n.value AND u.card = n.card)
            ORDER BY n.identity, n.value, n.card
            ON CONFLICT (source_id, identity, value, card) DO UPDATE SET
                sample_count = inventory_unknownseries.sample_count + excluded.sample_count,
                last_seen_at = excluded.last_seen_at
            """,
            {
                "source": source.pk,
                "at": at,
                "room": UNKNOWN_KEPT,
                "identities": [row[0] for row in rows],
                "values": [row[1] for row in rows],
                "cards": [row[2] for row in rows],
                "labels": [json.dumps(row[3].labels) for row in rows],
                "counts": [row[3].count for row in rows],
            },
        )
