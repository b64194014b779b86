"""What a production set-up must not have: `manage.py check --deploy` refuses it."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register


@register(Tags.security, deploy=True)
def demo_is_off(**_: Any) -> list[CheckMessage]:
    """A demo world has passwords that everybody knows."""
    if settings.DEMO:
        return [Error("DEMO is on", hint="Unset DEMO.", id="cardhour.E001")]
    return []


@register(Tags.security, deploy=True)
def broker_is_built_for_it(**_: Any) -> list[CheckMessage]:
    """The embedded broker polls one database; `memory://` loses every task."""
    scheme = settings.CELERY_BROKER_URL.split(":")[0]
    if scheme in ("pgmq", "memory"):
        return [
            Error(
                f"{scheme} is no broker for production",
                hint="Set CELERY_BROKER_URL to RabbitMQ (amqp://…) or Redis (redis://…).",
                id="cardhour.E002",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def credentials_can_be_kept(**_: Any) -> list[CheckMessage]:
    """Without a key no lease can hand over access; a wrong one fails at the first delivery."""
    if not settings.CREDENTIAL_KEYS:
        return [
            Error(
                "CREDENTIAL_KEYS is empty",
                hint="Set one Fernet key.",
                id="cardhour.E003",
            )
        ]
    for number, key in enumerate(settings.CREDENTIAL_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            return [Error(f"credential key {number} is not a Fernet key", id="cardhour.E004")]
    return []


@register(Tags.security, deploy=True)
def roles_are_apart(**_: Any) -> list[CheckMessage]:
    """The ledger's and the journal's rules rest on a runtime role that owns nothing."""
    owner = settings.DATABASES.get("owner")
    if owner is not None and owner["USER"] == settings.DATABASES["default"]["USER"]:
        return [
            Error(
                "DATABASE_URL and DATABASE_OWNER_URL name the same role",
                hint="Serve as a role without rights on the schema; migrate as its owner.",
                id="cardhour.E005",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def mail_is_sent(**_: Any) -> list[CheckMessage]:
    """Without a mail server, links that set a new password would stand in the worker's log."""
    if not settings.EMAIL_HOST:
        return [
            Error(
                "EMAIL_HOST is empty",
                hint="Set EMAIL_HOST, and EMAIL_HOST_USER and EMAIL_HOST_PASSWORD it wants.",
                id="cardhour.E006",
            )
        ]
    return []
