"""The API's reference as a page of our own, drawn from the committed document."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory.errors import DomainError
from marketplace.http.idempotency import KEPT
from marketplace.http.problems import COMMON
from marketplace.models import Lease, Reservation

DOCUMENT = Path(settings.BASE_DIR) / "marketplace" / "api" / "openapi.yaml"
_MEANINGS: dict[type[Reservation | Lease], dict[str, Promise]] = {
    Reservation: {
        "held": _("Kept for you until expires_at; confirm it or give it back."),
        "confirmed": _("Became a lease, which has its own state."),
        "expired": _("Nobody confirmed it in time; the deposit is free again."),
        "cancelled": _("Given back, before it was confirmed or with its lease."),
    },
    Lease: {
        "scheduled": _("Paid for, waiting for its start; may be cancelled by its terms."),
        "delivering": _("Its machines are being prepared."),
        "active": _("Yours to use; what is delivered is charged by the hour."),
        "ending": _("Over; the machines are taken down and wiped."),
        "ended": _("Over, and every charge is made."),
        "failed": _("Could not be delivered; what was not delivered is refunded."),
        "cancelled": _("Given back before its start."),
    },
}
_METHODS = ("get", "post", "put", "patch", "delete")


def document(request: HttpRequest) -> FileResponse:
    """The document itself, as committed."""
    return FileResponse(DOCUMENT.open("rb"), content_type="application/yaml")


def page(request: HttpRequest) -> HttpResponse:
    """Every operation and every refusal on one page, without a script."""
    described = read()
    refusals = [{**refusal, "title": gettext(refusal["title"])} for refusal in refusals_by_code()]
    context = {
        **described,
        "refusals": refusals,
        "states": [_states(kind, meanings) for kind, meanings in _MEANINGS.items()],
        "origin": f"{request.scheme}://{request.get_host()}",
        "kept_days": KEPT.days,
        "per_minute": settings.REQUESTS_PER_MINUTE,
    }
    return render(request, "api/docs.html", context)


def _states(kind: type[Reservation | Lease], meanings: dict[str, Promise]) -> dict[str, Any]:
    table = kind.LIFECYCLE.table
    rows = [
        {"state": state, "meaning": meanings[state], "next": following}
        for state, following in table.items()
    ]
    return {"name": kind._meta.model_name, "rows": rows}


@lru_cache(maxsize=1)
def read() -> dict[str, Any]:
    """The document as the page shows it: operations by collection."""
    schema = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in schema["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                groups.setdefault(operation["tags"][0], []).append(
                    _operation(schema, path, method, operation)
                )
    return {
        "info": schema["info"],
        "introduction": schema["info"]["description"].split("\n\n"),
        "groups": [{"name": name, "operations": found} for name, found in sorted(groups.items())],
    }


def _operation(
    schema: dict[str, Any], path: str, method: str, operation: dict[str, Any]
) -> dict[str, Any]:
    description, _, scope = operation.get("description", "").rpartition("\n\n")
    content: dict[str, Any] = operation.get("requestBody", {}).get("content", {})
    media_type: str = next(iter(content), "")
    body: dict[str, Any] = content.get(media_type, {})
    replies = [
        _reply(schema, status, reply)
        for status, reply in sorted(operation["responses"].items())
        if status.startswith("2")
    ]
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "description": description.partition("\n\n")[2].replace("\n", " "),
        "scope": scope,
        "parameters": [_parameter(p) for p in operation.get("parameters", [])],
        "media_type": media_type,
        "fields": _fields(schema, body.get("schema", {})),
        "examples": [
            _pretty(example.get("value")) for example in body.get("examples", {}).values()
        ],
        "replies": replies,
        "refusals": [s for s in sorted(operation["responses"]) if not s.startswith("2")],
    }


def _reply(schema: dict[str, Any], status: str, reply: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = next(iter(reply.get("content", {}).values()), {})
    return {"status": status, "fields": _fields(schema, content.get("schema", {}))}


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter.get("required", False),
        "type": _type(parameter.get("schema", {})),
        "text": parameter.get("description", ""),
    }


def _resolve(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[1]
        part = schema["components"]["schemas"][name]
    return part


def _fields(
    schema: dict[str, Any], part: dict[str, Any], prefix: str = "", depth: int = 0
) -> list[dict[str, Any]]:
    """A body's fields, flat, nested ones with dots."""
    part = _resolve(schema, part)
    if part.get("type") == "array":
        return _fields(schema, part.get("items", {}), f"{prefix}[].", depth)
    rows: list[dict[str, Any]] = []
    for name, inner in part.get("properties", {}).items():
        choices = inner.get("allOf", inner.get("oneOf", []))
        choice: dict[str, Any] = next((one for one in choices if "$ref" in one), {})
        whole = _resolve(schema, {**inner, **choice})
        if "items" in whole:
            whole = {**whole, "items": _resolve(schema, whole["items"])}
        rows.append(
            {
                "name": f"{prefix}{name}",
                "required": name in part.get("required", []),
                "type": _type(whole),
                "text": inner.get("description", whole.get("description", "")),
            }
        )
        nested = whole.get("items", whole)
        if "properties" in nested and depth < 3:
            joint = "[]." if whole.get("type") == "array" else "."
            rows += _fields(schema, nested, f"{prefix}{name}{joint}", depth + 1)
    return rows


def _type(part: dict[str, Any]) -> str:
    kind = part.get("type", "object")
    words = " | ".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array":
        inner = part.get("items", {})
        words = f"array of {_type(inner)}"
    if "enum" in part:
        return " | ".join("null" if value is None else str(value) for value in part["enum"])
    if pattern := re.match(r"^\^([a-z]{3,4})_\[0-9a-f\]", part.get("pattern", "")):
        return f"{pattern[1]}_…"
    if "format" in part and part["format"] != "int64":
        words = f"{words} ({part['format']})"
    low = part.get("minimum", part.get("minLength"))
    high = part.get("maximum", part.get("maxLength"))
    return f"{words} {low}…{high}" if low is not None and high is not None else words


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


@lru_cache(maxsize=1)
def refusals_by_code() -> list[dict[str, Any]]:
    """Every anticipated refusal of the code that is loaded, by its code."""
    found: dict[str, dict[str, Any]] = {}
    for status, (code, title) in COMMON.items():
        found[code] = {"code": code, "status": status, "title": title}
    waiting: list[type[DomainError]] = [DomainError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.setdefault(
            kind.code,
            {
                "code": kind.code,
                "status": kind.status,
                "title": str(kind.title),
            },
        )
    return [found[code] for code in sorted(found)]
