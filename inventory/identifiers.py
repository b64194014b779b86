"""Names for the world: a prefix and a UUIDv7, so that no bare number leaves the house."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from django.core.exceptions import ValidationError
from django.db import models
from uuid_utils.compat import uuid7

from inventory.errors import NotFound

M = TypeVar("M", bound=models.Model)
_SHAPE = re.compile(r"^([a-z]{3,4})_([0-9a-f]{32})$")


def new(prefix: str) -> str:
    """A fresh id, ordered by creation (RFC 9562, version 7)."""
    return f"{prefix}_{uuid7().hex}"


def find(rows: models.QuerySet[M], key: int | str, missing: str = "") -> M:
    """The row of that number or public id among these; a malformed id is no row's.

    Raises NotFound, saying what is missing.
    """
    try:
        row = rows.filter(**{"pk" if isinstance(key, int) else "public_id": key}).first()
    except ValidationError:
        row = None
    if row is None:
        raise NotFound(missing)
    return row


if TYPE_CHECKING:
    _TextualUUIDField = models.UUIDField[str, str]
else:
    _TextualUUIDField = models.UUIDField


class PublicIdField(_TextualUUIDField):
    """A uuid column read and written as `prefix_<32 hex>`.

    A text with another prefix is refused, so that a lease's id never finds a listing.
    """

    if TYPE_CHECKING:
        _pyi_private_set_type: str
        _pyi_private_get_type: str  # type: ignore[assignment]
        _pyi_lookup_exact_type: str

    def __init__(self, *args: Any, prefix: str, **kwargs: Any) -> None:
        self.prefix = prefix
        kwargs.setdefault("unique", True)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        kwargs["prefix"] = self.prefix
        return name, path, args, kwargs

    def get_default(self) -> str:
        return new(self.prefix)

    def has_default(self) -> bool:
        return True

    def parse(self, text: object) -> uuid.UUID:
        """Raises ValidationError where the text is not an id of this kind."""
        match = _SHAPE.match(text) if isinstance(text, str) else None
        if match is None or match[1] != self.prefix:
            raise ValidationError(f"not a {self.prefix}_ id", code="invalid")
        return uuid.UUID(hex=match[2])

    def from_db_value(self, value: Any, *_: Any) -> str | None:
        return None if value is None else f"{self.prefix}_{uuid.UUID(str(value)).hex}"

    def to_python(self, value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, uuid.UUID):
            return f"{self.prefix}_{value.hex}"
        self.parse(value)
        return value

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or isinstance(value, uuid.UUID):
            return value
        return self.parse(value)

    def get_prep_value(self, value: Any) -> Any:
        return value
