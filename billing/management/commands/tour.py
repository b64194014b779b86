"""`tour`: the demo world's log-ins, and three curl lines that work as they stand."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing.demo.catalogue import PASSWORD, TENANT, TOUR_CHIP
from billing.demo.people import LOGINS, SEED
from inventory import keys
from inventory.actors import Actor
from inventory.models import ApiKey, Organisation
from inventory.organisations import ROLE_SCOPES

KEY_NAME = "tour"
KEY_DAYS = 7
READING_TIME = timedelta(minutes=3)  # until the first start: the lines want to be copied
OFFER, IDENTITY = '["data"][0]["token"]', '["id"]'  # where an answer keeps it


class Command(BaseCommand):
    help = "Prints the demo log-ins and three curl lines with a fresh key for the demo tenant."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="http://127.0.0.1:8000")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("the tour is for the demo world; set DEMO=1")
        tenant = Organisation.objects.filter(name=TENANT).first()
        if tenant is None:
            raise CommandError("no demo world here yet: run seed_demo first")
        now = datetime.now(UTC)
        with transaction.atomic(durable=True):
            key = _fresh_key(tenant, now)
        self.stdout.write(_logins())
        self.stdout.write(_curls(options["url"].rstrip("/"), key, now))


def _fresh_key(tenant: Organisation, now: datetime) -> str:
    """A key of its own for this start; those of earlier starts open nothing any more."""
    actor = Actor(
        kind="system",
        label=SEED.label,
        organisation_id=tenant.pk,
        scopes=ROLE_SCOPES["owner"],
    )
    old = ApiKey.objects.filter(organisation=tenant, name=KEY_NAME, revoked_at__isnull=True)
    for public_id in old.values_list("public_id", flat=True):
        keys.revoke(key_public_id=public_id, at=now, actor=actor)
    _, text = keys.issue(
        organisation_id=tenant.pk,
        name=KEY_NAME,
        scopes=ROLE_SCOPES["owner"],
        at=now,
        actor=actor,
        expires_at=now + timedelta(days=KEY_DAYS),
    )
    return text


def _logins() -> str:
    width = max(len(login.email) for login in LOGINS)
    lines = [f"  {login.email:<{width}}  {login.what}" for login in LOGINS]
    return "\n".join([f"Sign in with the password {PASSWORD} as", *lines, ""])


def _curls(url: str, key: str, now: datetime) -> str:
    """Search, hold, confirm: each line takes what it needs from the one before."""
    start = now.replace(second=0, microsecond=0) + READING_TIME
    end = start + timedelta(days=7)
    stamp = f"{now:%H%M%S}"
    search = {
        "chips": [TOUR_CHIP],
        "units": 2,
        "hours": 24,
        "earliest_start": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "latest_end": f"{end:%Y-%m-%dT%H:%M:%SZ}",
    }
    post = 'curl -s -H "$K" -H "Content-Type: application/json"'
    return "\n".join(
        [
            "As the tenant, over the API (copy them in this order):",
            f'  K="Authorization: Bearer {key}"',
            f"  OFFER=$({post} {url}/api/v1/offers/search"
            f" -d '{json.dumps(search)}' | {_pick(OFFER)})",
            f'  RSV=$({post} -H "Idempotency-Key: hold-{stamp}" {url}/api/v1/reservations'
            f""" -d "{{\\"offer\\": \\"$OFFER\\"}}" | {_pick(IDENTITY)})""",
            f'  {post} -H "Idempotency-Key: confirm-{stamp}"'
            f" {url}/api/v1/reservations/$RSV/confirm -d '{{}}'",
            f"Its machines arrive within a minute of the start: {url}/leases/",
            "",
        ]
    )


def _pick(path: str) -> str:
    """Reads one value out of the answer, with nothing but the Python that is here anyway.

    An answer without it, a refusal, is shown instead."""
    key = path[1 : path.index("]")]
    found = f"print(a{path} if a.get({key}) else sys.exit(str(a)))"
    return f"python3 -c 'import json, sys; a = json.load(sys.stdin); {found}'"
