"""The organisations of the demo world, their people, and money in the tenants' wallets."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.hashers import make_password

from billing import bank_accounts, receipts
from billing.demo.catalogue import (
    DOMAIN,
    NEWCOMER,
    OPERATOR,
    PASSWORD,
    PROVIDER,
    PROVIDERS,
    TENANT,
    TENANTS,
)
from billing.models import BankReceipt
from inventory import actors, organisations
from inventory.actors import Actor
from inventory.errors import Invalid
from inventory.models import Membership, Organisation, User

SEED = actors.system("demo")
TOP_UP_MINOR = 400_000_000_00  # 400 million yuan: enough for sixty days of anybody's leases
AUDIT_DAYS = 90
OPERATOR_ACCOUNT: dict[str, Any] = {
    "bank_name": "示例银行北京中关村支行（演示账户，请勿汇款）",  # noqa: RUF001
    "statement_layout": "icbc",
    "file_layout": "cmb",
    "virtual_prefix": "000098765432",
    "virtual_digits": 6,
}


@dataclass(frozen=True, slots=True)
class Login:
    """A printed log-in of the demo world."""

    email: str
    name: str
    organisation: str
    role: str
    what: str


LOGINS = (
    Login(f"provider@{DOMAIN}", "林岚", PROVIDER, Membership.Role.OWNER, "lists capacity"),
    Login(f"tenant@{DOMAIN}", "周行", TENANT, Membership.Role.OWNER, "reserves it"),
    Login(
        f"operator@{DOMAIN}",
        "沈安",
        OPERATOR[0],
        Membership.Role.OWNER,
        "runs and audits the market",
    ),
    Login(
        f"finance@{DOMAIN}",
        "顾平",
        OPERATOR[0],
        Membership.Role.FINANCE,
        "approves bank receipts",
    ),
    Login(f"auditor@{DOMAIN}", "许正", OPERATOR[0], Membership.Role.AUDITOR, "reads everything"),
)


def populate(*, at: datetime, now: datetime) -> dict[str, Organisation]:
    """The organisations and log-ins exist, verified, the tenants with money. By name.

    One newcomer and one transfer wait for the operator to decide on them.
    """
    rows = {OPERATOR[0]: _operator(at)}
    for number, (name, name_en) in enumerate({**PROVIDERS, **TENANTS}.items(), start=1):
        row = _register(number, name, name_en, at, is_provider=name in PROVIDERS)
        rows[name] = organisations.decide(
            organisation_id=row.pk, verified=True, at=at, actor=SEED, reason="papers seen"
        )
    _register(99, *NEWCOMER, now - timedelta(days=1), is_provider=True)
    password = make_password(PASSWORD)  # slow by design: once is enough
    for login in LOGINS:
        _login(login, rows[login.organisation], password, at=at, now=now)
    _accounts(rows, at)
    for name in TENANTS:
        _top_up(rows[name], rows[OPERATOR[0]], at)
    _record(
        rows[TENANT],
        rows[OPERATOR[0]],
        TOP_UP_MINOR // 8,
        _bank_line(rows[TENANT].pk, now),
        now - timedelta(hours=3),
    )
    return rows


def _operator(at: datetime) -> Organisation:
    return Organisation.objects.create(
        name=OPERATOR[0],
        name_en=OPERATOR[1],
        is_operator=True,
        state="verified",
        created_at=at,
    )


def _register(
    number: int, name: str, name_en: str, at: datetime, *, is_provider: bool
) -> Organisation:
    return organisations.register(
        name=name,
        name_en=name_en,
        credit_code=_credit_code(number),
        is_provider=is_provider,
        is_tenant=not is_provider,
        at=at,
        actor=SEED,
    )


def _credit_code(number: int) -> str:
    """A well-formed code that nobody has: its registrar 000000 does not exist."""
    body = f"91000000MADEM0{number:03d}"
    for digit in "0123456789ABCDEFGHJKLMNPQRTUWXY":
        with contextlib.suppress(Invalid):
            organisations.check_credit_code(body + digit)
            return body + digit
    raise RuntimeError(f"no check digit for {body}")


def _login(
    login: Login, organisation: Organisation, password: str, *, at: datetime, now: datetime
) -> None:
    User.objects.create(email=login.email, name=login.name, password=password, date_joined=at)
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


def _accounts(rows: dict[str, Organisation], at: datetime) -> None:
    """Where tenants pay to, and everybody's own account; numbers that no bank has given out."""
    owner, finance = (User.objects.get(email=f"{who}@{DOMAIN}") for who in ("operator", "finance"))
    operator = rows[OPERATOR[0]]
    for number, organisation in enumerate(rows.values()):
        facts = OPERATOR_ACCOUNT if organisation.is_operator else {"bank_name": "示例银行"}
        account = bank_accounts.propose(
            owner=organisation,
            holder_name=organisation.name,
            number=f"0000 9876 5432 1{number:03d}",
            currency="CNY",
            at=at,
            actor=_person(owner, operator),
            user=owner,
            **facts,
        )
        bank_accounts.decide(
            account_public_id=account.public_id,
            verified=True,
            at=at,
            actor=_person(finance, operator),
            user=finance,
        )
    bank_accounts.assign_virtual_accounts(at=at, limit=100)


def _top_up(tenant: Organisation, operator: Organisation, at: datetime) -> None:
    """As in life: one person records the bank's line, another approves it."""
    receipt = _record(tenant, operator, TOP_UP_MINOR, _bank_line(tenant.pk, at), at)
    approver = User.objects.get(email=f"finance@{DOMAIN}")
    receipts.approve(
        receipt_public_id=receipt.public_id,
        at=at + timedelta(minutes=40),
        actor=_person(approver, operator),
        user=approver,
    )


def _bank_line(number: int, at: datetime) -> str:
    """As a bank numbers its lines: the day and a serial number."""
    return f"{at:%Y%m%d}{number:08d}"


def _record(
    tenant: Organisation, operator: Organisation, amount_minor: int, reference: str, at: datetime
) -> BankReceipt:
    recorder = User.objects.get(email=f"operator@{DOMAIN}")
    return receipts.record(
        tenant_id=tenant.pk,
        bank_reference=reference,
        payer_name=tenant.name,
        payer_account="0000 9876 5432 1098 765",
        amount_minor=amount_minor,
        currency="CNY",
        received_date=at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date(),
        at=at,
        actor=_person(recorder, operator),
        user=recorder,
    )


def _person(user: User, operator: Organisation) -> Actor:
    actor = organisations.actor_of(
        user=user, organisation=operator, at=user.date_joined or operator.created_at
    )
    if actor is None:
        raise RuntimeError(f"{user.email} may not act for {operator.name}")
    return actor
