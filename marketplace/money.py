"""Prices, taxes, fees and rounding: pure, in unbounded integers and fractions, never floats.

Everything that turns machine time into money is here, so that an offer and its invoice come
from the same code. Amounts are integer minor units of a currency (ISO 4217 exponent); prices
are millionths of the major unit.

Rounding. What was delivered so far has one exact price, a fraction. Half-up rounding of that
running total gives the gross charged so far; a charge is the difference of two such totals.
So charges never drift by more than half a minor unit, and those of any split of a fully
delivered lease add up to its quote. VAT is taken out of the rounded gross, the fee out of the
net, and the provider gets the remainder. Each step rounds a share of a rounded whole, so no
part of a charge is ever negative while the total grows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import accumulate, pairwise, takewhile
from typing import Any, Protocol

from inventory.errors import Invalid
from inventory.periods import Period
from marketplace import discounts, months, schedules
from marketplace.months import longest_month_hours, month_of
from marketplace.schedules import Due

__all__ = ["longest_month_hours", "month_of"]

MICRO = 10**6
WHOLE_BPS = 10_000
# A hundredth of what a bigint holds, so that sums of many such amounts still fit one.
LARGEST_MINOR = 9 * 10**16

# ISO 4217 exponents: how many decimals the minor unit has.
EXPONENTS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("AED", "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EGP", "EUR"), 2),
    **dict.fromkeys(("GBP", "HKD", "HUF", "IDR", "ILS", "INR", "KZT", "MOP", "MXN", "MYR"), 2),
    **dict.fromkeys(("NOK", "NZD", "PHP", "PLN", "QAR", "RUB", "SAR", "SEK", "SGD", "THB"), 2),
    **dict.fromkeys(("TRY", "TWD", "USD", "ZAR"), 2),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


# Rates of value-added tax by code, in basis points. Mainland China: 6 % on information services,
# 13 % on leases of goods, 3 % for small-scale taxpayers (Cai Shui [2016] 36, 2019 No. 39);
# `none` where the tax does not apply.
VAT_BPS = {"cn-6": 600, "cn-13": 1_300, "cn-3": 300, "none": 0}


class UnknownCurrency(Invalid):
    """The code is not one of the ISO 4217 codes that this market can count in."""

    code = "unknown_currency"
    title = "The currency is not known"


class AmountTooLarge(Invalid):
    """The total would not fit the books."""

    code = "amount_too_large"
    title = "The amount is too large"


class Asked(Protocol):
    """A price version, or anything that asks as one does; `discounts` as it stores them."""

    currency: str
    basis: str
    amount_micro: int
    tax_inclusive: bool
    vat_bps: int
    fee_bps: int
    schedule: str
    deposit_bps: int
    billing_zone: str
    pro_rata: str
    security_months: int
    advance_months: int
    net_days: int
    discounts: Any


class Deal(Protocol):
    """A reservation, a lease, or what else was agreed at a version's price less a share."""

    @property
    def price(self) -> Any: ...

    discount_bps: int


@dataclass(frozen=True, slots=True)
class Price:
    """What a price version asks, as the calculations need it, less a deal's discount."""

    currency: str
    basis: str  # PriceVersion.Basis
    amount_micro: int
    tax_inclusive: bool
    vat_bps: int
    fee_bps: int
    schedule: str  # PriceVersion.Schedule
    deposit_bps: int
    billing_zone: str
    discount_bps: int = 0  # off `amount_micro`, as exact as the rest: nothing is rounded by it
    pro_rata: str = "time"  # PriceVersion.ProRata
    security_months: int = 0
    advance_months: int = 0
    net_days: int = 0

    @classmethod
    def of(cls, version: Asked) -> Price:
        """As listed, before any discount."""
        return cls(
            currency=version.currency,
            basis=version.basis,
            amount_micro=version.amount_micro,
            tax_inclusive=version.tax_inclusive,
            vat_bps=version.vat_bps,
            fee_bps=version.fee_bps,
            schedule=version.schedule,
            deposit_bps=version.deposit_bps,
            billing_zone=version.billing_zone,
            pro_rata=version.pro_rata,
            security_months=version.security_months,
            advance_months=version.advance_months,
            net_days=version.net_days,
        )

    @classmethod
    def agreed(cls, deal: Deal) -> Price:
        """As a deal has it for life: its price version, less the share frozen with it."""
        return cls.of(deal.price).less(deal.discount_bps)

    @classmethod
    def lowest(cls, version: Asked) -> Price:
        """As the deepest discounts leave it: what is held against a floor."""
        return cls.of(version).less(discounts.deepest(discounts.tiers(version.discounts)))

    def less(self, discount_bps: int) -> Price:
        return replace(self, discount_bps=discount_bps) if discount_bps else self


@dataclass(frozen=True, slots=True)
class Amounts:
    """gross = vat + fee + provider, to the minor unit."""

    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int

    def __sub__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.gross_minor - other.gross_minor,
            self.vat_minor - other.vat_minor,
            self.fee_minor - other.fee_minor,
            self.provider_minor - other.provider_minor,
        )

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.gross_minor + other.gross_minor,
            self.vat_minor + other.vat_minor,
            self.fee_minor + other.fee_minor,
            self.provider_minor + other.provider_minor,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One stretch of a quote: a calendar month or its part, or the whole period by the hour."""

    period: Period
    card_seconds: int
    gross_minor: int  # lines are differences of running totals: they add up to the whole


@dataclass(frozen=True, slots=True)
class Quote:
    """The whole price of units over a period, and what is paid when the deal is confirmed."""

    currency: str
    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int
    due_minor: int  # the security among it
    card_count: int
    card_hour_micro: int  # tax included; for comparison only
    discount_bps: int  # taken off already
    lines: tuple[Line, ...]
    security_minor: int = 0


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What cancelling now would give back, and how the kept part splits."""

    share_bps: int  # refunded
    refund_minor: int
    kept: Amounts


NOTHING = Amounts(0, 0, 0, 0)


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit. Raises UnknownCurrency."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not a currency of this market") from None


def half_up(value: Fraction) -> int:
    """The nearest integer; a half goes up."""
    return half_up_of(value.numerator, value.denominator)


def half_up_of(numerator: int, denominator: int) -> int:
    """The integer nearest to a ratio, a half up; as exact as a Fraction, and much faster."""
    return (2 * numerator + denominator) // (2 * denominator)


def share(amount_minor: int, bps: int) -> int:
    """`bps` ten-thousandths of an amount, half-up."""
    return half_up_of(amount_minor * bps, WHOLE_BPS)


def portions(amounts: Sequence[int], whole_minor: int) -> list[int]:
    """A whole shared out in proportion to amounts: the parts add up to it exactly."""
    total = sum(amounts)
    if not total:
        return [0 for _ in amounts]
    steps = [half_up(Fraction(whole_minor * part, total)) for part in accumulate(amounts)]
    return [after - before for before, after in pairwise([0, *steps])]


class Running:
    """The rounded price of a lease's hours before any instant of a period."""

    def __init__(
        self,
        *,
        price: Price,
        cards: int,
        cards_per_node: int,
        period: Period,
        whole: Period | None = None,
    ) -> None:
        self._price, self._cards, self._cards_per_node = price, cards, cards_per_node
        self._whole = whole or period
        self.pieces = list(pieces(price=price, period=period))
        parts = [self._fraction(piece.start, piece.seconds) for piece in self.pieces]
        self.exact = [Fraction(0), *accumulate(parts)]  # before each piece, and after the last
        self._starts = [piece.start for piece in self.pieces]

    def __call__(self, instant: datetime) -> int:
        index = bisect_right(self._starts, instant) - 1
        if index < 0:
            return 0
        piece = self.pieces[index]
        if instant >= piece.end:
            return half_up(self.exact[index + 1])
        seconds = int((instant - piece.start).total_seconds())
        return half_up(self.exact[index] + self._fraction(piece.start, seconds))

    def _fraction(self, instant: datetime, seconds: int) -> Fraction:
        return gross_fraction(
            price=self._price,
            cards_per_node=self._cards_per_node,
            delivered=[(instant, seconds * self._cards)],
            whole=self._whole,
        )


def quote(
    *,
    price: Price,
    unit_cards: int,
    cards_per_node: int,
    unit_count: int,
    period: Period,
    whole: Period | None = None,
) -> Quote:
    """The price of a fully delivered lease of this shape, over `period`.

    That is all of the lease, or a part of the one over `whole`, whose months count.
    Raises UnknownCurrency, AmountTooLarge.
    """
    cards, before, lines = unit_count * unit_cards, 0, []
    running = Running(
        price=price, cards=cards, cards_per_node=cards_per_node, period=period, whole=whole
    )
    exact = running.exact[-1]
    for piece, after in zip(running.pieces, running.exact[1:], strict=True):
        total = half_up(after)
        lines.append(Line(piece, cards * piece.seconds, total - before))
        before = total
    if before > LARGEST_MINOR:
        raise AmountTooLarge("The total is larger than the books can hold")
    parts = split(price=price, gross_minor=before)
    asked = list(takewhile(lambda due: due.due_at is None, instalments(price, period, running)))
    card_seconds = max(1, cards * period.seconds)
    micro_per_minor = Fraction(MICRO, 10 ** exponent(price.currency))
    return Quote(
        currency=price.currency,
        gross_minor=parts.gross_minor,
        vat_minor=parts.vat_minor,
        fee_minor=parts.fee_minor,
        provider_minor=parts.provider_minor,
        due_minor=sum(due.amount_minor for due in asked),
        card_count=cards,
        card_hour_micro=half_up(exact * micro_per_minor * 3600 / card_seconds),
        discount_bps=price.discount_bps,
        lines=tuple(lines),
        security_minor=sum(due.amount_minor for due in asked if due.kind == "security"),
    )


def instalments(
    price: Price, period: Period, gross_until: Callable[[datetime], int]
) -> Iterator[Due]:
    """What a lease over the period pays and when; see `schedules.plan`."""
    deposit_minor = share(gross_until(period.end), price.deposit_bps)
    return schedules.plan(
        price=price, period=period, gross_until=gross_until, deposit_minor=deposit_minor
    )


def add(quotes: Sequence[Quote]) -> Quote:
    """Several quotes in one currency as one: every amount is the sum of theirs.

    Their comparison prices are weighted by card-seconds. Raises AmountTooLarge.
    """
    lines = tuple(line for quote in quotes for line in quote.lines)
    gross_minor = sum(quote.gross_minor for quote in quotes)
    if gross_minor > LARGEST_MINOR:
        raise AmountTooLarge("The total is larger than the books can hold")
    weights = [max(1, sum(line.card_seconds for line in quote.lines)) for quote in quotes]
    weighed = sum(quote.card_hour_micro * w for quote, w in zip(quotes, weights, strict=True))
    return Quote(
        currency=quotes[0].currency,
        gross_minor=gross_minor,
        vat_minor=sum(quote.vat_minor for quote in quotes),
        fee_minor=sum(quote.fee_minor for quote in quotes),
        provider_minor=sum(quote.provider_minor for quote in quotes),
        due_minor=sum(quote.due_minor for quote in quotes),
        card_count=max(quote.card_count for quote in quotes),
        card_hour_micro=half_up(Fraction(weighed, sum(weights))),
        discount_bps=quotes[0].discount_bps,
        lines=lines,
        security_minor=sum(quote.security_minor for quote in quotes),
    )


def gross_fraction(
    *,
    price: Price,
    cards_per_node: int,
    delivered: Iterable[tuple[datetime, int]],
    whole: Period | None = None,
) -> Fraction:
    """The exact gross price, in minor units, of delivered card-seconds.

    `delivered` holds (instant, card-seconds) pairs. Only the calendar month of the instant
    matters, and only for a monthly price: usage hours and sums by month give the same
    fraction, in any order. `whole` is the lease's period: of a month it has a part of, the
    price's rule says what that part costs.
    """
    minor_per_micro = Fraction(10 ** exponent(price.currency), MICRO)
    amount = asked_micro(price) * minor_per_micro
    if not price.tax_inclusive:
        amount *= Fraction(WHOLE_BPS + price.vat_bps, WHOLE_BPS)
    if price.basis == "node_month":
        card_months = Fraction(0)
        for instant, card_seconds in delivered:
            card_months += card_seconds * months.second_share(
                instant, price.billing_zone, price.pro_rata, whole
            )
        return amount * card_months / cards_per_node
    card_hours = Fraction(sum(card_seconds for _, card_seconds in delivered), 3600)
    return amount * card_hours / (cards_per_node if price.basis == "node_hour" else 1)


def asked_micro(price: Price) -> Fraction:
    """The amount per unit of the basis after the discount, exactly."""
    return Fraction(price.amount_micro * (WHOLE_BPS - price.discount_bps), WHOLE_BPS)


def hour_fraction(
    *,
    price: Price,
    cards_per_node: int,
    hour: datetime,
    card_seconds: int,
    whole: Period | None = None,
) -> Fraction:
    """The exact gross price, in minor units, of one usage hour of the lease over `whole`;
    negative for a correction."""
    return gross_fraction(
        price=price, cards_per_node=cards_per_node, delivered=[(hour, card_seconds)], whole=whole
    )


def cumulative(*, price: Price, exact: Fraction) -> Amounts:
    """The running total to charge for an exact gross price so far."""
    return split(price=price, gross_minor=half_up(exact))


def charge(*, price: Price, before: Fraction, after: Fraction) -> Amounts:
    """What moves a lease's running total from one exact price to the next."""
    return cumulative(price=price, exact=after) - cumulative(price=price, exact=before)


def split(*, price: Price, gross_minor: int) -> Amounts:
    """A gross amount in its parts: VAT out of the gross, the fee out of the net, the rest
    to the provider."""
    vat = vat_within(gross_minor, price.vat_bps)
    net = gross_minor - vat
    fee = share(net, price.fee_bps)
    return Amounts(gross_minor, vat, fee, net - fee)


def vat_within(gross_minor: int, vat_bps: int) -> int:
    """The VAT that a gross amount contains, half-up."""
    return half_up_of(gross_minor * vat_bps, WHOLE_BPS + vat_bps)


def keeps_micro(*, price: Price, cards_per_node: int) -> Fraction:
    """What a provider keeps of a card-hour, after VAT and fee, at the least.

    A monthly price earns least per hour in the longest month.
    """
    kept = asked_micro(price)
    if price.tax_inclusive:
        kept *= Fraction(WHOLE_BPS, WHOLE_BPS + price.vat_bps)
    kept *= Fraction(WHOLE_BPS - price.fee_bps, WHOLE_BPS)
    if price.basis == "node_hour":
        return kept / cards_per_node
    if price.basis == "node_month":
        return kept / (cards_per_node * longest_month_hours(price.billing_zone))
    return kept


def comparison_micro(*, price: Price, cards_per_node: int) -> int:
    """A card-hour's price beside another basis, tax included: for comparison only.

    A month counts as a twelfth of a year of 365 days, 730 hours.
    """
    amount = asked_micro(price)
    if not price.tax_inclusive:
        amount *= Fraction(WHOLE_BPS + price.vat_bps, WHOLE_BPS)
    if price.basis == "node_hour":
        amount /= cards_per_node
    elif price.basis == "node_month":
        amount /= cards_per_node * 730
    return half_up(amount)


def cancellation(
    *,
    price: Price,
    schedule: Sequence[Sequence[int]],
    due_minor: int,
    start: datetime,
    at: datetime,
) -> Cancellation:
    """What is given back of the amount paid at confirmation, cancelling at `at`.

    The first step of the schedule that is still as many hours away counts; later than the
    last step nothing is given back.
    """
    share_bps = step(schedule, start - at) or 0
    kept_minor = share(due_minor, WHOLE_BPS - share_bps)
    return Cancellation(
        share_bps=share_bps,
        refund_minor=due_minor - kept_minor,
        kept=split(price=price, gross_minor=kept_minor),
    )


def step(schedule: Sequence[Sequence[int]], notice: timedelta) -> int | None:
    """The basis points of the first step that is still as many hours away; None after the last."""
    return next((bps for hours, bps in schedule if notice >= timedelta(hours=hours)), None)


def pieces(*, price: Price, period: Period) -> Iterator[Period]:
    """A period cut at the turns of the billing month, or whole where months do not matter."""
    if price.basis != "node_month":
        yield period
        return
    start = period.start
    while start < period.end:
        end = min(period.end, month_of(start, price.billing_zone).end)
        yield Period(start, end)
        start = end
