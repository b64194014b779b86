"""Settings of the market that nothing starts with, and a calendar that runs out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured

from marketplace import checks
from marketplace.policy import business_days

EMPTY = {"zone": "Asia/Shanghai", "every_year": {"rest": []}, "years": {}}


def _ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_the_defaults_are_within_bounds() -> None:
    assert checks.holds_are_bounded() == []
    assert checks.business_days_are_known() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOLD_SECONDS", 59),
        ("HOLD_SECONDS", 86_401),
        ("HOLD_DEPOSIT_BPS", 0),
        ("HOLD_DEPOSIT_MOST_BPS", 10_001),
        ("HOLD_CARD_HOURS_LIMIT", 0),
        ("BANK_HOLD_DAY_BPS", -1),
        ("PAY_BY_BUSINESS_DAYS", 21),
        ("PAY_BY_HOUR", 24),
    ],
)
def test_refuses_a_hold_for_ever_or_for_nothing(settings: Any, name: str, value: int) -> None:
    setattr(settings, name, value)

    assert _ids(checks.holds_are_bounded()) == ["cardhour.E015"]


def test_refuses_a_least_deposit_above_the_most(settings: Any) -> None:
    settings.HOLD_DEPOSIT_BPS, settings.HOLD_DEPOSIT_MOST_BPS = 300, 200

    assert _ids(checks.holds_are_bounded()) == ["cardhour.E016"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        json.dumps({**EMPTY, "years": {"2026": {"rest": [["02-30", "03-01"]], "work": []}}}),
        json.dumps({**EMPTY, "years": {"2026": {"rest": [["03-02", "03-01"]], "work": []}}}),
        json.dumps({**EMPTY, "zone": "Mars/Base"}),
    ],
)
def test_refuses_what_is_no_calendar(settings: Any, tmp_path: Path, text: str) -> None:
    path = tmp_path / "days.json"
    path.write_text(text)
    settings.BUSINESS_CALENDAR = str(path)

    assert _ids(checks.business_days_are_known()) == ["cardhour.E017"]
    settings.BUSINESS_CALENDAR = str(tmp_path / "absent.json")
    assert _ids(checks.business_days_are_known()) == ["cardhour.E017"]


def test_warns_where_the_year_ahead_has_no_notice(settings: Any, tmp_path: Path) -> None:
    document = json.loads(Path(configured.BUSINESS_CALENDAR).read_text(encoding="utf-8"))
    now = datetime.now(UTC).year
    document["years"] = {str(year): {"rest": [], "work": []} for year in (now, now + 1)}
    known, unknown = tmp_path / "known.json", tmp_path / "unknown.json"
    known.write_text(json.dumps(document))
    document["years"] = {}
    unknown.write_text(json.dumps(document))

    settings.BUSINESS_CALENDAR = str(known)
    assert checks.the_next_year_is_known() == []
    settings.BUSINESS_CALENDAR = str(unknown)
    assert _ids(checks.the_next_year_is_known()) == ["cardhour.W018"]
    settings.PAY_BY_BUSINESS_DAYS = 0  # nobody asks the calendar
    assert checks.the_next_year_is_known() == []


def test_the_calendar_of_the_house_is_read() -> None:
    assert business_days.current().years == {2025, 2026}
