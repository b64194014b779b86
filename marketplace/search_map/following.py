"""From one map to the next: only what changed since is read."""

from __future__ import annotations

from datetime import datetime

from marketplace.search_map import loading, shelf
from marketplace.search_map.map import SearchMap
from marketplace.search_map.pool_map import PoolMap, Table, micros

EMPTY = SearchMap.build({}, {})
_NO_CLAIMS = Table.of([], 6)


def refresh(old: SearchMap, at: datetime) -> SearchMap:
    """A map of what is committed now.

    What is free comes from each pool's version and events; prices, terms and facts from what
    the journal says has changed. The same map where nothing did.
    """
    found = loading.versions()
    if old.snapshot:
        snapshot, named = loading.news(old.snapshot, at)
    else:
        snapshot, named = loading.snapshot(), frozenset()
    pools, behind, unknown = _sorted(old, found, named, micros(at))
    _catch_up(old, pools, behind, unknown, micros(at))
    pools.update(loading.pools(unknown, at))
    wares = shelf.read(
        old.wares,
        pools=unknown.keys(),
        listings={public_id for public_id in named if public_id.startswith("lst_")},
    )
    if wares is old.wares and pools.keys() == old.pools.keys():
        if all(pool is old.pools[pool_id] for pool_id, pool in pools.items()):
            return old.as_of_snapshot(snapshot)
    return SearchMap.build(dict(sorted(pools.items())), wares, old=old, snapshot=snapshot)


def _sorted(
    old: SearchMap, found: loading.Versions, named: frozenset[str], as_of: int
) -> tuple[dict[int, PoolMap], dict[int, loading.Version], dict[int, loading.Version]]:
    """Pools that are up to date, those behind, and those to be read afresh."""
    pools: dict[int, PoolMap] = {}
    behind: dict[int, loading.Version] = {}
    unknown: dict[int, loading.Version] = {}
    for number, public_id, ver, epoch in found.rows():
        pool = old.pools.get(number)
        if (
            pool is None
            or pool.facts.public_id != public_id
            or pool.epoch != epoch
            or pool.ver > ver
            or (pool.facts.failing and pool.ver == ver and not pool.holds_at(as_of))
            or (named and _is_named(pool, named))
        ):
            unknown[number] = loading.Version(ver, epoch)
        elif pool.ver == ver:
            pools[number] = pool.at(as_of)
        elif pool.facts.failing:
            unknown[number] = loading.Version(ver, epoch)
        else:
            behind[number] = loading.Version(ver, epoch)
    return pools, behind, unknown


def _is_named(pool: PoolMap, named: frozenset[str]) -> bool:
    shown = pool.facts.catalogue
    about = (pool.facts.public_id, shown.fabric_id, shown.centre_id, shown.provider_id)
    return not named.isdisjoint(about)


def _catch_up(
    old: SearchMap,
    pools: dict[int, PoolMap],
    behind: dict[int, loading.Version],
    unknown: dict[int, loading.Version],
    as_of: int,
) -> None:
    """Applies their events to the pools behind; those that need more join the unknown."""
    if not behind:
        return
    touched = loading.touched_claims({number: old.pools[number].ver for number in behind})
    changed = [claim for claims in touched.values() if claims for claim in claims]
    live = loading.live_claims(changed)
    for number, version in behind.items():
        claims = touched.get(number)
        if claims is None:
            unknown[number] = version
            continue
        pools[number] = old.pools[number].with_claims(
            claims, live.get(number, _NO_CLAIMS), version.ver, as_of
        )
