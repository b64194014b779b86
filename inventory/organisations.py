"""Legal entities and people: who exists, and who may act for whom."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import IntegrityError, transaction

from inventory import journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import JournalEntry, Membership, Organisation, Project, User, Verification

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
        "invoices:read",
        "journal:read",
        "cases:read",
    }
)
_RUNS = frozenset(
    {
        "inventory:write",
        "listings:write",
        "reservations:write",
        "leases:write",
        "credentials:reveal",
        "cases:write",
    }
)
# Pays online, and says where the organisation is paid.
_OWNS = frozenset({"keys:write", "members:write", "quotas:write"})
# Own bank accounts, money out of the own wallet; invoices.
_PAYS = frozenset({"wallet:write", "invoices:write", "payouts:write"})
_OPERATES = frozenset({"cases:write", "organisations:write", "receipts:record", "receipts:approve"})
_SETTLES = frozenset({"settlements:write", "credit:write", "quotas:write"})
_IS_PAID = frozenset({"payees:write"})
_AUDITS = frozenset({"audit:read"})

# What a role may do in an organisation that trades …
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: _READS | _RUNS | _OWNS | _PAYS | _IS_PAID,
    Role.OPERATOR: _READS | _RUNS,
    Role.FINANCE: _READS | _PAYS | _IS_PAID,
    Role.VIEWER: _READS,
    Role.AUDITOR: _READS,
}
# … and in the operator, which runs the market and never trades in it.
OPERATOR_ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: _READS | _OWNS | _PAYS | _OPERATES | _SETTLES | _AUDITS,
    Role.OPERATOR: _READS | {"cases:write", "organisations:write"} | _AUDITS,
    Role.FINANCE: _READS | _PAYS | {"receipts:record", "receipts:approve"} | _SETTLES | _AUDITS,
    Role.VIEWER: _READS | _AUDITS,
    Role.AUDITOR: _READS | _AUDITS,
}
SCOPES = sorted(OPERATOR_ROLE_SCOPES[Role.OWNER] | ROLE_SCOPES[Role.OWNER])


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

    One that was taken can be taken back: a rejected organisation that hands in its papers
    again is pending for that moment. A rejection needs a reason. Raises IllegalTransition
    where the same was decided before, Invalid, NotFound.
    """
    if not verified and not reason.strip():
        raise Invalid("Say why the organisation is rejected")
    to = Verification.VERIFIED if verified else Verification.REJECTED
    with transaction.atomic():
        organisation = _lock(organisation_id)
        anew = Verification.REJECTED if verified else Verification.UNVERIFIED
        if organisation.state == anew:
            transitions.advance(organisation, to=Verification.PENDING, at=at, actor=actor)
        transitions.advance(organisation, to=to, at=at, actor=actor, reason=reason)
    return organisation


def verdict(organisation: Organisation) -> JournalEntry | None:
    """The last decision on its papers, with its reason."""
    rows = JournalEntry.objects.filter(
        object_id=organisation.public_id,
        to_state__in=[Verification.VERIFIED, Verification.REJECTED],
    )
    return rows.order_by("-id").first()


def rejection(organisation: Organisation) -> str:
    """Why its papers were rejected, in the operator's words; empty where they were not."""
    if organisation.state != Verification.REJECTED:
        return ""
    entry = verdict(organisation)
    return entry.reason if entry else ""


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
