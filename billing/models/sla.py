"""What a lease's months were held against, and what they gave back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q

from billing.models.charge import Charge
from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only
from inventory.models import Organisation
from marketplace.models import Lease, TermsVersion
from marketplace.money import Amounts

if TYPE_CHECKING:
    from inventory.actors import Actor

# The last word: revisions follow each other, what was charged is what stands in the charges, and
# the charge of a revision moves exactly what lies between it and the one before.
AS_CHARGED = """
    SELECT * INTO earlier FROM billing_slamonth
    WHERE lease_id = NEW.lease_id AND month = NEW.month ORDER BY revision DESC LIMIT 1;
    IF NEW.revision <> coalesce(earlier.revision + 1, 0) THEN
        RAISE EXCEPTION 'a revision of an SLA month follows the one before it';
    END IF;
    SELECT coalesce(sum(gross_minor), 0) INTO charged FROM billing_charge
    WHERE lease_id = NEW.lease_id AND kind = 'usage'
      AND hour >= lower(NEW.period) AND hour < upper(NEW.period);
    IF charged <> NEW.charged_minor THEN
        RAISE EXCEPTION 'an SLA month is held against what was charged for it';
    END IF;
    SELECT * INTO moved FROM billing_charge WHERE id = NEW.charge_id;
    IF NEW.credit_minor - coalesce(earlier.credit_minor, 0) <> -coalesce(moved.gross_minor, 0)
       OR (moved.id IS NOT NULL AND (moved.kind, moved.lease_id)
           IS DISTINCT FROM ('sla_credit'::varchar, NEW.lease_id)) THEN
        RAISE EXCEPTION 'an SLA credit is what its charge moves';
    END IF;
    RETURN NEW;
"""


class SlaMonthQuerySet(models.QuerySet["SlaMonth"]):
    def visible_to(self, actor: Actor) -> SlaMonthQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


class SlaMonth(models.Model):
    """A calendar month of a lease held against its service level (服务水平月). Append-only.

    Revision 0 is the first count, after the month is over and rated to its end; each later one
    follows a correction. Card-seconds and amounts are those of the whole month as then known;
    `charge` moves what differs from the revision before. Not a charge itself: that is on an
    invoice or a credit note like any other.
    """

    public_id = PublicIdField(prefix="slm")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="sla_months")
    terms = models.ForeignKey(TermsVersion, on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    month = models.DateField()  # its first day, in the billing zone
    period = DateTimeRangeField()  # the month as instants
    revision = models.PositiveSmallIntegerField()
    delivered_card_seconds = models.BigIntegerField()
    missing_card_seconds = models.BigIntegerField()
    # Not delivered, and by the terms nobody's failure: announced maintenance, access shut because
    # the tenant did not pay.
    excluded_card_seconds = models.BigIntegerField()
    availability_bps = models.PositiveIntegerField()  # rounded down; the steps compare exactly
    credit_bps = models.PositiveIntegerField()
    currency = models.CharField(max_length=3)
    charged_minor = models.BigIntegerField()  # of usage, tax included
    # The whole credit of the month, in its parts; where sold directly the tenant has its part
    # from the centre, and only the fee and the VAT on it are booked here.
    credit_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    fee_vat_minor = models.BigIntegerField(default=0)
    charge = models.OneToOneField(  # null where nothing moves
        Charge, on_delete=models.PROTECT, null=True, blank=True, related_name="sla_month"
    )
    created_at = models.DateTimeField()

    objects = SlaMonthQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["lease", "month", "revision"], name="one_sla_month_per_revision"
            ),
            models.CheckConstraint(
                condition=Q(credit_minor=0)
                | Q(credit_minor__gt=0, credit_minor__lte=F("charged_minor")),
                name="sla_credit_within_the_charges",
            ),
            models.CheckConstraint(
                condition=Q(
                    delivered_card_seconds__gte=0,
                    missing_card_seconds__gte=0,
                    excluded_card_seconds__gte=0,
                    availability_bps__lte=10_000,
                    credit_bps__lte=10_000,
                ),
                name="sla_month_counts_sane",
            ),
            models.CheckConstraint(
                condition=Q(
                    vat_minor__gte=0,
                    fee_minor__gte=0,
                    credit_minor__gte=F("vat_minor") + F("fee_minor"),
                ),
                name="sla_credit_parts_within_it",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-id"], name="sla_month_by_tenant"),
            models.Index(fields=["provider", "-id"], name="sla_month_by_provider"),
        ]
        triggers = [
            append_only("sla_month_append_only"),
            pgtrigger.Trigger(
                name="sla_month_as_charged",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                declare=[
                    ("earlier", "billing_slamonth"),
                    ("moved", "billing_charge"),
                    ("charged", "bigint"),
                ],
                func=AS_CHARGED,
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def missed_card_hours(self) -> float:
        return (self.missing_card_seconds + self.excluded_card_seconds) / 3600

    @property
    def excluded_card_hours(self) -> float:
        return self.excluded_card_seconds / 3600

    @property
    def amounts(self) -> Amounts:
        """The whole credit in its parts."""
        net = self.credit_minor - self.vat_minor
        return Amounts(self.credit_minor, self.vat_minor, self.fee_minor, net - self.fee_minor)


class SlaCursor(models.Model):
    """Up to which charge corrections were looked for; one row. It keeps a day's distance, for
    charges whose transactions were still open."""

    charge_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_sla_cursor")]

    def __str__(self) -> str:
        return f"corrections below {self.charge_id}"
