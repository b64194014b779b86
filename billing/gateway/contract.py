"""Holds every request against the request types that ship inside the pinned SDK.

Stripe generates those types from its own API description, so they are what the API of that
version takes. They are stricter here: an unknown key is refused, an open enumeration is
closed, `"1"` is no number. A parameter that a new version has dropped fails here, before
anything is sent, and not as a payment that Stripe refuses.
"""

from __future__ import annotations

import sys
import types
import typing
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError
from stripe import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import TypedDict, get_type_hints, is_typeddict


class UnknownToStripe(Exception):
    """Our own fault: the pinned API version takes no such request."""


def check(parameters_type: Any, parameters: dict[str, Any]) -> None:
    """Raises UnknownToStripe. A few microseconds, so every request is checked, always."""
    try:
        _adapter(parameters_type).validate_python(parameters)
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in error.errors()
        )
        raise UnknownToStripe(f"{parameters_type.__name__}: {where}") from error


@cache
def _adapter(parameters_type: Any) -> TypeAdapter[Any]:
    return TypeAdapter(_strict(parameters_type))


@cache
def _strict(kind: Any) -> Any:
    """The same typed dictionary, closed, all the way down."""
    space = {
        **vars(typing),
        **vars(sys.modules[RequestOptions.__module__]),
        **vars(sys.modules[kind.__module__]),
        "UntypedStripeObject": UntypedStripeObject,
        "StripeContext": Any,  # named by the SDK for type checkers only
    }
    hints = get_type_hints(kind, globalns=space, include_extras=True)
    # How a call is made (its key, its account) is not part of what it says.
    options = RequestOptions.__annotations__ if _takes_options(kind) else {}
    fields: dict[str, Any] = {}
    for name, hint in hints.items():
        if name in options:
            continue
        wrapper: Any = get_origin(hint)
        needed = wrapper is not NotRequired and name in kind.__required_keys__
        inner = get_args(hint)[0] if wrapper in (NotRequired, Required) else hint
        fields[name] = Required[_closed(inner)] if needed else NotRequired[_closed(inner)]
    made = TypedDict(kind.__name__, fields)  # type: ignore[misc]
    made.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[attr-defined]
    return made


def _takes_options(kind: Any) -> bool:
    """Typed dictionaries forget their bases at run time, but not whose keys they have."""
    return set(RequestOptions.__annotations__) <= set(kind.__annotations__)


def _closed(hint: Any) -> Any:
    if is_typeddict(hint):
        return _strict(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        members = [one for one in arguments if not _is_stripe_object(one)]
        if any(get_origin(one) is Literal and get_args(one) != ("",) for one in members):
            members = [one for one in members if one is not str]
        return Union[tuple(_closed(one) for one in members)]  # noqa: UP007 - made at run time
    if origin is list:
        return list[_closed(arguments[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[arguments[0], _closed(arguments[1])]  # type: ignore[valid-type,misc]
    return hint


def _is_stripe_object(hint: Any) -> bool:
    return (get_origin(hint) or hint) is UntypedStripeObject
