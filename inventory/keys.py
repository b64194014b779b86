"""Keys of machines: made, checked, revoked."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction

from inventory import journal, key_texts
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.joined import Joined
from inventory.models import ApiKey, Organisation
from inventory.organisations import SCOPES

LAST_USED_RESOLUTION = timedelta(minutes=1)

_HOLDER = Joined(k=ApiKey, o=Organisation)
_BY_LOOKUP = """
SELECT {columns} FROM inventory_apikey k
JOIN inventory_organisation o ON o.id = k.organisation_id
WHERE k.lookup = %s
"""


class BadKey(DomainError):
    """No such key, a wrong secret, or one that is revoked, expired or used from elsewhere."""

    code = "unauthenticated"
    title = "The key is not valid"
    status = 401


class ScopeEscalation(Forbidden):
    """A key reaches no further than its maker: in scopes, project, addresses and time."""

    code = "scope_escalation"
    title = "A key cannot do more than its maker"


def issue(
    *,
    organisation_id: int,
    name: str,
    scopes: Iterable[str],
    at: datetime,
    actor: Actor,
    project_id: int | None = None,
    created_by_id: int | None = None,
    expires_at: datetime | None = None,
    ip_allow: Iterable[str] = (),
) -> tuple[ApiKey, str]:
    """A key exists; its text is returned once and cannot be had again.

    Made by another key it has that one's project, and at most its life and its addresses, and
    is revoked with it. Raises ScopeEscalation, Invalid.
    """
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise Invalid("Unknown scopes", unknown=sorted(wanted - set(SCOPES)))
    if actor.kind != "system" and not wanted <= actor.scopes:
        raise ScopeEscalation(missing=sorted(wanted - actor.scopes))
    if expires_at is not None and expires_at <= at:
        raise Invalid("A key expires in the future")
    networks = [_network(text) for text in ip_allow]
    lookup, digest, text = key_texts.make("ck")
    with transaction.atomic():
        maker = _maker(actor)
        if maker is not None:
            expires_at = _no_longer(expires_at, maker.expires_at)
            networks = _no_wider(networks, maker.ip_allow)
            if maker.project_id is not None and project_id != maker.project_id:
                raise ScopeEscalation("A key of one project makes keys of that project only")
        key = ApiKey.objects.create(
            organisation_id=organisation_id,
            project_id=project_id,
            maker=maker,
            name=name,
            lookup=lookup,
            secret_sha256=digest,
            scopes=sorted(wanted),
            ip_allow=networks,
            created_by_id=created_by_id,
            created_at=at,
            expires_at=expires_at,
        )
        journal.record(
            event="api_key.issued",
            object_id=key.public_id,
            actor=actor,
            at=at,
            provider_id=organisation_id,
            data={"scopes": sorted(wanted)},
        )
    return key, text


def _maker(actor: Actor) -> ApiKey | None:
    """The key that makes another, locked, so that it is not revoked meanwhile."""
    if actor.kind != "key":
        return None
    rows = ApiKey.objects.select_for_update(of=("self",), no_key=True)
    return rows.get(public_id=actor.label, revoked_at__isnull=True)


def _no_longer(asked: datetime | None, makers: datetime | None) -> datetime | None:
    if makers is None:
        return asked
    if asked is not None and asked > makers:
        raise ScopeEscalation("The key would outlive its maker", makers_end=makers)
    return asked or makers


def _no_wider(asked: list[str], makers: list[str]) -> list[str]:
    if not makers:
        return asked
    allowed = [ipaddress.ip_network(each) for each in makers]
    for text in asked:
        network = ipaddress.ip_network(text)
        if not any(each.version == network.version and network.subnet_of(each) for each in allowed):  # type: ignore[arg-type]
            raise ScopeEscalation("The maker may not be used from there", network=text)
    return asked or makers


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise Invalid(f"Not an address or network: {text}") from error


def revoke(*, key_public_id: str, at: datetime, actor: Actor) -> None:
    """The key opens nothing any more, nor do those it made. Idempotent.

    A key revokes none that can do more than itself. Raises NotFound, ScopeEscalation.
    """
    with transaction.atomic():
        key = (
            ApiKey.objects.visible_to(actor)
            .select_for_update(of=("self",), no_key=True)
            .filter(public_id=key_public_id)
            .first()
        )
        if key is None:
            raise NotFound("No such key")
        if actor.kind == "key" and not set(key.scopes) <= actor.scopes:
            raise ScopeEscalation(missing=sorted(set(key.scopes) - actor.scopes))
        _revoke(key, at=at, actor=actor)


def _revoke(key: ApiKey, *, at: datetime, actor: Actor) -> None:
    rows = ApiKey.objects.select_for_update(of=("self",), no_key=True)
    for made in rows.filter(maker=key, revoked_at__isnull=True).order_by("pk"):
        _revoke(made, at=at, actor=actor)
    if key.revoked_at is not None:
        return
    key.revoked_at = at
    key.save(update_fields=["revoked_at"])
    journal.record(
        event="api_key.revoked",
        object_id=key.public_id,
        actor=actor,
        at=at,
        provider_id=key.organisation_id,
    )


def authenticate(*, text: str, ip: str | None, at: datetime) -> tuple[ApiKey, Actor]:
    """Who the bearer of a key is. One statement; a second at most once a minute.

    A constant-time comparison hides how much of a guess was right. Raises BadKey and never
    says why.
    """
    read = key_texts.read("ck", text)
    if read is None:
        raise BadKey()
    lookup, digest = read
    found = _HOLDER.first(_BY_LOOKUP, [lookup])
    if found is None:
        raise BadKey()
    key: ApiKey = found[0]
    organisation: Organisation = found[1]
    if not hmac.compare_digest(bytes(key.secret_sha256), digest):
        raise BadKey()
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= at):
        raise BadKey()
    if key.ip_allow and not _allowed(ip, key.ip_allow):
        raise BadKey()
    if key.last_used_at is None or at - key.last_used_at > LAST_USED_RESOLUTION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    return key, Actor(
        kind="key",
        label=key.public_id,
        organisation_id=key.organisation_id,
        scopes=frozenset(key.scopes),
        project_id=key.project_id,
        sees_everything=organisation.is_operator,
    )


def _allowed(ip: str | None, networks: list[str]) -> bool:
    if ip is None:
        return False
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)
