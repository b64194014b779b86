"""Money that came in by card, Alipay or WeChat Pay: paid, given back, disputed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class TopUpQuerySet(models.QuerySet["TopUp"]):
    def visible_to(self, actor: Actor) -> TopUpQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id)


@enforced
class TopUp(models.Model):
    """A payment by way of Stripe into a tenant's wallet (充值): one PaymentIntent."""

    class State(models.TextChoices):
        PLANNED = "planned", _("being prepared")
        """The PaymentIntent is not there yet."""
        OPEN = "open", _("to be paid")
        """Waits for the payer: a method, a confirmation, a code."""
        PROCESSING = "processing", _("processing")
        """Paid, and Stripe has not said yet what arrives."""
        SUCCEEDED = "succeeded", _("paid")
        """In the wallet; nobody leaves."""
        CANCELLED = "cancelled", _("cancelled")
        """Never paid; nobody leaves."""
        FAILED = "failed", _("refused")
        """Stripe did not take the request; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [
                State.OPEN,
                State.PROCESSING,
                State.SUCCEEDED,
                State.CANCELLED,
                State.FAILED,
            ],
            State.OPEN: [State.PROCESSING, State.SUCCEEDED, State.CANCELLED],
            State.PROCESSING: [State.OPEN, State.SUCCEEDED, State.CANCELLED],
            State.SUCCEEDED: [],
            State.CANCELLED: [],
            State.FAILED: [],
        }
    )

    public_id = PublicIdField(prefix="top")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    asked_by = models.CharField(max_length=80)
    intent_id = models.CharField(max_length=80, unique=True, null=True)  # pi_…
    client_secret = models.CharField(max_length=200, blank=True)  # for the payer's own browser
    charge_id = models.CharField(max_length=80, unique=True, null=True)  # ch_…
    method = models.CharField(max_length=40, blank=True)  # `card`, `alipay`, `wechat_pay`
    card_fingerprint = models.CharField(max_length=80, blank=True)
    decline_code = models.CharField(max_length=80, blank=True)
    # What arrived, in the currency Stripe keeps for us; the rate is theirs.
    settled_minor = models.BigIntegerField(null=True)
    settled_currency = models.CharField(max_length=3, blank=True)
    fee_minor = models.BigIntegerField(null=True)
    exchange_rate = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    created_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    objects = TopUpQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="top_up_is_positive"),
            models.CheckConstraint(
                condition=~Q(state="succeeded")
                | Q(charge_id__isnull=False, settled_minor__isnull=False),
                name="top_up_paid_names_its_charge",
            ),
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="top_up_by_tenant")]
        triggers = [
            unchanging(
                "top_up_as_asked",
                "public_id",
                "tenant",
                "amount_minor",
                "currency",
                "asked_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class WalletRefundQuerySet(models.QuerySet["WalletRefund"]):
    def visible_to(self, actor: Actor) -> WalletRefundQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id)


@enforced
class WalletRefund(models.Model):
    """Unused wallet money on its way back to what it was paid with (退款)."""

    class State(models.TextChoices):
        HELD = "held", _("being sent")
        """Kept aside in the wallet; Stripe has not taken it yet."""
        PENDING = "pending", _("on its way")
        """Stripe has it, and the payer's bank not yet."""
        SUCCEEDED = "succeeded", _("refunded")
        """With the payer; it may still come back."""
        FAILED = "failed", _("came back")
        """Refused, or back in the wallet: to be paid by bank; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.HELD: [State.PENDING, State.SUCCEEDED, State.FAILED],
            State.PENDING: [State.SUCCEEDED, State.FAILED],
            State.SUCCEEDED: [State.FAILED],
            State.FAILED: [],
        }
    )

    public_id = PublicIdField(prefix="tur")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="refunds")
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=12, choices=State, default=State.HELD)
    asked_by = models.CharField(max_length=80)
    refund_id = models.CharField(max_length=80, unique=True, null=True)  # re_…
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    objects = WalletRefundQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="refund_is_positive")
        ]
        indexes = [models.Index(fields=["tenant", "id"], name="walletrefund_by_tenant")]
        triggers = [
            unchanging(
                "refund_as_asked",
                "public_id",
                "tenant",
                "top_up",
                "amount_minor",
                "currency",
                "asked_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class DisputeQuerySet(models.QuerySet["Dispute"]):
    def visible_to(self, actor: Actor) -> DisputeQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id)


@enforced
class Dispute(models.Model):
    """A payer's bank takes a payment back (拒付); Stripe debits us at once, whoever is right."""

    class State(models.TextChoices):
        INQUIRY = "inquiry", _("inquiry")
        """The bank asks; no money has moved."""
        OPEN = "open", _("undecided")
        """To be answered, or with the bank."""
        WON = "won", _("won")
        """The money comes back, or was never taken."""
        LOST = "lost", _("lost")
        """The tenant owes it."""
        CLOSED = "closed", _("closed")
        """An inquiry that came to nothing; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.INQUIRY: [State.OPEN, State.WON, State.LOST, State.CLOSED],
            State.OPEN: [State.WON, State.LOST],
            State.WON: [State.LOST],
            State.LOST: [State.WON],
            State.CLOSED: [],
        }
    )

    public_id = PublicIdField(prefix="dsp")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    top_up = models.ForeignKey(TopUp, on_delete=models.PROTECT, related_name="disputes")
    dispute_id = models.CharField(max_length=80, unique=True)  # dp_…
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=80)
    state = models.CharField(max_length=12, choices=State)
    answer_by = models.DateTimeField(null=True)
    held_minor = models.BigIntegerField(default=0)  # of the wallet, while it is open
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    reinstated_at = models.DateTimeField(null=True, blank=True)
    borne_at = models.DateTimeField(null=True, blank=True)  # the tenant has paid or owes it
    created_at = models.DateTimeField()
    won_at = models.DateTimeField(null=True, blank=True)
    lost_at = models.DateTimeField(null=True, blank=True)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["tenant", "id"], name="dispute_by_tenant")]
        triggers = [
            unchanging(
                "dispute_as_opened",
                "public_id",
                "tenant",
                "top_up",
                "dispute_id",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
