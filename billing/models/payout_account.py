"""A provider's account with Stripe, transfers to it, and what left Stripe for our bank."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class PayoutAccountQuerySet(models.QuerySet["PayoutAccount"]):
    def visible_to(self, actor: Actor) -> PayoutAccountQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class PayoutAccount(models.Model):
    """Where a provider is paid over Stripe: its connected account, as far as it is set up."""

    class State(models.TextChoices):
        PLANNED = "planned", _("being opened")
        """Asked for; Stripe has not answered."""
        ONBOARDING = "onboarding", _("to be completed")
        """Stripe wants to know more before it pays."""
        ENABLED = "enabled", _("ready")
        """Transfers and payouts are possible."""
        RESTRICTED = "restricted", _("restricted")
        """Was ready, and Stripe has stopped it until something is answered."""
        CLOSED = "closed", _("closed")
        """Refused, rejected or taken away from us; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [State.ONBOARDING, State.ENABLED, State.CLOSED],
            State.ONBOARDING: [State.ENABLED, State.CLOSED],
            State.ENABLED: [State.RESTRICTED, State.CLOSED],
            State.RESTRICTED: [State.ENABLED, State.CLOSED],
            State.CLOSED: [],
        }
    )

    public_id = PublicIdField(prefix="pac")
    provider = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="payout_accounts"
    )
    country = models.CharField(max_length=2)
    account_id = models.CharField(max_length=80, unique=True, null=True)  # acct_…
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    wanted = models.JSONField(default=list)  # Stripe's words for what it still has to know
    disabled_reason = models.CharField(max_length=200, blank=True)
    payout_failure = models.CharField(max_length=200, blank=True)  # its last payout to its bank
    created_at = models.DateTimeField()
    enabled_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = PayoutAccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider"],
                condition=~Q(state="closed"),
                name="one_live_payout_account_per_provider",
            ),
        ]
        triggers = [
            unchanging("payout_account_as_asked", "public_id", "provider", "country", "created_at")
        ]

    def __str__(self) -> str:
        return self.public_id


@enforced
class Transfer(models.Model):
    """Money moved from our Stripe balance to a provider's: how a payout goes over this rail."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """Its request is written down."""
        SENT = "sent", _("sent")
        """In the provider's Stripe balance; parts may be reversed."""
        FAILED = "failed", _("failed")
        """Refused: nothing has left; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.PLANNED: [State.SENT, State.FAILED], State.SENT: [], State.FAILED: []}
    )

    public_id = PublicIdField(prefix="trf")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    account = models.ForeignKey(PayoutAccount, on_delete=models.PROTECT, related_name="transfers")
    payout_id = models.CharField(max_length=40, unique=True)  # public id: also its transfer group
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    transfer_id = models.CharField(max_length=80, unique=True, null=True)  # tr_…
    reversed_minor = models.BigIntegerField(default=0)
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0)
                & Q(reversed_minor__gte=0)
                & Q(reversed_minor__lte=F("amount_minor")),
                name="transfer_amounts",
            ),
        ]
        triggers = [
            unchanging(
                "transfer_as_planned",
                "public_id",
                "provider",
                "account",
                "payout_id",
                "amount_minor",
                "currency",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


@enforced
class TransferReversal(models.Model):
    """Part of a transfer taken back from a provider's Stripe balance."""

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """Its request is written down."""
        SUCCEEDED = "succeeded", _("taken back")
        """In our balance, and booked; nobody leaves."""
        FAILED = "failed", _("failed")
        """Refused: the account has not that much; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.PLANNED: [State.SUCCEEDED, State.FAILED], State.SUCCEEDED: [], State.FAILED: []}
    )

    public_id = PublicIdField(prefix="trv")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    transfer = models.ForeignKey(Transfer, on_delete=models.PROTECT, related_name="reversals")
    amount_minor = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    asked_by = models.CharField(max_length=80)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    reversal_id = models.CharField(max_length=80, unique=True, null=True)  # trr_…
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="reversal_is_positive")
        ]
        triggers = [
            unchanging(
                "reversal_as_asked",
                "public_id",
                "provider",
                "transfer",
                "amount_minor",
                "reason",
                "asked_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_claw_back(self) -> bool:
        """Of what the provider owes; the whole transfer would be its payout, returned."""
        return self.amount_minor < self.transfer.amount_minor

    @property
    def hold_key(self) -> str:
        return f"clawback:{self.public_id}"


@enforced
class BankWithdrawal(models.Model):
    """Money that leaves our Stripe balance for our own bank: Stripe calls it a payout."""

    class State(models.TextChoices):
        PENDING = "pending", _("on its way")
        """Out of Stripe, not at the bank yet: in transit."""
        PAID = "paid", _("paid")
        """At the bank, as far as Stripe knows; it may still come back."""
        FAILED = "failed", _("came back")
        """Returned to the Stripe balance; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PENDING: [State.PAID, State.FAILED],
            State.PAID: [State.FAILED],
            State.FAILED: [],
        }
    )

    public_id = PublicIdField(prefix="bwd")
    payout_id = models.CharField(max_length=80, unique=True)  # po_…
    amount_minor = models.BigIntegerField()  # negative where Stripe took it from our bank
    currency = models.CharField(max_length=3)
    is_automatic = models.BooleanField()
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    arrival_at = models.DateTimeField()
    failure_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(amount_minor=0), name="withdrawal_is_not_zero")
        ]
        triggers = [
            unchanging(
                "withdrawal_as_seen",
                "public_id",
                "payout_id",
                "amount_minor",
                "currency",
                "is_automatic",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
