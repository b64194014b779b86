"""Deals: what is offered, reserved and leased."""

from marketplace.models.amendment import FIGURES, Amendment, ChangeFigures
from marketplace.models.approval import Approval, ApprovalRule
from marketplace.models.basket import Basket
from marketplace.models.idempotency import IdempotencyRecord
from marketplace.models.idle import IdleNotice
from marketplace.models.lease import Lease, LeasePrice
from marketplace.models.listing import Listing, PriceFloor, PriceVersion, TermsVersion
from marketplace.models.quota import Commitment, Quota
from marketplace.models.reservation import Reservation

__all__ = [
    "FIGURES",
    "Amendment",
    "Approval",
    "ApprovalRule",
    "Basket",
    "ChangeFigures",
    "Commitment",
    "IdempotencyRecord",
    "IdleNotice",
    "Lease",
    "LeasePrice",
    "Listing",
    "PriceFloor",
    "PriceVersion",
    "Quota",
    "Reservation",
    "TermsVersion",
]
