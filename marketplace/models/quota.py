"""Caps that an organisation, or the operator, puts on what may be committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.models import ApiKey, Organisation, Project

if TYPE_CHECKING:
    from inventory.actors import Actor


class Commitment(models.Model):
    """How much the deals of a tenant's month commit, by project, key and currency.

    Kept by the database, which adds a row wherever a reservation commits more or less; a sweep
    adds them up. So a quota costs the same with a hundred thousand deals behind it as with ten,
    and no deal waits for another. Their sum is that of the reservations, always.
    """

    tenant = models.ForeignKey(
        Organisation, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, null=True
    )
    api_key = models.CharField(max_length=80, blank=True)  # its public id, where a key held it
    currency = models.CharField(max_length=3)
    month = models.DateField()  # its first day, in the billing zone
    minor = models.BigIntegerField()
    card_seconds = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "month"], name="commitment_by_month")]

    def __str__(self) -> str:
        return f"{self.tenant_id} {self.month}: {self.minor} {self.currency}"


class QuotaQuerySet(models.QuerySet["Quota"]):
    def visible_to(self, actor: Actor) -> QuotaQuerySet:
        if actor.sees_everything:
            return self
        rows = self.filter(organisation_id=actor.organisation_id or 0)
        if actor.project_id is None:
            return rows
        return rows.filter(Q(project_id=actor.project_id) | Q(api_key__project_id=actor.project_id))


class Quota(models.Model):
    """A cap (限额) on what a tenant, one of its projects or one of its keys may commit.

    A hold that would pass one is refused. It is no budget that is paid from: money is in the
    wallet. The cap of a key binds the keys it made as well.
    """

    class Authority(models.TextChoices):
        TENANT = "tenant", _("the organisation")
        """Set by its owners, for itself, its projects and its keys."""
        OPERATOR = "operator", _("the operator")
        """Set by the operator, for the whole organisation; its owners cannot change it."""

    class Measure(models.TextChoices):
        SPEND = "spend", _("spend")
        """The whole price, tax included, of deals held and made."""
        CARD_HOURS = "card_hours", _("card-hours")
        """The card-hours of deals held and made."""
        HELD_CARD_HOURS = "held_card_hours", _("card-hours held")
        """Held and not yet paid for, at one time; takes the place of the market's own limit."""

    class Window(models.TextChoices):
        MONTH = "month", _("each calendar month")
        """Deals made in a calendar month of the billing zone."""
        TOTAL = "total", _("in all")
        """Deals ever made."""
        AT_ONCE = "at_once", _("at one time")
        """What is held at the instant."""

    public_id = PublicIdField(prefix="quo")
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="quotas")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)
    api_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, null=True, blank=True)
    authority = models.CharField(max_length=8, choices=Authority)
    measure = models.CharField(max_length=16, choices=Measure)
    window = models.CharField(max_length=8, choices=Window)
    currency = models.CharField(max_length=3, blank=True)  # of spend; else empty
    limit_minor = models.BigIntegerField(null=True, blank=True)
    limit_card_hours = models.BigIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    set_at = models.DateTimeField()

    objects = QuotaQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("organisation", "project", "api_key", "authority"),
                    *("measure", "window", "currency"),
                ],
                name="quota_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(project__isnull=True) | Q(api_key__isnull=True),
                name="quota_has_one_subject",
            ),
            models.CheckConstraint(
                condition=Q(authority="tenant") | Q(project__isnull=True, api_key__isnull=True),
                name="quota_of_the_operator_is_of_an_organisation",
            ),
            models.CheckConstraint(
                condition=Q(measure="spend", limit_minor__gte=0, limit_card_hours__isnull=True)
                & ~Q(currency="")
                | ~Q(measure="spend")
                & Q(currency="", limit_minor__isnull=True, limit_card_hours__gte=0),
                name="quota_limit_is_of_its_measure",
            ),
            models.CheckConstraint(
                condition=Q(measure="held_card_hours", window="at_once", authority="operator")
                | ~Q(measure="held_card_hours") & ~Q(window="at_once"),
                name="quota_of_what_is_held_is_the_operators",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def subject(self) -> str:
        """`organisation`, `project` or `key`."""
        if self.project_id is not None:
            return "project"
        return "organisation" if self.api_key_id is None else "key"
