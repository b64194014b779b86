"""Blocks on sale, their prices and their terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced
from inventory.models import Block, Organisation, Pool

if TYPE_CHECKING:
    from datetime import datetime

    from inventory.actors import Actor


class ListingQuerySet(models.QuerySet["Listing"]):
    def visible_to(self, actor: Actor) -> ListingQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)

    def on_sale(self) -> ListingQuerySet:
        return self.filter(state=Listing.State.PUBLISHED)


@enforced
class Listing(models.Model):
    """A block on sale (挂牌), price and terms as versions. The block is the machine side."""

    class State(models.TextChoices):
        PUBLISHED = "published", _("published")
        """Sells."""
        PAUSED = "paused", _("paused")
        """Sells nothing new for now; the provider resumes or withdraws."""
        WITHDRAWN = "withdrawn", _("withdrawn")
        """Sells nothing any more; leases are untouched; nobody leaves."""

    class Mode(models.TextChoices):
        INSTANT = "instant", _("instant")
        """A funded hold becomes a lease at once."""
        APPROVAL = "approval", _("by approval")
        """The provider decides by a deadline; silence releases."""

    class Selling(models.TextChoices):
        AGENCY = "agency", _("agency")
        """The operator collects for the provider and keeps a fee."""
        RESALE = "resale", _("resale")
        """The operator buys and sells in its own name."""
        DIRECT = "direct", _("direct")
        """The tenant pays the centre; only the fee touches our books."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PUBLISHED: [State.PAUSED, State.WITHDRAWN],
            State.PAUSED: [State.PUBLISHED, State.WITHDRAWN],
            State.WITHDRAWN: [],
        }
    )

    public_id = PublicIdField(prefix="lst")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="listings")
    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="listings")
    block = models.OneToOneField(Block, on_delete=models.PROTECT, related_name="listing")
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.INSTANT)
    selling = models.CharField(max_length=10, choices=Selling, default=Selling.AGENCY)
    state = models.CharField(max_length=10, choices=State, default=State.PUBLISHED)
    created_at = models.DateTimeField()

    objects = ListingQuerySet.as_manager()

    def __str__(self) -> str:
        return self.public_id


class PriceVersion(models.Model):
    """What a listing asks from an instant on (价格版本). Never edited; a new price is a version.

    `amount_micro` is in millionths of the currency's major unit per unit of `basis`:
    6.80 CNY is 6,800,000.
    """

    class Basis(models.TextChoices):
        CARD_HOUR = "card_hour", _("card-hour")
        """Per card and delivered hour (元/卡时)."""
        NODE_HOUR = "node_hour", _("node-hour")
        """Per node and delivered hour."""
        NODE_MONTH = "node_month", _("node and calendar month")
        """Per node and calendar month of the billing zone (元/台/月), pro rata at the edges."""

    class Schedule(models.TextChoices):
        PREPAID = "prepaid", _("prepaid")
        """The whole price when the deal is confirmed."""
        DEPOSIT_HOURLY = "deposit_hourly", _("deposit and hourly")
        """A deposit when the deal is confirmed, then each hour from the wallet."""
        ADVANCE = "advance", _("security and months ahead")
        """押一付三: a security kept to the end, and every N months are paid before they begin."""
        ARREARS = "arrears", _("monthly in arrears")
        """What was used in a calendar month is paid N days after it."""

    class ProRata(models.TextChoices):
        TIME = "time", _("by actual time")
        """A part of a month costs its share of that month's seconds."""
        DAY = "day", _("by calendar day")
        """Each day begun costs its share of that month's days."""
        THIRTY = "thirty", _("by days of a 30-day month")
        """Each day begun costs a thirtieth, a part no more than the month."""

    class Purpose(models.TextChoices):
        LISTED = "listed", _("listed")
        """What a listing asks."""
        TRIAL = "trial", _("trial")
        """What one trial costs, by the terms; may be nothing, and knows no floor."""
        AGREED = "agreed", _("agreed")
        """What two sides agreed on for one lease."""

    public_id = PublicIdField(prefix="prv")
    purpose = models.CharField(max_length=8, choices=Purpose, default=Purpose.LISTED)
    listing = models.ForeignKey(  # none but for a listed one
        Listing, on_delete=models.PROTECT, null=True, blank=True, related_name="prices"
    )
    version = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    basis = models.CharField(max_length=12, choices=Basis)
    amount_micro = models.BigIntegerField()
    tax_inclusive = models.BooleanField(default=True)
    vat_code = models.CharField(max_length=20, default="cn-6")
    vat_bps = models.PositiveIntegerField(default=600)
    fee_bps = models.PositiveIntegerField(default=800)  # the operator's fee, of the net price
    schedule = models.CharField(max_length=16, choices=Schedule, default=Schedule.PREPAID)
    deposit_bps = models.PositiveIntegerField(default=3000)  # with deposit_hourly, of the total
    billing_zone = models.CharField(max_length=40, default="Asia/Shanghai")
    # With node_month: what a month costs that the lease has a part of; twelve whole ones a year
    # are equal whatever the rule.
    pro_rata = models.CharField(max_length=8, choices=ProRata, default=ProRata.TIME)
    # 押 so many months' price, kept aside to the end; with `advance` 付 so many months at a time.
    security_months = models.PositiveSmallIntegerField(default=0)
    advance_months = models.PositiveSmallIntegerField(default=0)
    net_days = models.PositiveSmallIntegerField(default=0)  # with `arrears`, after the month
    # What follows where an instalment is not paid when due: so long nothing but a wait; then the
    # notice, and so long until the access is shut; and so long shut until the lease is ended.
    grace_days = models.PositiveSmallIntegerField(default=5)
    notice_days = models.PositiveSmallIntegerField(default=5)
    suspension_days = models.PositiveSmallIntegerField(default=15)
    # [[kind, from, share taken off in basis points], …]; see `money.discount_bps` for the rule.
    discounts = models.JSONField(default=list)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "version"], name="one_price_per_version"),
            models.CheckConstraint(
                # A trillion a unit is no price, and keeps every product far inside NUMERIC.
                condition=Q(amount_micro__lte=10**18)
                & (Q(amount_micro__gt=0) | Q(purpose="trial", amount_micro=0)),
                name="price_is_positive_and_sane",
            ),
            models.CheckConstraint(
                condition=Q(purpose="listed", listing__isnull=False)
                | (~Q(purpose="listed") & Q(listing__isnull=True)),
                name="price_listed_has_its_listing",
            ),
            models.CheckConstraint(
                condition=Q(vat_bps__lte=10_000, fee_bps__lte=10_000, deposit_bps__lte=10_000),
                name="price_shares_within_the_whole",
            ),
            models.CheckConstraint(
                condition=Q(schedule="advance", advance_months__gte=1, net_days=0)
                | Q(schedule="arrears", advance_months=0)
                | Q(
                    schedule__in=["prepaid", "deposit_hourly"],
                    security_months=0,
                    advance_months=0,
                    net_days=0,
                ),
                name="price_schedule_has_its_parameters",
            ),
        ]
        triggers = [append_only("price_version_append_only")]

    def __str__(self) -> str:
        return f"{self.public_id} (version {self.version})"

    def of_its_own(self, *, purpose: str, at: datetime, **changes: Any) -> PriceVersion:
        """A price of no listing, as this one is but for the changes and without its discounts.
        Not saved."""
        kept = (
            "currency", "basis", "amount_micro", "tax_inclusive", "vat_code", "vat_bps", "fee_bps",
            "schedule", "deposit_bps", "billing_zone", "pro_rata", "security_months",
            "advance_months", "net_days", "grace_days", "notice_days", "suspension_days",
        )  # fmt: skip
        asked = {name: getattr(self, name) for name in kept} | changes
        return PriceVersion(purpose=purpose, version=1, created_at=at, **asked)


class TermsVersion(models.Model):
    """The rules of a listing's deals from an instant on. Never edited: new terms, new version."""

    public_id = PublicIdField(prefix="trm")
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="terms")
    version = models.PositiveIntegerField()
    # What may be asked for: the minimum and whole steps above it, up to the maximum.
    minimum_hours = models.PositiveIntegerField(default=1)
    hour_step = models.PositiveIntegerField(default=1)
    maximum_hours = models.PositiveIntegerField(default=24 * 366 * 5)
    minimum_units = models.PositiveIntegerField(default=1)
    unit_step = models.PositiveIntegerField(default=1)
    maximum_units = models.PositiveIntegerField(null=True, blank=True)  # else all of the block
    start_grid_seconds = models.PositiveIntegerField(default=3600)  # starts lie on it
    # [[hours before the start, share refunded in basis points], …], descending by hours.
    cancellation = models.JSONField()
    # [[hours between leaving and the new end, share of the rest refunded in basis points], …],
    # descending by hours; later than the last step nothing comes back.
    leaving = models.JSONField(default=list)
    # [[hours of notice the provider gives, compensation in basis points of the rest], …],
    # descending by hours; at shorter notice, or with no step, the provider may not withdraw.
    withdrawal = models.JSONField(default=list)
    # How long the provider may take to decide on a hold, where the listing sells by approval.
    decide_hours = models.PositiveIntegerField(default=24)
    # A trial of so many units for so long, once per tenant and pool; no units: no trial. Its
    # price is per unit of the price version's basis, may be nothing, and knows no floor.
    trial_units = models.PositiveIntegerField(default=0)
    trial_hours = models.PositiveIntegerField(default=0)
    trial_amount_micro = models.BigIntegerField(default=0)
    trial_convertible = models.BooleanField(default=False)  # into a lease on the same nodes
    # The service level (SLA), held against each calendar month of the billing zone; availability
    # of 0: none was promised. See `marketplace.sla` for the rule.
    sla_availability_bps = models.PositiveIntegerField(default=0)  # of the card-seconds owed
    sla_replacement_hours = models.PositiveIntegerField(default=0)  # of a failed node; 0: no time
    # [[availability below, credit in basis points of the month's charges], …], descending.
    sla_credits = models.JSONField(default=list)
    sla_cap_bps = models.PositiveIntegerField(default=0)  # of the month's charges
    # Maintenance announced so many hours ahead does not count as missing; 0: all of it does.
    sla_notice_hours = models.PositiveIntegerField(default=0)
    # Before its time counts, everything delivered takes part in one all-reduce of at least so
    # much bus bandwidth, 10^6 bytes a second; 0: no such test. The tenant has so many hours to
    # sign, and the provider to pass; see `inventory.acceptance`.
    acceptance_mb_per_second = models.PositiveIntegerField(default=0, db_default=0)
    acceptance_hours = models.PositiveIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["listing", "version"], name="one_terms_per_version"),
            models.CheckConstraint(
                condition=Q(minimum_hours__gte=1, maximum_hours__gte=F("minimum_hours")),
                name="terms_lengths_in_order",
            ),
            models.CheckConstraint(
                condition=Q(hour_step__gte=1, unit_step__gte=1, decide_hours__gte=1),
                name="terms_steps_positive",
            ),
            models.CheckConstraint(
                condition=Q(maximum_units__isnull=True) | Q(maximum_units__gte=F("minimum_units")),
                name="terms_units_in_order",
            ),
            models.CheckConstraint(
                condition=Q(trial_units=0, trial_hours=0, trial_amount_micro=0)
                | Q(trial_units__gte=1, trial_hours__gte=1, trial_amount_micro__gte=0),
                name="terms_trial_whole_or_none",
            ),
            models.CheckConstraint(
                condition=Q(
                    sla_availability_bps=0,
                    sla_replacement_hours=0,
                    sla_credits=[],
                    sla_cap_bps=0,
                    sla_notice_hours=0,
                )
                | Q(
                    sla_availability_bps__gte=1,
                    sla_availability_bps__lte=10_000,
                    sla_cap_bps__gte=1,
                    sla_cap_bps__lte=10_000,
                )
                & ~Q(sla_credits=[]),
                name="terms_sla_whole_or_none",
            ),
            models.CheckConstraint(
                condition=Q(acceptance_mb_per_second=0, acceptance_hours=0)
                | Q(acceptance_mb_per_second__gte=1, acceptance_hours__gte=1),
                name="terms_acceptance_whole_or_none",
            ),
        ]
        triggers = [append_only("terms_version_append_only")]

    def __str__(self) -> str:
        return f"{self.public_id} (version {self.version})"


class PriceFloor(models.Model):
    """What a card-hour of a pool costs its provider, by component. Nothing sells below the sum.

    Micro-units per card-hour. Never edited: the newest version counts.
    """

    pool = models.ForeignKey(Pool, on_delete=models.PROTECT, related_name="floors")
    version = models.PositiveIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    power_micro = models.BigIntegerField()
    depreciation_micro = models.BigIntegerField()
    network_micro = models.BigIntegerField()
    operations_micro = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pool", "version"], name="one_floor_per_version"),
            models.CheckConstraint(
                condition=Q(
                    power_micro__gte=0,
                    depreciation_micro__gte=0,
                    network_micro__gte=0,
                    operations_micro__gte=0,
                ),
                name="floor_components_not_negative",
            ),
        ]
        triggers = [append_only("price_floor_append_only")]

    def __str__(self) -> str:
        return f"floor v{self.version} of pool {self.pool_id}"

    @property
    def card_hour_micro(self) -> int:
        return (
            self.power_micro + self.depreciation_micro + self.network_micro + self.operations_micro
        )
