"""Forms in the console's look, and fields that read what people write."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from inventory.periods import Period

# The database counts in 32 bits; anything near it is a slip of the finger.
LARGEST_COUNT = 1_000_000
_BETWEEN = re.compile(r"[\s,;、]+")


class ConsoleForm(forms.Form):
    """A form whose widgets carry the classes of the stylesheet."""

    template_name = "console/form.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["class"] = _class_of(field.widget)
            if isinstance(field, forms.CharField):
                _refuse_surrogates(field)


def _class_of(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        return "check-list"  # of the list and of its boxes alike: Django knows one class only
    if isinstance(widget, forms.CheckboxInput):
        return "form-check-input"
    if isinstance(widget, forms.Select):
        return "form-select"
    return "form-control"


def _encodable(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValidationError(_("This text holds characters that cannot be stored.")) from error


def _refuse_surrogates(field: forms.CharField) -> None:
    field.validators = [*field.validators, _encodable]


class ZonedDateTimeField(forms.DateTimeField):
    """An instant as the wall clock of a place shows it; `zone` is set by the form."""

    zone = "Asia/Shanghai"
    input_formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        if value in self.empty_values:
            return None
        if isinstance(value, datetime):
            return value
        for pattern in self.input_formats:
            try:
                naive = datetime.strptime(str(value).strip(), pattern)  # noqa: DTZ007 (zone below)
            except ValueError:
                continue
            if not 2000 <= naive.year < 2200:
                break
            return naive.replace(tzinfo=ZoneInfo(self.zone))
        raise ValidationError(_("Enter a date and time, such as 2026-12-01 00:00."))

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None)
        return value


class WindowForm(ConsoleForm):
    """A stretch of time on the centre's clock."""

    start = ZonedDateTimeField(label=_("From"))
    end = ZonedDateTimeField(label=_("Until"))

    def __init__(self, *args: Any, zone: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field, ZonedDateTimeField):
                field.zone = zone

    def period(self) -> Period:
        """Raises InvalidPeriod."""
        return Period(self.cleaned_data["start"], self.cleaned_data["end"])


def count_field(*, minimum: int = 1, **options: Any) -> forms.IntegerField:
    """A whole number that the database can hold."""
    return forms.IntegerField(min_value=minimum, max_value=LARGEST_COUNT, **options)


def words(text: str) -> list[str]:
    """What a person lists: separated by blanks, commas or semicolons, wide ones too."""
    return [word for word in _BETWEEN.split(unicodedata.normalize("NFKC", text)) if word]


def reason_field(**options: Any) -> forms.CharField:
    return forms.CharField(label=_("Reason"), max_length=200, **options)
