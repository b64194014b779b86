"""A provider's share of a period."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.charge import Charge
from billing.models.ledger import LedgerTransaction
from billing.models.payee import PayoutTerms
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User

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

    A negative net is carried for a while, its charges unconsumed; carried too long it is
    settled as what it is, a demand. The terms are those in force when it was made.
    """

    class State(models.TextChoices):
        SETTLED = "settled", _("settled")
        """Booked as owed for this period; waits for its payout."""
        PAID = "paid", _("paid")
        """The money has left, or nothing was left to pay; back to settled where it bounces."""
        DEMANDED = "demanded", _("demanded back")
        """Negative: the provider owes it, until a repayment covers it."""
        PAID_BACK = "paid_back", _("paid back")
        """The provider's debt is paid; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.SETTLED: [State.PAID],
            State.PAID: [State.SETTLED],
            State.DEMANDED: [State.PAID_BACK],
            State.PAID_BACK: [],
        }
    )

    public_id = PublicIdField(prefix="stl")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    period = DateTimeRangeField()
    currency = models.CharField(max_length=3)
    state = models.CharField(max_length=10, choices=State, default=State.SETTLED)
    terms = models.ForeignKey(
        PayoutTerms, on_delete=models.PROTECT, null=True, related_name="settlements"
    )  # null in settlements older than terms
    line_count = models.IntegerField()
    card_seconds = models.BigIntegerField()
    gross_minor = models.BigIntegerField()
    vat_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    # What tenants paid the provider itself, with the VAT on the fee it owes for that.
    direct_minor = models.BigIntegerField(default=0)
    net_minor = models.BigIntegerField()  # what is owed to the provider
    # Of the net: kept back until an instant, and taken for what the provider owed.
    reserve_minor = models.BigIntegerField(default=0)
    reserve_until = models.DateTimeField(null=True, blank=True)
    paid_back_minor = models.BigIntegerField(default=0)
    ledger_transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, related_name="settlement"
    )
    due_date = models.DateField(null=True, blank=True)  # of a demand
    created_at = models.DateTimeField()
    reserve_released_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    paid_back_at = models.DateTimeField(null=True, blank=True)

    objects = SettlementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "period", "currency"], name="one_settlement_per_period"
            ),
            models.CheckConstraint(
                condition=Q(net_minor__gt=0, state__in=["settled", "paid"], due_date__isnull=True)
                | Q(
                    net_minor__lt=0,
                    state__in=["demanded", "paid_back"],
                    due_date__isnull=False,
                    reserve_minor=0,
                    paid_back_minor=0,
                ),
                name="settlement_owed_or_demanded",
            ),
            models.CheckConstraint(
                condition=Q(
                    gross_minor=F("net_minor") + F("fee_minor") + F("vat_minor") + F("direct_minor")
                ),
                name="settlement_splits_to_the_minor_unit",
            ),
            models.CheckConstraint(
                condition=Q(net_minor__lt=0)
                | Q(
                    reserve_minor__gte=0,
                    paid_back_minor__gte=0,
                    net_minor__gte=F("reserve_minor") + F("paid_back_minor"),
                ),
                name="settlement_keeps_no_more_than_its_net",
            ),
            models.CheckConstraint(
                condition=Q(reserve_minor=0, reserve_until__isnull=True)
                | Q(reserve_minor__gt=0, reserve_until__isnull=False),
                name="settlement_reserve_has_an_end",
            ),
        ]
        indexes = [
            models.Index(
                fields=["reserve_until"],
                condition=Q(reserve_minor__gt=0, reserve_released_at__isnull=True),
                name="settlement_reserve_due",
            )
        ]
        triggers = [
            unchanging(
                "settlement_as_booked",
                "public_id",
                "provider",
                "period",
                "currency",
                "terms",
                "line_count",
                "card_seconds",
                "gross_minor",
                "vat_minor",
                "fee_minor",
                "direct_minor",
                "net_minor",
                "reserve_minor",
                "reserve_until",
                "paid_back_minor",
                "ledger_transaction",
                "due_date",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def payable_minor(self) -> int:
        """What a payout may carry at once; the reserve follows when it is free."""
        return max(0, self.net_minor - self.reserve_minor - self.paid_back_minor)


class SettlementLine(models.Model):
    """One charge consumed by one settlement, once. Append-only."""

    settlement = models.ForeignKey(Settlement, on_delete=models.PROTECT, related_name="lines")
    charge = models.OneToOneField(Charge, on_delete=models.PROTECT, related_name="settlement_line")

    class Meta:
        triggers = [append_only("settlement_line_append_only")]

    def __str__(self) -> str:
        return f"{self.charge_id} in {self.settlement_id}"


class SettledMark(models.Model):
    """Up to which hour all of a provider's charges are settled, but for late ones.

    Each settlement moves it on, to the first charge it leaves out; so a settlement reads what
    came since the one before, and not a provider's whole past. `verify_ledger` looks whether
    it is true.
    """

    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    hour = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "currency"], name="one_settled_mark"),
        ]

    def __str__(self) -> str:
        return f"{self.provider_id} is settled up to {self.hour}"


class CarriedNet(models.Model):
    """A net that was not positive, and since when it is carried. One open at a time.

    It ends with the settlement that contains it: positive, or demanded after too long.
    """

    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    carried_at = models.DateTimeField()
    net_minor = models.BigIntegerField()  # as last added up
    until = models.DateTimeField()  # the end of the month it was last added up for
    settlement = models.ForeignKey(
        Settlement, on_delete=models.PROTECT, null=True, blank=True, related_name="carried"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["provider", "currency"],
                condition=Q(settlement__isnull=True),
                name="one_open_carried_net",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.net_minor} {self.currency} of {self.provider_id}"


class RepaymentQuerySet(models.QuerySet["Repayment"]):
    def visible_to(self, actor: Actor) -> RepaymentQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


@enforced
class Repayment(models.Model):
    """What a provider owed and paid: out of a settlement at once, or by bank, by two persons."""

    class State(models.TextChoices):
        RECORDED = "recorded", _("recorded")
        """Seen on the statement; not booked. A second person approves or rejects."""
        APPROVED = "approved", _("approved")
        """Booked: the provider owes so much less."""
        REJECTED = "rejected", _("rejected")
        """Not this provider's; nothing was booked."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.RECORDED: [State.APPROVED, State.REJECTED], State.APPROVED: [], State.REJECTED: []}
    )

    public_id = PublicIdField(prefix="rpm")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.RECORDED)
    settlement = models.OneToOneField(
        Settlement, on_delete=models.PROTECT, null=True, blank=True, related_name="repayment"
    )
    bank_reference = models.CharField(max_length=80, blank=True)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    ledger_transaction = models.OneToOneField(
        LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="repayment"
    )
    created_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)

    objects = RepaymentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, amount_minor__lte=10**15),
                name="repayment_amount_sane",
            ),
            models.CheckConstraint(
                condition=Q(settlement__isnull=False, bank_reference="", recorded_by__isnull=True)
                | Q(settlement__isnull=True, recorded_by__isnull=False) & ~Q(bank_reference=""),
                name="repayment_from_one_source",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("recorded_by")),
                name="repayment_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=Q(ledger_transaction__isnull=False, state="approved")
                | Q(ledger_transaction__isnull=True) & ~Q(state="approved"),
                name="repayment_booked_once_approved",
            ),
            models.CheckConstraint(
                condition=Q(state="recorded")
                | Q(settlement__isnull=False)
                | Q(decided_by__isnull=False),
                name="repayment_decided_by_somebody",
            ),
            models.UniqueConstraint(
                fields=["bank_reference"],
                condition=~Q(state="rejected") & ~Q(bank_reference=""),
                name="repayment_reference_once",
            ),
        ]
        triggers = [
            unchanging(
                "repayment_as_recorded",
                "public_id",
                "provider",
                "currency",
                "amount_minor",
                "settlement",
                "bank_reference",
                "recorded_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id
