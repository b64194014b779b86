"""Where an organisation hears what happened, and what was sent there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.lifecycle import Lifecycle, enforced, unchanging
from inventory.models import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class OwnedQuerySet(models.QuerySet["Channel"]):
    def visible_to(self, actor: Actor) -> OwnedQuerySet:
        """An organisation's own, the operator's too: a robot's address lets anybody speak."""
        if actor.kind == "system":
            return self
        return self.filter(organisation_id=actor.organisation_id or 0)


@enforced
class Channel(models.Model):
    """A way in which an organisation hears of events (通知渠道): an address, and which topics."""

    class Kind(models.TextChoices):
        EMAIL = "email", _("e-mail")
        SMS = "sms", _("text message")
        WECOM = "wecom", _("WeCom robot")
        """企业微信群机器人; its key is part of the address."""
        DINGTALK = "dingtalk", _("DingTalk robot")
        """钉钉自定义机器人, signed (加签)."""
        FEISHU = "feishu", _("Feishu robot")
        """飞书自定义机器人, signed (签名校验)."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        """Hears of its topics."""
        REMOVED = "removed", _("removed")
        """Hears nothing any more; nobody leaves."""

    LIFECYCLE: ClassVar = Lifecycle({State.ACTIVE: [State.REMOVED], State.REMOVED: []})

    public_id = PublicIdField(prefix="chn")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="channels"
    )
    kind = models.CharField(max_length=8, choices=Kind)
    name = models.CharField(max_length=60)
    # Encrypted with CREDENTIAL_KEYS: address, number or web hook, and a robot's secret.
    target = models.BinaryField()
    hint = models.CharField(max_length=80)  # of the target, what may be shown
    language = models.CharField(max_length=7, default="zh-hans")
    topics = models.JSONField(default=list)  # of `notifications.topics.TOPICS`
    state = models.CharField(max_length=7, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = OwnedQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"],
                condition=Q(state="active"),
                name="one_active_channel_a_name",
            ),
        ]
        triggers = [
            unchanging("channel_as_made", "public_id", "organisation", "kind", "created_at")
        ]

    def __str__(self) -> str:
        return self.public_id

    # Whose it is, for the journal.
    @property
    def provider_id(self) -> int:
        return self.organisation_id


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    def visible_to(self, actor: Actor) -> DeliveryQuerySet:
        if actor.kind == "system":
            return self
        return self.filter(channel__organisation_id=actor.organisation_id or 0)


@enforced
class Delivery(models.Model):
    """One message to one channel (投递), made from one entry of the journal, once.

    At least once: a sender that is killed between the other side's answer and its own note
    sends again, with the same reference.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("to be sent")
        """Waits for `next_at`, and for the sender that claims it."""
        SENT = "sent", _("sent")
        """The other side took it; nobody leaves."""
        FAILED = "failed", _("failed")
        """Refused for good, or too often; a person may send it again."""

    LIFECYCLE: ClassVar = Lifecycle(
        {State.QUEUED: [State.SENT, State.FAILED], State.SENT: [], State.FAILED: [State.QUEUED]}
    )

    public_id = PublicIdField(prefix="ntf")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="deliveries")
    journal_id = models.BigIntegerField(null=True, blank=True)  # null: a test by a person
    event = models.CharField(max_length=60)
    object_id = models.CharField(max_length=40, blank=True)
    title = models.CharField(max_length=200)
    text = models.CharField(max_length=1000)
    state = models.CharField(max_length=6, choices=State, default=State.QUEUED)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "journal_id"], name="one_delivery_an_entry"),
            models.CheckConstraint(
                condition=Q(state="queued", next_at__isnull=False, sent_at__isnull=True)
                | Q(state="sent", sent_at__isnull=False, next_at__isnull=True)
                | Q(state="failed", next_at__isnull=True, sent_at__isnull=True),
                name="delivery_waits_or_is_done",
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], condition=Q(state="queued"), name="delivery_due"),
            models.Index(fields=["channel", "-id"], name="delivery_by_channel"),
            models.Index(
                fields=["channel", "sent_at"], condition=Q(state="sent"), name="delivery_pace"
            ),
        ]
        triggers = [
            unchanging(
                "delivery_as_made",
                "public_id", "channel", "journal_id", "event", "object_id", "title", "text",
                "created_at",
            )
        ]  # fmt: skip

    def __str__(self) -> str:
        return self.public_id


class NotifiedMark(models.Model):
    """Up to which entry of the journal deliveries were made; one row. See `inventory.seals` for
    why (xid, id) below the oldest running transaction is an order that nothing slips into."""

    last_xid = models.CharField(max_length=20, default="0")
    last_id = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="one_notified_mark")]

    def __str__(self) -> str:
        return f"notified up to {self.last_xid}/{self.last_id}"
