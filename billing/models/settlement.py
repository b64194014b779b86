"""A provider's share of a period."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.charge import Charge
from billing.models.ledger import LedgerTransaction
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class SettlementQuerySet(models.QuerySet["Settlement"]):
    def visible_to(self, actor: Actor) -> SettlementQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class Settlement(models.Model):
    """What a provider earned in a period (结算): the sum of its lines, each charge once.

    A negative net is carried: its charges stay unconsumed until a period covers them.
    """

    class State(models.TextChoices):
        SETTLED = "settled", _("settled")
        """Booked as owed for this period; waits for its payout."""
        PAID = "paid", _("paid")
        """The money has left; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle({State.SETTLED: [State.PAID], State.PAID: []})

    public_id = PublicIdField(prefix="stl")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    period = DateTimeRangeField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=State, default=State.SETTLED)
    line_count = models.IntegerField()
    card_seconds = models.BigIntegerField()
    gross_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    net_minor = models.BigIntegerField()  # the provider's share
    ledger_transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, related_name="settlement"
    )
    created_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True, blank=True)

    objects = SettlementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "period", "currency"], name="one_settlement_per_period"
            ),
            models.CheckConstraint(condition=Q(net_minor__gt=0), name="settlement_is_positive"),
            models.CheckConstraint(
                condition=Q(gross_minor=F("net_minor") + F("fee_minor") + F("vat_minor")),
                name="settlement_splits_to_the_minor_unit",
            ),
        ]
        triggers = [
            unchanging(
                "settlement_as_booked",
                "public_id",
                "provider",
                "period",
                "currency",
                "line_count",
                "card_seconds",
                "gross_minor",
                "vat_minor",
                "fee_minor",
                "net_minor",
                "ledger_transaction",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class SettlementLine(models.Model):
    """One charge consumed by one settlement, once. Append-only."""

    settlement = models.ForeignKey(Settlement, on_delete=models.PROTECT, related_name="lines")
    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="settlement_line")

    class Meta:
        triggers = [append_only("settlement_line_append_only")]

    def __str__(self) -> str:
        return f"{self.charge_id} in {self.settlement_id}"
