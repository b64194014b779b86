"""One dot for each centre: how much of it is listed, and how much of that is rented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from django.urls import reverse
from django.utils.translation import gettext as _

from marketplace.utilisation.readings import PoolSum
from marketplace.web import names
from marketplace.web.funnels import Asked

MIDDLE = 0.5  # what parts the quadrants, of either share
SIZE = 100.0  # of the picture, from corner to corner
SMALLEST, LARGEST = 0.7, 4.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A centre in the picture, its figures as they are written.

    A centre that lists nothing has no rental rate: it lies below.
    """

    name: str
    url: str
    listed_rate: str
    sold_rate: str
    cards: str  # on average over the days
    code: str  # of its colour
    word: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True, slots=True)
class Quadrant:
    """The dots, the largest first, so that small ones lie above them."""

    dots: list[Dot]

    @property
    def counts(self) -> list[tuple[str, int]]:
        codes = [dot.code for dot in self.dots]
        return [(code, codes.count(code)) for code in ("sleeping", "overpriced", "busy")]


def of(sums: Sequence[PoolSum], asked: Asked) -> Quadrant:
    """From the sums of the pools; nothing is asked of the database."""
    centres: dict[str, list[PoolSum]] = {}
    for one in sums:
        centres.setdefault(one.place.centre_id, []).append(one)
    query = f"?{asked.query}" if asked.query else ""
    hours = asked.period.hours if asked.period else 1.0
    found = []
    for key, members in centres.items():
        installed, listed, sold = (
            sum(one.amounts[name] for one in members) for name in ("installed", "listed", "sold")
        )
        if installed:
            place = members[0].place
            found.append(
                (
                    installed / 3600 / hours,
                    names.choose(place.centre_name, place.centre_name_en),
                    reverse("audit_part", args=["centre", key]) + query,
                    listed / installed,
                    sold / listed if listed else None,
                )
            )
    found.sort(key=lambda row: (-row[0], row[1]))
    most = found[0][0] if found else 1.0
    words = {"sleeping": _("sleeping"), "overpriced": _("overpriced"), "busy": _("busy centre")}
    return Quadrant([_dot(*row, most=most, words=words) for row in found])


def _dot(
    cards: float,
    name: str,
    url: str,
    listed: float,
    sold: float | None,
    *,
    most: float,
    words: dict[str, str],
) -> Dot:
    radius = SMALLEST + (LARGEST - SMALLEST) * sqrt(cards / most)
    code = "sleeping" if listed < MIDDLE else "overpriced" if (sold or 0) < MIDDLE else "busy"
    return Dot(
        name=name,
        url=url,
        listed_rate=f"{listed:.1%}",
        sold_rate="–" if sold is None else f"{sold:.1%}",
        cards=f"{round(cards):,}",
        code=code,
        word=words[code],
        x=round(listed * SIZE, 2),
        y=round(SIZE - (sold or 0) * SIZE, 2),
        radius=round(radius, 2),
    )
