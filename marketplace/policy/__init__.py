"""Who may trade, what may not be undercut, and what a hold costs and may take.

The rules of a hold are functions of a `Standing`, which one statement fills.
"""

from marketplace.policy.caps import QuotaExceeded, check_quotas
from marketplace.policy.floors import BelowFloor, FloorCurrency, check_floor, floor_of
from marketplace.policy.holds import (
    SHORTEST_HOLD,
    BankHoldUnavailable,
    HoldLimit,
    HoldTerms,
    added_up,
    card_seconds_once,
    check_hold_limit,
    expires_at,
    held_card_seconds,
    hold_bps,
    hold_terms,
    ways_to_hold,
)
from marketplace.policy.standings import (
    LAPSE_MEMORY,
    Ask,
    Cap,
    LiveHold,
    Standing,
    caps_of,
    lapsed_count,
    standing,
)
from marketplace.policy.trading import OrganisationUnverified, require_tenant, require_verified
from marketplace.policy.trials import NoSuchTrial, check_trial, trial_price

__all__ = [
    "LAPSE_MEMORY",
    "SHORTEST_HOLD",
    "Ask",
    "BankHoldUnavailable",
    "BelowFloor",
    "Cap",
    "FloorCurrency",
    "HoldLimit",
    "HoldTerms",
    "LiveHold",
    "NoSuchTrial",
    "OrganisationUnverified",
    "QuotaExceeded",
    "Standing",
    "added_up",
    "caps_of",
    "card_seconds_once",
    "check_floor",
    "check_hold_limit",
    "check_quotas",
    "check_trial",
    "expires_at",
    "floor_of",
    "held_card_seconds",
    "hold_bps",
    "hold_terms",
    "lapsed_count",
    "require_tenant",
    "require_verified",
    "standing",
    "trial_price",
    "ways_to_hold",
]
