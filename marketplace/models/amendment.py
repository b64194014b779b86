"""Changes of a lease, as both sides sign them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation
from marketplace.changes import Change
from marketplace.models.lease import Lease, LeasePrice
from marketplace.models.listing import PriceVersion
from marketplace.money import Amounts

if TYPE_CHECKING:
    from inventory.actors import Actor


@dataclass(frozen=True, slots=True)
class AskedPrice:
    """What the hours of a lease would cost, in the words of `PriceVersion`."""

    currency: str
    basis: str
    amount_micro: int
    tax_inclusive: bool


class ChangeFigures(models.Model):
    """What a change of a lease comes to, in minor units; see `marketplace.changes.Change`."""

    period = DateTimeRangeField()  # the lease's after the change
    gross_minor = models.BigIntegerField()
    due_minor = models.BigIntegerField()
    pay_minor = models.BigIntegerField(default=0)
    refund_minor = models.BigIntegerField(default=0)
    share_bps = models.PositiveIntegerField(default=0)
    kept_gross_minor = models.BigIntegerField(default=0)
    kept_vat_minor = models.BigIntegerField(default=0)
    kept_fee_minor = models.BigIntegerField(default=0)
    kept_provider_minor = models.BigIntegerField(default=0)
    compensation_minor = models.BigIntegerField(default=0)

    class Meta:
        abstract = True

    @property
    def change(self) -> Change:
        return Change(
            gross_minor=self.gross_minor,
            due_minor=self.due_minor,
            pay_minor=self.pay_minor,
            refund_minor=self.refund_minor,
            share_bps=self.share_bps,
            kept=Amounts(
                self.kept_gross_minor,
                self.kept_vat_minor,
                self.kept_fee_minor,
                self.kept_provider_minor,
            ),
            compensation_minor=self.compensation_minor,
        )


FIGURES = (
    "period",
    "gross_minor",
    "due_minor",
    "pay_minor",
    "refund_minor",
    "share_bps",
    "kept_gross_minor",
    "kept_vat_minor",
    "kept_fee_minor",
    "kept_provider_minor",
    "compensation_minor",
)


class AmendmentQuerySet(models.QuerySet["Amendment"]):
    def visible_to(self, actor: Actor) -> AmendmentQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(lease__project_id=actor.project_id) if actor.project_id else rows


@enforced
class Amendment(ChangeFigures):
    """A change to a lease (变更单): it exists only when both sides have signed.

    Until then the lease stays as it is. One that uses a schedule of the lease's frozen terms
    was signed by both with them, and is signed as it is written. Amendments of a lease form a
    chain: each says which one it follows, and the database lets the lease take up none else.
    """

    class Kind(models.TextChoices):
        EXTEND = "extend", _("extended by the terms")
        """The tenant asks, at the lease's price, where the capacity is free."""
        LEAVE = "leave", _("left early by the terms")
        """The tenant leaves, for the share that the terms give back."""
        WITHDRAW = "withdraw", _("withdrawn by the provider, by the terms")
        """The provider takes it back, with notice and compensation."""
        END = "end", _("another end")
        """Agreed between the two: later or earlier."""
        UNITS = "units", _("more units")
        """Agreed between the two: a child lease with an allocation of its own."""
        PRICE = "price", _("another price")
        """Agreed between the two: what the hours cost from one of them on."""

    class Side(models.TextChoices):
        PROVIDER = "provider", _("provider")
        TENANT = "tenant", _("tenant")

    class State(models.TextChoices):
        PROPOSED = "proposed", _("proposed")
        """One side has signed; the other signs or declines until `expires_at`."""
        SIGNED = "signed", _("signed")
        """Both sides have: the lease is changed."""
        DECLINED = "declined", _("declined")
        """The other side said no."""
        WITHDRAWN = "withdrawn", _("taken back")
        """The side that proposed it took it back."""
        EXPIRED = "expired", _("expired")
        """Nobody answered in time."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PROPOSED: [State.SIGNED, State.DECLINED, State.WITHDRAWN, State.EXPIRED],
            State.SIGNED: [],
            State.DECLINED: [],
            State.WITHDRAWN: [],
            State.EXPIRED: [],
        }
    )

    public_id = PublicIdField(prefix="amd")
    lease = models.ForeignKey(Lease, on_delete=models.PROTECT, related_name="amendments")
    previous = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )  # the one this lease was last changed by
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    proposed_by = models.CharField(max_length=8, choices=Side)
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    reason = models.CharField(max_length=200, blank=True)
    before_period = DateTimeRangeField()
    before_gross_minor = models.BigIntegerField()
    before_due_minor = models.BigIntegerField()
    added_units = models.PositiveIntegerField(null=True, blank=True)
    added_from_at = models.DateTimeField(null=True, blank=True)
    # What the child lease comes to and pays when it is signed.
    added_gross_minor = models.BigIntegerField(null=True, blank=True)
    added_due_minor = models.BigIntegerField(null=True, blank=True)
    child = models.OneToOneField(
        Lease, on_delete=models.PROTECT, null=True, blank=True, related_name="added_by"
    )
    # What the hours from that one on cost; all else about the price stays as the lease has it.
    price_from_at = models.DateTimeField(null=True, blank=True)
    price_basis = models.CharField(max_length=12, choices=PriceVersion.Basis, blank=True)
    price_amount_micro = models.BigIntegerField(null=True, blank=True)
    price_tax_inclusive = models.BooleanField(null=True, blank=True)
    replaces = models.ForeignKey(  # the price that this hour had before
        LeasePrice, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    provider_signed_by = models.CharField(max_length=80, blank=True)
    provider_signed_at = models.DateTimeField(null=True, blank=True)
    tenant_signed_by = models.CharField(max_length=80, blank=True)
    tenant_signed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    signed_at = models.DateTimeField(null=True, blank=True)
    declined_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)

    objects = AmendmentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="signed")
                | (
                    Q(provider_signed_at__isnull=False, tenant_signed_at__isnull=False)
                    & ~Q(provider_signed_by="")
                    & ~Q(tenant_signed_by="")
                ),
                name="amendment_signed_by_both",
            ),
            models.CheckConstraint(
                condition=Q(
                    pay_minor__gte=0,
                    refund_minor__gte=0,
                    compensation_minor__gte=0,
                    gross_minor__gte=0,
                    due_minor__gte=0,
                    kept_gross_minor__gte=0,
                ),
                name="amendment_amounts_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(due_minor=F("before_due_minor") + F("pay_minor") - F("refund_minor")),
                name="amendment_moves_what_it_says",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind="units",
                    added_units__gte=1,
                    added_from_at__isnull=False,
                    added_gross_minor__gte=0,
                    added_due_minor__gte=0,
                )
                | (~Q(kind="units") & Q(added_units__isnull=True, child__isnull=True)),
                name="amendment_says_what_it_adds",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind="price",
                    price_from_at__isnull=False,
                    price_basis__in=PriceVersion.Basis.values,
                    price_amount_micro__gte=1,
                    price_tax_inclusive__isnull=False,
                    replaces__isnull=False,
                    period=F("before_period"),
                )
                | (
                    ~Q(kind="price")
                    & Q(
                        price_from_at__isnull=True,
                        price_basis="",
                        price_amount_micro__isnull=True,
                        price_tax_inclusive__isnull=True,
                        replaces__isnull=True,
                    )
                ),
                name="amendment_says_what_it_asks",
            ),
            models.UniqueConstraint(
                fields=["lease"], condition=Q(state="proposed"), name="one_open_amendment"
            ),
            # A chain does not fork, and has one beginning.
            models.UniqueConstraint(
                fields=["previous"],
                condition=Q(state="signed", previous__isnull=False),
                name="one_amendment_follows_another",
            ),
            models.UniqueConstraint(
                fields=["lease"],
                condition=Q(state="signed", previous__isnull=True),
                name="one_first_amendment",
            ),
        ]
        indexes = [
            models.Index(fields=["lease", "-id"], name="amendment_by_lease"),
            models.Index(
                fields=["expires_at"], name="amendment_open", condition=Q(state="proposed")
            ),
        ]
        triggers = [
            unchanging(
                "amendment_as_proposed",
                "lease",
                "previous",
                "provider",
                "tenant",
                "kind",
                "proposed_by",
                "reason",
                "before_period",
                "before_gross_minor",
                "before_due_minor",
                "added_units",
                "added_gross_minor",
                "added_due_minor",
                "added_from_at",
                "price_from_at",
                "price_basis",
                "price_amount_micro",
                "price_tax_inclusive",
                "replaces",
                "created_at",
                "expires_at",
                *FIGURES,
            ),
            # What is signed, or was turned down, stays as it is.
            pgtrigger.Protect(
                name="amendment_decided_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__state__df="proposed"),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def asks_more(self) -> bool:
        """More units, more time or a higher price for the tenant: its quotas count that."""
        return (
            self.kind == self.Kind.UNITS
            or self.gross_minor > self.before_gross_minor
            or self.period.upper > self.before_period.upper
        )

    @property
    def asked_price(self) -> AskedPrice | None:
        """The price it asks for, where it does; needs the lease's row."""
        if self.price_amount_micro is None or self.price_tax_inclusive is None:
            return None
        return AskedPrice(
            self.lease.currency, self.price_basis, self.price_amount_micro, self.price_tax_inclusive
        )

    @property
    def is_by_terms(self) -> bool:
        """Both sides signed it with the lease's terms."""
        return self.kind in (self.Kind.EXTEND, self.Kind.LEAVE, self.Kind.WITHDRAW)
