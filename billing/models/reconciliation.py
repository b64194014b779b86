"""What the bank and Stripe say, held against what the books say: which is which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from billing.models.bank import BankLine, BankStatement
from billing.models.ledger import LedgerAccount, LedgerTransaction
from billing.models.psp import PspBalanceTransaction
from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only

if TYPE_CHECKING:
    from inventory.actors import Actor


class ReconciliationMatchQuerySet(models.QuerySet["ReconciliationMatch"]):
    def visible_to(self, actor: Actor) -> ReconciliationMatchQuerySet:
        return self if actor.sees_everything else self.none()

    def live(self) -> ReconciliationMatchQuerySet:
        """Those that nobody has undone."""
        return self.filter(reversal__isnull=True)


class ReconciliationMatch(models.Model):
    """One line of the bank's or of Stripe's is this movement of our books (对账勾对). Append-only.

    A movement is what one transaction moved `asset:bank` or `asset:stripe` by. Both amounts are
    the same, else there is no match; the database sees to it (`sql/reconciliation.sql`). An
    account's opening balance counts as a line. Two movements that cancel each other, of which
    the bank never knew, are matched with each other: `offset`. What was mistaken is undone by a
    `ReconciliationReversal`, and may then be matched anew: the rounds count that.
    """

    class By(models.TextChoices):
        RULE = "rule", _("by a rule")
        HAND = "hand", _("by a person")

    public_id = PublicIdField(prefix="rcm")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="+")
    transaction = models.ForeignKey(LedgerTransaction, on_delete=models.PROTECT, related_name="+")
    bank_line = models.ForeignKey(
        BankLine, on_delete=models.PROTECT, null=True, related_name="matches"
    )
    psp_line = models.ForeignKey(
        PspBalanceTransaction, on_delete=models.PROTECT, null=True, related_name="matches"
    )
    # The first statement of an account: what was there before it.
    opening = models.ForeignKey(
        BankStatement, on_delete=models.PROTECT, null=True, related_name="matches"
    )
    offset = models.ForeignKey(
        LedgerTransaction, on_delete=models.PROTECT, null=True, related_name="+"
    )
    net_minor = models.BigIntegerField()  # of the movement, debit positive
    currency = models.CharField(max_length=3)
    # How often each side had been matched, and undone, before. Set by the database.
    movement_round = models.PositiveSmallIntegerField(default=0)
    line_round = models.PositiveSmallIntegerField(default=0)
    matched_by = models.CharField(max_length=4, choices=By)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()

    objects = ReconciliationMatchQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(bank_line__isnull=False, psp_line=None, opening=None, offset=None)
                | Q(bank_line=None, psp_line__isnull=False, opening=None, offset=None)
                | Q(bank_line=None, psp_line=None, opening__isnull=False, offset=None)
                | Q(bank_line=None, psp_line=None, opening=None, offset__isnull=False),
                name="match_is_with_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(offset=None) | Q(offset__lt=models.F("transaction")),
                name="match_offsets_an_earlier_movement",
            ),
            models.CheckConstraint(
                condition=~Q(matched_by="hand") | ~Q(reason=""), name="match_by_hand_has_a_reason"
            ),
            models.UniqueConstraint(
                fields=["transaction", "account", "movement_round"], name="movement_matched_once"
            ),
            models.UniqueConstraint(
                fields=["bank_line", "line_round"], name="bank_line_matched_once"
            ),
            models.UniqueConstraint(
                fields=["psp_line", "line_round"], name="psp_line_matched_once"
            ),
            models.UniqueConstraint(fields=["opening", "line_round"], name="opening_matched_once"),
            models.UniqueConstraint(
                fields=["offset", "account", "line_round"], name="offset_matched_once"
            ),
        ]
        triggers = [append_only("match_append_only")]

    def __str__(self) -> str:
        return self.public_id


class ReconciliationReversal(models.Model):
    """A match was a mistake: both its sides are open again. Append-only."""

    match = models.OneToOneField(
        ReconciliationMatch, on_delete=models.PROTECT, primary_key=True, related_name="reversal"
    )
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="match_reversal_has_a_reason"),
        ]
        triggers = [append_only("match_reversal_append_only")]

    def __str__(self) -> str:
        return f"reversal of {self.match_id}"


class PspBalance(models.Model):
    """What Stripe said our balance in a currency was, at an instant. Append-only.

    Where its lines until then come to something else, some were not imported.
    """

    currency = models.CharField(max_length=3)
    available_minor = models.BigIntegerField()
    pending_minor = models.BigIntegerField()
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["currency", "-at"], name="psp_balance_newest")]
        triggers = [append_only("psp_balance_append_only")]

    def __str__(self) -> str:
        return f"{self.available_minor} + {self.pending_minor} {self.currency} at {self.at}"
