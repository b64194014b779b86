"""Money, instants, shares and states as the console writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from inventory.models import Organisation
from marketplace.web import charts, figures, journal_words, names
from marketplace.web.entry import Visit, fresh_key

register = template.Library()


@register.filter
def money(amount_minor: int | None, currency: str) -> str:
    return "–" if amount_minor is None else figures.amount(amount_minor, currency)


@register.filter
def price(amount_micro: int, currency: str) -> str:
    return figures.price(amount_micro, currency)


register.filter("asking", figures.asking)
register.filter("discounts", figures.discounts)
register.filter("named", names.of)
register.filter("place", names.place)


@register.filter
def when(instant: datetime | None, zone: str = "") -> SafeString | str:
    """The instant on the wall of the centre, with UTC in the title."""
    if instant is None:
        return "–"
    local = instant.astimezone(ZoneInfo(zone or settings.BILLING_ZONE))
    utc = instant.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        utc.strftime("%Y-%m-%d %H:%M UTC"),
        local.strftime("%Y-%m-%d %H:%M"),
    )


@register.filter
def day(value: date | datetime | None, zone: str = "") -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        value = value.astimezone(ZoneInfo(zone or settings.BILLING_ZONE)).date()
    return value.isoformat()


@register.filter
def percent(share: float | Decimal | None) -> str:
    """82.4 %; a share that nothing was measured for is a dash, never a guess."""
    return "–" if share is None else f"{float(share) * 100:.1f}%"


@register.filter
def count(value: float | Decimal | None) -> str:
    """41,208"""
    return "–" if value is None else f"{round(value):,}"


@register.filter
def hours(seconds: int) -> float:
    return seconds / 3600


@register.simple_tag(takes_context=True)
def organisation(context: Context, row: Organisation) -> SafeString | str:
    """Its name in the reader's language; for the operator's people a link to its page."""
    visit: Visit = context["visit"]
    if row.is_operator or not (visit.is_party("operator") and visit.actor.may("audit:read")):
        return names.of(row)
    address = reverse("organisation", args=[row.public_id])
    return format_html('<a href="{}">{}</a>', address, names.of(row))


@register.filter
def may(visit: Visit, scope: str) -> bool:
    return visit.actor.may(scope)


_TONES = {
    # What serves or is fine; what waits; what went wrong; what is over.
    "green": {
        "active", "published", "open", "serviceable", "verified", "confirmed", "approved", "paid",
        "signed", "done", "accepted", "finalised",
    },
    "yellow": {
        "held", "pending", "paused", "draining", "delivering", "releasing", "ending",
        "recorded", "settled", "proposed", "planned", "scheduled", "unverified", "checked",
        "asked", "handed_in", "requested", "sending", "sent", "waiting", "returning", "draft",
    },
    "red": {
        "failed", "broken", "rejected", "release_failed", "provision_failed", "revoked",
        "returned", "came_back", "refused", "missed", "demanded", "overdue",
    },
}  # fmt: skip


# Of rows to which the same word means something else.
_OWN_TONES = {
    ("statement", "issued"): "yellow",
    ("contest", "open"): "yellow",
    ("meterdispute", "open"): "yellow",
    ("topup", "open"): "yellow",
    ("bankreceipt", "returned"): "secondary",
    ("fapiao", "issued"): "green",
    ("incident", "open"): "red",
    ("incident", "mitigated"): "yellow",
    ("case", "open"): "yellow",
    ("case", "reopened"): "yellow",
    ("case", "answered"): "green",
    ("delivery", "sent"): "green",
    ("delivery", "queued"): "yellow",
}


@register.simple_tag
def status(row: Any) -> SafeString:
    """A dot and the word of a row's state, in a colour that says how things stand."""
    own = _OWN_TONES.get((row._meta.model_name, row.state))
    return _dot(own or _tone(str(row.state)), row.get_state_display())


@register.simple_tag
def dot(code: str, label: str) -> SafeString:
    return _dot(_tone(code), label)


def _tone(code: str) -> str:
    return next((tone for tone, codes in _TONES.items() if code in codes), "secondary")


def _dot(tone: str, label: str) -> SafeString:
    return format_html(
        '<span class="status status-{}">'
        '<span class="status-dot" aria-hidden="true"></span>{}</span>',
        tone,
        label,
    )


@register.simple_tag
def idempotency() -> SafeString:
    """The hidden key of a form that changes something: a double click is one change."""
    return format_html('<input type="hidden" name="idempotency_key" value="{}">', fresh_key())


@register.inclusion_tag("console/sparkline.html")
def sparkline(
    values: list[float | None], label: str, kind: str = "count", currency: str = ""
) -> dict[str, Any]:
    """A line over a scale that is written beside it; `kind` is count, percent or money."""
    low, high = charts.scale(values)
    writers: dict[str, Callable[[float], str]] = {
        "count": count,
        "percent": percent,
        "money": lambda value: figures.amount(round(value), currency),
    }
    write = writers[kind]
    return {
        "points": charts.polyline(values, width=160, height=32, low=low, high=high),
        "label": label,
        "low": write(low),
        "high": write(high),
    }


@register.simple_tag
def centre_of(offer: Any) -> str:
    return names.choose(offer.centre_name, offer.centre_name_en)


@register.simple_tag
def cards(unit_count: int, unit_cards: int) -> str:
    """ "4 × 8 cards" """
    return _("%(units)s × %(cards)s cards") % {"units": f"{unit_count:,}", "cards": unit_cards}


@register.filter
def short(public_id: str) -> str:
    """The end of a public id, which tells rows apart where the whole would fill the line."""
    return f"…{public_id[-8:]}"


@register.filter
def reason(text: str) -> str:
    """Why something happened: the system's own words in the reader's language."""
    return journal_words.reason(text)


@register.filter
def ratio(value: str | float) -> str:
    """1.50 as 1.5:1"""
    return f"{float(value):g}:1"


@register.filter
def bps(value: int) -> str:
    return f"{value / 100:g}%"


@register.filter
def newest_price(listing: Any) -> Any:
    """Of the prefetched versions."""
    return max(listing.prices.all(), key=lambda version: version.version, default=None)


@register.filter
def opposite(value: int) -> int:
    return -value


@register.filter
def month(instant: datetime) -> str:
    """The calendar month that starts at this instant in the billing zone."""
    return instant.astimezone(ZoneInfo(settings.BILLING_ZONE)).strftime("%Y-%m")
