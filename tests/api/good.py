"""A request that is taken: who sends it, what, and to which row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.api.market import Market


@dataclass(frozen=True)
class Good:
    """Who sends it, and what."""

    who: str
    body: Callable[[Market], Any]
    row: Callable[[Market], str] | None = None  # where any object of the collection does not do


def no_body(market: Market) -> Any:
    return None


def reason(market: Market) -> Any:
    return {"reason": "test"}
