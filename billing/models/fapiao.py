"""The tax documents of the mainland, and what stands on them about a buyer."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.invoice import Invoice
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor


class BillingDetails(models.Model):
    """How an organisation stands on documents (开票信息): title, tax number, address, bank.

    Copied into each when it becomes final. Without it an organisation's registration serves.
    """

    organisation = models.OneToOneField(
        Organisation, on_delete=models.PROTECT, primary_key=True, related_name="billing_details"
    )
    title = models.CharField(max_length=200)
    tax_number = models.CharField(max_length=20, blank=True)
    address = models.CharField(max_length=300, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    bank_name = models.CharField(max_length=200, blank=True)
    bank_account = models.CharField(max_length=64, blank=True)
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.title


class FapiaoQuerySet(models.QuerySet["Fapiao"]):
    def visible_to(self, actor: Actor) -> FapiaoQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(buyer_id=actor.organisation_id)


@enforced
class Fapiao(models.Model):
    """A tax document over parts of finalised invoices (发票). Issued elsewhere, kept here.

    Never changed once issued: a red note (红冲) takes it back whole, and its invoices may be
    put on another.
    """

    class Kind(models.TextChoices):
        GENERAL = "general", _("general VAT fapiao")
        SPECIAL = "special", _("special VAT fapiao")

    class State(models.TextChoices):
        REQUESTED = "requested", _("requested")
        """Waits for its issuing; the buyer may withdraw it."""
        WITHDRAWN = "withdrawn", _("withdrawn")
        """By the buyer, or refused by the issuer."""
        ISSUED = "issued", _("issued")
        """Has its number and date; only a red note takes it back."""
        REVERSED = "reversed", _("taken back by a red note")

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.REQUESTED: [State.WITHDRAWN, State.ISSUED],
            State.ISSUED: [State.REVERSED],
            State.WITHDRAWN: [],
            State.REVERSED: [],
        }
    )

    public_id = PublicIdField(prefix="fpo")
    buyer = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    issuer = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.REQUESTED)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    title = models.CharField(max_length=200)
    tax_number = models.CharField(max_length=20, blank=True)
    address = models.CharField(max_length=300, blank=True)
    phone = models.CharField(max_length=40, blank=True)
    bank_name = models.CharField(max_length=200, blank=True)
    bank_account = models.CharField(max_length=64, blank=True)
    number = models.CharField(max_length=40, blank=True)  # 20 digits of a digital one (数电票)
    issued_date = models.DateField(null=True, blank=True)
    red_number = models.CharField(max_length=40, blank=True)
    red_date = models.DateField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    replaces = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    adapter_reference = models.CharField(max_length=120, blank=True)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    issued_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    reversed_at = models.DateTimeField(null=True, blank=True)

    objects = FapiaoQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="fapiao_is_positive"),
            models.CheckConstraint(
                condition=~Q(state__in=("issued", "reversed"))
                | ~Q(number="") & Q(issued_date__isnull=False),
                name="fapiao_issued_has_a_number",
            ),
            models.CheckConstraint(
                condition=~Q(state="reversed") | ~Q(red_number="") & Q(red_date__isnull=False),
                name="fapiao_reversed_by_a_red_note",
            ),
            models.CheckConstraint(
                condition=~Q(kind="special") | ~Q(tax_number=""),
                name="special_fapiao_needs_a_tax_number",
            ),
            models.UniqueConstraint(
                fields=["number"], condition=~Q(number=""), name="fapiao_number_once"
            ),
            models.UniqueConstraint(
                fields=["red_number"], condition=~Q(red_number=""), name="red_number_once"
            ),
        ]
        indexes = [models.Index(fields=["state", "id"], name="fapiao_by_state")]
        triggers = [
            unchanging(
                "fapiao_as_requested",
                "buyer",
                "issuer",
                "kind",
                "currency",
                "amount_minor",
                "title",
                "tax_number",
                "address",
                "phone",
                "bank_name",
                "bank_account",
                "replaces",
                "requested_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.number or self.public_id


class FapiaoPart(models.Model):
    """How much of one invoice stands on one fapiao. Append-only; never more than the invoice."""

    fapiao = models.ForeignKey(Fapiao, on_delete=models.PROTECT, related_name="parts")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="fapiao_parts")
    amount_minor = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fapiao", "invoice"], name="one_part_per_fapiao"),
            models.CheckConstraint(condition=Q(amount_minor__gt=0), name="fapiao_part_positive"),
        ]
        triggers = [append_only("fapiao_part_append_only")]

    def __str__(self) -> str:
        return f"{self.amount_minor} of {self.invoice_id} on {self.fapiao_id}"


class FapiaoFile(models.Model):
    """The issued file itself, or that of its red note. Append-only."""

    class Role(models.TextChoices):
        ISSUED = "issued", _("fapiao")
        RED = "red", _("red note")

    fapiao = models.ForeignKey(Fapiao, on_delete=models.PROTECT, related_name="files")
    role = models.CharField(max_length=8, choices=Role)
    media_type = models.CharField(max_length=40)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["fapiao", "role"], name="one_file_a_role"),
        ]
        triggers = [append_only("fapiao_file_append_only")]

    def __str__(self) -> str:
        return f"{self.role} file of {self.fapiao_id}"
