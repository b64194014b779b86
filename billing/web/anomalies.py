"""What an auditor should look at, in words, each with its evidence and the way to its rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import anomalies
from billing.anomalies import Finding, Rule
from marketplace.utilisation import readings
from marketplace.web import exports, figures, funnels, names
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.funnels import Asked

# What each rule is called, and what it says.
RULES = {
    Rule.IDLE_USE: (
        gettext_lazy("Use that telemetry did not see"),
        gettext_lazy("Delivered and measured, but hardly ever busy."),
    ),
    Rule.UNSEEN_USE: (
        gettext_lazy("Hours without telemetry"),
        gettext_lazy("Delivered for longer than telemetry saw, though it saw the pool."),
    ),
    Rule.PRICE: (
        gettext_lazy("Prices far off their class"),
        gettext_lazy("More than three median absolute deviations off the median of the chip."),
    ),
    Rule.SHARED_ACCOUNT: (
        gettext_lazy("One bank account on both sides"),
        gettext_lazy("Provider and tenant of a lease have the same bank account."),
    ),
    Rule.SHARED_REGISTRATION: (
        gettext_lazy("One registration on both sides"),
        gettext_lazy("Provider and tenant of a lease share a tax number, telephone or address."),
    ),
    Rule.LAPSED_HOLDS: (
        gettext_lazy("Holds that always lapse"),
        gettext_lazy("At least five holds lapsed, and four of five."),
    ),
    Rule.CANCELLED: (
        gettext_lazy("Cancelled before the start"),
        gettext_lazy("At least three leases cancelled, and every second one."),
    ),
    Rule.OVERLISTED: (
        gettext_lazy("More listed than there is"),
        gettext_lazy("Units on sale and taken outside are more than the nodes of the pool."),
    ),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A finding: whom it is about, what was counted, and where its rows are."""

    name: str
    evidence: str
    url: str
    rows: str  # what lies behind the link


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    meaning: str
    lines: list[Line]


@page(scope="audit:read", party="operator")
def index(request: ConsoleRequest) -> HttpResponse:
    asked = funnels.asked(request)
    context: dict[str, Any] = {"asked": asked, "zone": settings.BILLING_ZONE, "tab": "anomalies"}
    if asked.days is not None:
        found = _found(request, asked)
        context |= {
            "count": len(found),
            "groups": [
                Group(str(title), str(meaning), _lines(found, rule, asked))
                for rule, (title, meaning) in RULES.items()
            ],
        }
    return render(request, "console/anomalies.html", context, form=asked.form)


@page(scope="audit:read", party="operator")
def index_csv(request: ConsoleRequest) -> HttpResponseBase:
    """Every finding of the page."""
    asked = funnels.asked(request)
    if asked.days is None:
        return HttpResponseRedirect(f"{reverse('audit_anomalies')}?{request.GET.urlencode()}")
    header = [_("Anomaly"), _("Whom it is about"), _("Id"), _("Evidence")]
    lines = (
        [str(RULES[row.rule][0]), _name(row), row.subject, _EVIDENCE[row.rule](row.facts)]
        for row in _found(request, asked)
    )
    return exports.table(request, "anomalies", header, lines, numbers=0)


def _found(request: ConsoleRequest, asked: Asked) -> list[Finding]:
    assert asked.days is not None
    assert asked.period is not None
    return anomalies.find(
        period=asked.period, sums=readings.of_pools(asked.days), at=request.visit.at
    )


def _lines(found: list[Finding], rule: Rule, asked: Asked) -> list[Line]:
    return [
        Line(_name(row), _EVIDENCE[rule](row.facts), *_rows(row, asked))
        for row in found
        if row.rule == rule
    ]


def _name(row: Finding) -> str:
    return names.choose(row.name, row.name_en)


def _rows(row: Finding, asked: Asked) -> tuple[str, str]:
    query = f"?{asked.query}" if asked.query else ""
    if row.kind == "pool":
        return reverse("audit_part", args=["pool", row.subject]) + query, _("Rows of the pool")
    if row.kind == "listing":
        return f"{reverse('journal')}?object={row.subject}", _("Journal of the listing")
    if "tenant_id" in row.facts:
        query = f"?provider={row.subject}&tenant={row.facts['tenant_id']}"
        return reverse("all_leases") + query, _("Their leases")
    return f"{reverse('all_leases')}?tenant={row.subject}", _("Its leases")


def _card_hours(seconds: int) -> str:
    return f"{seconds / 3600:,.0f}"


def _idle(facts: dict[str, Any]) -> str:
    return _("%(delivered)s card-hours delivered, %(measured)s measured, %(busy)s busy") % {
        name: _card_hours(facts[name]) for name in ("delivered", "measured", "busy")
    }


def _price(facts: dict[str, Any]) -> str:
    words = {
        "asked": figures.price(facts["asked_micro"], facts["currency"]),
        "median": figures.price(facts["median_micro"], facts["currency"]),
        "mad": figures.price(round(facts["mad_micro"]), facts["currency"]),
        "n": facts["peers"],
    }
    return (
        _("%(asked)s per card-hour; the median of %(n)s listings is %(median)s, its MAD %(mad)s")
        % words
    )


def _shared(facts: dict[str, Any]) -> str:
    words = {
        "tenant": names.choose(facts["tenant"], facts["tenant_en"]),
        "n": facts["leases"],
        "shared": facts["shared"],
    }
    return _("with %(tenant)s: %(n)s leases; shared: %(shared)s") % words


def _lapsed(facts: dict[str, Any]) -> str:
    return _("%(count)s of %(of)s holds lapsed") % facts


def _cancelled(facts: dict[str, Any]) -> str:
    return _("%(count)s of %(of)s leases were cancelled before their start") % facts


def _overlisted(facts: dict[str, Any]) -> str:
    return _("%(listed)s units listed, %(external)s taken outside, %(units)s there") % facts


_EVIDENCE: dict[Rule, Callable[[dict[str, Any]], str]] = {
    Rule.IDLE_USE: _idle,
    Rule.UNSEEN_USE: _idle,
    Rule.PRICE: _price,
    Rule.SHARED_ACCOUNT: _shared,
    Rule.SHARED_REGISTRATION: _shared,
    Rule.LAPSED_HOLDS: _lapsed,
    Rule.CANCELLED: _cancelled,
    Rule.OVERLISTED: _overlisted,
}
