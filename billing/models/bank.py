"""Accounts at banks, and what their statements say."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, append_only, enforced, unchanging
from inventory.models import Organisation, User

if TYPE_CHECKING:
    from inventory.actors import Actor


class BankAccountQuerySet(models.QuerySet["BankAccount"]):
    def visible_to(self, actor: Actor) -> BankAccountQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(owner_id=actor.organisation_id)

    def of_operator(self) -> BankAccountQuerySet:
        """Where tenants pay to and payments leave from."""
        return self.filter(owner__is_operator=True, state=BankAccount.State.VERIFIED)


@enforced
class BankAccount(models.Model):
    """An organisation's account at a bank (对公账户), seen by two persons of the operator.

    The operator's own are where tenants pay to; anybody else's are where its money may come
    from and where refunds and payouts go. A new one is paid to some time after it was verified
    only, so that a stolen password cannot send the next payout elsewhere. It holds no money
    here: the ledger does.
    """

    class State(models.TextChoices):
        PROPOSED = "proposed", _("to be checked")
        """Entered by its owner; a first person of the operator looks at it."""
        CHECKED = "checked", _("checked by one")
        """A person of the operator has seen it or entered it; a second one decides."""
        VERIFIED = "verified", _("verified")
        """Checked; money comes from it and goes to it. Its owner or the operator closes it."""
        REJECTED = "rejected", _("rejected")
        """Not the organisation's own, or mistyped."""
        CLOSED = "closed", _("closed")
        """No longer in use."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PROPOSED: [State.CHECKED, State.REJECTED],
            State.CHECKED: [State.VERIFIED, State.REJECTED],
            State.VERIFIED: [State.CLOSED],
            State.REJECTED: [],
            State.CLOSED: [],
        }
    )

    public_id = PublicIdField(prefix="bnk")
    owner = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="bank_accounts")
    currency = models.CharField(max_length=3)
    holder_name = models.CharField(max_length=200)  # 户名
    bank_name = models.CharField(max_length=200)  # 开户行
    bank_code = models.CharField(max_length=14, blank=True)  # 联行号
    number = models.CharField(max_length=40)  # digits and letters, no blanks
    state = models.CharField(max_length=10, choices=State, default=State.PROPOSED)
    # Of the operator's accounts: how its statements and payment files look, and the range of
    # virtual accounts that the bank keeps for it.
    statement_layout = models.CharField(max_length=40, blank=True)
    file_layout = models.CharField(max_length=40, blank=True)
    virtual_prefix = models.CharField(max_length=30, blank=True)
    virtual_digits = models.PositiveSmallIntegerField(default=0)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    checked_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    usable_from = models.DateTimeField(null=True, blank=True)  # money goes there from then on
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = BankAccountQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=F("proposed_by")),
                name="bank_account_needs_two_persons",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["verified", "closed"])
                | Q(
                    checked_by__isnull=False,
                    decided_by__isnull=False,
                    usable_from__isnull=False,
                )
                & ~Q(decided_by=F("checked_by")),
                name="bank_account_seen_by_two",
            ),
            # Whose money comes from an account has one answer.
            models.UniqueConstraint(
                fields=["number", "currency"],
                condition=Q(state="verified"),
                name="bank_account_has_one_owner",
            ),
            models.CheckConstraint(
                condition=Q(virtual_prefix="", virtual_digits=0)
                | (~Q(virtual_prefix="") & Q(virtual_digits__gte=2, virtual_digits__lte=10)),
                name="bank_account_range_is_whole",
            ),
        ]
        indexes = [models.Index(fields=["owner", "-id"], name="bank_account_by_owner")]
        triggers = [
            unchanging(
                "bank_account_as_entered",
                "public_id",
                "owner",
                "currency",
                "holder_name",
                "bank_name",
                "bank_code",
                "number",
                "statement_layout",
                "file_layout",
                "virtual_prefix",
                "virtual_digits",
                "proposed_by",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class VirtualAccount(models.Model):
    """A number of the operator's account that one tenant alone pays to (虚拟账号). Append-only."""

    account = models.ForeignKey(
        BankAccount, on_delete=models.PROTECT, related_name="virtual_accounts"
    )
    tenant = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    number = models.CharField(max_length=40)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "tenant"], name="virtual_account_once"),
            models.UniqueConstraint(fields=["account", "number"], name="virtual_number_once"),
        ]
        triggers = [append_only("virtual_account_append_only")]

    def __str__(self) -> str:
        return self.number


class BankStatementQuerySet(models.QuerySet["BankStatement"]):
    def visible_to(self, actor: Actor) -> BankStatementQuerySet:
        return self if actor.sees_everything else self.none()


class BankStatement(models.Model):
    """A file of the bank's lines that was imported (对账文件). Append-only."""

    public_id = PublicIdField(prefix="bst")
    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="statements")
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    line_count = models.IntegerField()  # of the file
    new_count = models.IntegerField()  # not imported before
    in_minor = models.BigIntegerField()  # of the new ones
    out_minor = models.BigIntegerField()
    opening_minor = models.BigIntegerField(null=True, blank=True)
    closing_minor = models.BigIntegerField(null=True, blank=True)
    first_date = models.DateField()
    last_date = models.DateField()
    imported_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    objects = BankStatementQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "sha256"], name="statement_file_once"),
        ]
        triggers = [append_only("statement_append_only")]

    def __str__(self) -> str:
        return self.public_id


class BankLineQuerySet(models.QuerySet["BankLine"]):
    def visible_to(self, actor: Actor) -> BankLineQuerySet:
        return self if actor.sees_everything else self.none()

    def paying(self, reference: str) -> BankLineQuerySet:
        """What left under that reference of ours."""
        return self.filter(own_reference=reference, amount_minor__lt=0)


class BankLine(models.Model):
    """One movement on the operator's account, as the bank says it. Append-only.

    `fact_key` is a digest of what the bank says of it: the same movement in a later file is the
    same line.
    """

    public_id = PublicIdField(prefix="bln")
    statement = models.ForeignKey(BankStatement, on_delete=models.PROTECT, related_name="lines")
    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="lines")
    number = models.IntegerField()  # of the line in the file
    fact_key = models.CharField(max_length=64)
    booked_date = models.DateField()
    amount_minor = models.BigIntegerField()  # in: positive; out: negative
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField(null=True, blank=True)
    bank_reference = models.CharField(max_length=80, blank=True)
    counterparty_name = models.CharField(max_length=200, blank=True)
    counterparty_account = models.CharField(max_length=64, blank=True)
    virtual_number = models.CharField(max_length=64, blank=True)
    text = models.CharField(max_length=500, blank=True)
    own_reference = models.CharField(max_length=20, blank=True)  # of ours, where the text has one
    created_at = models.DateTimeField()

    objects = BankLineQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "fact_key"], name="bank_line_once"),
            models.CheckConstraint(condition=~Q(amount_minor=0), name="bank_line_moves_money"),
        ]
        indexes = [
            models.Index(
                fields=["own_reference"],
                condition=~Q(own_reference=""),
                name="bank_line_by_own_reference",
            ),
        ]
        triggers = [append_only("bank_line_append_only")]

    def __str__(self) -> str:
        return self.public_id
