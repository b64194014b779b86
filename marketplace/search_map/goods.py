"""What is on sale, one row a stall, as the columns that a request filters and ranks by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marketplace import discounts, money
from marketplace.money import Price
from marketplace.search_map.pool_map import (
    BLOCK_ID,
    BLOCK_UNITS,
    SELL_END,
    SELL_START,
    Ints,
    PoolFacts,
    PoolMap,
    Stack,
)
from marketplace.search_map.shelf import Ware

Mask = NDArray[np.bool_]
Numbers = NDArray[Any]  # whole numbers of any size: machine words where they fit
UNKNOWN = -1
NO_LIMIT = np.iinfo(np.int32).max
_INT64 = 2**62


@dataclass(frozen=True, slots=True)
class Stall:
    """One block on sale: the pool's facts beside the listing's."""

    pool: PoolFacts
    ware: Ware


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """A column of words as numbers."""

    numbers: dict[str, int]
    column: Ints

    @classmethod
    def of(cls, words: Sequence[str]) -> Words:
        numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
        return cls(numbers, np.array([numbers[word] for word in words], dtype=np.int64))

    def among(self, words: Iterable[str]) -> Mask:
        """Which rows have one of the words."""
        found: Mask = np.zeros(len(self.column), dtype=np.bool_)
        for word in words:
            if (number := self.numbers.get(word)) is not None:
                found |= self.column == number
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Goods:
    """Every block on sale. Immutable; what is free of it is the map's."""

    stalls: tuple[Stall, ...]
    on_sale: dict[int, Mask]  # by pool, which of its blocks have a row; rows follow the blocks
    chip: Words
    chip_class: Words
    region: Words
    hub: Words
    owner: Words
    currency: Words
    listing: Ints
    provider: Ints
    unit_cards: Ints
    node_cards: Ints
    memory: Ints
    bandwidth: Ints  # UNKNOWN where unpublished
    stack: Ints  # its place in `stacks`
    stacks: tuple[Stack, ...]
    units: Ints  # what the block holds in all
    sell_start: Ints
    sell_end: Ints
    lead: Ints
    turnaround: Ints
    grid: Ints
    minimum_units: Ints
    unit_step: Ints
    maximum_units: Ints
    minimum_hours: Ints
    hour_step: Ints
    maximum_hours: Ints
    discounted: Mask  # takes something off for long leases or many cards
    # The least a card-hour of the stall costs before discounts, tax included, in minor units as
    # a fraction: exactly what it costs, but for a monthly price, where months differ.
    rate_above: Numbers
    rate_below: Numbers
    rate_micro: tuple[Fraction, ...]  # the same in micro-units
    list_micro: Numbers  # the same, rounded
    rate_is_exact: Mask

    @classmethod
    def of(cls, pools: dict[int, PoolMap], wares: dict[int, Ware]) -> Goods:
        by_block = {ware.block_id: ware for ware in wares.values()}
        stalls: list[Stall] = []
        blocks: list[Ints] = []
        on_sale: dict[int, Mask] = {}
        for pool_id, pool in pools.items():
            ids = pool.blocks[BLOCK_ID].tolist()
            on_sale[pool_id] = np.array([number in by_block for number in ids], dtype=np.bool_)
            blocks.append(pool.blocks.columns[:, on_sale[pool_id]])
            stalls += [Stall(pool.facts, by_block[number]) for number in ids if number in by_block]
        block = np.concatenate([np.zeros((6, 0), dtype=np.int64), *blocks], axis=1)
        stacks = {pool.facts.stack: 0 for pool in pools.values()}
        numbers = {stack: number for number, stack in enumerate(stacks)}
        rates = [least_rate(stall.ware.price, stall.pool.cards_per_node) for stall in stalls]
        ten = [10 ** money.exponent(stall.ware.price.currency) for stall in stalls]
        micro = [rate * money.MICRO / power for rate, power in zip(rates, ten, strict=True)]
        return cls(
            stalls=tuple(stalls),
            on_sale=on_sale,
            chip=Words.of([stall.pool.chip_code for stall in stalls]),
            chip_class=Words.of([stall.pool.chip_class for stall in stalls]),
            region=Words.of([stall.pool.region for stall in stalls]),
            hub=Words.of([stall.pool.hub for stall in stalls]),
            owner=Words.of([stall.pool.owner_kind for stall in stalls]),
            currency=Words.of([stall.ware.price.currency for stall in stalls]),
            listing=_ints(stall.ware.listing_id for stall in stalls),
            provider=_ints(stall.pool.provider_id for stall in stalls),
            unit_cards=_ints(stall.pool.unit_cards for stall in stalls),
            node_cards=_ints(stall.pool.cards_per_node for stall in stalls),
            memory=_ints(stall.pool.memory_gib for stall in stalls),
            bandwidth=_ints(
                UNKNOWN if stall.pool.interconnect_gbps is None else stall.pool.interconnect_gbps
                for stall in stalls
            ),
            stack=_ints(numbers[stall.pool.stack] for stall in stalls),
            stacks=tuple(stacks),
            units=block[BLOCK_UNITS],
            sell_start=block[SELL_START],
            sell_end=block[SELL_END],
            lead=_ints(stall.pool.lead_micros for stall in stalls),
            turnaround=_ints(stall.pool.turnaround_micros for stall in stalls),
            grid=_ints(stall.ware.grid_micros for stall in stalls),
            minimum_units=_ints(stall.ware.minimum_units for stall in stalls),
            unit_step=_ints(stall.ware.unit_step for stall in stalls),
            maximum_units=_ints(
                NO_LIMIT if stall.ware.maximum_units is None else stall.ware.maximum_units
                for stall in stalls
            ),
            minimum_hours=_ints(stall.ware.minimum_hours for stall in stalls),
            hour_step=_ints(stall.ware.hour_step for stall in stalls),
            maximum_hours=_ints(stall.ware.maximum_hours for stall in stalls),
            discounted=np.array([bool(stall.ware.discounts) for stall in stalls], dtype=np.bool_),
            rate_above=_whole([rate.numerator for rate in rates]),
            rate_below=_whole([rate.denominator for rate in rates]),
            rate_micro=tuple(micro),
            list_micro=_whole([money.half_up(rate) for rate in micro]),
            rate_is_exact=np.array(
                [stall.ware.price.basis != "node_month" for stall in stalls], dtype=np.bool_
            ),
        )

    def share_off(self, units: Ints, hours: Ints) -> Ints:
        """By row, the basis points off a deal of so many units and hours."""
        off = np.zeros(len(self.stalls), dtype=np.int64)
        for row in np.flatnonzero(self.discounted).tolist():
            off[row] = discounts.share_off(
                self.stalls[row].ware.discounts,
                hours=int(hours[row]),
                cards=int(units[row] * self.unit_cards[row]),
            )
        return off

    def least_micro(self, off: Ints) -> Numbers:
        """By row, the least a card-hour costs with so much off, in micro-units."""
        rows = np.flatnonzero(off)
        if not len(rows):
            return self.list_micro
        least = self.list_micro.copy()
        for row in rows.tolist():
            kept = Fraction(money.WHOLE_BPS - int(off[row]), money.WHOLE_BPS)
            least[row] = money.half_up(self.rate_micro[row] * kept)
        return least

    def least_minor(self, rows: Ints, card_hours: Ints, off: Ints) -> Numbers:
        """No deal of these rows over so many card-hours costs less, with so much off; hourly
        ones cost as much."""
        above, below = self.rate_above[rows], self.rate_below[rows]
        kept, whole = money.WHOLE_BPS - off, money.WHOLE_BPS
        if not off.any():
            kept, whole = np.ones_like(off), 1
        columns = (above, below, kept, card_hours)
        if any(column.dtype == object for column in columns) or not _fits(columns, whole):
            above, below, kept, card_hours = (column.astype(object) for column in columns)
        above, below = above * kept, below * whole
        least: Numbers = (2 * above * card_hours + below) // (2 * below)
        return least


def least_rate(price: Price, cards_per_node: int) -> Fraction:
    """What a card-hour costs at the least, tax included, in minor units of the currency.

    A monthly price costs least per hour in the longest month.
    """
    rate = Fraction(price.amount_micro * 10 ** money.exponent(price.currency), money.MICRO)
    if not price.tax_inclusive:
        rate *= Fraction(money.WHOLE_BPS + price.vat_bps, money.WHOLE_BPS)
    if price.basis != "card_hour":
        rate /= cards_per_node
    if price.basis == "node_month":
        rate /= money.longest_month_hours(price.billing_zone)
    return rate


def _fits(columns: tuple[Numbers, Numbers, Numbers, Numbers], whole: int) -> bool:
    """Whether the products stay within a machine word."""
    above, below, kept, card_hours = (float(column.max(initial=0)) for column in columns)
    return 2 * (above * kept * card_hours + below * whole) < _INT64


def _ints(values: Iterable[int]) -> Ints:
    return np.fromiter(values, dtype=np.int64)


def _whole(values: list[int]) -> Numbers:
    large = any(value >= _INT64 for value in values)
    return np.array(values, dtype=object if large else np.int64)
