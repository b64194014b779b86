"""Fapiaos: asked for by tenants, issued elsewhere, taken back by red notes, kept here."""

from billing.fapiaos.files import FileRefused, read_upload
from billing.fapiaos.issuing import (
    DuplicateFapiao,
    issue,
    refuse,
    reverse,
    submit_due,
)
from billing.fapiaos.requests import (
    AmountNotLeft,
    Buyer,
    Part,
    left_minor,
    put_details,
    request,
    withdraw,
)

__all__ = [
    "AmountNotLeft",
    "Buyer",
    "DuplicateFapiao",
    "FileRefused",
    "Part",
    "issue",
    "left_minor",
    "put_details",
    "read_upload",
    "refuse",
    "request",
    "reverse",
    "submit_due",
    "withdraw",
]
