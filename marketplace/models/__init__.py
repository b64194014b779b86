"""Deals: what is offered, reserved and leased."""

from marketplace.models.amendment import FIGURES, Amendment, ChangeFigures
from marketplace.models.approval import Approval, ApprovalRule
from marketplace.models.basket import Basket
from marketplace.models.case import Case, CaseAttachment, CaseMessage
from marketplace.models.idempotency import IdempotencyRecord
from marketplace.models.idle import IdleNotice
from marketplace.models.incident import Incident, IncidentEntry, IncidentLease, IncidentOutage
from marketplace.models.lease import Lease, LeasePrice
from marketplace.models.listing import Listing, PriceFloor, PriceVersion, TermsVersion
from marketplace.models.notification import Channel, Delivery, NotifiedMark
from marketplace.models.quota import Commitment, Quota
from marketplace.models.reservation import Reservation
from marketplace.models.rollup import (
    PoolHours,
    PoolReading,
    RollupCursor,
    RollupMark,
    TenantClass,
)

__all__ = [
    "FIGURES",
    "Amendment",
    "Approval",
    "ApprovalRule",
    "Basket",
    "Case",
    "CaseAttachment",
    "CaseMessage",
    "ChangeFigures",
    "Channel",
    "Commitment",
    "Delivery",
    "IdempotencyRecord",
    "IdleNotice",
    "Incident",
    "IncidentEntry",
    "IncidentLease",
    "IncidentOutage",
    "Lease",
    "LeasePrice",
    "Listing",
    "NotifiedMark",
    "PoolHours",
    "PoolReading",
    "PriceFloor",
    "PriceVersion",
    "Quota",
    "Reservation",
    "RollupCursor",
    "RollupMark",
    "TenantClass",
    "TermsVersion",
]
