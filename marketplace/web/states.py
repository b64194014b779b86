"""The words of states, for whatever kind of row a public id names."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.apps import apps

from inventory.identifiers import PublicIdField


@cache
def _words() -> dict[str, dict[str, Any]]:
    """By prefix of the public id: code and label of each state."""
    found: dict[str, dict[str, Any]] = {}
    for model in apps.get_models():
        if hasattr(model, "LIFECYCLE"):
            key = model._meta.get_field("public_id")
            assert isinstance(key, PublicIdField)
            choices = getattr(model._meta.get_field("state"), "choices", None)
            found[key.prefix] = dict(choices or ())
    return found


def word(public_id: str, state: str) -> str:
    """The state of that row as its own page calls it; an unknown one as it is."""
    return str(_words().get(public_id.partition("_")[0], {}).get(state, state))


def anyones(state: str) -> str | None:
    """The word of a state that comes without its row; None where no row has such a state."""
    return next((str(words[state]) for words in _words().values() if state in words), None)
