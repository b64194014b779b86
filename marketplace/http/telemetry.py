"""The receiver of Prometheus remote write: beside Django's middleware, not behind it.

Bodies come all day from machines, with a key that opens nothing else: no session, no language,
no idempotency key is in them, and each would cost more than the body's decoding. What the sender
does next follows from the status: 5xx and 429 are sent again, other 4xx are dropped for good.
https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from django.db import DatabaseError, OperationalError, close_old_connections, connection
from django.http import HttpResponse
from django.utils import translation

from inventory import identifiers, telemetry
from inventory.errors import Busy, DomainError
from inventory.keys import BadKey
from inventory.models import TelemetrySource
from inventory.telemetry.remote_write import COMPRESSED_LIMIT, BodyTooLarge
from marketplace.http import limits, problems
from marketplace.http.entry import LengthRequired

PATH = "/api/v1/telemetry/write"
MEDIA_TYPE = "application/x-protobuf"
VERSION_ONE = {"", "prometheus.WriteRequest"}  # what `proto` may say
# So much of a feed's rate may come at once: a sender that was cut off catches up.
BURST_SECONDS = limits.WINDOW_SECONDS

logger = logging.getLogger(__name__)
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class NotThisType(DomainError):
    """Remote write 2.0, or something else altogether. A 2.0 sender falls back to 1.0."""

    code = "unsupported_media_type"
    title = "Only remote write 1.0 in snappy is read here"
    status = 415


class WrongMethod(DomainError):
    """Telemetry is sent by POST."""

    code = "method_not_allowed"
    title = "This method is not allowed here"
    status = 405


class TooFast(DomainError):
    """More samples than the feed may send; they can be sent again later."""

    code = "rate_limited"
    title = "The feed sends more samples than it may"
    status = 429


def beside(application: Application) -> Application:
    """A WSGI application that takes telemetry itself and hands everything else on."""

    def served(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return application(environ, start_response)
        response = respond(environ)
        headers = [(name, str(value)) for name, value in response.items()]
        headers.append(("Content-Length", str(len(response.content))))
        start_response(f"{response.status_code} {response.reason_phrase}", headers)
        return [response.content]

    return served


def respond(environ: dict[str, Any]) -> HttpResponse:
    """The reply to one body. Never a 500 for what a sender can do."""
    request = SimpleNamespace(path=PATH, id=identifiers.new("req"))
    with translation.override("en"):
        try:
            return _receive(environ)
        except TooFast as error:
            response = problems.from_domain(request, error)
            response["Retry-After"] = str(error.fields()["wait_seconds"])
            return response
        except DomainError as error:
            response = problems.from_domain(request, error)
            if isinstance(error, WrongMethod):
                response["Allow"] = "POST"
            return response
        except OperationalError as error:  # gone, or a pool that found no connection in time
            logger.warning("telemetry waits for the database: %s", error)
            return problems.from_domain(request, Busy())
        except DatabaseError as error:
            logger.exception("telemetry was not stored")
            return problems.respond(request, error) or problems.from_domain(request, Busy())
        except Exception:
            logger.exception("telemetry was not stored")
            return problems.problem(request, status=500)
        finally:
            _let_go()


def _receive(environ: dict[str, Any]) -> HttpResponse:
    if environ.get("REQUEST_METHOD") != "POST":
        raise WrongMethod()
    _check_type(environ)
    length = _length(environ)
    at = datetime.now(UTC)
    source = _source(environ, at)
    _check_rate(source)
    if length > COMPRESSED_LIMIT:
        raise BodyTooLarge(limit_bytes=COMPRESSED_LIMIT)
    counts = telemetry.receive(source=source, body=environ["wsgi.input"].read(length), at=at)
    _spend(source, counts.total)
    response = HttpResponse(status=204)
    del response["Content-Type"]
    return response


def _check_type(environ: dict[str, Any]) -> None:
    media, _, parameters = environ.get("CONTENT_TYPE", "").partition(";")
    proto = ""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "proto":
            proto = value.strip('"')
    if media.strip().lower() != MEDIA_TYPE or proto not in VERSION_ONE:
        raise NotThisType()
    if environ.get("HTTP_CONTENT_ENCODING", "").strip().lower() != "snappy":
        raise NotThisType()
    if environ.get("HTTP_X_PROMETHEUS_REMOTE_WRITE_VERSION", "0.1.0")[:2] not in ("0.", "1."):
        raise NotThisType()


def _length(environ: dict[str, Any]) -> int:
    text = environ.get("CONTENT_LENGTH") or ""
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise LengthRequired()
    return int(text)


def _source(environ: dict[str, Any], at: datetime) -> TelemetrySource:
    scheme, _, text = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise BadKey()
        return telemetry.authenticate(text=text.strip(), at=at)
    except BadKey:
        limits.count_guess(environ.get("REMOTE_ADDR", ""))
        raise


def _check_rate(source: TelemetrySource) -> None:
    """What was sent before is paid for first: a body's samples are known only after it."""
    grant = limits.buckets.take(_bucket(source), limit=_burst(source), cost=1)
    if not grant.granted:
        raise TooFast(wait_seconds=max(1, math.ceil(grant.wait_seconds)))


def _spend(source: TelemetrySource, samples: int) -> None:
    limits.buckets.spend(_bucket(source), limit=_burst(source), cost=samples)


def _burst(source: TelemetrySource) -> int:
    return limits.share(source.samples_per_second * BURST_SECONDS)


def _bucket(source: TelemetrySource) -> str:
    return f"telemetry:{source.pk}"


def _let_go() -> None:
    """Back to the pool with the connection, as Django does after a request of its own."""
    if not connection.in_atomic_block:
        close_old_connections()
