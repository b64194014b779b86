"""What is asked for and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Literal

from django.conf import settings

from inventory.errors import Invalid
from inventory.periods import Period

Fact = str | int | float | bool
UNKNOWN = "unknown"
MOST_OFFERS = 20

Code = Literal[
    "whole_nodes_only",
    "no_such_chip",
    "no_such_region",
    "not_a_multiple",
    "no_whole_nodes",
    "own_listing",
    "other_currency",
    "too_few_units",
    "too_many_units",
    "over_maximum_units",  # more than the listing lets in one lease
    "off_unit_step",  # between two of the counts that it sells
    "too_short",
    "too_long",
    "off_hour_step",  # between two of the lengths that it sells
    "window_over",
    "window_too_short",
    "off_the_grid",  # no start of the listing's grid leaves the window long enough
    "not_on_sale_then",
    "too_expensive",
    "sold_out",
]


class InvalidRequest(Invalid):
    """The request contradicts itself."""

    code = "invalid_request"
    title = "The request cannot be searched for"


@dataclass(frozen=True, slots=True)
class OfferRequest:
    """Nodes, cards or units for some hours, somewhere in a window of time, in one fabric.

    Empty filters take everything. `nodes` fit a pool that sells whole nodes, `cards` one that
    sells units of so many cards (a pool of whole nodes needs whole nodes), `units` any.
    """

    hours: int
    earliest_start: datetime
    latest_end: datetime
    units: int | None = None
    cards: int | None = None
    nodes: int | None = None
    chips: tuple[str, ...] = ()
    chip_class: str = ""
    regions: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()
    max_card_hour_micro: int | None = None  # tax included, over the whole deal
    currency: str = settings.DEFAULT_CURRENCY
    limit: int = 10

    LONGEST_HOURS: ClassVar[int] = 24 * 366 * 5

    def __post_init__(self) -> None:
        if [self.units, self.cards, self.nodes].count(None) != 2:
            raise InvalidRequest("Ask for units, for cards or for nodes, one of the three")
        if not 1 <= self.count <= 10_000_000:
            raise InvalidRequest("Ask for at least one, and no more than there can be")
        if not 1 <= self.hours <= self.LONGEST_HOURS:
            raise InvalidRequest("A lease lasts from an hour to five years")
        Period(self.earliest_start, self.latest_end)
        if not 1 <= self.limit <= MOST_OFFERS:
            raise InvalidRequest(f"Between 1 and {MOST_OFFERS} offers are shown")
        if self.max_card_hour_micro is not None and self.max_card_hour_micro <= 0:
            raise InvalidRequest("The highest price is more than zero")

    @property
    def counted(self) -> Literal["units", "cards", "nodes"]:
        """What is counted."""
        if self.units is not None:
            return "units"
        return "cards" if self.cards is not None else "nodes"

    @property
    def count(self) -> int:
        return self.units or self.cards or self.nodes or 0

    @property
    def duration(self) -> timedelta:
        return timedelta(hours=self.hours)


@dataclass(frozen=True, slots=True)
class Offer:
    """One listing, one fabric, one dated start, one price. `token` can be posted back verbatim."""

    token: str
    expires_at: datetime
    listing_id: str
    pool_id: str
    pool_name: str
    centre_name: str
    centre_name_en: str
    region: str
    hub: str
    chip: str
    unit_cards: int
    cards_per_node: int
    unit_count: int
    card_count: int
    start_at: datetime
    end_at: datetime
    currency: str
    basis: str
    amount_micro: int
    tax_inclusive: bool
    vat_bps: int
    schedule: str
    card_hour_micro: int  # tax included; for comparison beside another basis
    list_minor: int  # the whole price before the discount
    discount_bps: int  # taken off for the length and the cards asked for
    gross_minor: int
    vat_minor: int
    fee_minor: int
    due_minor: int
    hold_deposit_minor: int
    hold_seconds: int  # how long a hold made now lasts; near the start less than elsewhere
    decide_hours: int | None  # the provider decides on the hold within so long; None: no wait
    pay_by_at: datetime | None  # until when it is kept for a bank transfer, where it is
    pay_by_deposit_minor: int | None  # kept aside until then
    cancellation: tuple[tuple[int, int], ...]  # hours before the start, basis points refunded
    facts: dict[str, Fact]  # proved of the fabric; what nobody has proved reads "unknown"
    declared: dict[str, Fact]  # what the provider says of it, and answers for


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why listings did not match: how many, by the first reason that excluded each.

    `nearest` is what the nearest of them allows, where the reason is a limit: units, hours, or
    micro-units per card-hour.
    """

    code: Code
    listing_count: int
    nearest: int | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """An offer for a request that differs in what `changed` names."""

    changed: tuple[str, ...]
    offer: Offer


@dataclass(frozen=True, slots=True)
class OfferResults:
    """The cheapest first, then the earliest. Where nothing fits: why, and what comes near."""

    offers: tuple[Offer, ...]
    rejections: tuple[Rejection, ...]
    alternatives: tuple[Alternative, ...] = field(default=())
    # Listings that fit, those beyond the limit too; of these last none is held against a price.
    match_count: int = 0
