"""What a tenant can spend, on the page it opens first."""

from __future__ import annotations

from typing import Any

from django import template
from django.conf import settings

from billing import ledger
from marketplace.web.entry import Visit

register = template.Library()


@register.inclusion_tag("console/purse.html", takes_context=True)
def purse(context: dict[str, Any]) -> dict[str, Any]:
    """The wallet's figures, for whoever may read them."""
    visit: Visit = context["visit"]
    if not visit.actor.may("wallet:read"):
        return {}
    currency = settings.DEFAULT_CURRENCY
    return {
        "balance": ledger.balance(visit.organisation, currency=currency),
        "currency": currency,
    }
