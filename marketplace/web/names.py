"""Names in the reader's language, where they have one in it."""

from __future__ import annotations

from typing import Protocol

from django.utils.translation import get_language, override

from inventory.models import HubNode


class Named(Protocol):
    """A centre or an organisation."""

    @property
    def name(self) -> str: ...
    @property
    def name_en(self) -> str: ...


class Placed(Protocol):
    """A centre, or an offer in one."""

    @property
    def region(self) -> str: ...
    @property
    def hub(self) -> str: ...


def of(row: Named) -> str:
    """The Chinese name for who reads Chinese; else the English one, where it is known."""
    return choose(row.name, row.name_en)


def choose(name: str, name_en: str) -> str:
    chinese = (get_language() or "").startswith("zh")
    return name if chinese or not name_en else name_en


def place(row: Placed) -> str:
    """Province and hub node; once where a hub is named after its province, or there is none."""
    hub = HubNode(row.hub)
    with override("zh-hans"):
        province = str(hub.label)
    if hub == HubNode.NONE:
        return row.region
    return str(hub.label) if row.region == province else f"{row.region} · {hub.label}"
