"""What was counted of every pool, hour by hour and day by day: the base of the audit's pages.

Kept by `utilisation.rollups` from the rows of machines and deals, and never a source of its own:
each row can be counted again, and `verify_rollups` does so.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.models import Pool


class TenantClass(models.TextChoices):
    """Which kind of customer took card-hours, as the register has it today."""

    END_USER = "end_user", _("end users")
    """Rents for itself and sells nothing."""
    PROVIDER = "provider", _("other providers")
    """Has machines on the market as well."""
    RESELLER = "reseller", _("resellers")
    """Sells on."""


def _hours() -> ArrayField[object, object]:
    return ArrayField(models.IntegerField())


class PoolHours(models.Model):
    """Card-seconds of one pool in each hour of one day (小时汇总), by stage of the funnel.

    The day and its 24 hours are those of the billing zone; where clocks are put back, the hour
    that comes twice is one of 7,200 seconds. Hours that are not over yet are nothing.
    """

    pk = models.CompositePrimaryKey("day", "pool")
    day = models.DateField()
    pool = models.ForeignKey(
        Pool, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    installed = _hours()
    serviceable = _hours()
    listed = _hours()
    sold = _hours()
    delivered = _hours()
    listed_down = _hours()
    sold_down = _hours()
    measured = _hours()
    busy = _hours()
    # Of the day, by class of tenant, before they are cut to what was listed and serviceable.
    sold_end_user = models.BigIntegerField()
    sold_provider = models.BigIntegerField()
    sold_reseller = models.BigIntegerField()
    delivered_end_user = models.BigIntegerField()
    delivered_provider = models.BigIntegerField()
    delivered_reseller = models.BigIntegerField()
    counted_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"hours of pool {self.pool_id} on {self.day}"


class PoolReading(models.Model):
    """How many card-seconds of each stage a pool has had by the end of a day (汇总读数).

    As a meter is read: the difference of two readings is what lies between them, however long
    that is. A pool has one for every day since its first. Not a meter of billing.
    """

    pk = models.CompositePrimaryKey("day", "pool")
    day = models.DateField()
    pool = models.ForeignKey(
        Pool, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    installed = models.BigIntegerField()
    serviceable = models.BigIntegerField()
    listed = models.BigIntegerField()
    sold = models.BigIntegerField()
    delivered = models.BigIntegerField()
    listed_down = models.BigIntegerField()
    sold_down = models.BigIntegerField()
    measured = models.BigIntegerField()
    busy = models.BigIntegerField()
    sold_end_user = models.BigIntegerField()
    sold_provider = models.BigIntegerField()
    sold_reseller = models.BigIntegerField()
    delivered_end_user = models.BigIntegerField()
    delivered_provider = models.BigIntegerField()
    delivered_reseller = models.BigIntegerField()
    # By hour of the day, over the days of this weekday alone.
    weekday_serviceable = ArrayField(models.BigIntegerField())
    weekday_sold = ArrayField(models.BigIntegerField())

    class Meta:
        constraints: ClassVar = [
            # Sums of stages that lie within each other lie within each other.
            models.CheckConstraint(
                condition=Q(
                    serviceable__lte=models.F("installed"),
                    listed__lte=models.F("serviceable"),
                    sold__lte=models.F("listed"),
                    delivered__lte=models.F("sold"),
                    measured__lte=models.F("delivered"),
                    busy__lte=models.F("measured"),
                    busy__gte=0,
                ),
                name="reading_is_a_funnel",
            )
        ]

    def __str__(self) -> str:
        return f"reading of pool {self.pool_id} on {self.day}"


class RollupCursor(models.Model):
    """Up to which day a pool has been counted, and from where on it is to be counted again."""

    pool = models.OneToOneField(
        Pool, on_delete=models.PROTECT, primary_key=True, related_name="rollup_cursor"
    )
    counted_through = models.DateField(null=True, blank=True)
    dirty_since = models.DateField(null=True, blank=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["dirty_since"],
                name="rollup_dirty",
                condition=Q(dirty_since__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return f"pool {self.pool_id} counted through {self.counted_through}"


class RollupMark(models.Model):
    """The one row that says how far changes have been read, and what the last check found."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    event_xid = models.CharField(max_length=20)  # of pool events; xid8 as text
    event_id = models.BigIntegerField()
    usage_xid = models.CharField(max_length=20)  # of usage hours
    usage_at = models.DateTimeField(null=True, blank=True)  # their latest `recorded_at`
    counted_until = models.DateTimeField(null=True, blank=True)  # every pool, to this hour
    checked_at = models.DateTimeField(null=True, blank=True)
    checked_count = models.IntegerField(default=0)  # pool-days that were counted again
    fault_count = models.IntegerField(default=0)  # of them, those that differed

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="rollup_mark_once"),
        ]

    def __str__(self) -> str:
        return f"rollups until {self.counted_until}"
