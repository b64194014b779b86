"""Legal entities, people and keys: who exists, who may act, and how they prove it."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from inventory import journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.models import ApiKey, Membership, Organisation, Project, User, Verification

Role = Membership.Role

_READS = frozenset(
    {
        "inventory:read",
        "listings:read",
        "offers:read",
        "reservations:read",
        "leases:read",
        "usage:read",
        "wallet:read",
        "settlements:read",
        "journal:read",
    }
)
_RUNS = frozenset(
    {
        "inventory:write",
        "listings:write",
        "reservations:write",
        "credentials:reveal",
    }
)
_OWNS = frozenset({"keys:write", "members:write"})
_OPERATES = frozenset({"organisations:write", "receipts:record", "receipts:approve"})
_SETTLES = frozenset({"settlements:write"})
_AUDITS = frozenset({"audit:read"})

# What a role may do in an organisation that trades …
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: _READS | _RUNS | _OWNS,
    Role.OPERATOR: _READS | _RUNS,
    Role.FINANCE: _READS,
    Role.VIEWER: _READS,
    Role.AUDITOR: _READS,
}
# … and in the operator, which runs the market and never trades in it.
OPERATOR_ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: _READS | _OWNS | _OPERATES | _SETTLES | _AUDITS,
    Role.OPERATOR: _READS | {"organisations:write"} | _AUDITS,
    Role.FINANCE: _READS | {"receipts:record", "receipts:approve"} | _SETTLES | _AUDITS,
    Role.VIEWER: _READS | _AUDITS,
    Role.AUDITOR: _READS | _AUDITS,
}
SCOPES = sorted(OPERATOR_ROLE_SCOPES[Role.OWNER] | ROLE_SCOPES[Role.OWNER])

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH = 43  # 32 random bytes in base 62
_CHECKSUM_LENGTH = 6
LAST_USED_RESOLUTION = timedelta(minutes=1)


class BadKey(DomainError):
    """No such key, a wrong secret, or one that is revoked, expired or used from elsewhere."""

    code = "unauthenticated"
    title = "The key is not valid"
    status = 401


class ScopeEscalation(Forbidden):
    """A key can be given no scope that its maker does not have."""

    code = "scope_escalation"
    title = "A key cannot have more scopes than its maker"


class OrganisationExists(DomainError):
    """The unified social credit code is registered already."""

    code = "organisation_exists"
    title = "This organisation is registered already"


class MemberExists(DomainError):
    """The person is a member already."""

    code = "member_exists"
    title = "This person is a member already"


class LastOwner(DomainError):
    """An organisation keeps at least one owner."""

    code = "last_owner"
    title = "An organisation keeps at least one owner"


def register(
    *,
    name: str,
    at: datetime,
    actor: Actor,
    name_en: str = "",
    credit_code: str | None = None,
    is_provider: bool = False,
    is_tenant: bool = False,
    is_reseller: bool = False,
) -> Organisation:
    """An unverified organisation exists. Raises OrganisationExists, Invalid."""
    if not (is_provider or is_tenant or is_reseller):
        raise Invalid("An organisation provides, rents or resells")
    if credit_code is not None:
        check_credit_code(credit_code)
    try:
        with transaction.atomic():
            organisation = Organisation.objects.create(
                name=name,
                name_en=name_en,
                credit_code=credit_code,
                is_provider=is_provider,
                is_tenant=is_tenant,
                is_reseller=is_reseller,
                created_at=at,
            )
    except IntegrityError as error:
        raise OrganisationExists() from error
    journal.record(
        event="organisation.registered", object_id=organisation.public_id, actor=actor, at=at
    )
    return organisation


_CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015: no I, O, S, V, Z
_CREDIT_WEIGHTS = [pow(3, position, 31) for position in range(17)]


def check_credit_code(code: str) -> None:
    """Raises Invalid unless `code` is a unified social credit code with a right check digit.

    GB 32100-2015 §4: weights 3^(i−1) mod 31 over the first seventeen characters.
    """
    if len(code) != 18 or any(letter not in _CREDIT_ALPHABET for letter in code):
        raise Invalid("A unified social credit code has 18 characters without I, O, S, V and Z")
    total = sum(
        _CREDIT_ALPHABET.index(letter) * weight
        for letter, weight in zip(code[:17], _CREDIT_WEIGHTS, strict=True)
    )
    if _CREDIT_ALPHABET[(31 - total % 31) % 31] != code[17]:
        raise Invalid("The check digit of the unified social credit code is wrong")


def decide(
    *, organisation_id: int, verified: bool, at: datetime, actor: Actor, reason: str = ""
) -> Organisation:
    """The operator's decision on an organisation's papers. Locks the organisation.

    Raises IllegalTransition where the decision was already taken, NotFound.
    """
    with transaction.atomic():
        organisation = _lock(organisation_id)
        if not verified and organisation.state == Verification.UNVERIFIED:
            transitions.advance(organisation, to=Verification.PENDING, at=at, actor=actor)
        to = Verification.VERIFIED if verified else Verification.REJECTED
        transitions.advance(organisation, to=to, at=at, actor=actor, reason=reason)
    return organisation


def _lock(organisation_id: int) -> Organisation:
    rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
    organisation = rows.filter(pk=organisation_id).first()
    if organisation is None:
        raise NotFound("No such organisation")
    return organisation


def add_member(
    *,
    organisation_id: int,
    email: str,
    role: str,
    at: datetime,
    actor: Actor,
    name: str = "",
    expires_at: datetime | None = None,
) -> tuple[Membership, str | None]:
    """The person may act for the organisation from now on.

    A person not known yet gets an account and a first password, returned once and kept
    nowhere. Locks the organisation. Raises MemberExists, Invalid, NotFound.
    """
    if role not in Role.values:
        raise Invalid("No such role")
    if role == Role.AUDITOR and (expires_at is None or expires_at <= at):
        raise Invalid("An auditor's membership ends on a date in the future")
    with transaction.atomic():
        organisation = _lock(organisation_id)
        user = User.objects.filter(email=email.strip().lower()).first()
        password = None
        if user is None:
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(email.strip(), password, name=name, date_joined=at)
        if Membership.objects.filter(user=user, organisation=organisation).exists():
            raise MemberExists()
        membership = Membership.objects.create(
            user=user, organisation=organisation, role=role, expires_at=expires_at, created_at=at
        )
        journal.record(
            event="membership.added",
            object_id=user.public_id,
            actor=actor,
            at=at,
            provider_id=organisation.pk,
            data={"role": role, "organisation": organisation.public_id},
        )
    return membership, password


def remove_member(*, organisation_id: int, user_public_id: str, at: datetime, actor: Actor) -> None:
    """The person may no longer act for the organisation. Raises LastOwner, NotFound."""
    with transaction.atomic():
        organisation = _lock(organisation_id)
        membership = Membership.objects.filter(
            organisation=organisation, user__public_id=user_public_id
        ).first()
        if membership is None:
            raise NotFound("No such member")
        owners = Membership.objects.filter(organisation=organisation, role=Role.OWNER)
        if membership.role == Role.OWNER and owners.count() == 1:
            raise LastOwner()
        membership.delete()
        journal.record(
            event="membership.removed",
            object_id=user_public_id,
            actor=actor,
            at=at,
            provider_id=organisation.pk,
            data={"role": membership.role, "organisation": organisation.public_id},
        )


def create_project(*, organisation_id: int, name: str, at: datetime, actor: Actor) -> Project:
    """A division of the organisation exists. Raises Invalid where the name is taken."""
    try:
        with transaction.atomic():
            project = Project.objects.create(
                organisation_id=organisation_id, name=name, created_at=at
            )
    except IntegrityError as error:
        raise Invalid("A project of this name exists already") from error
    journal.record(
        event="project.created",
        object_id=project.public_id,
        actor=actor,
        at=at,
        tenant_id=organisation_id,
    )
    return project


def actor_of(*, user: User, organisation: Organisation, at: datetime) -> Actor | None:
    """What a signed-in person may do for an organisation now; None where nothing."""
    membership = (
        Membership.objects.filter(user=user, organisation=organisation)
        .select_related("organisation")
        .first()
    )
    if membership is None or not user.is_active:
        return None
    if membership.expires_at is not None and membership.expires_at <= at:
        return None
    return actor_of_membership(user=user, membership=membership)


def actor_of_membership(*, user: User, membership: Membership) -> Actor:
    organisation = membership.organisation
    table = OPERATOR_ROLE_SCOPES if organisation.is_operator else ROLE_SCOPES
    return Actor(
        kind="user",
        label=user.public_id,
        organisation_id=organisation.pk,
        role=membership.role,
        scopes=table[membership.role],
        sees_everything=organisation.is_operator,
    )


def memberships_of(*, user: User, at: datetime) -> list[Membership]:
    """The organisations a person may act for now, by name."""
    rows = Membership.objects.filter(user=user).select_related("organisation")
    live = [row for row in rows if row.expires_at is None or row.expires_at > at]
    return sorted(live, key=lambda row: row.organisation.name)


def issue_key(
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

    Raises ScopeEscalation, Invalid.
    """
    wanted = set(scopes)
    if not wanted or not wanted <= set(SCOPES):
        raise Invalid("Unknown scopes", unknown=sorted(wanted - set(SCOPES)))
    if actor.kind != "system" and not wanted <= actor.scopes:
        raise ScopeEscalation(missing=sorted(wanted - actor.scopes))
    if expires_at is not None and expires_at <= at:
        raise Invalid("A key expires in the future")
    networks = [_network(text) for text in ip_allow]
    lookup, secret = _random_text(8), _random_text(_SECRET_LENGTH)
    with transaction.atomic():
        key = ApiKey.objects.create(
            organisation_id=organisation_id,
            project_id=project_id,
            name=name,
            lookup=lookup,
            secret_sha256=_digest(secret),
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
    return key, f"ck_live_{lookup}_{secret}{_checksum(lookup + secret)}"


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise Invalid(f"Not an address or network: {text}") from error


def revoke_key(*, key_public_id: str, at: datetime, actor: Actor) -> None:
    """The key opens nothing any more. Idempotent. Raises NotFound."""
    with transaction.atomic():
        key = (
            ApiKey.objects.visible_to(actor)
            .select_for_update(of=("self",), no_key=True)
            .filter(public_id=key_public_id)
            .first()
        )
        if key is None:
            raise NotFound("No such key")
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


def authenticate_key(*, text: str, ip: str | None, at: datetime) -> tuple[ApiKey, Actor]:
    """Who the bearer of a key is. One statement; a second at most once a minute.

    The secret is random, so a plain digest keeps it safe and a constant-time comparison
    hides how much of a guess was right. Raises BadKey and never says why.
    """
    parts = text.split("_")
    if len(parts) != 4 or parts[:2] != ["ck", "live"]:
        raise BadKey()
    lookup, tail = parts[2], parts[3]
    secret, checksum = tail[:_SECRET_LENGTH], tail[_SECRET_LENGTH:]
    if not tail.isascii() or not lookup.isascii() or checksum != _checksum(lookup + secret):
        raise BadKey()
    key = ApiKey.objects.select_related("organisation").filter(lookup=lookup).first()
    if key is None or not hmac.compare_digest(bytes(key.secret_sha256), _digest(secret)):
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
        sees_everything=key.organisation.is_operator,
    )


def _allowed(ip: str | None, networks: list[str]) -> bool:
    if ip is None:
        return False
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in networks)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _random_text(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    """Lets a leak scanner, and a typing error, be told from a key without a look-up."""
    number = zlib.crc32(text.encode())
    letters = []
    for _ in range(_CHECKSUM_LENGTH):
        number, rest = divmod(number, 62)
        letters.append(_ALPHABET[rest])
    return "".join(letters)
