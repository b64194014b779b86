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
from marketplace.asking import FIVE_YEARS_HOURS, THIRTY_DAYS_HOURS, TermsInput
from marketplace.models import TermsVersion
from marketplace.web import term_schedules as schedules
from marketplace.web.forms import ConsoleForm, count_field
from marketplace.web.money_fields import PriceField

_AS_THEY_ARE = (
    "minimum_hours", "hour_step", "minimum_units", "unit_step", "maximum_units", "decide_hours",
    "trial_units", "trial_hours", "trial_convertible",
)  # fmt: skip
_BETWEEN = re.compile(r"[,;、\n]+")
_TIER = re.compile(r"\s*([0-9]{1,9})\s*[:=]\s*([0-9]{1,2}(?:\.[0-9]{1,2})?)\s*%?\s*")


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
        label=_("Cancellation"), choices=schedules.choices("cancellation")
    )
    leaving = forms.ChoiceField(
        label=_("A tenant who leaves early"), choices=schedules.choices("leaving"),
        required=False, initial=schedules.STANDARD,
    )  # fmt: skip
    withdrawal = forms.ChoiceField(
        label=_("Your compensation where you withdraw"), choices=schedules.choices("withdrawal"),
        required=False, initial=schedules.STANDARD,
    )  # fmt: skip
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

    start_grid_seconds = 3600

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.own: dict[str, schedules.Steps] = {}

    def steps(self, kind: str) -> schedules.Steps:
        """The steps that were chosen; a field that was not sent stays as it stood."""
        initial = self.get_initial_for_field(self.fields[kind], kind)
        word = self.cleaned_data[kind] or initial
        return self.own[kind] if word == schedules.OWN else schedules.ALL[kind][word].steps

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or self.cleaned_data)
        if bool(data.get("trial_units")) != bool(data.get("trial_hours")):
            self.add_error("trial_hours", gettext("A trial needs units and hours, or neither."))
        elif not data.get("trial_units") and (
            data.get("trial_amount") or data.get("trial_convertible")
        ):
            self.add_error("trial_units", gettext("Without units and hours there is no trial."))
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
            start_grid_seconds=self.start_grid_seconds,
            **{kind: self.steps(kind) for kind in schedules.ALL},
            decide_hours=data["decide_hours"] or 24,
            trial_units=data["trial_units"] or 0,
            trial_hours=data["trial_hours"] or 0,
            trial_amount_micro=data["trial_amount"] or 0,
            trial_convertible=data["trial_convertible"],
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
            "version": newest.version,
        }
        initial |= {kind: schedules.named(kind, getattr(newest, kind)) for kind in schedules.ALL}
        form = cls(data, initial=initial)
        form.start_grid_seconds = newest.start_grid_seconds
        for kind in schedules.ALL:
            if initial[kind] == schedules.OWN:
                form.keep(kind, getattr(newest, kind))
        return form

    def keep(self, kind: str, steps: schedules.Steps) -> None:
        """A schedule that none of the words name may stay as it is."""
        self.own[kind] = steps
        field = self.fields[kind]
        assert isinstance(field, forms.ChoiceField)
        words = schedules.own_words(kind, steps)
        field.choices = [(schedules.OWN, words), *schedules.choices(kind)]

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
