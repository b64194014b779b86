"""By which terms a provider is paid, and against which fapiaos."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor

M = TypeVar("M", bound=models.Model)


class OwnedByProvider(models.QuerySet[M]):
    """Rows of one provider: its own and the operator's to see."""

    def visible_to(self, actor: Actor) -> OwnedByProvider[M]:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id or 0)


class PayoutTerms(models.Model):
    """When and how a provider is paid in one currency (打款条件). Versioned, never edited.

    Each settlement keeps the version it was made by; a new one is for later settlements.
    """

    class Method(models.TextChoices):
        BANK = "bank", _("bank transfer")
        """In a payment file for the bank."""
        STRIPE = "stripe", _("Stripe transfer")
        """To the provider's connected account."""

    public_id = PublicIdField(prefix="ptm")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    version = models.PositiveIntegerField()
    settle_after_days = models.PositiveSmallIntegerField()  # T+n after the end of a month
    minimum_minor = models.BigIntegerField()  # less than this waits for more
    reserve_bps = models.PositiveIntegerField()  # of each net, kept back …
    reserve_days = models.PositiveSmallIntegerField()  # … for so long
    needs_fapiao = models.BooleanField()  # input fapiaos must cover what is paid out
    method = models.CharField(max_length=10, choices=Method)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    objects = OwnedByProvider["PayoutTerms"].as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "currency", "version"], name="payout_terms_version_once"
            ),
            models.CheckConstraint(
                condition=Q(
                    settle_after_days__lte=90,
                    minimum_minor__gte=0,
                    minimum_minor__lte=10**15,
                    reserve_bps__lte=5000,
                    reserve_days__lte=730,
                )
                & (Q(reserve_bps=0) | Q(reserve_days__gt=0)),
                name="payout_terms_sane",
            ),
        ]
        triggers = [append_only("payout_terms_append_only")]

    def __str__(self) -> str:
        return f"{self.public_id} v{self.version}"


@enforced
class InputFapiao(models.Model):
    """A fapiao the provider issued to the operator for its share (进项发票)."""

    class State(models.TextChoices):
        HANDED_IN = "handed_in", _("handed in")
        """The operator looks whether it is genuine and in its name."""
        ACCEPTED = "accepted", _("accepted")
        """Covers payouts up to its amount."""
        REJECTED = "rejected", _("rejected")
        """Not genuine, or not the operator's; may be handed in again."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.HANDED_IN: [State.ACCEPTED, State.REJECTED], State.ACCEPTED: [], State.REJECTED: []}
    )

    public_id = PublicIdField(prefix="ifp")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=20)
    issued_date = models.DateField()
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()  # 价税合计: with tax
    vat_minor = models.BigIntegerField()
    file_name = models.CharField(max_length=200)
    content_type = models.CharField(max_length=40)
    content = models.BinaryField()
    content_sha256 = models.BinaryField(max_length=32)
    state = models.CharField(max_length=10, choices=State, default=State.HANDED_IN)
    handed_in_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedByProvider["InputFapiao"].as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    amount_minor__gt=0,
                    amount_minor__lte=10**15,
                    vat_minor__gte=0,
                    vat_minor__lt=F("amount_minor"),
                ),
                name="input_fapiao_amounts_sane",
            ),
            models.UniqueConstraint(
                fields=["number"], condition=~Q(state="rejected"), name="input_fapiao_number_once"
            ),
        ]
        indexes = [models.Index(fields=["provider", "currency"], name="input_fapiao_by_provider")]
        triggers = [
            unchanging(
                "input_fapiao_as_handed_in",
                "public_id",
                "provider",
                "number",
                "issued_date",
                "currency",
                "amount_minor",
                "vat_minor",
                "file_name",
                "content_type",
                "content",
                "content_sha256",
                "handed_in_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
