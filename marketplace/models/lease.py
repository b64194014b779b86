"""Confirmed contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.lookups import Exact
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Allocation, Organisation, Project
from marketplace.models.listing import Listing, PriceVersion, TermsVersion
from marketplace.models.reservation import Reservation

if TYPE_CHECKING:
    from inventory.actors import Actor


# What was agreed changes by the next amendment of the lease's own chain, signed, and by its
# values; whatever statement asks for it.
AS_AMENDED = """
    IF NOT EXISTS (
        SELECT FROM marketplace_amendment a
        WHERE a.id = NEW.amendment_id AND a.lease_id = NEW.id AND a.state = 'signed'
          AND NEW.amendment_id IS DISTINCT FROM OLD.amendment_id
          AND a.previous_id IS NOT DISTINCT FROM OLD.amendment_id
          AND a.before_period = OLD.period AND a.period = NEW.period
          AND a.before_gross_minor = OLD.gross_minor AND a.gross_minor = NEW.gross_minor
          AND a.before_due_minor = OLD.due_minor AND a.due_minor = NEW.due_minor
          AND (a.kind = 'price') = EXISTS (
              SELECT FROM marketplace_leaseprice p WHERE p.amendment_id = a.id)
    ) THEN
        RAISE EXCEPTION 'a lease changes by a signed amendment only';
    END IF;
    RETURN NEW;
"""


# The first price comes with the lease, every later one by an amendment: its hour, its amount.
AS_PRICED = """
    IF NEW.amendment_id IS NULL THEN
        IF EXISTS (SELECT FROM marketplace_leaseprice p WHERE p.lease_id = NEW.lease_id) THEN
            RAISE EXCEPTION 'a lease has another price by a signed amendment only';
        END IF;
        RETURN NEW;
    END IF;
    IF NOT EXISTS (
        SELECT FROM marketplace_amendment a
        JOIN marketplace_priceversion v ON v.id = NEW.price_id
        WHERE a.id = NEW.amendment_id AND a.lease_id = NEW.lease_id
          AND a.kind = 'price' AND a.state = 'signed' AND a.price_from_at = NEW.from_at
          AND v.purpose = 'agreed' AND NEW.discount_bps = 0
          AND (v.basis, v.amount_micro, v.tax_inclusive)
            = (a.price_basis, a.price_amount_micro, a.price_tax_inclusive)
    ) THEN
        RAISE EXCEPTION 'a lease has another price by a signed amendment only';
    END IF;
    RETURN NEW;
"""


class LeaseQuerySet(models.QuerySet["Lease"]):
    def visible_to(self, actor: Actor) -> LeaseQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(project_id=actor.project_id) if actor.project_id else rows


@enforced
class Lease(models.Model):
    """The confirmed contract (租约): units, period, price and terms frozen, one allocation.

    The database refuses a change of what was agreed, but for the period and the totals, where
    `amendment` moves to one that both sides signed and that says these very values. `parent` is
    the lease that this one adds units to or converts from.
    """

    class State(models.TextChoices):
        SCHEDULED = "scheduled", _("scheduled")
        """Waits for its start; the tenant may cancel by the terms."""
        DELIVERING = "delivering", _("being delivered")
        """Its nodes are bound and being prepared."""
        ACTIVE = "active", _("active")
        """The tenant uses it; hours are charged."""
        ENDING = "ending", _("ending")
        """Over; its nodes are being taken down and wiped."""
        ENDED = "ended", _("ended")
        """Over and clean; the rest of the money is settled."""
        FAILED = "failed", _("failed")
        """Could not be delivered; everything undelivered is refunded."""
        CANCELLED = "cancelled", _("cancelled")
        """Given back before its start, by the terms."""

    class EndReason(models.TextChoices):
        COMPLETED = "completed", _("completed")
        """Its period is over. Evidence: the allocation, whose period it was."""
        CANCELLED_BY_TENANT = "cancelled_by_tenant", _("cancelled by the tenant")
        """Given back before its start. Evidence: the reservation it came from."""
        DELIVERY_FAILED = "delivery_failed", _("delivery failed")
        """Never usable. Evidence: the allocation, whose failure code says why."""
        UNPAID = "unpaid", _("not paid for")
        """Evidence: the overdue instalment, or the lease whose deposit is used up."""
        LEFT_EARLY = "left_early", _("left early by the tenant")
        """Evidence: the amendment."""
        WITHDRAWN_BY_PROVIDER = "withdrawn_by_provider", _("withdrawn by the provider")
        """Evidence: the amendment."""
        CAPACITY_RELEASED = "capacity_released", _("its capacity was given back")
        """Before its start, by who runs the machines. Evidence: the allocation."""
        CONVERTED = "converted", _("goes on as another lease")
        """A trial whose machines serve the lease it became. Evidence: that lease."""

    RUNNING: ClassVar = (State.SCHEDULED, State.DELIVERING, State.ACTIVE)
    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.SCHEDULED: [State.DELIVERING, State.CANCELLED],
            State.DELIVERING: [State.ACTIVE, State.FAILED],
            State.ACTIVE: [State.ENDING],
            State.ENDING: [State.ENDED],
            State.ENDED: [],
            State.FAILED: [],
            State.CANCELLED: [],
        }
    )

    public_id = PublicIdField(prefix="lse")
    reservation = models.OneToOneField(Reservation, on_delete=models.PROTECT, related_name="lease")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="leases")
    price = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    terms = models.ForeignKey(TermsVersion, on_delete=models.PROTECT, related_name="+")
    allocation = models.OneToOneField(Allocation, on_delete=models.PROTECT, related_name="lease")
    kind = models.CharField(
        max_length=8, choices=Reservation.Kind, default=Reservation.Kind.REGULAR
    )
    parent = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="children"
    )
    state = models.CharField(max_length=10, choices=State, default=State.SCHEDULED)
    unit_count = models.PositiveIntegerField()
    card_count = models.PositiveIntegerField()
    period = DateTimeRangeField()
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()
    due_minor = models.BigIntegerField()  # paid: at confirmation, and by its amendments
    security_minor = models.BigIntegerField(default=0)  # of it 押金, kept to the end
    amendment = models.ForeignKey(
        "marketplace.Amendment", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )  # the last one it was changed by
    discount_bps = models.PositiveIntegerField(default=0)  # off the price version's amount
    selling = models.CharField(
        max_length=10, choices=Listing.Selling, default=Listing.Selling.AGENCY
    )
    fee_vat_bps = models.PositiveIntegerField(default=0)  # on the fee; only where sold directly
    end_reason = models.CharField(max_length=24, choices=EndReason, blank=True)
    # Public id of what proves the reason: allocation, amendment, instalment, reservation, lease.
    end_evidence = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()
    active_at = models.DateTimeField(null=True, blank=True)
    ending_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)  # its money is settled to the end
    warned_of = models.DateTimeField(null=True, blank=True)  # the end both sides were warned of
    last_warned_of = models.DateTimeField(null=True, blank=True)  # … and again, shortly before it

    objects = LeaseQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "-id"], name="lease_by_tenant"),
            models.Index(fields=["provider", "-id"], name="lease_by_provider"),
            models.Index(
                fields=["state"],
                name="lease_moving",
                condition=Q(state__in=["scheduled", "delivering", "active", "ending"]),
            ),
            models.Index(fields=["id"], name="lease_open", condition=Q(closed_at__isnull=True)),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(selling="direct") | Q(fee_vat_bps=0),
                name="lease_fee_bears_vat_only_where_direct",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["scheduled", "delivering", "active"]) | ~Q(end_reason=""),
                name="lease_over_says_why",
            ),
            models.CheckConstraint(
                condition=Q(end_reason="", end_evidence="")
                | ~Q(end_reason="") & Q(end_evidence__regex=r"^[a-z]{3,4}_[0-9a-f]{32}$"),
                name="lease_end_has_evidence",
            ),
            models.CheckConstraint(
                condition=Q(
                    end_reason__in=[
                        "",
                        "completed",
                        "cancelled_by_tenant",
                        "delivery_failed",
                        "unpaid",
                        "left_early",
                        "withdrawn_by_provider",
                        "capacity_released",
                        "converted",
                    ]
                ),
                name="lease_end_reason_is_listed",
            ),
        ]
        triggers = [
            unchanging(
                "lease_as_agreed",
                "reservation",
                "provider",
                "tenant",
                "listing",
                "price",
                "terms",
                "allocation",
                "parent",
                "kind",
                "unit_count",
                "card_count",
                "currency",
                "security_minor",
                "discount_bps",
                "selling",
                "fee_vat_bps",
            ),
            pgtrigger.Trigger(
                name="lease_as_amended",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange("period", "gross_minor", "due_minor", "amendment"),
                func=AS_AMENDED,
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_running(self) -> bool:
        """It goes on to its end as things stand: not over, and no end ordered."""
        return not self.end_reason and self.state in self.RUNNING


class LeasePrice(models.Model):
    """From which hour on a lease is charged at which price (价格段); the next one ends it.

    The first begins with the lease. Every later one was agreed in an amendment that both
    sides signed. It is no price of its own: the version says what is asked.
    """

    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="prices")
    from_at = models.DateTimeField()
    price = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    discount_bps = models.PositiveIntegerField(default=0)  # off the price version's amount
    amendment = models.OneToOneField(
        "marketplace.Amendment",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="segment",
    )  # none for the first
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["lease", "from_at"], name="one_price_from_an_hour"),
            models.CheckConstraint(
                # Usage is counted by UTC hours: an hour has one price.
                condition=Exact(
                    Func(
                        F("from_at"),
                        template="mod(extract(epoch FROM %(expressions)s), 3600)",
                        output_field=models.DecimalField(),
                    ),
                    0,
                ),
                name="price_begins_on_an_hour",
            ),
        ]
        triggers = [
            append_only("lease_price_append_only"),
            pgtrigger.Trigger(
                name="lease_price_as_amended",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=AS_PRICED,
            ),
        ]

    def __str__(self) -> str:
        return f"price of lease {self.lease_id} from {self.from_at:%Y-%m-%dT%HZ}"
