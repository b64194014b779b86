"""The process's one map: swapped whole, refreshed beside the requests that read it."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import UTC, datetime

from django.conf import settings
from django.db import connection

from marketplace.search_map.following import EMPTY, refresh
from marketplace.search_map.map import SearchMap

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 5.0  # without a search for so long, nobody keeps the map fresh
_WORTH_A_GLANCE_SECONDS = 60.0


class _Kept:
    """The process's map, when it was begun, and when it was last asked for."""

    pair: tuple[float, SearchMap] = (float("-inf"), EMPTY)
    asked: float = float("-inf")
    follower: threading.Thread | None = None
    enough = threading.Event()


_making = threading.Lock()
_starting = threading.Lock()


def current(at: datetime) -> SearchMap:
    """The process's map, at most `SEARCH_MAP_SECONDS` old.

    A thread follows the market while searches come, so that they find a fresh map; only the
    first in a while waits for one. Inside a transaction a map is made for that transaction
    alone: it may see rows that are never committed.
    """
    if connection.in_atomic_block:
        return refresh(EMPTY, at)
    _follow()
    kept = _fresh()
    if kept is not None:
        return kept
    with _making:
        return _fresh() or _make(at)  # another thread may have been faster


def glance(at: datetime) -> SearchMap:
    """The map for a reader in the middle of a transaction, who cannot wait: the process's as it
    stands, or none where it is older than a minute. From now on a thread keeps it fresh.

    Where no map is ever kept one is made, for this reader alone.
    """
    if settings.SEARCH_MAP_SECONDS <= 0:
        return refresh(EMPTY, at)
    _follow()
    made, kept = _Kept.pair
    return kept if time.monotonic() - made < _WORTH_A_GLANCE_SECONDS else EMPTY


def keep(map_: SearchMap) -> None:
    """The process's map is this one, as fresh as can be."""
    _Kept.pair = (time.monotonic(), map_)


def forget() -> None:
    """The process has no map: the next search makes one from nothing."""
    follower = _Kept.follower
    if follower is not None and follower.is_alive():
        _Kept.enough.set()
        follower.join()
    _Kept.pair = (float("-inf"), EMPTY)


def _fresh() -> SearchMap | None:
    made, kept = _Kept.pair
    return kept if time.monotonic() - made < settings.SEARCH_MAP_SECONDS else None


def _make(at: datetime) -> SearchMap:
    began = time.monotonic()
    kept = refresh(_Kept.pair[1], at)
    _Kept.pair = (began, kept)
    return kept


def _follow() -> None:
    """Somebody searches: from now on a thread keeps the map fresh."""
    _Kept.asked = time.monotonic()
    if settings.SEARCH_MAP_SECONDS <= 0 or _is_followed():
        return
    with _starting:
        if not _is_followed():
            _Kept.enough.clear()
            _Kept.follower = threading.Thread(target=_keep_fresh, name="search-map", daemon=True)
            _Kept.follower.start()


def _is_followed() -> bool:
    return _Kept.follower is not None and _Kept.follower.is_alive()


def _keep_fresh() -> None:
    """Refreshes twice as often as the map may be old, until nobody searches any more."""
    while time.monotonic() - _Kept.asked < _IDLE_SECONDS:
        # Half the bound is left for the refresh itself and for waiting to be scheduled.
        due = _Kept.pair[0] + settings.SEARCH_MAP_SECONDS / 2
        if _Kept.enough.wait(max(0.0, due - time.monotonic())):
            return
        try:
            with _making:
                _make(datetime.now(UTC))
        except Exception:
            # The next search makes its map itself, and says what is wrong to who asks.
            logger.exception("The search map could not be refreshed")
            return
        finally:
            connection.close()


def _forget_the_parent() -> None:
    """A forked process has its parent's map, but neither its thread nor its locks."""
    global _making, _starting
    _making, _starting = threading.Lock(), threading.Lock()
    _Kept.follower, _Kept.enough = None, threading.Event()


os.register_at_fork(after_in_child=_forget_the_parent)
