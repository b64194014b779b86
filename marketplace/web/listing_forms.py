"""The forms by which a provider sells, and what they would bring."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory import capacity
from inventory.models import Pool
from inventory.periods import Period, ceil_hour
from marketplace import money, money_text, policy
from marketplace.asking import (
    FIVE_YEARS_HOURS,
    LEAST_DEPOSIT_BPS,
    PriceInput,
    TermsInput,
    as_price,
)
from marketplace.models import PriceFloor, PriceVersion
from marketplace.money import Quote
from marketplace.web import figures, names
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field
from marketplace.web.money_fields import PriceField

# Schedules of cancellation a provider can choose from: [hours before the start, refunded bps].
CANCELLATIONS: dict[str, tuple[Any, list[list[int]]]] = {
    "standard": (
        _("Standard: all back 7 days before, half 3 days, a fifth 1 day"),
        [[168, 10_000], [72, 5_000], [24, 2_000]],
    ),
    "free": (_("Flexible: all back until the start"), [[0, 10_000]]),
    "strict": (
        _("Strict: all back 30 days before, half 7 days"),
        [[720, 10_000], [168, 5_000]],
    ),
    "none": (_("Nothing back"), []),
}


class PriceForm(ConsoleForm):
    """What a listing asks."""

    basis = forms.ChoiceField(label=_("Priced by"), choices=PriceVersion.Basis.choices)
    amount = PriceField(label=_("Price, CNY, tax included"))
    schedule = forms.ChoiceField(label=_("Payment"), choices=PriceVersion.Schedule.choices)
    deposit_percent = forms.IntegerField(
        label=_("Deposit, %"), min_value=0, max_value=100, initial=30, required=False,
        help_text=_("Only with deposit and hourly: 10 at the least"),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = self.cleaned_data
        deposit = data.get("deposit_percent")
        by_hour = data.get("schedule") == PriceVersion.Schedule.DEPOSIT_HOURLY
        if by_hour and deposit is not None and deposit * 100 < LEAST_DEPOSIT_BPS:
            least = LEAST_DEPOSIT_BPS // 100
            self.add_error(
                "deposit_percent", gettext("At least %(n)s%% with this payment.") % {"n": least}
            )
        return data

    def price(self) -> PriceInput:
        data = self.cleaned_data
        deposit = data["deposit_percent"]
        return PriceInput(
            basis=data["basis"],
            amount_micro=data["amount"],
            schedule=data["schedule"],
            deposit_bps=3000 if deposit is None else deposit * 100,
        )


class RepriceForm(PriceForm):
    """A new price, and the version of the one it was set against."""

    version = forms.CharField(widget=forms.HiddenInput, required=False, max_length=20)

    @classmethod
    def of(cls, newest: PriceVersion | None, data: Any) -> RepriceForm:
        if newest is None:
            return cls(data)
        initial = {
            "basis": newest.basis,
            "amount": money_text.format_price(newest.amount_micro),
            "schedule": newest.schedule,
            "deposit_percent": newest.deposit_bps // 100,
            "version": newest.version,
        }
        return cls(data, initial=initial)

    def is_up_to_date(self, newest: PriceVersion) -> bool:
        """Whether nobody has set another price since the form was shown; else it says so."""
        if self.cleaned_data["version"] == str(newest.version):
            return True
        self.add_error(
            None,
            gettext(
                "The price was changed meanwhile: it is %(price)s now (version %(n)s). Look at it;"
                " setting yours again replaces it."
            )
            % {"price": figures.asking(newest), "n": newest.version},
        )
        data: Any = self.data
        self.data = data.copy()
        self.data["version"] = str(newest.version)  # type: ignore[index]
        return False


class ListingForm(PriceForm):
    """Idle units of a pool, for a time, at a price, by rules."""

    pool = forms.ChoiceField(label=_("Pool"))
    unit_count = count_field(label=_("Units"))
    start = ZonedDateTimeField(label=_("From"))
    end = ZonedDateTimeField(label=_("Until"))
    minimum_hours = forms.IntegerField(
        label=_("Shortest lease, hours"), min_value=1, max_value=FIVE_YEARS_HOURS, initial=24
    )
    minimum_units = count_field(label=_("Smallest lease, units"), initial=1)
    cancellation = forms.ChoiceField(
        label=_("Cancellation"),
        choices=[(key, words) for key, (words, _s) in CANCELLATIONS.items()],
    )
    field_order = [
        "pool", "unit_count", "start", "end", "basis", "amount", "schedule", "deposit_percent",
        "minimum_hours", "minimum_units", "cancellation",
    ]  # fmt: skip

    def __init__(self, *args: Any, pools: QuerySet[Pool], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pools = {pool.public_id: pool for pool in pools}
        choice = self.fields["pool"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            (key, f"{names.of(pool.fabric.centre)} · {pool.name} · {pool.chip.model}")
            for key, pool in self.pools.items()
        ]
        asked = self.data.get("pool") if self.is_bound else self.initial.get("pool")
        pool = self.pools.get(str(asked)) or next(iter(self.pools.values()), None)
        self.zone = pool.fabric.centre.timezone if pool else settings.BILLING_ZONE
        for name in ("start", "end"):
            field = self.fields[name]
            assert isinstance(field, ZonedDateTimeField)
            field.zone = self.zone

    @property
    def chosen(self) -> Pool:
        return self.pools[self.cleaned_data["pool"]]

    def period(self) -> Period:
        """Raises InvalidPeriod."""
        return Period(self.cleaned_data["start"], self.cleaned_data["end"])

    def terms(self) -> TermsInput:
        data = self.cleaned_data
        return TermsInput(
            minimum_hours=data["minimum_hours"],
            minimum_units=data["minimum_units"],
            cancellation=CANCELLATIONS[data["cancellation"]][1],
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a listing would bring if all of it were sold, and how far above cost it is."""

    quote: Quote
    zone: str
    keeps_micro: int  # of a card-hour, after VAT and fee
    comparison_micro: int
    floor: PriceFloor | None
    unit_count: int
    free_units: int
    card_hours: Decimal

    @property
    def too_many(self) -> bool:
        return self.unit_count > self.free_units

    @property
    def below_floor(self) -> bool:
        return self.floor is not None and self.keeps_micro < self.floor.card_hour_micro

    @property
    def fee_bps_percent(self) -> str:
        return f"{settings.OPERATOR_FEE_BPS / 100:g}"


def outlook(
    *, pool: Pool, price: PriceInput, unit_count: int, period: Period, at: datetime
) -> Outlook:
    """What is left of the period at `at`, were all of it to sell.

    Raises InvalidPeriod where nothing is left, and what `money.quote` raises.
    """
    period = Period(max(period.start, ceil_hour(at)), period.end)
    asked = as_price(price)
    quote = money.quote(
        price=asked,
        unit_cards=pool.unit_cards,
        cards_per_node=pool.cards_per_node,
        unit_count=unit_count,
        period=period,
    )
    steps = capacity.availability(pool_id=pool.pk, period=period, at=at)
    cards = pool.cards_per_node
    return Outlook(
        quote=quote,
        zone=pool.fabric.centre.timezone,
        keeps_micro=int(money.keeps_micro(price=asked, cards_per_node=cards)),
        comparison_micro=money.comparison_micro(price=asked, cards_per_node=cards),
        floor=policy.floor_of(pool.pk),
        unit_count=unit_count,
        free_units=max(0, min((step.free_units for step in steps), default=0)),
        card_hours=_decimal(Fraction(quote.card_count * period.seconds, 3600)),
    )


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def local_midnight(day: str, zone: str) -> datetime | None:
    """The start of a day of the calendar, from its link."""
    try:
        return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        return None
