"""The organisations of the demo world, their people, and money in the tenants' wallets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password

from billing import payments
from billing.demo.catalogue import (
    DOMAIN,
    OPERATOR,
    PASSWORD,
    PROVIDER,
    PROVIDERS,
    TENANT,
    TENANTS,
)
from inventory import actors, organisations
from inventory.actors import Actor
from inventory.models import Membership, Organisation, User

SEED = actors.system("demo")
TOP_UP_MINOR = 400_000_000_00  # 400 million yuan: enough for sixty days of anybody's leases
AUDIT_DAYS = 90


@dataclass(frozen=True, slots=True)
class Login:
    """A printed log-in of the demo world."""

    email: str
    organisation: str
    role: str
    what: str


LOGINS = (
    Login(f"provider@{DOMAIN}", PROVIDER, Membership.Role.OWNER, "lists capacity"),
    Login(f"tenant@{DOMAIN}", TENANT, Membership.Role.OWNER, "reserves it"),
    Login(
        f"operator@{DOMAIN}",
        OPERATOR[0],
        Membership.Role.OWNER,
        "runs and audits the market",
    ),
    Login(
        f"finance@{DOMAIN}",
        OPERATOR[0],
        Membership.Role.FINANCE,
        "approves bank receipts",
    ),
    Login(f"auditor@{DOMAIN}", OPERATOR[0], Membership.Role.AUDITOR, "reads everything"),
)


def populate(*, at: datetime, now: datetime) -> dict[str, Organisation]:
    """The organisations and log-ins exist, verified, the tenants with money. By name."""
    rows = {OPERATOR[0]: _operator(at)}
    for name, name_en in PROVIDERS.items():
        rows[name] = _trader(name, name_en, at, is_provider=True)
    for name, name_en in TENANTS.items():
        rows[name] = _trader(name, name_en, at, is_tenant=True)
    password = make_password(PASSWORD)  # slow by design: once is enough
    for login in LOGINS:
        _login(login, rows[login.organisation], password, at=at, now=now)
    for name in TENANTS:
        _top_up(rows[name], rows[OPERATOR[0]], at)
    return rows


def _operator(at: datetime) -> Organisation:
    return Organisation.objects.create(
        name=OPERATOR[0],
        name_en=OPERATOR[1],
        is_operator=True,
        state="verified",
        created_at=at,
    )


def _trader(name: str, name_en: str, at: datetime, **kinds: Any) -> Organisation:
    row = organisations.register(name=name, name_en=name_en, at=at, actor=SEED, **kinds)
    return organisations.decide(organisation_id=row.pk, verified=True, at=at, actor=SEED)


def _login(
    login: Login, organisation: Organisation, password: str, *, at: datetime, now: datetime
) -> None:
    User.objects.create(email=login.email, password=password, date_joined=at)
    expires_at = None
    if login.role == Membership.Role.AUDITOR:
        expires_at = now + timedelta(days=AUDIT_DAYS)
    organisations.add_member(
        organisation_id=organisation.pk,
        email=login.email,
        role=login.role,
        at=at,
        actor=SEED,
        expires_at=expires_at,
    )


def _top_up(tenant: Organisation, operator: Organisation, at: datetime) -> None:
    """As in life: one person records the bank's line, another approves it."""
    recorder, approver = (
        User.objects.get(email=f"{name}@{DOMAIN}") for name in ("operator", "finance")
    )
    receipt = payments.record_receipt(
        tenant_id=tenant.pk,
        bank_reference=f"DEMO-{tenant.pk:06d}",
        payer_name=tenant.name,
        amount_minor=TOP_UP_MINOR,
        currency="CNY",
        received_date=at.date(),
        at=at,
        actor=_person(recorder, operator),
        user=recorder,
    )
    payments.approve_receipt(
        receipt_public_id=receipt.public_id,
        at=at,
        actor=_person(approver, operator),
        user=approver,
    )


def _person(user: User, operator: Organisation) -> Actor:
    actor = organisations.actor_of(
        user=user, organisation=operator, at=user.date_joined or operator.created_at
    )
    if actor is None:
        raise RuntimeError(f"{user.email} may not act for {operator.name}")
    return actor
