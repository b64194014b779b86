"""Deals as they are held, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pgtrigger
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Allocation, Organisation, Pool, Project
from marketplace.models.basket import Basket
from marketplace.models.listing import Listing, PriceVersion, TermsVersion

if TYPE_CHECKING:
    from inventory.actors import Actor

# What changed of a deal's commitment, in the month the deal was made in: a row of its own, so that
# no deal waits for another of its tenant. OLD is null where the row is new.
COMMIT = """
    INSERT INTO marketplace_commitment
        (tenant_id, project_id, api_key, currency, month, minor, card_seconds)
    SELECT NEW.tenant_id, NEW.project_id,
           CASE WHEN starts_with(NEW.actor, 'key_') THEN NEW.actor ELSE '' END, NEW.currency,
           date_trunc('month', NEW.created_at AT TIME ZONE 'Asia/Shanghai')::date,
           NEW.committed_minor - coalesce(OLD.committed_minor, 0),
           NEW.committed_card_seconds - coalesce(OLD.committed_card_seconds, 0)
    WHERE (NEW.committed_minor, NEW.committed_card_seconds)
        IS DISTINCT FROM (OLD.committed_minor, OLD.committed_card_seconds);
    RETURN NULL;
"""


class DealQuerySet(models.QuerySet["Reservation"]):
    def visible_to(self, actor: Actor) -> DealQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        rows = self.filter(Q(tenant_id=own) | Q(provider_id=own))
        return rows.filter(project_id=actor.project_id) if actor.project_id else rows

    def waiting(self) -> DealQuerySet:
        """Those that their provider has to decide on."""
        return self.filter(state=Reservation.State.HELD, decision="", decide_by__isnull=False)

    def by_decision(self) -> DealQuerySet:
        """With `decision_state` to filter by: the decision, or `pending` while it is awaited."""
        pending = When(
            state=Reservation.State.HELD,
            decision="",
            decide_by__isnull=False,
            then=Value("pending"),
        )
        return self.alias(decision_state=Case(pending, default=F("decision")))


@enforced
class Reservation(models.Model):
    """A deal not yet funded (预订): its allocation is held until `expires_at`.

    Price, units, period and terms are those of the offer it was made from and never change.
    On a listing that sells by approval it has `decide_by`: the provider decides until then, and
    silence releases it. `expires_at` lies after it by the usual time to pay.
    """

    class Kind(models.TextChoices):
        REGULAR = "regular", _("regular")
        TRIAL = "trial", _("trial")
        """By the trial terms: few units, few hours, once per tenant and pool."""

    class State(models.TextChoices):
        HELD = "held", _("held")
        """Capacity is kept until `expires_at`; the tenant confirms or cancels."""
        CONFIRMED = "confirmed", _("confirmed")
        """Became a lease, which has its own life; leaves only where that is cancelled."""
        EXPIRED = "expired", _("expired")
        """Nobody confirmed in time."""
        CANCELLED = "cancelled", _("cancelled")
        """The tenant gave it back, before confirming or, with its lease, before the start."""

    class Decision(models.TextChoices):
        APPROVED = "approved", _("approved")
        """The provider agreed; the tenant confirms until `expires_at`."""
        REJECTED = "rejected", _("rejected")
        """The provider declined; the hold was cancelled with it."""

    class PayBy(models.TextChoices):
        WALLET = "wallet", _("from the wallet")
        """Confirmed within minutes, from money that is there."""
        BANK = "bank", _("by bank transfer")
        """Kept until a pay-by date in business days, for a larger deposit."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.HELD: [State.CONFIRMED, State.EXPIRED, State.CANCELLED],
            State.CONFIRMED: [State.CANCELLED],
            State.EXPIRED: [],
            State.CANCELLED: [],
        }
    )

    public_id = PublicIdField(prefix="rsv")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.PROTECT, null=True, blank=True)
    listing = models.ForeignKey(Listing, on_delete=models.PROTECT, related_name="reservations")
    price = models.ForeignKey(PriceVersion, on_delete=models.PROTECT, related_name="+")
    terms = models.ForeignKey(TermsVersion, on_delete=models.PROTECT, related_name="+")
    allocation = models.OneToOneField(
        Allocation, on_delete=models.PROTECT, related_name="reservation"
    )
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.REGULAR)
    trial_pool = models.ForeignKey(  # the pool that is tried
        Pool, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    basket = models.ForeignKey(
        Basket, on_delete=models.PROTECT, null=True, blank=True, related_name="reservations"
    )
    state = models.CharField(max_length=10, choices=State, default=State.HELD)
    unit_count = models.PositiveIntegerField()
    card_count = models.PositiveIntegerField()
    pay_by = models.CharField(max_length=6, choices=PayBy, default=PayBy.WALLET)
    # As the listing is sold; who invoices and who is paid stays what it was when it was held.
    selling = models.CharField(
        max_length=10, choices=Listing.Selling, default=Listing.Selling.AGENCY
    )
    period = DateTimeRangeField()
    expires_at = models.DateTimeField()
    currency = models.CharField(max_length=3)
    gross_minor = models.BigIntegerField()  # what the tenant pays in all, tax included
    vat_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    due_minor = models.BigIntegerField()  # at confirmation, the security among it
    security_minor = models.BigIntegerField(default=0)  # of it 押金, kept to the end
    hold_deposit_minor = models.BigIntegerField()  # kept aside in the wallet while held
    discount_bps = models.PositiveIntegerField(default=0)  # off the price version's amount
    decide_by = models.DateTimeField(null=True, blank=True)  # only where the provider decides
    approvals_needed = models.PositiveSmallIntegerField(default=0)  # of different members
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    # What the deal takes up of its tenant's quotas: all of it once held, nothing once it lapsed
    # or was given back, and after a cancellation or the end what was really charged.
    committed_minor = models.BigIntegerField()
    committed_card_seconds = models.BigIntegerField()
    actor = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = DealQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "trial_pool"],
                condition=Q(kind="trial", state__in=["held", "confirmed"]),
                name="one_trial_per_tenant_and_pool",
            ),
            models.CheckConstraint(
                condition=Q(kind="trial", trial_pool__isnull=False)
                | (~Q(kind="trial") & Q(trial_pool__isnull=True)),
                name="trial_names_its_pool",
            ),
            models.CheckConstraint(
                condition=Q(decide_by__isnull=True, approvals_needed=0, decision="")
                | Q(decide_by__isnull=False, approvals_needed__gte=1),
                name="reservation_decided_only_by_approval",
            ),
            models.CheckConstraint(
                condition=Q(decision="", decided_at__isnull=True)
                | (~Q(decision="") & Q(decided_at__isnull=False)),
                name="reservation_decision_has_its_instant",
            ),
            models.CheckConstraint(
                condition=~Q(state="confirmed")
                | Q(decide_by__isnull=True)
                | Q(decision="approved"),
                name="reservation_confirmed_only_when_approved",
            ),
            models.CheckConstraint(
                condition=Q(committed_minor__gte=0, committed_card_seconds__gte=0),
                name="reservation_commits_no_less_than_nothing",
            ),
            models.CheckConstraint(
                condition=~Q(state="expired") | Q(committed_minor=0, committed_card_seconds=0),
                name="reservation_lapsed_commits_nothing",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="reservation_due", condition=Q(state="held")),
            models.Index(
                fields=["decide_by"],
                name="reservation_undecided",
                condition=Q(state="held", decision="", decide_by__isnull=False),
            ),
            models.Index(fields=["tenant", "-id"], name="reservation_by_tenant"),
            models.Index(fields=["provider", "-id"], name="reservation_by_provider"),
            # What a hold's rules read of its tenant: live holds, lapses, and what is committed.
            models.Index(
                fields=["tenant", "expires_at"], name="reservation_live", condition=Q(state="held")
            ),
            models.Index(
                fields=["tenant", "expired_at"],
                name="reservation_lapsed",
                condition=Q(state="expired"),
            ),
            models.Index(
                fields=["tenant", "cancelled_at"],
                name="reservation_given_back",
                condition=Q(state="cancelled", confirmed_at__isnull=True),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="reservation_commits",
                when=pgtrigger.After,
                operation=pgtrigger.Insert
                | pgtrigger.UpdateOf(  # type: ignore[no-untyped-call]
                    "committed_minor", "committed_card_seconds"
                ),
                func=COMMIT,
            ),
            unchanging(
                "reservation_as_agreed",
                "provider",
                "tenant",
                "listing",
                "price",
                "terms",
                "allocation",
                "basket",
                "kind",
                "trial_pool",
                "unit_count",
                "card_count",
                "pay_by",
                "selling",
                "period",
                "expires_at",
                "currency",
                "gross_minor",
                "vat_minor",
                "fee_minor",
                "due_minor",
                "security_minor",
                "hold_deposit_minor",
                "discount_bps",
                "decide_by",
                "approvals_needed",
            ),
            pgtrigger.Protect(
                name="reservation_decided_once",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(
                    old__decided_at__isnull=False, old__decision__df=pgtrigger.F("new__decision")
                )
                | pgtrigger.Q(old__decided_at__df=pgtrigger.F("new__decided_at"))
                & pgtrigger.Q(old__decided_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
