"""Telemetry (遥测): what exporters on nodes report, folded into hours of nodes."""

from inventory.telemetry.folding import EARLY, LATE, SLOT_SECONDS, Counts
from inventory.telemetry.hours import seal
from inventory.telemetry.metrics import EXPORTERS, METRICS, Fact
from inventory.telemetry.pulling import sweep as pull
from inventory.telemetry.reception import receive
from inventory.telemetry.sources import (
    AlreadyBound,
    SourceClosed,
    Unmatched,
    authenticate,
    bind,
    close_source,
    open_source,
    revoke_keys,
    rewrap_secrets,
    rotate_key,
    unbind,
    unmatched,
)

__all__ = [
    "EARLY",
    "EXPORTERS",
    "LATE",
    "METRICS",
    "SLOT_SECONDS",
    "AlreadyBound",
    "Counts",
    "Fact",
    "SourceClosed",
    "Unmatched",
    "authenticate",
    "bind",
    "close_source",
    "open_source",
    "pull",
    "receive",
    "revoke_keys",
    "rewrap_secrets",
    "rotate_key",
    "seal",
    "unbind",
    "unmatched",
]
