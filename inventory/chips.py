"""The chip catalogue, read from `chips.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from inventory.models import Chip

CATALOGUE = Path(__file__).with_name("chips.toml")


def read_catalogue() -> list[Chip]:
    """The chips of the file, unsaved, by code. What it leaves out is null: unknown."""
    tables: dict[str, dict[str, Any]] = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    return [Chip(code=code, **facts) for code, facts in sorted(tables.items())]


def load_catalogue() -> int:
    """The table says what the file says; returns how many chips it names. Idempotent.

    A chip that has left the file stays, because pools may still name it.
    """
    chips = read_catalogue()
    facts = [field.name for field in Chip._meta.concrete_fields if field.name != "code"]
    Chip.objects.bulk_create(
        chips, update_conflicts=True, unique_fields=["code"], update_fields=facts
    )
    return len(chips)
