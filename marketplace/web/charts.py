"""Numbers turned into the coordinates of small pictures; the pictures are templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEVELS = 10  # l0 (idle, amber) … l9 (sold, blue)


def level(sold: float, capacity: float) -> int | None:
    """Which of the ten colours a share has; None where there is nothing to sell."""
    if capacity <= 0:
        return None
    share = min(max(sold / capacity, 0.0), 1.0)
    # The two ends are kept for nothing and all, so that a single free hour is visible.
    if share == 0:
        return 0
    if share == 1:
        return LEVELS - 1
    return 1 + min(int(share * (LEVELS - 2)), LEVELS - 3)


def scale(values: Sequence[float | None]) -> tuple[float, float]:
    """From nothing, or from the lowest where that is less, to the highest."""
    known = [value for value in values if value is not None]
    return min([0.0, *known]), max([0.0, *known])


def polyline(
    values: Sequence[float | None], *, width: int, height: int, low: float, high: float
) -> str:
    """The points of an SVG polyline over the values that are known, padded by two units."""
    known = [(index, value) for index, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    span = (high - low) or 1.0
    step = width / (len(values) - 1)
    return " ".join(
        f"{index * step:.1f},{height - 2 - (value - low) / span * (height - 4):.1f}"
        for index, value in known
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One coloured stretch of a bar, in hundredths of its width."""

    name: str
    label: str
    x: float
    width: float

    @property
    def top(self) -> float:
        """The same stretch standing up: where it begins, counted from above."""
        return round(100 - self.x - self.width, 3)


def bar(parts: Sequence[tuple[str, str, float]], *, whole: float) -> list[Part]:
    """Stretches (class name, label, amount) side by side; what is empty is left out."""
    result, x = [], 0.0
    for name, label, amount in parts:
        width = 0.0 if whole <= 0 else max(0.0, min(100.0 - x, amount / whole * 100))
        if width > 0:
            result.append(Part(name=name, label=label, x=round(x, 3), width=round(width, 3)))
            x += width
    return result
