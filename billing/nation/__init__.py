"""The nation: a country of pools and its deals, as large as the market is meant to become.

Who and what there is, is made by the product's own verbs with instants in the past. A million
deals are too many for that: their rows are copied in, past the verbs but under every
constraint and trigger, so that they are what the verbs would have left. It is a world to
measure and to play in, and is refused beside anything real.

It lives beside the demo world, in the topmost package, because it makes rows of all three. No
deal of it has a reservation or a lease: a lease is money, and a lease without charges, deposit
and receipts would be a lie in the books. What was sold is known to capacity alone, as a
replayed trace is, and the books of the nation are empty and right.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from django.conf import settings

from billing.demo import catalogue as demo
from billing.nation import history, places, usage
from billing.nation.plan import EARLY_2024, NATION, OWN_NAMES, Plan
from inventory.models import Organisation

__all__ = [
    "EARLY_2024",
    "NATION",
    "NationRefused",
    "Plan",
    "check_nothing_is_real",
    "load",
    "load_usage",
]

Progress = Callable[[str], None]


class NationRefused(RuntimeError):
    """The database may hold something real, among which a made-up country has no place."""


def load(*, plan: Plan = NATION, claim_count: int, now: datetime, progress: Progress) -> int:
    """The country exists and has had that many claims, a tenth of them live or to come.

    Returns how many claims were added. Run again it goes on where it was cut off, and with a
    larger count it adds the difference. Raises NationRefused.
    """
    check_nothing_is_real()
    ground = places.build(plan=plan, now=now.astimezone(UTC), progress=progress)
    return history.fill(ground, claim_count=claim_count, progress=progress)


def load_usage(
    *, plan: Plan = EARLY_2024, leases_times: int = 1, now: datetime, progress: Progress
) -> int:
    """The country exists and has half a year of usage behind it, by the figures of early 2024.

    Returns how many usage hours were added. Run again it goes on where it was cut off. Raises
    NationRefused.
    """
    check_nothing_is_real()
    ground = places.build(plan=plan, now=now.astimezone(UTC), progress=progress)
    return usage.fill(ground, leases_times=leases_times, progress=progress)


def check_nothing_is_real() -> None:
    """Raises NationRefused where made-up worlds are not allowed, or somebody else is registered."""
    if not settings.DEMO:
        raise NationRefused("A country with invented deals needs DEMO=1")
    demo_names = {demo.OPERATOR[0], demo.NEWCOMER[0], *demo.PROVIDERS, *demo.TENANTS}
    strangers = Organisation.objects.exclude(name__regex=OWN_NAMES).exclude(name__in=demo_names)
    if (name := strangers.values_list("name", flat=True).first()) is not None:
        raise NationRefused(f"{name} is registered here and is no part of it")
