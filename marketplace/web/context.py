"""What every page of the console shows around its content."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from inventory import organisations
from marketplace.web import navigation
from marketplace.web.entry import Visit

THEMES = ("light", "dark")


def console(request: HttpRequest) -> dict[str, Any]:
    """The visit, its navigation and the reader's theme (light, dark, or the system's)."""
    theme = request.COOKIES.get("theme", "")
    visit: Visit | None = getattr(request, "visit", None)
    return {
        "visit": visit,
        "theme": theme if theme in THEMES else "",
        "navigation": navigation.sections(visit, request.path) if visit else [],
        "rejection": organisations.rejection(visit.organisation) if visit else "",
    }
