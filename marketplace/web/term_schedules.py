"""Schedules of a listing's terms that a provider chooses from, by a word each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

Steps = Sequence[Sequence[int]]
STANDARD = "standard"
OWN = "own"  # a schedule that was given over the API


@dataclass(frozen=True, slots=True)
class Preset:
    """A schedule and what a person reads of it."""

    words: Any
    steps: list[list[int]]


# [hours before the start, refunded bps]
CANCELLATION = {
    STANDARD: Preset(
        _("Standard: all back 7 days before, half 3 days, a fifth 1 day"),
        [[168, 10_000], [72, 5_000], [24, 2_000]],
    ),
    "free": Preset(_("Flexible: all back until the start"), [[0, 10_000]]),
    "strict": Preset(
        _("Strict: all back 30 days before, half 7 days"), [[720, 10_000], [168, 5_000]]
    ),
    "none": Preset(_("Nothing back"), []),
}
# [hours between leaving and the new end, refunded bps of the rest]
LEAVING = {
    STANDARD: Preset(
        _("Standard: of the rest 90% back 30 days ahead, 70% 7 days, half 1 day, else 30%"),
        [[720, 9_000], [168, 7_000], [24, 5_000], [0, 3_000]],
    ),
    "free": Preset(_("Flexible: all of the rest back"), [[0, 10_000]]),
    "strict": Preset(
        _("Strict: of the rest half back 30 days ahead, a fifth 7 days"),
        [[720, 5_000], [168, 2_000]],
    ),
    "none": Preset(_("Nothing back"), []),
}
# [hours of notice the provider gives, compensation in bps of the rest]
WITHDRAWAL = {
    STANDARD: Preset(
        _("Standard: 10% of the rest with 30 days of notice, 30% with 7 days"),
        [[720, 1_000], [168, 3_000]],
    ),
    "long": Preset(
        _("Long notice: 10% of the rest with 90 days of notice, 30% with 30 days"),
        [[2160, 1_000], [720, 3_000]],
    ),
    "none": Preset(_("You never withdraw"), []),
}
ALL = {"cancellation": CANCELLATION, "leaving": LEAVING, "withdrawal": WITHDRAWAL}


def choices(kind: str) -> list[tuple[str, Any]]:
    return [(key, preset.words) for key, preset in ALL[kind].items()]


def named(kind: str, steps: Steps) -> str:
    """The word of a schedule; `own` for one that has none."""
    given = [list(step) for step in steps]
    return next((key for key, preset in ALL[kind].items() if preset.steps == given), OWN)


def own_words(kind: str, steps: Steps) -> str:
    """A schedule of the provider's own, as the choice that keeps it says it."""
    notice = gettext("%(hours)s h of notice: %(share)s%%")
    ahead = gettext("%(hours)s h ahead: %(share)s%%")
    line = notice if kind == "withdrawal" else ahead
    said = [line % {"hours": hours, "share": f"{bps / 100:g}"} for hours, bps in steps]
    return gettext("As it is now (%(steps)s)") % {"steps": " · ".join(said)}
