"""Money: the ledger, what it charges and what it owes."""

from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.fapiao import BillingDetails, Fapiao, FapiaoFile, FapiaoPart
from billing.models.invoice import (
    BilledCharge,
    BilledCursor,
    Invoice,
    InvoiceLine,
    InvoicePaper,
    InvoiceSeries,
)
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
from billing.models.statement import Contest, Statement

__all__ = [
    "BankReceipt",
    "BilledCharge",
    "BilledCursor",
    "BillingDetails",
    "CarriedNet",
    "Charge",
    "Contest",
    "Fapiao",
    "FapiaoFile",
    "FapiaoPart",
    "InputFapiao",
    "Invoice",
    "InvoiceLine",
    "InvoicePaper",
    "InvoiceSeries",
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
    "Statement",
]
