"""Long lists, newest first, in pages that do not shift while rows are added."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

M = TypeVar("M", bound=Model)
SIZE = 50
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[M]):
    """Some rows, and where the older ones begin."""

    rows: list[M]
    older: int | None
    is_first: bool
    kept: str = ""  # the rest of the query, such as a filter, ready to be added to


def paged(rows: QuerySet[M], request: HttpRequest, *, key: str = "pk", size: int = SIZE) -> Page[M]:
    """The rows below `?before=`, by descending key; anything unreadable is the first page."""
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if before is not None and before <= _LARGEST:
        rows = rows.filter(**{f"{key}__lt": before})
    found = list(rows.order_by(f"-{key}")[: size + 1])
    older = getattr(found[size - 1], key) if len(found) > size else None
    rest = request.GET.copy()
    rest.pop("before", None)
    kept = f"{rest.urlencode()}&" if rest else ""
    return Page(rows=found[:size], older=older, is_first=before is None, kept=kept)
