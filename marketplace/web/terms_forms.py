"""The fields of a listing's terms and discounts, and how people write them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from marketplace import discounts, money_text
from marketplace.asking import (
    FIVE_YEARS_HOURS,
    MOST_MB_PER_SECOND,
    THIRTY_DAYS_HOURS,
    TermsInput,
)
from marketplace.models import TermsVersion
from marketplace.web.forms import ConsoleForm, count_field
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
_USUAL = TermsInput()
_OWN = "own"  # a schedule that was given over the API
_AS_THEY_ARE = (
    "minimum_hours", "hour_step", "minimum_units", "unit_step", "maximum_units", "decide_hours",
    "trial_units", "trial_hours", "trial_convertible", "acceptance_mb_per_second",
    "acceptance_hours",
)  # fmt: skip
_BETWEEN = re.compile(r"[,;、\n]+")
_TIER = re.compile(r"\s*([0-9]{1,9})\s*[:=]\s*([0-9]{1,2}(?:\.[0-9]{1,2})?)\s*%?\s*")


_PERCENT = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,2})?")
_STEP = re.compile(r"\s*([0-9]{1,6})\s*[:=]\s*([0-9]{1,3}(?:\.[0-9]{1,2})?)\s*%?\s*")


class TiersField(forms.CharField):
    """Tiers of one kind as `720: 5, 2160: 10` (from so much on, so many percent off)."""

    def __init__(self, *, kind: str, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(max_length=300, required=False, **kwargs)

    def clean(self, value: Any) -> Any:
        text = unicodedata.normalize("NFKC", str(super().clean(value) or ""))
        found = []
        for piece in filter(str.strip, _BETWEEN.split(text)):
            match = _TIER.fullmatch(piece)
            if match is None:
                raise ValidationError(
                    gettext("Write pairs such as 720: 5, 2160: 10 (from 720 on 5% off).")
                )
            found.append((self.kind, int(match[1]), int(Decimal(match[2]) * 100)))
        if not discounts.are_sound(tuple(found)):
            raise ValidationError(
                gettext("Each tier starts later and takes more off than the one before, up to 90%.")
            )
        return tuple(found)


class StepsField(forms.CharField):
    """A schedule as `720: 90, 168: 70`: with so many hours to go or more, so many percent."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=300, required=False, **kwargs)

    def clean(self, value: Any) -> Any:
        text = unicodedata.normalize("NFKC", str(super().clean(value) or ""))
        found = []
        for piece in filter(str.strip, _BETWEEN.split(text)):
            match = _STEP.fullmatch(piece)
            if match is None or Decimal(match[2]) > 100:
                raise ValidationError(
                    gettext("Write pairs such as 720: 90, 168: 70 (hours: percent, up to 100).")
                )
            found.append([int(match[1]), int(Decimal(match[2]) * 100)])
        return found


class PercentField(forms.CharField):
    """A share up to 100 percent, to a hundredth, as basis points."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20, **kwargs)

    def clean(self, value: Any) -> Any:
        text = unicodedata.normalize("NFKC", str(super().clean(value) or "")).strip()
        return _basis_points(text.removesuffix("%").strip()) if text else 0


class CreditsField(forms.CharField):
    """Steps of credit as `99.9: 10, 99: 25`: below so many percent, so many percent back."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=300, required=False, **kwargs)

    def clean(self, value: Any) -> Any:
        text = unicodedata.normalize("NFKC", str(super().clean(value) or ""))
        found = []
        for piece in filter(str.strip, _BETWEEN.split(text)):
            below, colon, back = piece.replace("%", "").replace("=", ":").partition(":")
            if not colon:
                raise ValidationError(gettext("Write pairs such as 99.9: 10, 99: 25."))
            found.append((_basis_points(below.strip()), _basis_points(back.strip())))
        return tuple(found)


def _basis_points(text: str) -> int:
    if not _PERCENT.fullmatch(text) or Decimal(text) > 100:
        raise ValidationError(gettext("Write a percentage up to 100, such as 99.95."))
    return int(Decimal(text) * 100)


def percent_text(bps: int) -> str:
    """Basis points as a person writes a percentage; empty for none."""
    return f"{bps / 100:g}" if bps else ""


def steps_text(steps: Iterable[Sequence[int]]) -> str:
    """A schedule as a person writes it."""
    return ", ".join(f"{hours}: {bps / 100:g}" for hours, bps in steps)


def tiers_text(stored: Iterable[Sequence[Any]], kind: str) -> str:
    """Tiers of a kind as a person writes them."""
    return ", ".join(
        f"{least}: {bps / 100:g}" for each, least, bps in discounts.tiers(stored) if each == kind
    )


class TermsForm(ConsoleForm):
    """The rules of a listing's deals."""

    minimum_hours = forms.IntegerField(
        label=_("Shortest lease, hours"), min_value=1, max_value=FIVE_YEARS_HOURS, initial=24
    )
    minimum_units = count_field(label=_("Smallest lease, units"), initial=1)
    cancellation = forms.ChoiceField(
        label=_("Cancellation"),
        choices=[(key, words) for key, (words, _s) in CANCELLATIONS.items()],
    )
    leaving = StepsField(
        label=_("Leaving early, hours: percent back"), initial=steps_text(_USUAL.leaving),
        help_text=_(
            "Hours between leaving and the new end, and the share of the rest that comes back."
            " Empty: nothing does"
        ),
    )  # fmt: skip
    withdrawal = StepsField(
        label=_("Your withdrawal, hours: percent paid"),
        initial=steps_text(_USUAL.withdrawal),
        help_text=_(
            "Hours of notice, and what you pay the tenant of the rest's price. Empty: you cannot"
            " take a lease back"
        ),
    )
    hour_step = forms.IntegerField(
        label=_("Step of length, hours"), min_value=1, max_value=FIVE_YEARS_HOURS, initial=1,
        required=False, help_text=_("Lengths are the shortest and whole steps more"),
    )  # fmt: skip
    maximum_hours = forms.IntegerField(
        label=_("Longest lease, hours"), min_value=1, max_value=FIVE_YEARS_HOURS, required=False,
        help_text=_("Empty: five years"),
    )  # fmt: skip
    unit_step = count_field(
        label=_("Step of units"), initial=1, required=False,
        help_text=_("Leases have the smallest number and whole steps more"),
    )  # fmt: skip
    maximum_units = count_field(
        label=_("Largest lease, units"), required=False, help_text=_("Empty: all that is listed")
    )
    decide_hours = forms.IntegerField(
        label=_("Time to decide, hours"), min_value=1, max_value=THIRTY_DAYS_HOURS, initial=24,
        required=False, help_text=_("Only where you approve each deal"),
    )  # fmt: skip
    trial_units = count_field(
        minimum=0, label=_("Trial, units"), required=False, initial=0,
        help_text=_("0: no trial. Once per tenant and pool"),
    )  # fmt: skip
    trial_hours = forms.IntegerField(
        label=_("Trial, hours"), min_value=0, max_value=THIRTY_DAYS_HOURS, required=False, initial=0
    )
    trial_amount = PriceField(
        label=_("Trial price, CNY, tax included"), allow_zero=True, required=False, initial="0",
        help_text=_("Priced by the same unit as the listing; may be nothing"),
    )  # fmt: skip
    trial_convertible = forms.BooleanField(
        label=_("A trial may become a lease on the same nodes"), required=False
    )

    sla_availability = PercentField(
        label=_("Availability promised, % of a month"), required=False,
        help_text=_("Empty: no service level. Such as 99.9"),
    )  # fmt: skip
    sla_replacement_hours = forms.IntegerField(
        label=_("A failed node is replaced within, hours"), min_value=0,
        max_value=THIRTY_DAYS_HOURS, required=False, initial=0,
        help_text=_("0: no time is promised"),
    )  # fmt: skip
    sla_credits = CreditsField(
        label=_("Credits, availability below: percent back"),
        help_text=_("Such as 99.9: 10, 99: 25 (below 99% a quarter of the month's charges)"),
    )
    sla_cap = PercentField(label=_("Credits at the most, % of the month's charges"), required=False)
    sla_notice_hours = forms.IntegerField(
        label=_("Maintenance announced so many hours ahead does not count"), min_value=0,
        max_value=THIRTY_DAYS_HOURS, required=False, initial=0, help_text=_("0: all of it counts"),
    )  # fmt: skip

    acceptance_mb_per_second = forms.IntegerField(
        label=_("Bandwidth to be shown before time counts, MB/s"), min_value=0,
        max_value=MOST_MB_PER_SECOND, required=False, initial=0,
        help_text=_("Bus bandwidth of an all-reduce over everything delivered. 0: no test"),
    )  # fmt: skip
    acceptance_hours = forms.IntegerField(
        label=_("To pass that test, and to sign for it, hours"), min_value=0,
        max_value=THIRTY_DAYS_HOURS, required=False, initial=0,
    )  # fmt: skip

    grid_seconds = _USUAL.start_grid_seconds
    schedules: dict[str, Any] = {key: steps for key, (_w, steps) in CANCELLATIONS.items()}

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or self.cleaned_data)
        if bool(data.get("trial_units")) != bool(data.get("trial_hours")):
            self.add_error("trial_hours", gettext("A trial needs units and hours, or neither."))
        elif not data.get("trial_units") and (
            data.get("trial_amount") or data.get("trial_convertible")
        ):
            self.add_error("trial_units", gettext("Without units and hours there is no trial."))
        if bool(data.get("acceptance_mb_per_second")) != bool(data.get("acceptance_hours")):
            self.add_error(
                "acceptance_hours", gettext("A test needs a bandwidth and hours, or neither.")
            )
        return data

    def terms(self) -> TermsInput:
        data = self.cleaned_data
        return TermsInput(
            minimum_hours=data["minimum_hours"],
            hour_step=data["hour_step"] or 1,
            maximum_hours=data["maximum_hours"] or FIVE_YEARS_HOURS,
            minimum_units=data["minimum_units"],
            unit_step=data["unit_step"] or 1,
            maximum_units=data["maximum_units"],
            start_grid_seconds=self.grid_seconds,
            cancellation=self.schedules[data["cancellation"]],
            leaving=data["leaving"],
            withdrawal=data["withdrawal"],
            decide_hours=data["decide_hours"] or 24,
            trial_units=data["trial_units"] or 0,
            trial_hours=data["trial_hours"] or 0,
            trial_amount_micro=data["trial_amount"] or 0,
            trial_convertible=data["trial_convertible"],
            sla_availability_bps=data["sla_availability"] or 0,
            sla_replacement_hours=data["sla_replacement_hours"] or 0,
            sla_credits=data["sla_credits"],
            sla_cap_bps=data["sla_cap"] or 0,
            sla_notice_hours=data["sla_notice_hours"] or 0,
            acceptance_mb_per_second=data["acceptance_mb_per_second"] or 0,
            acceptance_hours=data["acceptance_hours"] or 0,
        )


class NewTermsForm(TermsForm):
    """Other terms, and the version of those they were set against."""

    version = forms.CharField(widget=forms.HiddenInput, required=False, max_length=20)

    @classmethod
    def of(cls, newest: TermsVersion, data: Any) -> NewTermsForm:
        """With the newest terms filled in; a schedule of the provider's own stays as it is."""
        initial = {name: getattr(newest, name) for name in _AS_THEY_ARE}
        longest = newest.maximum_hours
        initial |= {
            "maximum_hours": None if longest == FIVE_YEARS_HOURS else longest,
            "trial_amount": money_text.format_price(newest.trial_amount_micro),
            "cancellation": next(
                (key for key, (_w, steps) in CANCELLATIONS.items() if steps == newest.cancellation),
                _OWN,
            ),
            "leaving": steps_text(newest.leaving),
            "withdrawal": steps_text(newest.withdrawal),
            "sla_availability": percent_text(newest.sla_availability_bps),
            "sla_replacement_hours": newest.sla_replacement_hours,
            "sla_credits": ", ".join(
                f"{percent_text(below)}: {percent_text(back)}" for below, back in newest.sla_credits
            ),
            "sla_cap": percent_text(newest.sla_cap_bps),
            "sla_notice_hours": newest.sla_notice_hours,
            "version": newest.version,
        }
        form = cls(data, initial=initial)
        form.grid_seconds = newest.start_grid_seconds
        form.schedules = {**form.schedules, _OWN: newest.cancellation}
        field = form.fields["cancellation"]
        assert isinstance(field, forms.ChoiceField)
        if initial["cancellation"] == _OWN:
            standard = [(key, words) for key, (words, _steps) in CANCELLATIONS.items()]
            field.choices = [(_OWN, gettext("As it is now")), *standard]
        return form

    def is_up_to_date(self, newest: TermsVersion) -> bool:
        """Whether nobody has set other terms since the form was shown; else it says so."""
        if self.cleaned_data["version"] == str(newest.version):
            return True
        self.add_error(
            None,
            gettext("The terms were changed meanwhile (version %(n)s). Look at them first.")
            % {"n": newest.version},
        )
        return False
