"""What a provider asks: a price and the terms of the deals, checked before anything is sold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings

from inventory.errors import Invalid
from inventory.models import Pool
from inventory.periods import Period
from marketplace import discounts, money, policy, sla
from marketplace.models import PriceVersion
from marketplace.money import Price
from marketplace.money_text import LARGEST_PRICE_MICRO

FIVE_YEARS_HOURS = 24 * 366 * 5
THIRTY_DAYS_HOURS = 24 * 30  # the longest trial, and the longest time to decide
# The deposit serves for as long as an empty wallet is looked for: it is never nothing.
LEAST_DEPOSIT_BPS = 1_000
MOST_MB_PER_SECOND = 10_000_000
MOST_SECURITY_MONTHS = 6
MOST_ADVANCE_MONTHS = 12
MOST_NET_DAYS = 120
MOST_GRACE_DAYS = 60  # of grace, and of notice
MOST_SUSPENSION_DAYS = 90


class InvalidPrice(Invalid):
    """The price cannot be counted: currency, basis, share or zone."""

    code = "invalid_price"
    title = "The price is not acceptable"


class InvalidTerms(Invalid):
    """The terms contradict themselves or leave nothing that could be sold."""

    code = "invalid_terms"
    title = "The terms are not acceptable"


@dataclass(frozen=True, slots=True)
class PriceInput:
    """What a provider asks; see `PriceVersion` for the words. The fee is the operator's to set."""

    basis: str
    amount_micro: int
    currency: str = "CNY"
    tax_inclusive: bool = True
    vat_code: str = "cn-6"
    schedule: str = PriceVersion.Schedule.PREPAID
    deposit_bps: int = 3000
    billing_zone: str = settings.BILLING_ZONE
    pro_rata: str = PriceVersion.ProRata.TIME
    # Where nothing is said: 押一付三 for `advance`, no security in arrears.
    security_months: int | None = None
    advance_months: int | None = None
    net_days: int | None = None
    grace_days: int = 5
    notice_days: int = 5
    suspension_days: int = 15
    discounts: Sequence[Sequence[str | int]] = ()

    def __post_init__(self) -> None:
        for name, usual in _USUAL.get(self.schedule, _NONE).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, usual)


_NONE = {"security_months": 0, "advance_months": 0, "net_days": 0}
_USUAL: dict[str, dict[str, int]] = {
    PriceVersion.Schedule.ADVANCE: {"security_months": 1, "advance_months": 3, "net_days": 0},
    PriceVersion.Schedule.ARREARS: {"security_months": 0, "advance_months": 0, "net_days": 30},
}


@dataclass(frozen=True, slots=True)
class TermsInput:
    """The rules of the deals; see `TermsVersion` for the words."""

    minimum_hours: int = 1
    hour_step: int = 1
    maximum_hours: int = FIVE_YEARS_HOURS
    minimum_units: int = 1
    unit_step: int = 1
    maximum_units: int | None = None
    start_grid_seconds: int = 3600
    cancellation: Sequence[Sequence[int]] = ((168, 10_000), (72, 5_000), (24, 2_000))
    leaving: Sequence[Sequence[int]] = ((720, 9_000), (168, 7_000), (24, 5_000), (0, 3_000))
    withdrawal: Sequence[Sequence[int]] = ((720, 1_000), (168, 3_000))
    decide_hours: int = 24
    trial_units: int = 0
    trial_hours: int = 0
    trial_amount_micro: int = 0
    trial_convertible: bool = False
    sla_availability_bps: int = 0
    sla_replacement_hours: int = 0
    sla_credits: Sequence[Sequence[int]] = ()
    sla_cap_bps: int = 0
    sla_notice_hours: int = 0
    acceptance_mb_per_second: int = 0
    acceptance_hours: int = 0


def check_price(price: PriceInput, pool: Pool) -> None:
    """Raises InvalidPrice, UnknownCurrency, BelowFloor, FloorCurrency.

    The floor is held against the price after its deepest discounts.
    """
    money.exponent(price.currency)
    if price.basis not in PriceVersion.Basis.values:
        raise InvalidPrice("The basis is card_hour, node_hour or node_month", basis=price.basis)
    if price.schedule not in PriceVersion.Schedule.values:
        raise InvalidPrice(
            "The schedule is prepaid, deposit_hourly, advance or arrears", schedule=price.schedule
        )
    if not 0 < price.amount_micro <= LARGEST_PRICE_MICRO:
        raise InvalidPrice("The amount must be more than zero, and a possible price")
    if price.vat_code not in money.VAT_BPS:
        raise InvalidPrice("The VAT code is not known", vat_code=price.vat_code)
    least = LEAST_DEPOSIT_BPS if price.schedule == PriceVersion.Schedule.DEPOSIT_HOURLY else 0
    if not least <= price.deposit_bps <= money.WHOLE_BPS:
        raise InvalidPrice(f"A deposit lies between {least} and 10000 basis points")
    _check_schedule(price)
    _check_zone(price.billing_zone)
    tiers = discounts.tiers(price.discounts)
    if not discounts.are_sound(tiers):
        raise InvalidPrice(
            "Discounts go up tier by tier, and leave a tenth of the price at the least"
        )
    policy.check_floor(as_price(price).less(discounts.deepest(tiers)), pool)


def _check_schedule(price: PriceInput) -> None:
    """What a tenant puts down, pays ahead, and what follows where it does not pay."""
    security, ahead, net = price.security_months, price.advance_months, price.net_days
    assert security is not None
    assert ahead is not None
    assert net is not None
    in_advance = price.schedule == PriceVersion.Schedule.ADVANCE
    in_arrears = price.schedule == PriceVersion.Schedule.ARREARS
    if price.pro_rata not in PriceVersion.ProRata.values:
        raise InvalidPrice("A part of a month is counted by time, day or thirty")
    if not 0 <= security <= (MOST_SECURITY_MONTHS if in_advance or in_arrears else 0):
        raise InvalidPrice("A security is of six months at the most, with advance or arrears")
    if not (1 <= ahead <= MOST_ADVANCE_MONTHS if in_advance else ahead == 0):
        raise InvalidPrice("With advance 1 to 12 months are paid ahead, and else none")
    if not 0 <= net <= (MOST_NET_DAYS if in_arrears else 0):
        raise InvalidPrice("With arrears a month is paid within 120 days, and else at once")
    if not (
        0 <= price.grace_days <= MOST_GRACE_DAYS
        and 0 <= price.notice_days <= MOST_GRACE_DAYS
        and 1 <= price.suspension_days <= MOST_SUSPENSION_DAYS
    ):
        raise InvalidPrice("Grace and notice are 60 days at the most, a suspension 1 to 90")


def _check_zone(name: str) -> None:
    """Usage is counted by UTC hours, so a month has to turn on one: no half-hour zones."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidPrice("The billing zone is not known", billing_zone=name) from None
    for month in (1, 7):
        offset = datetime(2026, month, 1, tzinfo=zone).utcoffset() or timedelta(0)
        if offset % timedelta(hours=1):
            raise InvalidPrice("The billing zone is not whole hours from UTC", billing_zone=name)


def as_price(price: PriceInput) -> Price:
    """As it is counted with, the operator's fee of today in it, before any discount. For a price
    that was checked."""
    facts = asdict(price)
    for name in ("discounts", "grace_days", "notice_days", "suspension_days"):
        del facts[name]
    vat_bps = money.VAT_BPS[facts.pop("vat_code")]
    return Price(fee_bps=settings.OPERATOR_FEE_BPS, vat_bps=vat_bps, **facts)


def check_quotable(price: Price, pool: Pool, *, unit_count: int, longest: Period) -> None:
    """Whether the largest deal has a price that the books can hold. Raises InvalidPrice."""
    try:
        money.quote(
            price=price,
            unit_cards=pool.unit_cards,
            cards_per_node=pool.cards_per_node,
            unit_count=unit_count,
            period=longest,
        )
    except money.AmountTooLarge:
        raise InvalidPrice("At this price no deal could be booked: it is too high") from None


def check_terms(terms: TermsInput, unit_count: int) -> None:
    """Raises InvalidTerms."""
    if not 1 <= terms.minimum_hours <= terms.maximum_hours <= FIVE_YEARS_HOURS:
        raise InvalidTerms("Lengths run from one hour to five years, the shortest first")
    if not 1 <= terms.minimum_units <= unit_count:
        raise InvalidTerms("The minimum lies between one unit and the units listed")
    if terms.maximum_units is not None and terms.maximum_units < terms.minimum_units:
        raise InvalidTerms("The largest lease is no smaller than the smallest")
    if not (1 <= terms.hour_step <= FIVE_YEARS_HOURS and 1 <= terms.unit_step <= unit_count):
        raise InvalidTerms("A step is one at least, and no more than could be asked for")
    # A day is the widest grid; whole parts of it keep the grid the same every day.
    if terms.start_grid_seconds < 60 or 86_400 % terms.start_grid_seconds:
        raise InvalidTerms("The start grid divides a day, and is a minute at least")
    if not 1 <= terms.decide_hours <= THIRTY_DAYS_HOURS:
        raise InvalidTerms("The time to decide lies between one hour and 30 days")
    _check_schedules(terms)
    _check_trial(terms, unit_count)
    _check_sla(terms)
    _check_acceptance(terms)


def _check_acceptance(terms: TermsInput) -> None:
    """A bandwidth to be shown and the time for it, or neither."""
    if terms.acceptance_mb_per_second == terms.acceptance_hours == 0:
        return
    if not 1 <= terms.acceptance_mb_per_second <= MOST_MB_PER_SECOND:
        raise InvalidTerms("A bus bandwidth lies between 1 and 10000000 MB/s")
    if not 1 <= terms.acceptance_hours <= THIRTY_DAYS_HOURS:
        raise InvalidTerms("Acceptance takes between an hour and 30 days")


def _check_schedules(terms: TermsInput) -> None:
    _check_steps(
        terms.cancellation,
        shape="A cancellation step is [hours before the start, basis points]",
        order="Cancellation steps go down, in hours and in what is refunded",
    )
    _check_steps(
        terms.leaving,
        shape="A step of leaving is [hours before the new end, basis points]",
        order="Steps of leaving go down, in hours and in what is refunded",
    )
    _check_steps(
        # Turned round: the shorter the notice, the more a withdrawal costs.
        [(step[0], money.WHOLE_BPS - step[1]) if len(step) == 2 else step
         for step in terms.withdrawal],
        shape="A step of withdrawal is [hours of notice, basis points]",
        order="Steps of withdrawal go down in hours and up in compensation",
    )  # fmt: skip


def _check_steps(steps: Sequence[Sequence[int]], *, shape: str, order: str) -> None:
    last_hours, last_bps = 10**6, money.WHOLE_BPS
    for step in steps:
        if len(step) != 2:
            raise InvalidTerms(shape)
        hours, bps = step
        if not 0 <= hours < last_hours or not 0 <= bps <= last_bps:
            raise InvalidTerms(order)
        last_hours, last_bps = hours, bps


def _check_trial(terms: TermsInput, unit_count: int) -> None:
    if terms.trial_units == terms.trial_hours == terms.trial_amount_micro == 0:
        if terms.trial_convertible:
            raise InvalidTerms("Without a trial there is nothing to convert")
        return
    if not (
        1 <= terms.trial_units <= unit_count
        and 1 <= terms.trial_hours <= THIRTY_DAYS_HOURS
        and 0 <= terms.trial_amount_micro <= LARGEST_PRICE_MICRO
    ):
        raise InvalidTerms("A trial has units of the listing, at most 30 days, and a price")


def _check_sla(terms: TermsInput) -> None:
    """A service level is promised whole, or not at all."""
    rest = (
        terms.sla_replacement_hours, len(terms.sla_credits), terms.sla_cap_bps,
        terms.sla_notice_hours,
    )  # fmt: skip
    if terms.sla_availability_bps == 0:
        if any(rest):
            raise InvalidTerms("Without an availability there is no service level to credit")
        return
    if not 1 <= terms.sla_availability_bps <= money.WHOLE_BPS:
        raise InvalidTerms("An availability lies between 1 and 10000 basis points")
    if not 0 <= terms.sla_replacement_hours <= THIRTY_DAYS_HOURS:
        raise InvalidTerms("A node is replaced within 30 days at the most")
    if not 0 <= terms.sla_notice_hours <= THIRTY_DAYS_HOURS:
        raise InvalidTerms("Maintenance is announced 30 days ahead at the most")
    if not 1 <= terms.sla_cap_bps <= money.WHOLE_BPS:
        raise InvalidTerms("Credits are capped at 1 to 10000 basis points of the month's charges")
    if not 1 <= len(terms.sla_credits) <= sla.MOST_STEPS:
        raise InvalidTerms("A service level has 1 to 20 steps of credit")
    below, credit = terms.sla_availability_bps + 1, 0
    for step in terms.sla_credits:
        if len(step) != 2:
            raise InvalidTerms("A step of credit is [availability below, basis points]")
        if not (0 < step[0] < below and credit < step[1] <= money.WHOLE_BPS):
            raise InvalidTerms(
                "Steps of credit go down in availability, from the one promised, and up in credit"
            )
        below, credit = step
