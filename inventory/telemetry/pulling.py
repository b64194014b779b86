"""A feed that we query: ranges of time from any store that answers Prometheus' HTTP API.

A sweep claims due feeds, asks outside any transaction, and folds the answer as if it had been sent;
the cursor moves with it, so that a range asked twice counts once.
It is asked for a range vector: the samples as they are, with their own instants. A range query
would repeat the last one for five minutes after a card fell silent.
https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors
"""

from __future__ import annotations

import ipaddress
import json
import math
import socket
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from inventory import wrapping
from inventory.errors import DomainError
from inventory.models import TelemetrySource
from inventory.telemetry import reception
from inventory.telemetry.folding import LATE, Counts
from inventory.telemetry.identity import Series
from inventory.telemetry.metrics import METRICS
from inventory.telemetry.remote_write import Sample
from inventory.wrapping import CredentialUnreadable

EVERY = timedelta(seconds=60)
# Samples reach a store a little later than their time.
BEHIND = timedelta(seconds=30)
# Of one query: at most so much time, and so many bytes of an answer.
RANGE = timedelta(minutes=5)
ANSWER_LIMIT = 64 * 1024 * 1024
TIMEOUT_SECONDS = 20
CLAIM = timedelta(minutes=3)
AGAIN = timedelta(minutes=2)  # after an error


class StoreFailed(DomainError):
    """The centre's store could not be asked, or did not answer as one."""

    code = "telemetry_store_failed"
    title = "The store did not answer"


@dataclass(frozen=True, slots=True)
class Pulled:
    """One feed's turn."""

    source_id: int
    until: datetime
    counts: Counts


def sweep(*, at: datetime, limit: int = 20) -> list[Pulled]:
    """Due feeds are asked for what is new since their cursor; the failing ones a little later.

    A network call each, outside of transactions, under a claim. Idempotent, and safe beside itself.
    """
    found = []
    for source in _claim(at, limit):
        try:
            found.append(_pull(source, at=at))
        except (StoreFailed, CredentialUnreadable) as error:
            _rest(source, error=error.detail, next_at=at + AGAIN)
    return found


def _claim(at: datetime, limit: int) -> list[TelemetrySource]:
    token = uuid.uuid4()
    with transaction.atomic():
        due = list(
            TelemetrySource.objects.select_for_update(skip_locked=True)
            .filter(
                Q(claimed_until=None) | Q(claimed_until__lte=at),
                kind=TelemetrySource.Kind.PULL,
                closed_at=None,
                next_pull_at__lte=at,
            )
            .order_by("next_pull_at", "pk")[:limit]
        )
        for source in due:
            source.claim_token, source.claimed_until = token, at + CLAIM
            source.save(update_fields=["claim_token", "claimed_until"])
    return due


def _pull(source: TelemetrySource, *, at: datetime) -> Pulled:
    """Raises StoreFailed."""
    start = max(source.pulled_until or at, at - LATE)
    until = min(start + RANGE, at - BEHIND)
    counts = Counts()
    if until > start:
        feed = reception.feed_of(source, at=at)
        samples = list(_samples(feed, _ask(source, start, until)))
        with transaction.atomic():
            moved = TelemetrySource.objects.filter(pk=source.pk, claim_token=source.claim_token)
            counts = reception.store(feed, source, samples, unused=0, at=at)
            if not moved.update(pulled_until=until):
                transaction.set_rollback(True)  # another took the claim over
    behind = until < at - BEHIND - EVERY
    _rest(source, error="", next_at=at if behind else at + EVERY)
    return Pulled(source.pk, max(start, until), counts)


def _rest(source: TelemetrySource, *, error: str, next_at: datetime) -> None:
    TelemetrySource.objects.filter(pk=source.pk, claim_token=source.claim_token).update(
        claim_token=None, claimed_until=None, last_error=error[:300], next_pull_at=next_at
    )


def _samples(feed: reception.Feed, result: list[Any]) -> Iterator[Sample[Series]]:
    """What of an answer is somebody's. Raises StoreFailed for what is no answer."""
    try:
        for row in result:
            labels = {str(name): str(value) for name, value in row["metric"].items()}
            series = feed.read(labels)
            if series is None:
                continue
            for second, text in row["values"]:
                instant = float(second)
                if math.isfinite(instant) and abs(instant) < 1e11:
                    yield series, int(instant * 1000), float(text)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreFailed("The answer is not of the form of a range of samples") from error


def _ask(source: TelemetrySource, start: datetime, until: datetime) -> list[Any]:
    """All samples of metrics that a fact is read from. Raises StoreFailed."""
    names = "|".join(sorted(METRICS))
    form = {
        "query": f'{{__name__=~"{names}"}}[{math.ceil((until - start).total_seconds())}s]',
        "time": f"{until.timestamp():.3f}",
        "timeout": f"{TIMEOUT_SECONDS}s",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if source.query_secret:
        headers["Authorization"] = f"Bearer {wrapping.unwrap(bytes(source.query_secret))}"
    status, body = _post(source.query_url, urlencode(form), headers)
    try:
        answer = json.loads(body)
        if status != 200 or answer["status"] != "success":
            raise StoreFailed(f"The store answered {status}: {str(answer.get('error', ''))[:200]}")
        result = answer["data"]["result"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreFailed(f"The store answered {status}, and no answer of a query") from error
    if not isinstance(result, list):
        raise StoreFailed("The answer is not of the form of a range of samples")
    return result


def _post(url: str, form: str, headers: dict[str, str]) -> tuple[int, bytes]:
    """No redirect is followed: where we ask was checked, where it leads was not."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    check_reachable(host, port)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, port, timeout=TIMEOUT_SECONDS)
    try:
        path = parts.path.rstrip("/") + "/api/v1/query"
        connection.request("POST", path, form, headers)
        answer = connection.getresponse()
        body = answer.read(ANSWER_LIMIT + 1)
    except (OSError, HTTPException, UnicodeError) as error:
        raise StoreFailed(f"The store cannot be reached: {error}") from error
    finally:
        connection.close()
    if len(body) > ANSWER_LIMIT:
        raise StoreFailed("The answer is too long")
    return answer.status, body


def check_reachable(host: str, port: int) -> None:
    """A centre's store is elsewhere: our own machine and network are nobody's to ask through us.

    Raises StoreFailed.
    """
    if settings.TELEMETRY_PULLS_PRIVATE:
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise StoreFailed(f"{host} is not known") from error
    if not all(ipaddress.ip_address(entry[4][0]).is_global for entry in found):
        raise StoreFailed("The address leads into a private network")
