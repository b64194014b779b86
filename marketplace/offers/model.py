"""What is asked for and what is answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Literal, get_args

from django.conf import settings

from inventory.errors import Invalid
from inventory.periods import Period
from marketplace.search_map import Faults
from marketplace.selling import Parties
from marketplace.sla import Promise

Fact = str | int | float | bool
UNKNOWN = "unknown"
MOST_OFFERS = 20
DAY_SECONDS = 86_400

# In the order in which they are looked at: the first that holds is a listing's reason.
Code = Literal[
    "no_such_chip",
    "too_little_memory",
    "too_little_bandwidth",
    "bandwidth_unknown",
    "no_such_region",
    "no_such_owner",
    "own_listing",
    "other_currency",
    "whole_nodes_only",
    "not_a_multiple",
    "no_whole_nodes",
    "other_software",
    "software_unknown",
    "too_few_units",
    "over_maximum_units",  # more than the listing lets in one lease
    "off_unit_step",  # between two of the counts that it sells
    "too_short",
    "too_long",
    "off_hour_step",  # between two of the lengths that it sells
    "window_over",
    "window_too_short",
    "too_many_units",
    "not_on_sale_then",
    "off_the_grid",  # no start of the grids leaves the window long enough
    "sold_out",
    "too_expensive",
]
CODES: tuple[Code, ...] = get_args(Code)
Mark = Literal["cheapest", "earliest"]


class InvalidRequest(Invalid):
    """The request contradicts itself."""

    code = "invalid_request"
    title = "The request cannot be searched for"


class RangeTooLarge(Invalid):
    """The period has more days or steps than one reply can hold."""

    code = "range_too_large"
    title = "The period is too long for one reply"


@dataclass(frozen=True, slots=True)
class OfferRequest:
    """Nodes, cards or units for some hours, somewhere in a window of time, in one fabric.

    Who does not insist on `one_fabric` is shown, where none has as much, several offers of one
    start that have it together. A training job cannot span them; many small jobs can.

    Empty filters take everything. `nodes` fit a pool that sells whole nodes, `cards` one that
    sells units of so many cards (a pool of whole nodes needs whole nodes), `units` any.

    How long: `hours`, or anything between `minimum_hours` and `maximum_hours`. Of a range each
    listing offers the longest deal that fits, and of those the first.

    `driver`, `runtime` and `framework` name a version by its beginning, whole parts only:
    "CUDA 12" takes "CUDA 12.4", "CUDA 1" does not. Units are interchangeable and bound late,
    so a pool runs what is asked for only where every one of its nodes is known to.

    `start_grid_seconds` asks for starts on a grid counted from midnight UTC, which divides a
    day; the listing's own grid holds as well.
    """

    earliest_start: datetime
    latest_end: datetime
    hours: int | None = None
    minimum_hours: int | None = None
    maximum_hours: int | None = None
    units: int | None = None
    cards: int | None = None
    nodes: int | None = None
    chips: tuple[str, ...] = ()
    chip_class: str = ""
    minimum_memory_gib: int | None = None  # per card
    minimum_interconnect_gbps: int | None = None  # per card, as the chip's maker publishes it
    driver: str = ""
    runtime: str = ""  # CUDA, CANN …
    framework: str = ""
    regions: tuple[str, ...] = ()
    hubs: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    start_grid_seconds: int | None = None
    max_card_hour_micro: int | None = None  # tax included, over the whole deal
    currency: str = settings.DEFAULT_CURRENCY
    limit: int = 10
    one_fabric: bool = True  # else what one fabric has not may come in parts

    LONGEST_HOURS: ClassVar[int] = 24 * 366 * 5

    def __post_init__(self) -> None:
        if [self.units, self.cards, self.nodes].count(None) != 2:
            raise InvalidRequest("Ask for units, for cards or for nodes, one of the three")
        if not 1 <= self.count <= 10_000_000:
            raise InvalidRequest("Ask for at least one, and no more than there can be")
        if (self.hours is None) == (self.minimum_hours is None and self.maximum_hours is None):
            raise InvalidRequest("Say how many hours, or between how many and how many")
        if (self.minimum_hours is None) != (self.maximum_hours is None):
            raise InvalidRequest("Say how many hours, or between how many and how many")
        if not 1 <= self.shortest_hours <= self.longest_hours <= self.LONGEST_HOURS:
            raise InvalidRequest("A lease lasts from an hour to five years")
        Period(self.earliest_start, self.latest_end)
        if not 1 <= self.limit <= MOST_OFFERS:
            raise InvalidRequest(f"Between 1 and {MOST_OFFERS} offers are shown")
        if self.max_card_hour_micro is not None and self.max_card_hour_micro <= 0:
            raise InvalidRequest("The highest price is more than zero")
        grid = self.start_grid_seconds
        if grid is not None and (grid < 60 or DAY_SECONDS % grid):
            raise InvalidRequest("A grid of starts is a minute or more and divides a day")

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
    def shortest_hours(self) -> int:
        return self.minimum_hours or self.hours or 0

    @property
    def longest_hours(self) -> int:
        return self.maximum_hours or self.hours or 0

    @property
    def is_range(self) -> bool:
        return self.hours is None

    @property
    def shortest(self) -> timedelta:
        return timedelta(hours=self.shortest_hours)


PaymentKind = Literal[
    "at_confirmation", "hourly", "deposit_back", "advance", "arrears", "security_back"
]
PAYMENT_KINDS: tuple[PaymentKind, ...] = get_args(PaymentKind)


@dataclass(frozen=True, slots=True)
class Payment:
    """What is paid of an offer, from when until when; negative: what comes back.

    `at_confirmation` is due until `due_at`. `hourly` is so much in all, in as many parts, each
    when its hour has been delivered, from `due_at` to `until_at`. `deposit_back` is what is
    left of the deposit where every hour was paid. `advance` and `arrears` pay for a `period`
    before and after it; `security_back` is what nothing is taken from.
    """

    kind: PaymentKind
    due_at: datetime
    until_at: datetime
    part_count: int
    amount_minor: int
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class CancellationStep:
    """Cancelled before `until_at` (and not before the step before), so much comes back."""

    until_at: datetime
    refund_bps: int
    refund_minor: int
    kept_minor: int


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Nodes of the pool that are planned out of use while the offer would run.

    They are counted out before anything is sold: an offer keeps its units meanwhile.
    """

    start_at: datetime
    end_at: datetime
    node_count: int


@dataclass(frozen=True, slots=True)
class Offer:
    """One listing, one fabric, one dated start, one price. `token` can be posted back verbatim."""

    token: str
    expires_at: datetime
    marks: tuple[Mark, ...]
    listing_id: str
    pool_id: str
    pool_name: str
    centre_name: str
    centre_name_en: str
    owner_kind: str
    region: str
    hub: str
    chip: str
    memory_gib: int
    interconnect_gbps: int | None
    unit_cards: int
    cards_per_node: int
    unit_count: int
    card_count: int
    start_at: datetime
    end_at: datetime
    hours: int
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
    due_minor: int  # when confirmed, the security among it
    security_minor: int
    security_months: int
    advance_months: int
    net_days: int
    hold_deposit_minor: int
    hold_seconds: int  # how long a hold made now lasts; near the start less than elsewhere
    selling: str  # agency, resale or direct …
    parties: Parties  # … and who sells, invoices and is paid by it
    decide_hours: int | None  # the provider decides on the hold within so long; None: no wait
    pay_by_at: datetime | None  # until when it is kept for a bank transfer, where it is
    pay_by_deposit_minor: int | None  # kept aside until then
    payments: tuple[Payment, ...]
    terms_id: str  # the version that a deal of it names
    promise: Promise | None  # the service level; None: none is promised
    cancellation: tuple[tuple[int, int], ...]  # hours before the start, basis points refunded
    cancellation_steps: tuple[CancellationStep, ...]  # the same, dated and in money
    maintenance: tuple[Maintenance, ...]
    faults: Faults  # of such nodes in that centre, per million card-hours
    software: dict[str, str]  # the pool's nodes: a version, "mixed" or "unknown"
    facts: dict[str, Fact]  # proved of the fabric; what nobody has proved reads "unknown"
    declared: dict[str, Fact]  # what the provider says of it, and answers for


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why listings did not match: how many, by the first reason that excluded each.

    `nearest` is what the nearest of them allows, where the reason is a limit: units, hours,
    GiB, GB/s, or micro-units per card-hour.
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
class Split:
    """Offers that only together are what was asked for: one chip, one start, one length, several
    fabrics. Held together as a basket, all of them or none."""

    offers: tuple[Offer, ...]

    @property
    def card_count(self) -> int:
        return sum(offer.card_count for offer in self.offers)

    @property
    def gross_minor(self) -> int:
        return sum(offer.gross_minor for offer in self.offers)

    @property
    def due_minor(self) -> int:
        return sum(offer.due_minor for offer in self.offers)


@dataclass(frozen=True, slots=True)
class OfferResults:
    """The cheapest first, then the earliest: of a fixed length by the whole price, of a range by
    that of a card-hour. The earliest of all is among them, if need be as the last."""

    offers: tuple[Offer, ...]
    rejections: tuple[Rejection, ...]
    alternatives: tuple[Alternative, ...] = field(default=())
    # Listings that fit, those beyond the limit too; of these last none is held against a price.
    match_count: int = 0
    split: Split | None = None  # where nothing fits one fabric, and parts may do
