"""Who may trade, what may not be undercut, and what a hold costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from django.conf import settings
from django.db.models import Count, F, Q
from django.db.models.functions import Coalesce

from inventory.errors import DomainError, Forbidden, Invalid
from inventory.models import Organisation, Pool
from inventory.periods import Period
from marketplace import money
from marketplace.models import PriceFloor, PriceVersion, Reservation, TermsVersion
from marketplace.money import Price
from marketplace.money_text import format_price

LAPSE_MEMORY = timedelta(days=30)
SHORTEST_HOLD = timedelta(minutes=1)


class OrganisationUnverified(Forbidden):
    """The operator has not verified this organisation: it may look, not trade."""

    code = "organisation_unverified"
    title = "The organisation is not verified"


class BelowFloor(Invalid):
    """The price would leave the provider less than its own costs."""

    code = "below_floor"
    title = "The price is below the provider's own floor"


class FloorCurrency(Invalid):
    """The pool's costs are known in another currency than the price's."""

    code = "floor_currency"
    title = "The price cannot be compared with the floor"


class HoldLimit(DomainError):
    """The tenant already holds, unpaid, as much as one tenant may."""

    code = "hold_limit"
    title = "Too much is held already"
    status = 429


Part = tuple[Period, int, int]  # when, how many cards, for which need


@dataclass(frozen=True, slots=True)
class Wanted:
    """Cards of a chip class over a period, as a hold would keep them."""

    chip_class: str
    cards: int
    period: Period


class NoSuchTrial(Invalid):
    """The terms allow no trial, or none of this size."""

    code = "no_such_trial"
    title = "The terms allow no such trial"


@dataclass(frozen=True, slots=True)
class HoldDeposit:
    """What is kept aside in the wallet while capacity is held, and why it is that much."""

    amount_minor: int
    bps: int
    lapsed_count: int


def require_verified(organisation: Organisation) -> None:
    """Raises OrganisationUnverified."""
    if not organisation.is_verified:
        raise OrganisationUnverified(
            "The operator has to verify the organisation before it can trade",
            state=organisation.state,
        )


def floor_of(pool_id: int) -> PriceFloor | None:
    """The newest floor of a pool; a pool without one has told nobody its costs."""
    return PriceFloor.objects.filter(pool_id=pool_id).order_by("-version").first()


def check_floor(price: Price, pool: Pool) -> None:
    """Compares what the provider keeps of a card-hour with what it costs the provider.

    VAT and the operator's fee are no income of the provider, so they are taken off first; a
    monthly price is measured by the longest month. Raises BelowFloor with the components.
    """
    floor = floor_of(pool.pk)
    if floor is None:
        return
    if floor.currency != price.currency:
        raise FloorCurrency(
            f"The pool's costs are known in {floor.currency}; a price in {price.currency}"
            " cannot be compared with them"
        )
    keeps = money.keeps_micro(price=price, cards_per_node=pool.cards_per_node)
    if keeps < floor.card_hour_micro:
        raise BelowFloor(
            f"A card-hour would leave {format_price(int(keeps))} {price.currency} after VAT and"
            f" fee; it costs {format_price(floor.card_hour_micro)}",
            currency=floor.currency,
            floor_micro=floor.card_hour_micro,
            keeps_micro=int(keeps),
            power_micro=floor.power_micro,
            depreciation_micro=floor.depreciation_micro,
            network_micro=floor.network_micro,
            operations_micro=floor.operations_micro,
        )


def check_trial(*, terms: TermsVersion, unit_count: int, hours: float) -> None:
    """Whether the terms allow a trial of this size. Raises NoSuchTrial with what they allow."""
    if not (1 <= unit_count <= terms.trial_units and 0 < hours <= terms.trial_hours):
        raise NoSuchTrial(trial_units=terms.trial_units, trial_hours=terms.trial_hours)


def trial_price(*, price: PriceVersion, terms: TermsVersion) -> Price:
    """What a trial is counted with: the listing's basis, tax and fee, at the trial's amount.

    It may be nothing; floors do not apply to it, nor do discounts.
    """
    return replace(Price.of(price), amount_micro=terms.trial_amount_micro)


def hold_deposit(*, tenant_id: int, gross_minor: int, at: datetime) -> HoldDeposit:
    """What holding costs this tenant now. It is given back, or counts towards the price."""
    lapsed = lapsed_count(tenant_id, at)
    bps = hold_bps(lapsed)
    return HoldDeposit(money.share(gross_minor, bps), bps, lapsed)


def lapsed_count(tenant_id: int, at: datetime) -> int:
    """How many holds the tenant let lapse in the 30 days before.

    One given back in the second half of its time kept others away as long, and counts too:
    else a hold cancelled just in time and made anew would cost nothing for ever. One that its
    provider rejected, or left undecided, is no fault of the tenant's.
    """
    since = at - LAPSE_MEMORY
    return int(
        Reservation.objects.filter(tenant_id=tenant_id)
        .annotate(
            kept=F("cancelled_at") - F("created_at"), left=F("expires_at") - F("cancelled_at")
        )
        .filter(
            (Q(decide_by__isnull=True) | Q(decision=Reservation.Decision.APPROVED))
            & Q(state=Reservation.State.EXPIRED, expired_at__gt=since, expired_at__lte=at)
            | ~Q(decision=Reservation.Decision.REJECTED)
            & Q(
                state=Reservation.State.CANCELLED,
                confirmed_at__isnull=True,
                cancelled_at__gt=since,
                cancelled_at__lte=at,
                kept__gte=F("left"),
            )
        )
        # A basket is one hold, however much lies in it.
        .annotate(need=Coalesce("basket_id", -F("pk")))
        .aggregate(count=Count("need", distinct=True))["count"]
    )


def hold_bps(lapsed: int) -> int:
    """The share kept aside while held: every lapsed hold doubles it, up to the whole price."""
    # Fourteen doublings of one basis point pass the whole: no need for larger numbers.
    doubled: int = settings.HOLD_DEPOSIT_BPS << min(lapsed, 14)
    return min(doubled, money.WHOLE_BPS)


def expires_at(at: datetime, *, start: datetime, lead_seconds: int) -> datetime:
    """Until when capacity is kept for a wallet: no longer than its nodes can still be prepared
    in time, but for a minute."""
    longest = at + timedelta(seconds=settings.HOLD_SECONDS)
    in_time = start - timedelta(seconds=lead_seconds)
    return min(longest, max(in_time, at + SHORTEST_HOLD))


def check_hold_limit(
    *, tenant_id: int, chip_class: str, cards: int, period: Period, at: datetime
) -> None:
    """Whether the tenant may hold these cards over this period beside what it holds already.

    Holds of one tenant on one chip class that overlap in time are taken for alternatives of
    one need and count once: at each instant the largest of them. The caller has locked the
    tenant's organisation, so that two holds at once cannot both pass. Raises HoldLimit.
    """
    check_basket_limit(tenant_id=tenant_id, wanted=[Wanted(chip_class, cards, period)], at=at)


def check_basket_limit(*, tenant_id: int, wanted: Sequence[Wanted], at: datetime) -> None:
    """As `check_hold_limit`, for several holds of one need: theirs, and those of each basket
    held already, add up."""
    by_class: dict[str, list[Part]] = defaultdict(list)
    held = Reservation.objects.filter(
        tenant_id=tenant_id, state=Reservation.State.HELD, expires_at__gt=at
    ).values_list(
        "allocation__pool__chip__chip_class",
        "period",
        "unit_count",
        "allocation__pool__unit_cards",
        Coalesce("basket_id", -F("pk")),
    )
    for held_class, held_period, unit_count, unit_cards, need in held:
        by_class[held_class].append((Period.of(held_period), unit_count * unit_cards, need))
    for one in wanted:
        by_class[one.chip_class].append((one.period, one.cards, 0))
    card_hours = sum(map(_card_seconds_once, by_class.values())) // 3600
    if card_hours > settings.HOLD_CARD_HOURS_LIMIT:
        raise HoldLimit(
            "Confirm or cancel other holds first",
            card_hours=card_hours,
            limit_card_hours=settings.HOLD_CARD_HOURS_LIMIT,
        )


def _card_seconds_once(holds: Iterable[Part]) -> int:
    """The largest need at each instant, its holds added up, summed over time; card-seconds."""
    holds = list(holds)
    edges = sorted({edge for period, _, _ in holds for edge in (period.start, period.end)})
    total = 0
    for start, end in pairwise(edges):
        by_need: dict[int, int] = defaultdict(int)
        for period, cards, need in holds:
            if period.start <= start < period.end:
                by_need[need] += cards
        total += max(by_need.values(), default=0) * int((end - start).total_seconds())
    return total
