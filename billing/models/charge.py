"""What was delivered, in money."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Case, F, Q, When
from django.db.models.lookups import GreaterThan
from django.utils.translation import gettext_lazy as _

from billing.models.ledger import LedgerTransaction
from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only
from inventory.models import Organisation
from marketplace.changes import Paid
from marketplace.models import Lease, LeasePrice, Listing, PriceVersion
from marketplace.money import Amounts

if TYPE_CHECKING:
    from inventory.actors import Actor


class ChargeQuerySet(models.QuerySet["Charge"]):
    def visible_to(self, actor: Actor) -> ChargeQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(Q(tenant_id=own) | Q(provider_id=own))


class Charge(models.Model):
    """One rated usage hour, or what a change of the lease kept or paid (费用). Append-only.

    gross = provider + fee + vat, to the minor unit. Where the lease is sold directly all of gross
    is between the two parties and stands here for the record; what is booked is the fee and the
    VAT on it, which the provider owes: see `billing.selling`. Amounts are differences of cumulative
    roundings per price of a lease, so that the sum of each never drifts by more than half a
    minor unit; a correction may be negative.
    """

    class Kind(models.TextChoices):
        USAGE = "usage", _("usage")
        CANCELLATION = "cancellation", _("cancellation")
        LEAVING = "leaving", _("leaving early")
        """What the provider keeps of what was paid for the rest."""
        COMPENSATION = "compensation", _("compensation")
        """What the provider pays for withdrawing: negative, without fee and VAT."""
        CREDIT = "credit", _("credit")
        """Given back by a credit note that two persons signed: negative."""
        SLA_CREDIT = "sla_credit", _("service level credit")
        """Given back by the terms for what a month lacked: negative, or a part of it taken back."""

    public_id = PublicIdField(prefix="chg")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="charges")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    price = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind)
    # The fact: (allocation, hour, revision) of a usage hour; hour is the instant of a change.
    allocation_id = models.BigIntegerField()
    hour = models.DateTimeField()
    revision = models.PositiveSmallIntegerField(default=0)
    card_seconds = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    selling = models.CharField(  # the lease's
        max_length=10, choices=Listing.Selling, default=Listing.Selling.AGENCY
    )
    gross_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    provider_minor = models.BigIntegerField()
    fee_vat_minor = models.BigIntegerField(default=0)  # on the fee; only where sold directly
    # What it moves of what is owed to the provider.
    accrued_minor = models.GeneratedField(
        expression=Case(
            When(  # less the fee, less the VAT on it
                selling="direct",
                then=F("provider_minor") + F("vat_minor") - F("gross_minor") - F("fee_vat_minor"),
            ),
            default=F("provider_minor"),
            output_field=models.BigIntegerField(),
        ),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    # Where gross was taken from (a negative one: given back to).
    deposit_minor = models.BigIntegerField()
    wallet_minor = models.BigIntegerField()
    receivable_minor = models.BigIntegerField()  # the wallet could not pay; the tenant owes it
    arrears_minor = models.BigIntegerField(default=0)  # by its terms not to be paid yet
    direct_minor = models.BigIntegerField(default=0)  # the tenant pays the provider itself
    ledger_transaction = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="charges"
    )  # null where the amounts round to nothing
    created_at = models.DateTimeField()

    objects = ChargeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["allocation_id", "hour", "revision", "kind"], name="one_charge_per_fact"
            ),
            models.CheckConstraint(
                condition=Q(gross_minor=F("provider_minor") + F("fee_minor") + F("vat_minor")),
                name="charge_splits_to_the_minor_unit",
            ),
            models.CheckConstraint(
                condition=Q(
                    gross_minor=F("deposit_minor")
                    + F("wallet_minor")
                    + F("receivable_minor")
                    + F("arrears_minor")
                    + F("direct_minor")
                ),
                name="charge_is_paid_to_the_minor_unit",
            ),
            models.CheckConstraint(
                condition=(~Q(selling="direct") & Q(direct_minor=0, fee_vat_minor=0))
                | Q(selling="direct", direct_minor=F("gross_minor")),
                name="charge_is_paid_by_its_way_of_selling",
            ),
            models.CheckConstraint(
                condition=Q(ledger_transaction__isnull=False)
                | Q(gross_minor=0, provider_minor=0, fee_minor=0, vat_minor=0)
                | Q(selling="direct", fee_minor=0, fee_vat_minor=0),
                name="charge_is_booked",
            ),
        ]
        indexes = [
            models.Index(fields=["provider", "currency", "hour"], name="charge_by_provider"),
            models.Index(fields=["lease", "hour"], name="charge_by_lease"),
            # What was made long after its hour; see billing/settlement_lines.py.
            models.Index(
                fields=["provider", "currency", "hour"],
                condition=Q(GreaterThan(F("created_at") - F("hour"), timedelta(days=1))),
                name="charge_late",
            ),
        ]
        triggers = [append_only("charge_append_only")]

    def __str__(self) -> str:
        return self.public_id


class LeaseTally(models.Model):
    """How far a lease is charged, what it came to, and where its money stands.

    The running side of its charges, so that rating an hour costs the same in a lease's
    tenth year as on its first day. Written by checkout and rating only, under its lock;
    `verify_ledger` compares it with the charges.
    """

    lease = models.OneToOneField(
        Lease, on_delete=models.PROTECT, primary_key=True, related_name="tally"
    )
    # Hours before this instant are charged; usage hours arrive in order, corrections apart.
    rated_until = models.DateTimeField(null=True, blank=True)
    gross_minor = models.BigIntegerField(default=0)
    # Paid ahead for its time in all; what came back, and what was kept for time taken away, is
    # taken off.
    paid_minor = models.BigIntegerField(default=0)
    deposit_left_minor = models.BigIntegerField()  # of it, what no hour has used
    security_minor = models.BigIntegerField(default=0)  # 押金 that is kept now
    arrears_minor = models.BigIntegerField(default=0)  # used, and not to be paid yet

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(deposit_left_minor__gte=0), name="tally_deposit_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(security_minor__gte=0, arrears_minor__gte=0),
                name="tally_kept_and_used_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"tally of lease {self.lease_id}"

    @property
    def ahead(self) -> Paid:
        return Paid(self.paid_minor, self.deposit_left_minor)


class PriceTally(models.Model):
    """What a lease has been charged at one of its prices: the total that is rounded.

    Made with the first hour rated at that price, changed under the lock of the lease's tally.
    """

    price = models.OneToOneField(
        LeasePrice, on_delete=models.PROTECT, primary_key=True, related_name="tally"
    )
    card_seconds = models.BigIntegerField(default=0)
    # The exact price of what was delivered, in minor units, before any rounding.
    exact_numerator = models.DecimalField(max_digits=80, decimal_places=0, default=0)
    exact_denominator = models.DecimalField(max_digits=80, decimal_places=0, default=1)
    gross_minor = models.BigIntegerField(default=0)
    vat_minor = models.BigIntegerField(default=0)
    fee_minor = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(exact_denominator__gt=0), name="price_tally_denominator_positive"
            ),
        ]

    def __str__(self) -> str:
        return f"tally of lease price {self.price_id}"

    @property
    def exact(self) -> Fraction:
        return Fraction(int(self.exact_numerator), int(self.exact_denominator))

    @exact.setter
    def exact(self, value: Fraction) -> None:
        self.exact_numerator = Decimal(value.numerator)
        self.exact_denominator = Decimal(value.denominator)

    @property
    def amounts(self) -> Amounts:
        """What was charged so far, in its parts."""
        net = self.gross_minor - self.vat_minor
        return Amounts(self.gross_minor, self.vat_minor, self.fee_minor, net - self.fee_minor)
