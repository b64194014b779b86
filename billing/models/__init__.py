"""Money: the ledger, what it charges and what it owes."""

from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.ledger import (
    LedgerAccount,
    LedgerBalance,
    LedgerEntry,
    LedgerHold,
    LedgerTransaction,
)
from billing.models.payee import InputFapiao, PayeeAccount, PayoutTerms
from billing.models.payment import BankReceipt
from billing.models.payout import Payout, PayoutFile, PayoutLine
from billing.models.quote import Quote
from billing.models.settlement import CarriedNet, Repayment, Settlement, SettlementLine

__all__ = [
    "BankReceipt",
    "CarriedNet",
    "Charge",
    "InputFapiao",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerEntry",
    "LedgerHold",
    "LedgerTransaction",
    "PayeeAccount",
    "Payout",
    "PayoutFile",
    "PayoutLine",
    "PayoutTerms",
    "PriceTally",
    "Quote",
    "Repayment",
    "Settlement",
    "SettlementLine",
]
