"""Strict shapes: what a client sends is taken as it stands or refused, never reinterpreted.

`"5"` is no number, `true` is not 1, a field nobody asked for is an error, an instant names
its zone. Shared by the APIs of all packages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inventory.identifiers import PublicIdField
from inventory.periods import EARLIEST, LATEST

INT64 = 2**63 - 1
# No control characters, line separators or marks that turn the direction of writing.
_BAD = r"\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ufeff"
TEXT_PATTERN = rf"^[^\s{_BAD}]([^{_BAD}]*[^\s{_BAD}])?$"
_TEXT = re.compile(TEXT_PATTERN)
# The same, over several lines.
_BAD_IN_LINES = _BAD.replace(r"\u0000-\u001f", r"\u0000-\u0008\u000b\u000c\u000e-\u001f")
LINES_PATTERN = rf"^[^\s{_BAD_IN_LINES}]([^{_BAD_IN_LINES}]*[^\s{_BAD_IN_LINES}])?$"
_LINES = re.compile(LINES_PATTERN)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ZONELESS = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt ][\d:.]+$")
_INSTANT = re.compile(
    r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})$", re.ASCII
)


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses every field it does not know, also one that only appears in replies."""

    default_error_messages = {
        "unknown_field": _("This field is not known here."),
        "invalid": _("A JSON object was expected."),
    }

    def to_internal_value(self, data: Any) -> Any:
        known = {name for name, field in self.fields.items() if not field.read_only}
        unknown = [name for name in data if name not in known] if isinstance(data, Mapping) else []
        if unknown:
            message = str(self.error_messages["unknown_field"])
            raise serializers.ValidationError(
                {name: [serializers.ErrorDetail(message, "unknown_field")] for name in unknown}
            )
        return super().to_internal_value(data)


class Text(serializers.CharField):
    """A line of text that says something: no blanks at its ends, nothing invisible."""

    default_error_messages = {
        "invalid": _("A string was expected."),
        "bad_text": _("Blank, padded with blanks, or with control characters."),
    }

    def __init__(self, *, max_length: int, min_length: int = 1, **kwargs: Any) -> None:
        kwargs.setdefault("allow_blank", min_length == 0)
        super().__init__(
            max_length=max_length, min_length=min_length or None, trim_whitespace=False, **kwargs
        )

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if data == "" and self.allow_blank:
            return data
        if not _TEXT.match(data) or _SURROGATE.search(data):
            self.fail("bad_text")
        return super().to_internal_value(data)


class Lines(serializers.CharField):
    """Some lines of text that say something: no blanks at their ends, nothing invisible."""

    default_error_messages = {
        "invalid": _("A string was expected."),
        "bad_text": _("Blank, padded with blanks, or with control characters."),
    }

    def __init__(self, *, max_length: int, **kwargs: Any) -> None:
        super().__init__(max_length=max_length, min_length=1, trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        if not _LINES.match(data) or _SURROGATE.search(data):
            self.fail("bad_text")
        return super().to_internal_value(data)


class Integer(serializers.IntegerField):
    """A whole number written as one, within bounds."""

    default_error_messages = {"invalid": _("A whole number was expected.")}

    def __init__(self, *, min_value: int, max_value: int = INT64, **kwargs: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **kwargs)

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            self.fail("invalid")
        return int(data)


class Flag(serializers.BooleanField):
    """true or false."""

    default_error_messages = {"invalid": _("true or false was expected.")}

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            self.fail("invalid")
        return bool(data)


class Choice(serializers.ChoiceField):
    """One of a few words."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=type(data).__name__)
        return super().to_internal_value(data)


@extend_schema_field(
    {
        "type": "string",
        "format": "date-time",
        "example": "2026-12-01T00:00:00Z",
    }
)
class Instant(serializers.DateTimeField):
    """RFC 3339 with a zone, in the years 2000 to 2200; read and written in UTC."""

    default_error_messages = {
        "invalid": _("An instant like 2026-12-01T00:00:00Z was expected."),
        "no_zone": _("The instant needs a zone, for example Z or +08:00."),
        "out_of_range": _("The instant lies outside the years 2000 to 2200."),
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid")
        if not _INSTANT.match(value):
            self.fail("no_zone" if _ZONELESS.match(value) else "invalid")
        try:
            parsed = parse_datetime(value.upper())
            if parsed is None:
                self.fail("invalid")
            instant = parsed.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("invalid")
        if not EARLIEST <= instant <= LATEST:
            self.fail("out_of_range")
        return instant

    def to_representation(self, value: Any) -> str:
        return str(value.astimezone(UTC).isoformat().replace("+00:00", "Z"))


class Day(serializers.DateField):
    """A calendar day like 2026-12-01."""

    default_error_messages = {"invalid": _("A day like 2026-12-01 was expected.")}

    def to_internal_value(self, value: Any) -> date:
        if not isinstance(value, str) or not re.fullmatch(r"2[01]\d\d-\d\d-\d\d", value, re.ASCII):
            self.fail("invalid")
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail("invalid")


@extend_schema_field({"type": "string", "pattern": r"^2[01][0-9]{2}-(0[1-9]|1[0-2])$"})
class Month(serializers.Field[Any, Any, Any, Any]):
    """A calendar month like 2026-11, as an instant in its middle: zones do not matter there."""

    default_error_messages = {"invalid": _("A month like 2026-11 was expected.")}
    _shape = re.compile(r"^2[01]\d\d-(0[1-9]|1[0-2])$", re.ASCII)

    def to_internal_value(self, data: Any) -> datetime:
        if not isinstance(data, str) or not self._shape.match(data):
            self.fail("invalid")
        return datetime.fromisoformat(f"{data}-15T00:00:00+00:00")

    def to_representation(self, value: Any) -> str:
        return str(value)


class PublicId(serializers.CharField):
    """A public id of one kind: `lse_` and 32 hexadecimal digits."""

    default_error_messages = {"invalid": _("Not an id of the right kind.")}

    def __init__(self, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        super().__init__(**kwargs)

    def to_internal_value(self, data: Any) -> str:
        try:
            PublicIdField(prefix=self.prefix).parse(data)
        except DjangoValidationError:
            self.fail("invalid")
        return str(data)


@extend_schema_field({"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]{1,2})?$"})
class DecimalText(serializers.Field[Any, Any, Any, Any]):
    """An exact decimal, written as a string so that no reader makes a binary fraction of it."""

    default_error_messages = {"invalid": _('A decimal in a string was expected, like "1.25".')}
    _shape = re.compile(r"^[0-9]{1,8}(\.[0-9]{1,2})?$")

    def to_internal_value(self, data: Any) -> Decimal:
        if not isinstance(data, str) or not self._shape.match(data) or not data.isascii():
            self.fail("invalid")
        return Decimal(data)

    def to_representation(self, value: Any) -> str:
        return str(value)


class QueryInteger(Integer):
    """A whole number in a query string, where everything is text."""

    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, str) or not re.fullmatch(r"-?[0-9]{1,19}", data, re.ASCII):
            self.fail("invalid")
        return int(data)


class QueryFlag(Flag):
    """true or false in a query string, where everything is text."""

    def to_internal_value(self, data: Any) -> bool:
        words = {"true": True, "false": False}
        return super().to_internal_value(words.get(data) if isinstance(data, str) else data)


class Items(serializers.ListField):
    """A JSON array, bounded."""

    def __init__(
        self, *, child: serializers.Field[Any, Any, Any, Any], max_length: int, **kwargs: Any
    ) -> None:
        super().__init__(child=child, max_length=max_length, **kwargs)

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        return super().to_internal_value(data)
