"""What a price version takes off for long leases and for many cards.

A price version carries tiers: [kind, from, share off in basis points], kind `hours` (the length
of the lease) or `cards` (how many of them). Of each kind the deepest tier that the deal reaches
counts, and the two shares add up. Tiers of a kind ascend in both numbers, so more hours or more
cards never take less off; and the deepest of both kinds leave a tenth of the price at the least.
The share is found once, when the deal is held, and frozen with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

HOURS, CARDS = "hours", "cards"
KINDS = (HOURS, CARDS)
MOST_BPS = 9_000
MOST_TIERS = 20  # of both kinds

Tiers = tuple[tuple[str, int, int], ...]


def tiers(stored: Iterable[Sequence[object]]) -> Tiers:
    """As a price version's JSON holds them."""
    return tuple((str(kind), int(str(least)), int(str(bps))) for kind, least, bps in stored)


def share_off(found: Tiers, *, hours: int, cards: int) -> int:
    """Basis points off the price of a deal of so many hours and cards."""
    size = {HOURS: hours, CARDS: cards}
    return sum(
        max((bps for kind, least, bps in found if kind == each and size[each] >= least), default=0)
        for each in KINDS
    )


def deepest(found: Tiers) -> int:
    """Basis points off at the most, whatever the deal."""
    return sum(max((bps for kind, _, bps in found if kind == each), default=0) for each in KINDS)


def are_sound(found: Tiers) -> bool:
    """Whether they ascend kind by kind, and leave enough of the price together."""
    if len(found) > MOST_TIERS or any(kind not in KINDS for kind, _, _ in found):
        return False
    for each in KINDS:
        last_least, last_bps = 0, 0
        for kind, least, bps in found:
            if kind == each:
                if least <= last_least or bps <= last_bps:
                    return False
                last_least, last_bps = least, bps
    return deepest(found) <= MOST_BPS
