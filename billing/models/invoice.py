"""The monthly document, and the only thing that corrects it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.charge import Charge
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced
from inventory.models import Organisation, User
from marketplace.models import Lease, PriceVersion

if TYPE_CHECKING:
    from inventory.actors import Actor


class InvoiceQuerySet(models.QuerySet["Invoice"]):
    def visible_to(self, actor: Actor) -> InvoiceQuerySet:
        """Both sides of it; what is still a draft of a correction is the operator's alone."""
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(issuer_id=own) | Q(party_id=own))
        return rows.exclude(kind="credit_note", state__in=("draft", "discarded"))


@enforced
class Invoice(models.Model):
    """What one issuer asks of one party for a calendar month (账单), or takes back (贷项).

    A draft follows the charges. Final, it has a number and never changes: what turns out to be
    wrong later is a credit note, whose amounts are negative, or a dated line of a later
    invoice. Not a tax document: that is the fapiao. Nothing is posted by it: its charges are.
    """

    class Kind(models.TextChoices):
        INVOICE = "invoice", _("invoice")
        CREDIT_NOTE = "credit_note", _("credit note")

    class Subject(models.TextChoices):
        COMPUTE = "compute", _("compute")
        """Machine time, to the tenant."""
        FEE = "fee", _("fee")
        """The operator's fee of deals paid directly, to the provider."""

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        """Follows its charges; final some days after its month."""
        FINALISED = "finalised", _("final")
        """Numbered; nobody leaves."""
        DISCARDED = "discarded", _("discarded")
        """A correction that the second person did not approve."""

    class PaymentStatus(models.TextChoices):
        PREPAID = "prepaid", _("prepaid")
        """Taken from what the party had paid ahead."""
        OPEN = "open", _("to be paid")
        PAID = "paid", _("paid")
        OVERDUE = "overdue", _("overdue")

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.DRAFT: [State.FINALISED, State.DISCARDED],
            State.FINALISED: [],
            State.DISCARDED: [],
        }
    )

    public_id = PublicIdField(prefix="inv")
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.INVOICE)
    subject = models.CharField(max_length=8, choices=Subject, default=Subject.COMPUTE)
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    issuer = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    party = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    month = models.DateField()  # its first day, in the billing zone
    period = DateTimeRangeField()
    number = models.BigIntegerField(null=True, blank=True)
    label = models.CharField(max_length=40, blank=True)  # the number as the document has it
    card_seconds = models.BigIntegerField(default=0)
    net_minor = models.BigIntegerField(default=0)
    vat_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField(default=0)
    # Of the total, what neither a deposit nor the wallet had paid when it was charged.
    unpaid_minor = models.BigIntegerField(default=0)
    payment_status = models.CharField(max_length=8, choices=PaymentStatus, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    # As they were when it became final: names, tax numbers, addresses, banks.
    seller = models.JSONField(default=dict, blank=True)
    buyer = models.JSONField(default=dict, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    requested_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    decided_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField()
    finalised_at = models.DateTimeField(null=True, blank=True)
    discarded_at = models.DateTimeField(null=True, blank=True)

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer", "party", "currency", "month", "subject"],
                condition=Q(kind="invoice"),
                name="one_invoice_a_month",
            ),
            # Corrections that the sweep finds gather on one; those persons ask for do not.
            models.UniqueConstraint(
                fields=["issuer", "party", "currency", "subject"],
                condition=Q(kind="credit_note", state="draft", requested_by__isnull=True),
                name="one_open_credit_note",
            ),
            models.UniqueConstraint(
                fields=["issuer", "kind", "number"], name="invoice_number_once"
            ),
            models.CheckConstraint(
                condition=Q(total_minor=F("net_minor") + F("vat_minor")),
                name="invoice_adds_up",
            ),
            models.CheckConstraint(
                condition=~Q(state="finalised")
                | Q(kind="invoice", total_minor__gte=0)
                | Q(kind="credit_note", total_minor__lte=0),
                name="invoice_sign",
            ),
            models.CheckConstraint(
                condition=Q(state="finalised", number__gt=0, finalised_at__isnull=False)
                & ~Q(payment_status="")
                & ~Q(label="")
                | ~Q(state="finalised") & Q(number__isnull=True, payment_status=""),
                name="invoice_numbered_when_final",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("requested_by")),
                name="credit_note_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=~Q(state="finalised")
                | Q(requested_by__isnull=True)
                | Q(decided_by__isnull=False) & ~Q(reason=""),
                name="credit_note_is_approved",
            ),
        ]
        indexes = [
            models.Index(fields=["party", "-id"], name="invoice_by_party"),
            models.Index(fields=["state", "month"], name="invoice_by_state"),
        ]

    def __str__(self) -> str:
        return self.label or self.public_id

    @property
    def is_final(self) -> bool:
        return self.state == self.State.FINALISED


class InvoiceSeries(models.Model):
    """The last number an issuer has given to a kind of document.

    Locked in the transaction that finalises, so that a number given up with it is given again:
    a database sequence would leave a gap.
    """

    issuer = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Invoice.Kind)
    last_number = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["issuer", "kind"], name="one_series_a_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.issuer_id}: {self.last_number}"


class InvoiceLineQuerySet(models.QuerySet["InvoiceLine"]):
    def visible_to(self, actor: Actor) -> InvoiceLineQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(
            Q(invoice__issuer_id=own) | Q(invoice__party_id=own), invoice__state="finalised"
        )


class InvoiceLine(models.Model):
    """One lease at one price in one month of use: a quantity and what it came to.

    `month` is when it was used; beside an invoice of a later month the line is a correction.
    A line of a credit note names the one it `corrects`.
    """

    public_id = PublicIdField(prefix="ivl")
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="invoice_lines")
    price = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Charge.Kind)
    month = models.DateField()
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="corrections"
    )
    from_at = models.DateTimeField()
    until_at = models.DateTimeField()
    card_seconds = models.BigIntegerField()
    vat_code = models.CharField(max_length=20)
    vat_bps = models.PositiveIntegerField()
    net_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    gross_minor = models.BigIntegerField()

    objects = InvoiceLineQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["invoice", "lease", "price", "kind", "month", "corrects"],
                nulls_distinct=False,
                name="one_line_per_price",
            ),
            models.CheckConstraint(
                condition=Q(gross_minor=F("net_minor") + F("vat_minor")),
                name="invoice_line_adds_up",
            ),
        ]
        indexes = [models.Index(fields=["lease", "month"], name="invoice_line_by_lease")]

    def __str__(self) -> str:
        return self.public_id

    @property
    def card_hours(self) -> float:
        return self.card_seconds / 3600


class BilledCharge(models.Model):
    """One charge on one line, once. Append-only, written while the invoice is a draft."""

    charge = models.OneToOneField(
        Charge, on_delete=models.PROTECT, primary_key=True, related_name="billed"
    )
    line = models.ForeignKey(InvoiceLine, on_delete=models.PROTECT, related_name="billed")

    class Meta:
        triggers = [append_only("billed_charge_append_only")]

    def __str__(self) -> str:
        return f"{self.charge_id} on {self.line_id}"


class BilledCursor(models.Model):
    """Every charge below `charge_id` is on a line: where the sweep begins to look. One row."""

    charge_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_billed_cursor")]

    def __str__(self) -> str:
        return f"billed below {self.charge_id}"


class InvoicePaper(models.Model):
    """A finalised invoice as PDF, in one language. Append-only."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="papers")
    language = models.CharField(max_length=2)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["invoice", "language"], name="one_paper_a_language"),
        ]
        triggers = [append_only("invoice_paper_append_only")]

    def __str__(self) -> str:
        return f"{self.invoice_id} {self.language} {self.sha256[:12]}"
