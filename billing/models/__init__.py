"""Money: the ledger, what it charges and what it owes."""

from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.ledger import (
    LedgerAccount,
    LedgerBalance,
    LedgerCapture,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerExchange,
    LedgerHold,
    LedgerTransaction,
)
from billing.models.payment import BankReceipt
from billing.models.period import AccountingPeriod
from billing.models.quote import Quote
from billing.models.settlement import Settlement, SettlementLine

__all__ = [
    "AccountingPeriod",
    "BankReceipt",
    "Charge",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerCapture",
    "LedgerCheckpoint",
    "LedgerEntry",
    "LedgerExchange",
    "LedgerHold",
    "LedgerTransaction",
    "PriceTally",
    "Quote",
    "Settlement",
    "SettlementLine",
]
