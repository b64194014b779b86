"""Money: the ledger, what it charges and what it owes."""

from billing.models.audit_report import AuditReport
from billing.models.bank import BankAccount, BankLine, BankStatement, VirtualAccount
from billing.models.charge import Charge, LeaseTally, PriceTally
from billing.models.direct import DirectReceipt
from billing.models.fapiao import BillingDetails, Fapiao, FapiaoFile, FapiaoPart
from billing.models.instalment import Dunning, Instalment, RunwayWarning, WriteOff
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
    LedgerCapture,
    LedgerCheckpoint,
    LedgerEntry,
    LedgerExchange,
    LedgerHold,
    LedgerTransaction,
)
from billing.models.payee import InputFapiao, PayoutTerms
from billing.models.payment import BankDeal, BankReceipt
from billing.models.payout import Payout, PayoutFile, PayoutLine
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
from billing.models.reconciliation import PspBalance, ReconciliationMatch, ReconciliationReversal
from billing.models.refund import PaymentFile, Refund
from billing.models.settlement import (
    CarriedNet,
    Repayment,
    SettledMark,
    Settlement,
    SettlementLine,
)
from billing.models.sla import SlaCursor, SlaMonth
from billing.models.statement import Contest, Statement
from billing.models.topup import Dispute, TopUp, WalletRefund
from billing.models.voucher import Voucher, VoucherEntry

__all__ = [
    "AccountingPeriod",
    "AuditReport",
    "BankAccount",
    "BankDeal",
    "BankLine",
    "BankReceipt",
    "BankStatement",
    "BankWithdrawal",
    "BilledCharge",
    "BilledCursor",
    "BillingDetails",
    "CarriedNet",
    "Charge",
    "Contest",
    "DirectReceipt",
    "Dispute",
    "Dunning",
    "FakeStripeObject",
    "Fapiao",
    "FapiaoFile",
    "FapiaoPart",
    "GatewayEvent",
    "InputFapiao",
    "Instalment",
    "Invoice",
    "InvoiceLine",
    "InvoicePaper",
    "InvoiceSeries",
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
    "Payout",
    "PayoutAccount",
    "PayoutFile",
    "PayoutLine",
    "PayoutTerms",
    "PriceTally",
    "PspBalance",
    "PspBalanceTransaction",
    "PspCustomer",
    "PspRequest",
    "Quote",
    "ReconciliationMatch",
    "ReconciliationReversal",
    "Refund",
    "Repayment",
    "RunwayWarning",
    "SettledMark",
    "Settlement",
    "SettlementLine",
    "SlaCursor",
    "SlaMonth",
    "Statement",
    "TopUp",
    "Transfer",
    "TransferReversal",
    "VirtualAccount",
    "Voucher",
    "VoucherEntry",
    "WalletRefund",
    "WriteOff",
]
