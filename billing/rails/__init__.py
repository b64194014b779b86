"""Rails that send payouts by themselves: which there are, and what each promises."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string

from billing.rails.base import (
    Order,
    Outcome,
    Rail,
    RailBusy,
    RailRefused,
    Status,
)

__all__ = ["Order", "Outcome", "Rail", "RailBusy", "RailRefused", "Status", "methods", "of"]


def methods() -> list[str]:
    """The payout methods that have a rail here; the others leave in files."""
    return sorted(settings.PAYOUT_RAILS)


def of(method: str) -> Rail:
    """The rail of a method, by `settings.PAYOUT_RAILS`: the dotted path of what makes one."""
    rail: Rail = import_string(settings.PAYOUT_RAILS[method])()
    return rail
