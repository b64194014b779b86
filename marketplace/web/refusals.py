"""Refusals in the reader's language."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from inventory.errors import DomainError

# Where a person at a form needs to hear more than the title that programs get.
SENTENCES = {
    "busy": _("Busy right now; try again in a moment."),
    "invalid_period": _("The period is not acceptable: the end must lie after the start."),
    "forbidden": _("Your role does not allow this."),
    "file_unreadable": _("The file cannot be read as a CSV of nodes in UTF-8 or GBK."),
    "import_row_invalid": _("Some rows cannot be taken; nothing was changed."),
    "organisation_unverified": _(
        "The operator has to verify the organisation before it can trade."
    ),
    "below_floor": _("The price is below the floor of this pool's own costs."),
    "hold_limit": _("Too much is held already; confirm or cancel other holds first."),
    "invalid_amount": _("Write a plain number with a point before decimals, such as 6.80."),
}

# Codes shared by many reasons: the title alone would leave the reader guessing.
_WORDY = {"refused", "validation_failed", "invalid_state", "below_floor", "invalid_terms"}


def explain(error: DomainError) -> str:
    """The sentence of its code or else its title, then its own words where they say more."""
    sentence = str(SENTENCES.get(error.code) or gettext(str(error.title)))
    if error.code in _WORDY and error.detail not in ("", error.title):
        return f"{sentence} ({error.detail})"
    return sentence
