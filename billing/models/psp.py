"""What is said to the payment service provider, what it says, and what it booked."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation


@enforced
class PspRequest(models.Model):
    """One request that changes something at Stripe, written down before it is sent.

    It is made in the transaction of what it is for, so that a process may die at any moment:
    whoever comes next sends the same parameters under the same key.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        """Not sent yet, or certainly not taken; the sweep sends it."""
        SENDING = "sending", _("sending")
        """A worker has it; after `claimed_until` nobody knows whether it arrived."""
        SUCCEEDED = "succeeded", _("succeeded")
        """Stripe did it, and its object is known; nobody leaves."""
        FAILED = "failed", _("failed")
        """Stripe refused it for good; nobody leaves."""
        UNKNOWN = "unknown", _("unknown")
        """No answer: sent again with the same key, or looked up once the key is old."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.PLANNED: [State.SENDING],
            State.SENDING: [State.PLANNED, State.UNKNOWN, State.SUCCEEDED, State.FAILED],
            State.UNKNOWN: [State.SENDING],
            State.SUCCEEDED: [],
            State.FAILED: [],
        }
    )

    public_id = PublicIdField(prefix="psp")
    operation = models.CharField(max_length=40)  # `refund.create`: one of gateway.OPERATIONS
    subject = models.CharField(max_length=40)  # public id of what it is for
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    idempotency_key = models.CharField(max_length=200, unique=True)
    parameters = models.JSONField()
    parameters_sha256 = models.BinaryField(max_length=32)
    api_version = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=State, default=State.PLANNED)
    object_id = models.CharField(max_length=80, blank=True)  # Stripe's
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    first_sent_at = models.DateTimeField(null=True, blank=True)
    error_code = models.CharField(max_length=80, blank=True)
    error_text = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()
    succeeded_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="succeeded") | ~Q(object_id=""),
                name="psp_request_succeeded_names_its_object",
            ),
            models.CheckConstraint(
                condition=~Q(state="sending")
                | Q(claim_token__isnull=False, claimed_until__isnull=False),
                name="psp_request_sending_is_claimed",
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state__in=["planned", "sending", "unknown"]),
                name="psp_request_open",
            ),
            models.Index(fields=["subject"], name="psp_request_by_subject"),
        ]
        triggers = [
            unchanging(
                "psp_request_as_written",
                "public_id",
                "operation",
                "subject",
                "organisation",
                "idempotency_key",
                "parameters",
                "parameters_sha256",
                "api_version",
                "created_at",
            )
        ]

    def __str__(self) -> str:
        return self.public_id


class PspCustomer(models.Model):
    """An organisation as Stripe knows it: whose payments those are."""

    organisation = models.OneToOneField(
        Organisation, on_delete=models.PROTECT, related_name="psp_customer"
    )
    customer_id = models.CharField(max_length=80, unique=True, null=True)  # null until answered
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.customer_id} of {self.organisation_id}"


@enforced
class GatewayEvent(models.Model):
    """A signed message of Stripe's: kept first, applied afterwards, believed in nothing.

    It only says which object to look at again; what is true is fetched.
    """

    class Endpoint(models.TextChoices):
        PLATFORM = "platform", _("platform")
        CONNECT = "connect", _("Connect")

    class State(models.TextChoices):
        RECEIVED = "received", _("received")
        """Waits for the task that looks its object up."""
        APPLIED = "applied", _("applied")
        """Its object was fetched and followed."""
        IGNORED = "ignored", _("ignored")
        """Of a type or an object that means nothing here."""
        PARKED = "parked", _("parked")
        """Could not be applied many times in a row; a person looks, and it may be retried."""

    LIFECYCLE: ClassVar = Lifecycle(
        {
            State.RECEIVED: [State.APPLIED, State.IGNORED, State.PARKED],
            State.PARKED: [State.RECEIVED],
            State.APPLIED: [],
            State.IGNORED: [],
        }
    )

    public_id = PublicIdField(prefix="gev")
    event_id = models.CharField(max_length=80, unique=True)
    endpoint = models.CharField(max_length=10, choices=Endpoint)
    account_id = models.CharField(max_length=80, blank=True)  # the connected account's
    type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=80, blank=True)
    api_version = models.CharField(max_length=40, blank=True)
    sent_at = models.DateTimeField()  # as Stripe made it
    received_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=State, default=State.RECEIVED)
    attempt_count = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    error_text = models.CharField(max_length=500, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=Q(state="received"),
                name="gateway_event_open",
            ),
        ]
        triggers = [
            unchanging(
                "gateway_event_as_received",
                "public_id",
                "event_id",
                "endpoint",
                "account_id",
                "type",
                "object_id",
                "api_version",
                "sent_at",
                "received_at",
            )
        ]

    def __str__(self) -> str:
        return self.event_id


class PspBalanceTransaction(models.Model):
    """One line of Stripe's own books about our balance there. Append-only.

    `net_minor` is what the balance moved by: amount less fee. Every such line has to be found
    once in `asset:stripe`, whose `external_reference` is its `source`.
    """

    transaction_id = models.CharField(max_length=80, primary_key=True)  # txn_…
    type = models.CharField(max_length=60)  # new ones come with minor releases
    reporting_category = models.CharField(max_length=60)
    amount_minor = models.BigIntegerField()
    fee_minor = models.BigIntegerField()
    net_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3)  # in capitals, as ours
    source = models.CharField(max_length=80, blank=True)  # ch_, re_, tr_, trr_, po_, dp_ …
    description = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField()  # at Stripe
    available_on = models.DateTimeField()
    payout = models.CharField(max_length=80, blank=True)  # po_… that paid it out, once known
    # Settlement currency per unit of what was presented, as Stripe gave it.
    exchange_rate = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    imported_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(net_minor=models.F("amount_minor") - models.F("fee_minor")),
                name="psp_balance_transaction_adds_up",
            ),
        ]
        indexes = [
            models.Index(fields=["source"], name="psp_balance_by_source"),
            models.Index(fields=["currency", "created_at"], name="psp_balance_by_time"),
        ]
        triggers = [
            unchanging(
                "psp_balance_transaction_as_imported",
                "transaction_id",
                "type",
                "reporting_category",
                "amount_minor",
                "fee_minor",
                "net_minor",
                "currency",
                "source",
                "created_at",
                "exchange_rate",
                "imported_at",
            )
        ]

    def __str__(self) -> str:
        return self.transaction_id


class FakeStripeObject(models.Model):
    """What the fake Stripe remembers, in the place of Stripe's servers: of no real payment."""

    key = models.CharField(max_length=160, primary_key=True)  # id, or `reply:<key>`
    kind = models.CharField(max_length=40)
    account_id = models.CharField(max_length=80, blank=True)
    number = models.BigIntegerField()  # in order of creation
    data = models.JSONField()

    class Meta:
        indexes = [models.Index(fields=["kind", "number"], name="fake_stripe_by_kind")]

    def __str__(self) -> str:
        return self.key
