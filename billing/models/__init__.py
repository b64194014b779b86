"""Money: the ledger, what it charges and what it owes."""

from billing.models.bank import BankAccount, BankLine, BankStatement, VirtualAccount
from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.instalment import Dunning, Instalment, RunwayWarning, WriteOff
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
from billing.models.payment import BankDeal, BankReceipt
from billing.models.period import AccountingPeriod
from billing.models.quote import Quote
from billing.models.refund import PaymentFile, Refund
from billing.models.settlement import Settlement, SettlementLine

__all__ = [
    "AccountingPeriod",
    "BankAccount",
    "BankDeal",
    "BankLine",
    "BankReceipt",
    "BankStatement",
    "Charge",
    "Dunning",
    "Instalment",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerCapture",
    "LedgerCheckpoint",
    "LedgerEntry",
    "LedgerExchange",
    "LedgerHold",
    "LedgerTransaction",
    "PaymentFile",
    "PriceTally",
    "Quote",
    "Refund",
    "RunwayWarning",
    "Settlement",
    "SettlementLine",
    "VirtualAccount",
    "WriteOff",
]
