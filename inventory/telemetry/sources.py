"""Feeds of a centre: opened, given keys, told whose their series are, closed."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction
from django.db.models import Q

from inventory import journal, key_texts, wrapping
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.identifiers import find
from inventory.joined import Joined
from inventory.keys import BadKey
from inventory.models import (
    Centre,
    Node,
    SeriesBinding,
    SeriesIdentity,
    TelemetryKey,
    TelemetrySource,
    UnknownSeries,
)
from inventory.pools import NameTaken
from inventory.telemetry.identity import VALUE_LENGTH, clean

KEY_KIND = "ct"
ROTATION = timedelta(hours=24)  # how long the old key goes on beside the new one

_HOLDER = Joined(k=TelemetryKey, s=TelemetrySource)
_BY_LOOKUP = """
SELECT {columns} FROM inventory_telemetrykey k
JOIN inventory_telemetrysource s ON s.id = k.source_id
WHERE k.lookup = %s
"""


class SourceClosed(DomainError):
    """The feed takes nothing any more."""

    code = "telemetry_source_closed"
    title = "This feed is closed"


class AlreadyBound(DomainError):
    """The feed has a binding of this identity; it has to be removed first."""

    code = "series_already_bound"
    title = "Series of this identity are bound already"


def open_source(
    *,
    centre_id: int,
    name: str,
    at: datetime,
    actor: Actor,
    replica_label: str = "prometheus_replica",
    query_url: str = "",
    query_secret: str = "",
) -> tuple[TelemetrySource, str]:
    """The centre has a feed; with an address to query it is a pull. Returns it with the text of
    its key, which cannot be had again, or "" for a pull. Raises NotFound, NameTaken, Invalid."""
    centre = find(Centre.objects.visible_to(actor), centre_id, "No such centre")
    if query_url:
        check_address(query_url)
    try:
        with transaction.atomic():
            source = TelemetrySource.objects.create(
                provider_id=centre.provider_id,
                centre=centre,
                name=name,
                kind=TelemetrySource.Kind.PULL if query_url else TelemetrySource.Kind.PUSH,
                replica_label=replica_label,
                query_url=query_url,
                query_secret=wrapping.wrap(query_secret) if query_secret else None,
                pulled_until=at if query_url else None,
                next_pull_at=at if query_url else None,
                created_at=at,
            )
            _record("telemetry_source.opened", source, at, actor, kind=source.kind)
            text = "" if query_url else _issue(source, at=at, actor=actor)
    except IntegrityError as error:
        raise NameTaken() from error
    return source, text


def check_address(url: str) -> None:
    """Raises Invalid unless it is an http(s) address of a store, without a password in it.

    That it does not lead into our own network is checked again when it is asked.
    """
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError as error:
        raise Invalid("Not an address") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fine:
        raise Invalid("An address starts with https:// or http://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise Invalid("The address has no password, question mark or hash in it")
    try:
        address = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise Invalid("Nothing can be asked there")


def rotate_key(*, source_id: int | str, at: datetime, actor: Actor) -> str:
    """The feed has a new key, whose text is returned once; the old ones end a day later.

    Locks the feed. Raises NotFound, SourceClosed. Not idempotent.
    """
    with transaction.atomic():
        source = _lock(source_id, actor)
        live = source.keys.filter(revoked_at=None)
        live.filter(Q(expires_at=None) | Q(expires_at__gt=at + ROTATION)).update(
            expires_at=at + ROTATION
        )
        return _issue(source, at=at, actor=actor)


def revoke_keys(*, source_id: int | str, at: datetime, actor: Actor) -> str:
    """The feed's keys open nothing from now on; returns the text of a new one.

    For one that leaked. Locks the feed. Raises NotFound, SourceClosed. Not idempotent.
    """
    with transaction.atomic():
        source = _lock(source_id, actor)
        source.keys.filter(revoked_at=None).update(revoked_at=at)
        _record("telemetry_source.keys_revoked", source, at, actor)
        return _issue(source, at=at, actor=actor)


def close_source(*, source_id: int | str, at: datetime, actor: Actor, reason: str = "") -> None:
    """The feed takes nothing any more; what it brought stays. Locks the feed.

    Raises NotFound. Idempotent.
    """
    with transaction.atomic():
        try:
            source = _lock(source_id, actor)
        except SourceClosed:
            return
        source.keys.filter(revoked_at=None).update(revoked_at=at)
        source.closed_at = at
        source.save(update_fields=["closed_at"])
        _record("telemetry_source.closed", source, at, actor, reason=reason)


def rewrap_secrets() -> int:
    """Tokens of stores are encrypted with the first of CREDENTIAL_KEYS; how many were redone.

    Raises CredentialUnreadable.
    """
    return wrapping.rewrap_each(TelemetrySource.objects.all(), "query_secret")


def authenticate(*, text: str, at: datetime) -> TelemetrySource:
    """Whose key it is. One statement. Raises BadKey and never says why."""
    read = key_texts.read(KEY_KIND, text)
    if read is None:
        raise BadKey()
    lookup, digest = read
    found = _HOLDER.first(_BY_LOOKUP, [lookup])
    if found is None:
        raise BadKey()
    key: TelemetryKey = found[0]
    source: TelemetrySource = found[1]
    if not hmac.compare_digest(bytes(key.secret_sha256), digest):
        raise BadKey()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= at):
        raise BadKey()
    if source.closed_at is not None:
        raise BadKey()
    return source


def bind(
    *,
    source_id: int | str,
    identity: str,
    value: str,
    node_id: int | str,
    at: datetime,
    actor: Actor,
    card_index: int | None = None,
) -> SeriesBinding:
    """Series with this identity are of that node, or of that card of it.

    Processes heed it within a minute. What was unknown of it is no longer shown as such. Locks
    the feed. Raises NotFound (also for a node of another centre), Invalid, SourceClosed,
    AlreadyBound.
    """
    if identity not in SeriesIdentity.values or not value or len(value) > VALUE_LENGTH:
        raise Invalid("An identity is a serial, a card UUID or a hostname, with a value")
    if clean(value) != value:
        raise Invalid("The value has a character that cannot be kept")
    if identity == SeriesIdentity.CARD_UUID and card_index is None:
        raise Invalid("A card UUID names one card: say which")
    with transaction.atomic():
        source = _lock(source_id, actor)
        node = find(
            Node.objects.filter(pool__fabric__centre_id=source.centre_id).select_related("pool"),
            node_id,
            "No such node in this centre",
        )
        if card_index is not None and not 0 <= card_index < node.pool.cards_per_node:
            raise Invalid(f"The node has {node.pool.cards_per_node} cards, counted from 0")
        try:
            with transaction.atomic():
                row = SeriesBinding.objects.create(
                    source=source,
                    identity=identity,
                    value=value,
                    node=node,
                    card_index=card_index,
                    bound_by=actor.label,
                    created_at=at,
                )
        except IntegrityError as error:
            raise AlreadyBound() from error
        UnknownSeries.objects.filter(source=source, identity=identity, value=value).delete()
        _record(
            "series.bound",
            source,
            at,
            actor,
            identity=identity,
            value=value,
            node=node.public_id,
            card=card_index,
        )
    return row


def unbind(*, binding_id: int | str, at: datetime, actor: Actor) -> None:
    """The register alone says again whose these series are. Raises NotFound. Idempotent."""
    with transaction.atomic():
        rows = SeriesBinding.objects.filter(source__in=TelemetrySource.objects.visible_to(actor))
        row = find(rows.select_for_update(of=("self",)), binding_id, "No such binding")
        if row.removed_at is not None:
            return
        row.removed_at = at
        row.save(update_fields=["removed_at"])
        source = TelemetrySource.objects.get(pk=row.source_id)
        _record("series.unbound", source, at, actor, identity=row.identity, value=row.value)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """An identity that no node of the centre has, and a node it may mean."""

    row: UnknownSeries
    guess: Node | None


def unmatched(*, source: TelemetrySource, limit: int = 100) -> list[Unmatched]:
    """What came lately and is bound to nothing, most samples first. Two statements.

    The guess is a node whose hostname or serial is the same but for case and domain. It is never
    used before a person takes it.
    """
    rows = list(source.unknown.order_by("-sample_count", "pk")[:limit])
    if not rows:
        return []
    nodes: dict[str, Node | None] = {}
    for node in Node.objects.filter(pool__fabric__centre_id=source.centre_id).exclude(
        state=Node.State.RETIRED
    ):
        for name in {_short(node.hostname), _short(node.serial)} - {""}:
            nodes[name] = None if name in nodes else node
    return [Unmatched(row, nodes.get(_short(row.value))) for row in rows]


def _short(name: str) -> str:
    return name.lower().partition(".")[0]


def _lock(source_id: int | str, actor: Actor) -> TelemetrySource:
    rows = TelemetrySource.objects.visible_to(actor)
    source = find(rows.select_for_update(of=("self",), no_key=True), source_id, "No such feed")
    if source.closed_at is not None:
        raise SourceClosed()
    return source


def _issue(source: TelemetrySource, *, at: datetime, actor: Actor) -> str:
    lookup, digest, text = key_texts.make(KEY_KIND)
    key = TelemetryKey.objects.create(
        source=source, lookup=lookup, secret_sha256=digest, created_at=at
    )
    _record("telemetry_key.issued", source, at, actor, key=key.public_id)
    return text


def _record(
    event: str,
    source: TelemetrySource,
    at: datetime,
    actor: Actor,
    *,
    reason: str = "",
    **data: str | int | None,
) -> None:
    journal.record(
        event=event,
        object_id=source.public_id,
        actor=actor,
        at=at,
        reason=reason,
        provider_id=source.provider_id,
        data=data,
    )
