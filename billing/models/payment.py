"""Money that came in by bank, and the deals it was sent for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from billing.models.bank import BankAccount, BankLine
from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation, User
from marketplace.models import Basket, Reservation

if TYPE_CHECKING:
    from inventory.actors import Actor


class BankReceiptQuerySet(models.QuerySet["BankReceipt"]):
    def visible_to(self, actor: Actor) -> BankReceiptQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id or 0)

    def exceptions(self) -> BankReceiptQuerySet:
        """Money in nobody's wallet that a person has to attribute or send back."""
        return self.filter(state=BankReceipt.State.RECORDED, tenant__isnull=True)


@enforced
class BankReceipt(models.Model):
    """A bank transfer seen on the operator's statement (对公收款).

    One person records it, by hand or by importing the statement, another approves it; only
    then is it in the wallet. Without a tenant it is an exception: somebody finds out whose it
    is, or it goes back to its sender.
    """

    class State(models.TextChoices):
        RECORDED = "recorded", _("recorded")
        """Booked as unmatched; a second person approves or rejects, or it is sent back."""
        APPROVED = "approved", _("approved")
        """In the tenant's wallet."""
        REJECTED = "rejected", _("rejected")
        """Reversed; there was no such transfer."""
        RETURNING = "returning", _("being sent back")
        """A refund to its sender is under way."""
        RETURNED = "returned", _("sent back")
        """It has left to its sender."""

    class Match(models.TextChoices):
        HAND = "hand", _("by a person")
        REFERENCE = "reference", _("by its reference")
        VIRTUAL_ACCOUNT = "virtual_account", _("by the virtual account")
        PAYER = "payer", _("by the payer's account")
        REFUND = "refund", _("a refund that came back")

    class Doubt(models.TextChoices):
        """Why nobody's wallet was proposed."""

        UNKNOWN_PAYER = "unknown_payer", _("nobody's reference, and an unknown payer")
        THIRD_PARTY = "third_party", _("paid by somebody else than the tenant it names")
        REFERENCE_TYPO = "reference_typo", _("the reference has a slip of the pen")
        AMBIGUOUS = "ambiguous", _("it names more than one tenant")
        MAYBE_RECORDED = "maybe_recorded", _("perhaps recorded by hand before")

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.RECORDED: [State.APPROVED, State.REJECTED, State.RETURNING],
            State.RETURNING: [State.RECORDED, State.RETURNED],
            State.APPROVED: [],
            State.REJECTED: [],
            State.RETURNED: [],
        }
    )

    public_id = PublicIdField(prefix="rcp")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, null=True, related_name="+")
    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, null=True, related_name="+")
    line = models.OneToOneField(
        BankLine, on_delete=models.PROTECT, null=True, related_name="receipt"
    )
    bank_reference = models.CharField(max_length=80)  # of the statement's line, in capitals
    payer_name = models.CharField(max_length=200)
    payer_account = models.CharField(max_length=64, blank=True)
    text = models.CharField(max_length=500, blank=True)  # what the payer wrote
    amount_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    received_date = models.DateField()
    late_reason = models.CharField(max_length=200, blank=True)  # why so old a one is recorded
    matched_by = models.CharField(max_length=16, choices=Match, blank=True)
    doubt = models.CharField(max_length=16, choices=Doubt, blank=True)
    # Whom it names where somebody else paid: never its wallet without a person.
    candidate = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, related_name="+"
    )
    reservation = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, null=True, related_name="+"
    )
    basket = models.ForeignKey(Basket, on_delete=models.PROTECT, null=True, related_name="+")
    refund = models.ForeignKey(
        "billing.Refund", on_delete=models.PROTECT, null=True, related_name="came_back_as"
    )
    state = models.CharField(max_length=10, choices=State, default=State.RECORDED)
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    attributed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField()
    attributed_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)

    objects = BankReceiptQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, amount_minor__lte=10**15),
                name="receipt_amount_sane",
            ),
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True)
                | (
                    ~Q(decided_by=F("recorded_by"))
                    & (Q(attributed_by__isnull=True) | ~Q(decided_by=F("attributed_by")))
                ),
                name="receipt_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=~Q(state="approved") | Q(tenant__isnull=False),
                name="receipt_approved_for_somebody",
            ),
            # What stands on the statement has come: it is attributed or sent back. Nobody's, it
            # may turn out to be our own money, and then it was no receipt.
            models.CheckConstraint(
                condition=~Q(state="rejected") | Q(line__isnull=True) | Q(tenant__isnull=True),
                name="receipt_on_a_statement_is_real",
            ),
            models.CheckConstraint(
                condition=Q(reservation__isnull=True) | Q(basket__isnull=True),
                name="receipt_is_for_one_deal",
            ),
            # One line of one bank, one receipt; a rejected one may be recorded anew.
            models.UniqueConstraint(
                fields=["account", "bank_reference"],
                condition=~Q(state="rejected"),
                nulls_distinct=False,
                name="receipt_reference_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state="recorded", tenant__isnull=True),
                name="receipt_exceptions",
            ),
            models.Index(fields=["tenant", "-id"], name="receipt_by_tenant"),
        ]
        triggers = [
            unchanging(
                "receipt_as_recorded",
                "public_id",
                "account",
                "bank_reference",
                "payer_name",
                "payer_account",
                "text",
                "amount_minor",
                "currency",
                "received_date",
                "recorded_by",
                "created_at",
            ),
            pgtrigger.Protect(
                name="receipt_whose_once_decided",
                operation=pgtrigger.Update,
                condition=~pgtrigger.Q(old__state="recorded")
                & (
                    pgtrigger.Q(old__tenant__df=pgtrigger.F("new__tenant"))
                    | pgtrigger.Q(old__reservation__df=pgtrigger.F("new__reservation"))
                    | pgtrigger.Q(old__basket__df=pgtrigger.F("new__basket"))
                ),
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class BankDealQuerySet(models.QuerySet["BankDeal"]):
    def visible_to(self, actor: Actor) -> BankDealQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(tenant_id=actor.organisation_id or 0)


@enforced
class BankDeal(models.Model):
    """A held deal that approved receipts name (按单付款), and what became of it.

    It exists from the first receipt on. The money itself is in the wallet: receipts add up
    there, what is short waits for the rest, what is over stays.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        """The sweep makes the lease as soon as the money suffices."""
        CONFIRMED = "confirmed", _("confirmed")
        """The deal is a lease, by this hold or, after a lapse, by another at the same price."""
        MISSED = "missed", _("missed")
        """The money came too late, and the capacity is gone; it is in the wallet."""
        WITHDRAWN = "withdrawn", _("withdrawn")
        """The hold was given back meanwhile; the money is in the wallet."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.WAITING: [State.CONFIRMED, State.MISSED, State.WITHDRAWN],
            State.CONFIRMED: [],
            State.MISSED: [],
            State.WITHDRAWN: [],
        }
    )

    public_id = PublicIdField(prefix="bdl")
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, null=True, related_name="bank_deal"
    )
    basket = models.OneToOneField(
        Basket, on_delete=models.PROTECT, null=True, related_name="bank_deal"
    )
    # The hold that was made anew, at the same price, after the first had lapsed.
    again_reservation = models.OneToOneField(
        Reservation, on_delete=models.PROTECT, null=True, related_name="+"
    )
    again_basket = models.OneToOneField(
        Basket, on_delete=models.PROTECT, null=True, related_name="+"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    waits_for = models.CharField(max_length=40, blank=True)  # the code of the last refusal
    next_try_at = models.DateTimeField()
    created_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True, blank=True)
    missed_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    objects = BankDealQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reservation__isnull=False, basket__isnull=True)
                | Q(reservation__isnull=True, basket__isnull=False),
                name="bank_deal_is_one_deal",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"], condition=Q(state="waiting"), name="bank_deal_due"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id
