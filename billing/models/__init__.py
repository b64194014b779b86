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
from billing.models.payout_account import (
    BankWithdrawal,
    PayoutAccount,
    Transfer,
    TransferReversal,
)
from billing.models.period import AccountingPeriod
from billing.models.psp import (
    FakeStripeObject,
    GatewayEvent,
    PspBalanceTransaction,
    PspCustomer,
    PspRequest,
)
from billing.models.quote import Quote
from billing.models.settlement import Settlement, SettlementLine
from billing.models.topup import Dispute, TopUp, WalletRefund

__all__ = [
    "AccountingPeriod",
    "BankReceipt",
    "BankWithdrawal",
    "Charge",
    "Dispute",
    "FakeStripeObject",
    "GatewayEvent",
    "LeaseTally",
    "LedgerAccount",
    "LedgerBalance",
    "LedgerCapture",
    "LedgerCheckpoint",
    "LedgerEntry",
    "LedgerExchange",
    "LedgerHold",
    "LedgerTransaction",
    "PayoutAccount",
    "PriceTally",
    "PspBalanceTransaction",
    "PspCustomer",
    "PspRequest",
    "Quote",
    "Settlement",
    "SettlementLine",
    "TopUp",
    "Transfer",
    "TransferReversal",
    "WalletRefund",
]
