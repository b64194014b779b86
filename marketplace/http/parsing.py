"""Request bodies, read strictly: one meaning or none."""

from __future__ import annotations

import json
import re
from typing import IO, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

DEPTH_LIMIT = 16
_UNSAFE = re.compile("[\x00\ud800-\udfff]")
_DIGITS_LIMIT = 40


class StrictJSONParser(BaseParser):
    """JSON in UTF-8 without duplicate keys, NaN, NUL, lone surrogates or endless nesting."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Any = None,
    ) -> Any:
        try:
            value = json.loads(
                stream.read().decode("utf-8"),
                object_pairs_hook=_object,
                parse_constant=_constant,
                parse_int=_integer,
                parse_float=_fraction,
            )
        except UnicodeDecodeError as error:
            raise ParseError(_("The body is not UTF-8.")) from error
        except RecursionError as error:
            raise ParseError(_("The body is nested too deeply.")) from error
        except ValueError as error:
            raise ParseError(_("The body is not JSON.")) from error
        _check(value, 0)
        return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParseError(_("A name occurs twice in one object."))
    return found


def _constant(name: str) -> Any:
    raise ParseError(_("NaN and Infinity are not JSON."))


def _integer(text: str) -> int:
    if len(text) > _DIGITS_LIMIT:
        raise ParseError(_("A number is too long."))
    return int(text)


def _fraction(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ParseError(_("A number is too large."))
    return value


def _check(value: Any, depth: int) -> None:
    if depth > DEPTH_LIMIT:
        raise ParseError(_("The body is nested too deeply."))
    if isinstance(value, str):
        if _UNSAFE.search(value):
            raise ParseError(_("A text holds a NUL or half of a character."))
    elif isinstance(value, list):
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check(name, depth + 1)
            _check(item, depth + 1)
