"""Names in the reader's language, where they have one in it."""

from __future__ import annotations

from typing import Protocol

from django.utils.translation import get_language


class Named(Protocol):
    """A centre or an organisation."""

    @property
    def name(self) -> str: ...
    @property
    def name_en(self) -> str: ...


def of(row: Named) -> str:
    """The Chinese name for who reads Chinese; else the English one, where it is known."""
    return choose(row.name, row.name_en)


def choose(name: str, name_en: str) -> str:
    chinese = (get_language() or "").startswith("zh")
    return name if chinese or not name_en else name_en
