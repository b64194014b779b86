"""Every refusal as RFC 9457 problem details: the only place where errors become HTTP."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core import exceptions as django_errors
from django.db import DatabaseError, DataError, IntegrityError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views import defaults
from rest_framework import exceptions as drf

from inventory.errors import Busy, DomainError

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# status: (code, title) of refusals that no verb raises.
COMMON: dict[int, tuple[str, str]] = {
    400: ("malformed", "The request cannot be read"),
    401: ("unauthenticated", "Authentication is needed"),
    403: ("forbidden", "Not allowed"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "This method is not allowed here"),
    406: ("not_acceptable", "No such representation"),
    409: ("conflict", "In conflict with what is there"),
    413: ("too_large", "The request is too large"),
    415: ("unsupported_media_type", "This content type is not read here"),
    422: ("validation_failed", "A value is not acceptable"),
    429: ("rate_limited", "Too many requests"),
    500: ("internal", "Something went wrong on our side"),
    503: ("busy", "Busy, try again"),
}
# lock_not_available, deadlock_detected, serialization_failure, query_canceled
_BUSY = {"55P03", "40P01", "40001", "57014"}


def problem(
    request: Any,
    *,
    status: int,
    code: str = "",
    title: str = "",
    detail: str = "",
    errors: list[dict[str, Any]] | None = None,
    params: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """A problem document. `code` and `title` default to those of the status."""
    common_code, common_title = COMMON.get(status, ("refused", "The request was refused"))
    code = code or common_code
    title = gettext(title or common_title)
    document: dict[str, Any] = {
        "type": f"/api/docs/#error-{code}",
        "title": title,
        "status": status,
        "detail": gettext(detail) if detail else title,
        "instance": getattr(request, "path", ""),
        "code": code,
        "request_id": getattr(request, "id", ""),
        "errors": errors or [],
    }
    if params:
        document["params"] = params
    text = json.dumps(document, ensure_ascii=False, default=_text)
    response = HttpResponse(
        text.encode("utf-8", "replace"), status=status, content_type=CONTENT_TYPE
    )
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="cardhour"'
    for name, value in (headers or {}).items():
        response[name] = value
    return response


def _text(value: Any) -> str:
    """An instant as everywhere in the API, other particulars by their name."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def from_domain(request: Any, error: DomainError) -> HttpResponse:
    """A verb's refusal: its status, code and particulars."""
    params = dict(error.fields())
    errors = [_entry(item) for item in params.pop("errors", [])]
    wait = error.retry_after_seconds
    return problem(
        request,
        status=error.status,
        code=error.code,
        title=str(error.title),
        detail=error.detail,
        errors=errors,
        params=params,
        headers={} if wait is None else {"Retry-After": str(wait)},
    )


def _entry(item: Any) -> dict[str, Any]:
    """One of a verb's `errors`; a line of a file points at itself."""
    if not isinstance(item, dict):
        return {"pointer": "", "code": "invalid", "detail": str(item)}
    if "line" in item:
        return {
            "pointer": f"/lines/{item['line']}/{item['column']}",
            "code": item["code"],
            "detail": item["value"],
        }
    return item


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """DRF's exception handler. None, and so a logged 500, only for what nobody anticipated."""
    request = getattr(context.get("request"), "_request", None)
    return respond(request, error)


def respond(request: Any, error: BaseException) -> HttpResponse | None:
    """The reply to an anticipated failure of any layer, or None."""
    if isinstance(error, DomainError):
        return from_domain(request, error)
    if isinstance(error, drf.ValidationError):
        entries = list(_flatten(error.detail))
        return problem(request, status=422, errors=entries)
    if isinstance(error, drf.APIException):
        return _from_drf(request, error)
    if isinstance(error, Http404 | django_errors.ObjectDoesNotExist):
        return problem(request, status=404)
    if isinstance(error, django_errors.PermissionDenied):
        return problem(request, status=403)
    if isinstance(error, django_errors.RequestDataTooBig):
        return problem(request, status=413)
    if isinstance(error, django_errors.SuspiciousOperation):
        return problem(request, status=400)
    if isinstance(error, django_errors.ValidationError):
        return problem(request, status=422)
    if isinstance(error, DatabaseError):
        return _from_database(request, error)
    return None


def _from_drf(request: Any, error: drf.APIException) -> HttpResponse:
    headers: dict[str, str] = {}
    code, detail = "", str(error.detail)
    if isinstance(error, drf.MethodNotAllowed):
        detail = ""
    if isinstance(error, drf.Throttled):
        headers["Retry-After"] = str(max(1, math.ceil(getattr(error, "wait", None) or 1)))
        detail = ""
    if isinstance(error, drf.NotAuthenticated | drf.AuthenticationFailed):
        return problem(request, status=401, detail=detail)
    if isinstance(error, drf.ParseError):
        code = "malformed"
    return problem(request, status=error.status_code, code=code, detail=detail, headers=headers)


def _from_database(request: Any, error: DatabaseError) -> HttpResponse | None:
    """A lock not granted in time, and values that only the database found out about."""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    if isinstance(error, OperationalError) and (state in _BUSY or state == ""):
        return from_domain(request, Busy())
    if isinstance(error, DataError):
        logger.warning("a value reached the database unchecked", exc_info=error)
        return problem(request, status=422)
    if isinstance(error, IntegrityError) and state in {"23505", "23P01"}:
        logger.warning("a conflict reached the database unchecked", exc_info=error)
        return problem(request, status=409)
    return None


def _flatten(detail: Any, pointer: str = "") -> Iterator[dict[str, Any]]:
    """DRF's nested details as a flat list with JSON pointers."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            here = pointer if name == "non_field_errors" else f"{pointer}/{_escape(str(name))}"
            yield from _flatten(inner, here)
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _flatten(inner, f"{pointer}/{position}" if nested else pointer)
    else:
        yield {
            "pointer": pointer,
            "code": getattr(detail, "code", "invalid"),
            "detail": str(detail),
        }


def _escape(name: str) -> str:
    name = name[:100].encode("utf-8", "replace").decode()
    return name.replace("~", "~0").replace("/", "~1")


def as_page(request: HttpRequest, error: DomainError) -> HttpResponse:
    """A refusal of the entry itself, on a page of the console."""
    context = {"sentence": gettext(str(error.title))}
    return render(request, "console/refused.html", context, status=error.status)


def is_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return respond(request, exception) or problem(request, status=400)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(request, status=403)
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_api(request):
        return problem(request, status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if is_api(request):
        return problem(request, status=500)
    return defaults.server_error(request)
