"""How often a key may ask.

Every process keeps its own share, the limit divided by WEB_PROCESSES, so that all together
never grant more than the limit and no request pays a statement for it. A client that sticks
to one process is told earlier; what it is told is its share.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from inventory.actors import Actor
from inventory.errors import DomainError

WINDOW_SECONDS = 60
_KEPT = 10_000  # buckets remembered in a process; full ones are forgotten first


class TooManyGuesses(DomainError):
    """One address has sent many invalid keys."""

    code = "rate_limited"
    title = "Too many invalid keys from this address"
    status = 429
    retry_after_seconds = 10


@dataclass(slots=True)
class Bucket:
    tokens: float
    filled_at: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request found in its bucket, for the RateLimit headers."""

    granted: bool
    limit: int
    remaining: int
    wait_seconds: float


class Buckets:
    """Token buckets by name: `limit` at once, refilled evenly over a window. Thread-safe."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def take(self, name: str, *, limit: int, cost: int = 1, now: float | None = None) -> Grant:
        now = time.monotonic() if now is None else now
        rate = limit / WINDOW_SECONDS
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is None:
                self._forget_full(rate, limit, now)
                bucket = self._buckets[name] = Bucket(float(limit), now)
            bucket.tokens = min(limit, bucket.tokens + (now - bucket.filled_at) * rate)
            bucket.filled_at = now
            granted = bucket.tokens >= cost
            if granted:
                bucket.tokens -= cost
            wait = 0.0 if granted else (max(cost, 1) - bucket.tokens) / rate
            return Grant(granted, limit, int(bucket.tokens), wait)

    def spend(self, name: str, *, limit: int, cost: int) -> None:
        """Takes what turned out to be due, below nothing if need be."""
        self.take(name, limit=limit, cost=0)
        with self._lock:
            if bucket := self._buckets.get(name):
                bucket.tokens -= cost

    def _forget_full(self, rate: float, limit: int, now: float) -> None:
        if len(self._buckets) < _KEPT:
            return
        self._buckets = {
            name: bucket
            for name, bucket in self._buckets.items()
            if bucket.tokens + (now - bucket.filled_at) * rate < limit
        }

    def clear(self) -> None:
        with self._lock:
            self._buckets.clear()


buckets = Buckets()


def share(total: int) -> int:
    """This process's part of a limit; 0 where the limit is off."""
    return max(1, total // max(1, settings.WEB_PROCESSES)) if total else 0


def count_guess(address: str) -> None:
    """Raises TooManyGuesses once an address has used up its invalid keys."""
    limit = share(settings.INVALID_KEYS_PER_MINUTE)
    if limit and not buckets.take(f"guess:{address}", limit=limit).granted:
        raise TooManyGuesses()


class CallerThrottle(BaseThrottle):
    """One bucket per key or signed-in person."""

    def __init__(self) -> None:
        self._wait: float | None = None

    def allow_request(self, request: Request, view: object) -> bool:
        limit = share(settings.REQUESTS_PER_MINUTE)
        if not limit or not isinstance(request.auth, Actor):
            return True
        grant = buckets.take(request.auth.label, limit=limit)
        request._request.rate_grant = grant  # type: ignore[attr-defined]
        self._wait = grant.wait_seconds
        return grant.granted

    def wait(self) -> float | None:
        return self._wait
