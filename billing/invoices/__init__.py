"""Invoices: drafts that follow the charges, final documents, and what corrects them.

`refresh` puts charges on drafts, `finalise_due` gives numbers, `credits` is for what two
persons give back by hand, `papers` makes the PDF.
"""

from billing.invoices.credits import (
    CreditTooLarge,
    NotFinal,
    approve_credit,
    discard_credit,
    request_credit,
)
from billing.invoices.drafts import refresh
from billing.invoices.finalising import (
    Finalised,
    Outlook,
    finalise_due,
    outlook,
)
from billing.invoices.papers import paper, render_due
from billing.invoices.paying import follow_payments

__all__ = [
    "CreditTooLarge",
    "Finalised",
    "NotFinal",
    "Outlook",
    "approve_credit",
    "discard_credit",
    "finalise_due",
    "follow_payments",
    "outlook",
    "paper",
    "refresh",
    "render_due",
    "request_credit",
]
