"""Stripe, the payment service provider: the only package that speaks to it.

`client` calls and fetches, `contract` holds each request against the pinned SDK's own types,
`shapes` is what comes back, `currencies` what Stripe can take, `signatures` reads webhooks.
Nothing here opens a transaction, and nobody calls it in one.
"""

from billing.gateway import shapes
from billing.gateway.client import (
    API_VERSION,
    OPERATIONS,
    balance,
    call,
    check,
    fetch,
    fetch_account_payout,
    fetch_reversals,
    intent_of,
    is_fake,
    is_on,
    lines,
    look_up,
    onboarding_link,
    recent,
    require_on,
)
from billing.gateway.errors import (
    GatewayBusy,
    GatewayError,
    GatewayOff,
    NotTaken,
    Refused,
    Unanswered,
)

__all__ = [
    "API_VERSION",
    "OPERATIONS",
    "GatewayBusy",
    "GatewayError",
    "GatewayOff",
    "NotTaken",
    "Refused",
    "Unanswered",
    "balance",
    "call",
    "check",
    "fetch",
    "fetch_account_payout",
    "fetch_reversals",
    "intent_of",
    "is_fake",
    "is_on",
    "lines",
    "look_up",
    "onboarding_link",
    "recent",
    "require_on",
    "shapes",
]
