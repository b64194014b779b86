"""Every operation of the API, read from the URL resolver: a new route cannot be forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

_NOT_VIEWS = {"openapi"}


@dataclass(frozen=True)
class Route:
    method: str
    path: str  # `/leases/{public_id}/usage`
    action: str
    view: Any

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def scope(self) -> str | None:
        scope: str | None = self.view.required_scopes[self.action]
        return scope

    @property
    def is_idempotent(self) -> bool:
        return self.action in self.view.idempotent


def routes() -> list[Route]:
    return sorted(_walk(get_resolver().url_patterns, ""), key=str)


def _walk(patterns: Any, prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        here = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, here)
        elif (
            isinstance(pattern, URLPattern)
            and here.startswith("api/v1/")
            and pattern.name not in _NOT_VIEWS
        ):
            path = "/" + re.sub(r"<str:(\w+)>", r"{\1}", here.removeprefix("api/v1/"))
            view: Any = pattern.callback
            for method, action in view.actions.items():
                if method != "head":
                    yield Route(method.upper(), path, action, view.cls)
