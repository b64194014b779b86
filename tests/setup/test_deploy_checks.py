from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as configured

from marketplace import checks


def _ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("pgmq://u:p@h/db", ["cardhour.E002"]),
        ("memory://", ["cardhour.E002"]),
        ("amqp://guest@rabbit//", []),
        ("redis://cache/0", []),
    ],
)
def test_refuses_a_broker_that_loses_tasks(settings: Any, url: str, expected: list[str]) -> None:
    settings.CELERY_BROKER_URL = url

    assert _ids(checks.broker_is_built_for_it()) == expected


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], ["cardhour.E003"]),
        (["not a key"], ["cardhour.E004"]),
        ([Fernet.generate_key().decode()], []),
    ],
)
def test_wants_a_key_for_credentials(settings: Any, keys: list[str], expected: list[str]) -> None:
    settings.CREDENTIAL_KEYS = keys

    assert _ids(checks.credentials_can_be_kept()) == expected


def test_refuses_a_demo(settings: Any) -> None:
    settings.DEMO = True
    assert _ids(checks.demo_is_off()) == ["cardhour.E001"]
    settings.DEMO = False
    assert _ids(checks.demo_is_off()) == []


def test_refuses_one_role_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = configured.DATABASES["default"]["USER"]
    monkeypatch.setitem(configured.DATABASES, "owner", {"USER": runtime})
    assert _ids(checks.roles_are_apart()) == ["cardhour.E005"]
    monkeypatch.setitem(configured.DATABASES, "owner", {"USER": "another"})
    assert _ids(checks.roles_are_apart()) == []


def test_wants_a_mail_server(settings: Any) -> None:
    settings.EMAIL_HOST = ""
    assert _ids(checks.mail_is_sent()) == ["cardhour.E006"]
    settings.EMAIL_HOST = "mail.example"
    assert _ids(checks.mail_is_sent()) == []
