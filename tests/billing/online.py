"""Online payment in the small world: our own Stripe, and everything that follows from it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from pytest_django import Settings

from billing import chart, fakestripe, gateway, ledger
from billing.fakestripe import events as messages
from billing.fakestripe import hands
from billing.gateway import signatures
from billing.models import (
    LedgerEntry,
    PayoutAccount,
    PspBalanceTransaction,
    PspRequest,
    TopUp,
    WalletRefund,
)
from billing.psp import accounts, events, refunds, sending, sweeping, topups
from inventory.models import Organisation
from tests import world

SECRET, CONNECT_SECRET = "whsec_platform", "whsec_connect"


def switch_on(settings: Settings) -> None:
    settings.STRIPE_FAKE = True
    settings.STRIPE_API_KEY = ""
    settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    settings.STRIPE_CONNECT_WEBHOOK_SECRETS = [CONNECT_SECRET]


def now() -> datetime:
    """The fake lives in the present, so these stories do too."""
    return datetime.now(UTC)


def later(**span: float) -> datetime:
    return now() + timedelta(**span)


def send(at: datetime | None = None) -> int:
    return sending.send_due(at=at or now(), limit=100)


def deliver(chance: random.Random | None = None) -> int:
    """The fake's webhooks reach us, signed; then they are applied."""
    for message in messages.take(chance=chance):
        hand_in(message)
    return apply()


def hand_in(message: messages.Delivery) -> bool:
    secret = SECRET if message.endpoint == "platform" else CONNECT_SECRET
    return events.receive(
        endpoint=message.endpoint,
        body=message.body.encode(),
        header=signatures.sign(message.body, secret, at=now()),
        at=now(),
    )


def apply(at: datetime | None = None) -> int:
    return events.apply_due(at=at or later(hours=30), limit=10_000)


def start(amount_minor: int = 100_000, tenant: Organisation | None = None) -> TopUp:
    tenant = tenant or world.tenant()
    row = topups.start(
        tenant_id=tenant.pk,
        amount_minor=amount_minor,
        currency="CNY",
        at=now(),
        actor=world.actor(tenant),
    )
    send()
    send()
    row.refresh_from_db()
    return row


def paid(amount_minor: int = 100_000, **how: Any) -> TopUp:
    """A payment made and booked."""
    row = start(amount_minor)
    assert row.intent_id
    hands.pay(row.intent_id, **how)
    deliver()
    row.refresh_from_db()
    return row


def refund(top_up: TopUp, amount_minor: int) -> WalletRefund:
    row = refunds.ask(
        top_up_public_id=top_up.public_id,
        amount_minor=amount_minor,
        at=now(),
        actor=world.actor(top_up.tenant),
    )
    send()
    row.refresh_from_db()
    return row


def account(provider: Organisation | None = None) -> PayoutAccount:
    """A provider that Stripe can pay."""
    provider = provider or world.provider()
    row = accounts.open_account(
        provider_id=provider.pk, country="HK", at=now(), actor=world.actor(provider)
    )
    send()
    row.refresh_from_db()
    assert row.account_id
    hands.complete(row.account_id)
    deliver()
    row.refresh_from_db()
    return row


def differences() -> list[str]:
    """Where our books and Stripe's disagree: per currency, per line, per fact."""
    found = []
    sweeping.import_lines(at=now())
    for code, (available, pending) in gateway.balance().items():
        ours = ledger.posted(chart.stripe(code))
        if ours != available + pending:
            found.append(f"{code}: {ours} here, {available + pending} there")
    for line in PspBalanceTransaction.objects.all():
        entries = LedgerEntry.objects.filter(
            account__code=chart.stripe(line.currency),
            transaction__external_reference=line.source or line.transaction_id,
            amount_minor=line.net_minor,
        )
        if entries.count() != 1:
            found.append(f"{line.transaction_id} {line.type}: {entries.count()} entries")
    return found


def requests_of(subject: str) -> list[PspRequest]:
    return list(PspRequest.objects.filter(subject=subject).order_by("pk"))


def unlocked() -> bool:
    """No look at an object has left its lock behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            " AND classid = %s",
            [0x5117],
        )
        return bool(cursor.fetchone()[0] == 0)


__all__ = ["fakestripe", "hands"]
