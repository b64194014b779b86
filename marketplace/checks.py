"""What a production set-up must not have: `manage.py check --deploy` refuses it; and settings
of the market that contradict each other, which nothing starts with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from marketplace.policy import business_days

MONTH_AHEAD = timedelta(days=31)
# Least and most, of what the operator may set.
HOLD_BOUNDS = {
    "HOLD_SECONDS": (60, 86_400),
    "HOLD_DEPOSIT_BPS": (1, 10_000),
    "HOLD_DEPOSIT_MOST_BPS": (1, 10_000),
    "HOLD_CARD_HOURS_LIMIT": (1, 10**12),
    "BANK_HOLD_DAY_BPS": (0, 10_000),
    "PAY_BY_BUSINESS_DAYS": (0, 20),
    "PAY_BY_HOUR": (0, 23),
}


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


@register()
def holds_are_bounded(**_: Any) -> list[CheckMessage]:
    """Nothing is held for ever or for nothing, whatever the environment says."""
    found: list[CheckMessage] = [
        Error(f"{name} lies between {least} and {most}", id="cardhour.E015")
        for name, (least, most) in HOLD_BOUNDS.items()
        if not least <= getattr(settings, name) <= most
    ]
    if settings.HOLD_DEPOSIT_BPS > settings.HOLD_DEPOSIT_MOST_BPS:
        found.append(
            Error("HOLD_DEPOSIT_BPS is more than HOLD_DEPOSIT_MOST_BPS", id="cardhour.E016")
        )
    return found


@register()
def business_days_are_known(**_: Any) -> list[CheckMessage]:
    """A pay-by date needs a calendar that can be read."""
    try:
        business_days.current()
    except (OSError, ValueError, KeyError, TypeError, ZoneInfoNotFoundError) as error:
        return [
            Error(
                f"BUSINESS_CALENDAR {settings.BUSINESS_CALENDAR} is no calendar: {error}",
                hint="Take marketplace/data/business_days_cn.json as the example.",
                id="cardhour.E017",
            )
        ]
    return []


@register(Tags.security, deploy=True)
def the_next_year_is_known(**_: Any) -> list[CheckMessage]:
    """In a year without the State Council's notice, holidays that move count as working days."""
    calendar = business_days.current()
    ahead = (datetime.now(UTC) + MONTH_AHEAD).astimezone(calendar.zone).year
    if settings.PAY_BY_BUSINESS_DAYS and ahead not in calendar.years:
        return [
            Warning(
                f"BUSINESS_CALENDAR has no holidays of {ahead}",
                hint="Add the year from the State Council's notice, which is out in November.",
                id="cardhour.W018",
            )
        ]
    return []
