"""What a tenant, a project or a key may commit: no hold passes a quota."""

from __future__ import annotations

from typing import Any

from inventory.errors import Forbidden
from marketplace.policy.standings import Ask, Cap, Standing


class QuotaExceeded(Forbidden):
    """The hold would commit more than a cap on its organisation, project or key allows.

    Forbidden, not "too many requests": asking again changes nothing until the cap is raised, its
    month is over, or something that counts under it is given back.
    """

    code = "quota_exceeded"
    title = "A quota allows no more"


def check_quotas(standing: Standing, ask: Ask) -> None:
    """Whether every cap that binds the asker has room for this.

    The widest subject first. Raises QuotaExceeded with the cap, what is used, asked and allowed;
    without the organisation's sums where the asker is bound to one project.
    """
    for cap in standing.caps:
        after = cap.plus(ask)
        spends = cap.measure == "spend"
        if spends and (ask.currency != cap.currency or after.used_minor <= cap.limit):
            continue
        asks_time = ask.card_seconds > 0  # else only the price of time already counted
        if not spends and (not asks_time or after.used_card_seconds <= cap.limit * 3600):
            continue
        raise QuotaExceeded(**_particulars(standing, cap, ask, spends=spends))


def _particulars(standing: Standing, cap: Cap, ask: Ask, *, spends: bool) -> dict[str, Any]:
    named = {
        "quota": cap.quota_id,
        "subject": cap.subject,
        "measure": cap.measure,
        "window": cap.window,
        "currency": cap.currency or None,
    }
    hidden = standing.discreet and cap.subject == "organisation"
    if spends:
        asked = {"asked_minor": ask.gross_minor}
        known = {"used_minor": cap.used_minor, "limit_minor": cap.limit}
    else:
        # Hours are whole but for leases of odd minutes: what is asked is never shown as less.
        asked = {"asked_card_hours": -(-ask.card_seconds // 3600)}
        known = {
            "used_card_hours": -(-cap.used_card_seconds // 3600),
            "limit_card_hours": cap.limit,
        }
    return named | asked | ({} if hidden else known)
