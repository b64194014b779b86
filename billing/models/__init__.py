"""Money: the ledger, what it charges and what it owes."""

from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.instalment import Dunning, Instalment, RunwayWarning, WriteOff
from billing.models.ledger import (
    LedgerAccount,
    LedgerBalance,
    LedgerEntry,
    LedgerHold,
    LedgerTransaction,
)
from billing.models.payment import BankReceipt
from billing.models.quote import Quote
from billing.models.settlement import Settlement, SettlementLine

__all__ = [
    "BankReceipt",
    "Charge",
    "Dunning",
    "Instalment",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerEntry",
    "LedgerHold",
    "LedgerTransaction",
    "PriceTally",
    "Quote",
    "RunwayWarning",
    "Settlement",
    "SettlementLine",
    "WriteOff",
]
