"""Acceptance before time counts: a bandwidth shown by a test over everything delivered, and
signed for by the tenant or left unspoken until its clock runs out."""

from inventory.acceptance.gate import Verdict, clock_of, lapse, look, require
from inventory.acceptance.reports import LARGEST_REPORT, ReportInvalid
from inventory.acceptance.runs import (
    NotBeingTested,
    NothingPassed,
    OtherMachines,
    report,
    sign,
)

__all__ = [
    "LARGEST_REPORT",
    "NotBeingTested",
    "NothingPassed",
    "OtherMachines",
    "ReportInvalid",
    "Verdict",
    "clock_of",
    "lapse",
    "look",
    "report",
    "require",
    "sign",
]
