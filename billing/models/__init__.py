"""Money: the ledger, what it charges and what it owes."""

from billing.models.bank import BankAccount, BankLine, BankStatement, VirtualAccount
from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.ledger import (
    LedgerAccount,
    LedgerBalance,
    LedgerEntry,
    LedgerHold,
    LedgerTransaction,
)
from billing.models.payment import BankDeal, BankReceipt
from billing.models.quote import Quote
from billing.models.refund import PaymentFile, Refund
from billing.models.settlement import Settlement, SettlementLine

__all__ = [
    "BankAccount",
    "BankDeal",
    "BankLine",
    "BankReceipt",
    "BankStatement",
    "Charge",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerEntry",
    "LedgerHold",
    "LedgerTransaction",
    "PaymentFile",
    "PriceTally",
    "Quote",
    "Refund",
    "Settlement",
    "SettlementLine",
    "VirtualAccount",
]
