"""What a trial is, by the terms of its listing."""

from __future__ import annotations

from dataclasses import replace

from inventory.errors import Invalid
from marketplace.models import PriceVersion, TermsVersion
from marketplace.money import Price


class NoSuchTrial(Invalid):
    """The terms allow no trial, or none of this size."""

    code = "no_such_trial"
    title = "The terms allow no such trial"


def check_trial(*, terms: TermsVersion, unit_count: int, hours: float) -> None:
    """Whether the terms allow a trial of this size. Raises NoSuchTrial with what they allow."""
    if not (1 <= unit_count <= terms.trial_units and 0 < hours <= terms.trial_hours):
        raise NoSuchTrial(trial_units=terms.trial_units, trial_hours=terms.trial_hours)


def trial_price(*, price: PriceVersion, terms: TermsVersion) -> Price:
    """What a trial is counted with: the listing's basis, tax and fee, at the trial's amount.

    It may be nothing; floors do not apply to it, nor do discounts.
    """
    return replace(
        Price.of(price),
        amount_micro=terms.trial_amount_micro,
        schedule=PriceVersion.Schedule.PREPAID,
        security_months=0,
        advance_months=0,
        net_days=0,
    )
