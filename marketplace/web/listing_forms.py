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
from marketplace import discounts, money, money_text, policy
from marketplace.asking import (
    LEAST_DEPOSIT_BPS,
    MOST_ADVANCE_MONTHS,
    MOST_GRACE_DAYS,
    MOST_NET_DAYS,
    MOST_SECURITY_MONTHS,
    MOST_SUSPENSION_DAYS,
    PriceInput,
    as_price,
)
from marketplace.models import Listing, PriceFloor, PriceVersion
from marketplace.money import Quote
from marketplace.web import figures, names
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field
from marketplace.web.money_fields import PriceField
from marketplace.web.terms_forms import TermsForm, TiersField, tiers_text

# Of a payment schedule; a field left empty is as it usually is.
PARAMETERS = (
    "security_months", "advance_months", "net_days", "pro_rata", "grace_days", "notice_days",
    "suspension_days",
)  # fmt: skip


def number_field(*, label: Any, help_text: Any, most: int, least: int = 0) -> forms.IntegerField:
    """A whole number that may be left empty."""
    return forms.IntegerField(
        label=label, min_value=least, max_value=most, required=False, help_text=help_text
    )


class PriceForm(ConsoleForm):
    """What a listing asks."""

    basis = forms.ChoiceField(label=_("Priced by"), choices=PriceVersion.Basis.choices)
    amount = PriceField(label=_("Price, CNY, tax included"))
    schedule = forms.ChoiceField(label=_("Payment"), choices=PriceVersion.Schedule.choices)
    deposit_percent = forms.IntegerField(
        label=_("Deposit, %"), min_value=0, max_value=100, initial=30, required=False,
        help_text=_("Only with deposit and hourly: 10 at the least"),
    )  # fmt: skip
    security_months = number_field(label=_("Security, months"), most=MOST_SECURITY_MONTHS,
        help_text=_("With months ahead, usually 1; in arrears, usually none"))  # fmt: skip
    advance_months = number_field(label=_("Paid ahead, months"), most=MOST_ADVANCE_MONTHS,
        help_text=_("Only with months ahead, usually 3"))  # fmt: skip
    net_days = number_field(label=_("Paid after the month, days"), most=MOST_NET_DAYS,
        help_text=_("Only in arrears, usually 30"))  # fmt: skip
    pro_rata = forms.ChoiceField(
        label=_("A part of a month"), choices=PriceVersion.ProRata.choices, required=False,
        help_text=_("Only by node and month"),
    )  # fmt: skip
    grace_days = number_field(label=_("Grace, days"), most=MOST_GRACE_DAYS,
        help_text=_("From due to overdue, usually 5"))  # fmt: skip
    notice_days = number_field(label=_("Notice, days"), most=MOST_GRACE_DAYS,
        help_text=_("From overdue until access is shut, usually 5"))  # fmt: skip
    suspension_days = number_field(label=_("Suspension, days"), most=MOST_SUSPENSION_DAYS, least=1,
        help_text=_("Shut so long, the lease is ended; usually 15"))  # fmt: skip
    hours_off = TiersField(
        kind=discounts.HOURS, label=_("Discount for length, hours: percent"),
        help_text=_("Such as 720: 5, 2160: 10. The deepest tier reached counts"),
    )  # fmt: skip
    cards_off = TiersField(
        kind=discounts.CARDS, label=_("Discount for cards, cards: percent"),
        help_text=_("Such as 64: 3, 256: 6. It adds to the one for length"),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or self.cleaned_data)
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
            discounts=(*data["hours_off"], *data["cards_off"]),
            **{name: data[name] for name in PARAMETERS if data.get(name) not in (None, "")},
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
            **_parameters(newest),
            "hours_off": tiers_text(newest.discounts, discounts.HOURS),
            "cards_off": tiers_text(newest.discounts, discounts.CARDS),
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


def _parameters(price: PriceVersion) -> dict[str, Any]:
    """As they stand; those of another schedule are left to what is usual for it."""
    alien = ("security_months", "advance_months", "net_days")
    scheduled = price.schedule in (PriceVersion.Schedule.ADVANCE, PriceVersion.Schedule.ARREARS)
    return {
        name: getattr(price, name) if scheduled or name not in alien else "" for name in PARAMETERS
    }


class ListingForm(PriceForm, TermsForm):
    """Idle units of a pool, for a time, at a price, by rules."""

    template_name = "console/listing_form.html"

    pool = forms.ChoiceField(label=_("Pool"))
    unit_count = count_field(label=_("Units"))
    start = ZonedDateTimeField(label=_("From"))
    end = ZonedDateTimeField(label=_("Until"))
    mode = forms.ChoiceField(
        label=_("Deals are made"), required=False,
        choices=[
            (Listing.Mode.INSTANT, _("at once")),
            (Listing.Mode.APPROVAL, _("after your approval")),
        ],
    )  # fmt: skip
    selling = forms.ChoiceField(
        label=_("Way of selling"), required=False, choices=Listing.Selling.choices,
    )  # fmt: skip
    field_order = [
        "pool", "unit_count", "start", "end", "basis", "amount", "schedule", "deposit_percent",
        "security_months", "advance_months", "net_days", "minimum_hours",
        "minimum_units", "cancellation", "mode", "selling",
    ]  # fmt: skip
    MORE = (
        "decide_hours", "leaving", "withdrawal", "sla_availability", "sla_credits", "sla_cap",
        "sla_replacement_hours", "sla_notice_hours", "acceptance_mb_per_second",
        "acceptance_hours", "hours_off", "cards_off", "hour_step",
        "maximum_hours", "unit_step", "maximum_units", "trial_units", "trial_hours",
        "trial_amount", "trial_convertible", "pro_rata", "grace_days", "notice_days",
        "suspension_days",
    )  # fmt: skip

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

    def always(self) -> list[forms.BoundField]:
        """The fields that every listing needs."""
        return [self[name] for name in self.fields if name not in self.MORE]

    def more(self) -> list[forms.BoundField]:
        """Those that most listings leave as they are."""
        return [self[name] for name in self.MORE]

    def more_is_open(self) -> bool:
        """Where one of them was refused, or is not as it stands at first."""
        return any(field.errors for field in self.more()) or (
            self.is_bound and any(name in self.changed_data for name in self.MORE)
        )


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a listing would bring if all of it were sold, and how far above cost it is."""

    quote: Quote
    zone: str
    keeps_micro: int  # of a card-hour, after the deepest discounts, VAT and fee
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
    lowest = asked.less(discounts.deepest(discounts.tiers(price.discounts)))
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
        keeps_micro=int(money.keeps_micro(price=lowest, cards_per_node=cards)),
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
