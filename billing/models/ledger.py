"""The ledger: signed minor units, debit positive, append-only in the database itself.

Rows are written by SQL functions only (`billing/ledger.py` calls them); the runtime role
has no right to insert, update or delete here.
"""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.models import Organisation


class LedgerAccount(models.Model):
    """A place where money of one currency is. `code` names it: `liability:wallet:org_…:CNY`."""

    class Kind(models.TextChoices):
        ASSET = "asset", _("asset")
        LIABILITY = "liability", _("liability")
        EQUITY = "equity", _("equity")
        REVENUE = "revenue", _("revenue")
        EXPENSE = "expense", _("expense")

    code = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=10, choices=Kind)
    purpose = models.CharField(max_length=40)  # wallet, deposit, provider_accrued …
    currency = models.CharField(max_length=3)
    owner = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, blank=True, related_name="accounts"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["id", "currency"], name="ledger_account_currency"),
        ]
        indexes = [models.Index(fields=["owner", "purpose"], name="ledger_account_by_owner")]

    def __str__(self) -> str:
        return self.code


class LedgerBalance(models.Model):
    """The running balance of an account that is guarded or often read; others have none.

    `posted` is in the account's normal direction (a wallet with money is positive). A
    guarded one never has less than −`floor_minor` after what is `held`.
    """

    account = models.OneToOneField(
        LedgerAccount, on_delete=models.PROTECT, primary_key=True, related_name="balance"
    )
    posted = models.BigIntegerField(default=0)
    held = models.BigIntegerField(default=0)
    floor_minor = models.BigIntegerField(default=0)  # the credit limit, not negative
    # From then on the limit falls to what is drawn on it, and further with every payment.
    floor_until = models.DateTimeField(null=True, blank=True)
    guarded = models.BooleanField(default=True)
    version = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(held__gte=0), name="ledger_held_not_negative"),
            models.CheckConstraint(
                condition=Q(guarded=False) | Q(posted__gte=F("held") - F("floor_minor")),
                name="ledger_never_below_the_floor",
            ),
        ]
        indexes = [
            models.Index(
                fields=["floor_until"],
                condition=Q(floor_until__isnull=False),
                name="ledger_limits_that_lapse",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id}: {self.posted} ({self.held} held)"

    @property
    def available(self) -> int:
        return self.posted - self.held + self.floor_minor


class LedgerTransaction(models.Model):
    """One movement of money: two or more entries that sum to zero per currency. Immutable."""

    class Kind(models.TextChoices):
        """One member per money movement; the verb in `billing` bears the same name."""

        BANK_RECEIPT_RECORDED = "bank_receipt_recorded"
        """Money seen on the bank statement, not yet attributed: bank → unmatched receipts."""
        BANK_RECEIPT_APPROVED = "bank_receipt_approved"
        """A second person attributed it: unmatched receipts → wallet."""
        BANK_RECEIPT_REJECTED = "bank_receipt_rejected"
        """It was not what it seemed: unmatched receipts → bank."""
        BANK_RECEIPT_RETURNED = "bank_receipt_returned"
        """It was nobody's and went back to its sender: unmatched receipts → bank."""
        DEAL_FUNDED = "deal_funded"
        """Confirmation: wallet → deposit, the whole price or the deposit."""
        USAGE_CHARGED = "usage_charged"
        """Delivered time: deposit or wallet → provider accrued, fee revenue, VAT."""
        DEAL_CANCELLED = "deal_cancelled"
        """Cancelled by the terms: deposit → wallet, the kept share → provider, fee, VAT."""
        DEAL_EXTENDED = "deal_extended"
        """More time: wallet → deposit, what is due for it."""
        DEAL_SHORTENED = "deal_shortened"
        """Less time: deposit → wallet, the kept share → provider, fee, VAT; a provider that
        withdraws pays its compensation, provider accrued → wallet."""
        DEAL_REPRICED = "deal_repriced"
        """The same time at another price: wallet → deposit, or back, what is due more or less."""
        DEAL_CLOSED = "deal_closed"
        """The lease is over: what is left of the deposit → wallet."""
        RECEIVABLE_CLEARED = "receivable_cleared"
        """A top-up first pays what the tenant owes: wallet → tenant receivable."""
        SETTLED = "settled"
        """A provider's share of a period: provider accrued → provider settling and reserve."""
        RESERVE_RELEASED = "reserve_released"
        """What was kept back is free: provider reserve → provider settling."""
        NET_MADE_RECEIVABLE = "net_made_receivable"
        """A negative net nobody carries any more: provider receivable → provider accrued."""
        PROVIDER_PAID_BACK = "provider_paid_back"
        """A provider's debt is paid: bank, or what it earned since → provider receivable."""
        PAID_OUT = "paid_out"
        """A payout has left: provider settling → bank or Stripe."""
        PAYOUT_RETURNED = "payout_returned"
        """The money came back: bank or Stripe → provider settling."""
        INSTALMENT_COLLECTED = "instalment_collected"
        """A period paid ahead fell due: wallet → deposit."""
        SECURITY_TAKEN = "security_taken"
        """押金: wallet → security."""
        SECURITY_RETURNED = "security_returned"
        """The lease is over: security → wallet, or what is owed."""
        ARREARS_COLLECTED = "arrears_collected"
        """A period paid afterwards fell due: wallet → tenant arrears."""
        ARREARS_OVERDUE = "arrears_overdue"
        """It fell due and nobody paid: tenant receivable → tenant arrears."""
        BAD_DEBT_WRITTEN_OFF = "bad_debt_written_off"
        """Given up by two persons: bad debt → tenant receivable."""
        TOPPED_UP = "topped_up"
        """A card or Alipay payment succeeded: Stripe, PSP fee → wallet; abroad by way of fx."""
        WALLET_REFUNDED = "wallet_refunded"
        """Unused money went back: wallet → bank or Stripe."""
        REFUND_FAILED = "refund_failed"
        """It came back: bank or Stripe → wallet."""
        DISPUTE_WITHDRAWN = "dispute_withdrawn"
        """Stripe took a disputed payment back: dispute receivable, PSP fee → Stripe."""
        DISPUTE_REINSTATED = "dispute_reinstated"
        """The dispute is won: Stripe → dispute receivable."""
        DISPUTE_LOST = "dispute_lost"
        """Lost: wallet, then what the tenant owes → dispute receivable."""
        TRANSFER_REVERSED = "transfer_reversed"
        """Taken back from a connected account: Stripe → provider receivable or settling."""
        STRIPE_PAID_OUT = "stripe_paid_out"
        """Stripe's own payout to our bank: bank → Stripe."""
        STRIPE_FEE_CHARGED = "stripe_fee_charged"
        """A fee of no payment: PSP fee → Stripe."""
        CREDIT_NOTE_ISSUED = "credit_note_issued"
        """After an invoice was final: provider, fee and VAT → wallet or what is owed."""
        SLA_CREDITED = "sla_credited"
        """Undelivered quality, by the terms: provider, fee and VAT → wallet."""
        EXCHANGED = "exchanged"
        """Money of one currency given for another's: bank or Stripe → fx, fx → bank or Stripe."""
        EXCHANGE_DIFFERENCE = "exchange_difference"
        """What currencies held are worth more or less by now: fx → fx difference."""
        ADJUSTED = "adjusted"
        """An accountant's correction with a reason, by two persons."""
        REVERSED = "reversed"
        """The exact opposite of another transaction."""

    idempotency_key = models.CharField(max_length=200, unique=True)
    request_sha256 = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=40, choices=Kind)
    external_reference = models.CharField(max_length=120, blank=True)
    effective_at = models.DateTimeField()
    created_at = models.DateTimeField()
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, blank=True)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=500, blank=True)
    # xid xid8 DEFAULT pg_current_xact_id() is added by the migration: it seals the header.

    def __str__(self) -> str:
        return f"{self.kind} {self.idempotency_key}"


class LedgerEntry(models.Model):
    """One leg of a transaction: `amount_minor` debit if positive, credit if negative."""

    # What foreign keys would check row by row, `ledger_entry_sealed` checks by the statement.
    transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, related_name="entries", db_constraint=False
    )
    account = models.ForeignKey(
        LedgerAccount, on_delete=models.PROTECT, related_name="entries", db_constraint=False
    )
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="ledger_entry_not_zero"),
            # Far above any deal and far below what a bigint holds, so that sums stay exact.
            models.CheckConstraint(
                condition=Q(amount_minor__gte=-(10**17), amount_minor__lte=10**17),
                name="ledger_entry_within_reason",
            ),
        ]
        indexes = [models.Index(fields=["account", "id"], name="ledger_entry_by_account")]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency} on {self.account_id}"


class LedgerHold(models.Model):
    """Money kept aside in a guarded account until captured, released or expired. Not a posting."""

    class State(models.TextChoices):
        OPEN = "open", _("open")
        """What is not captured counts as held; may grow; over at `expires_at`."""
        CAPTURED = "captured", _("captured")
        """Turned into postings, the rest released; nobody leaves."""
        RELEASED = "released", _("released")
        """What was not captured is given back; nobody leaves."""
        EXPIRED = "expired", _("expired")
        """Its time was over first: what was not captured is free; nobody leaves."""

    idempotency_key = models.CharField(max_length=200, unique=True)
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="holds")
    placed_minor = models.BigIntegerField()  # the amount it began with
    amount_minor = models.BigIntegerField()
    captured_minor = models.BigIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(placed_minor__gt=0)
                & Q(amount_minor__gte=F("placed_minor"))
                & Q(captured_minor__gte=0)
                & Q(captured_minor__lte=F("amount_minor")),
                name="ledger_hold_amounts",
            ),
            models.CheckConstraint(
                condition=Q(state="open", closed_at__isnull=True)
                | (~Q(state="open") & Q(closed_at__isnull=False)),
                name="ledger_hold_is_open_or_was_closed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=Q(state="open", expires_at__isnull=False),
                name="ledger_holds_that_lapse",
            ),
        ]

    def __str__(self) -> str:
        return self.idempotency_key


class LedgerCapture(models.Model):
    """The posting that took so much of a hold. Append-only."""

    transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, primary_key=True, related_name="capture"
    )
    hold = models.ForeignKey(LedgerHold, on_delete=models.PROTECT, related_name="captures")
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="ledger_capture_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} of hold {self.hold_id}"


class LedgerCheckpoint(models.Model):
    """The sum of an account's entries up to an id, for ever true. Append-only.

    For accounts without a balance row: the last one and the entries after it are the balance.
    """

    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="checkpoints")
    through_entry = models.BigIntegerField()
    entries = models.BigIntegerField()  # so many of the account's up to there
    posted = models.DecimalField(max_digits=40, decimal_places=0)  # in its normal direction
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "through_entry"], name="one_checkpoint_per_entry"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} through {self.through_entry}: {self.posted}"


class LedgerExchange(models.Model):
    """What a posting in two currencies sold and bought, and at which rate. Append-only."""

    transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, primary_key=True, related_name="exchange"
    )
    sold_currency = models.CharField(max_length=3)
    sold_minor = models.BigIntegerField()
    bought_currency = models.CharField(max_length=3)
    bought_minor = models.BigIntegerField()
    # Major units bought for one that was sold, as whoever exchanged them says.
    rate = models.DecimalField(max_digits=40, decimal_places=20)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sold_minor__gt=0, bought_minor__gt=0, rate__gt=0)
                & ~Q(sold_currency=F("bought_currency")),
                name="ledger_exchange_sane",
            ),
        ]

    def __str__(self) -> str:
        return (
            f"{self.sold_minor} {self.sold_currency} for {self.bought_minor} {self.bought_currency}"
        )
