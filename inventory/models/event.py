"""What happened, and the chain that proves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

from inventory.lifecycle import append_only

if TYPE_CHECKING:
    from inventory.actors import Actor


class JournalQuerySet(models.QuerySet["JournalEntry"]):
    def visible_to(self, actor: Actor) -> JournalQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.filter(models.Q(provider_id=own) | models.Q(tenant_id=own))


class JournalEntry(models.Model):
    """One state change or recorded fact: who, what, when, why. Append-only.

    Written in the transaction of the change itself. Partitioned by month of `recorded_at`;
    the table is made by SQL in the migration.
    """

    pk = models.CompositePrimaryKey("id", "recorded_at")
    id = models.BigIntegerField()  # GENERATED ALWAYS AS IDENTITY in the database
    recorded_at = models.DateTimeField()  # DEFAULT clock_timestamp() in the database
    at = models.DateTimeField()
    event = models.CharField(max_length=60)  # `lease.active`, `credential.revealed`
    object_id = models.CharField(max_length=40)  # public id
    from_state = models.CharField(max_length=20, blank=True)
    to_state = models.CharField(max_length=20, blank=True)
    actor_kind = models.CharField(max_length=8)
    actor = models.CharField(max_length=80)
    reason = models.CharField(max_length=500, blank=True)
    data = models.JSONField(default=dict)
    provider_id = models.BigIntegerField(null=True)
    tenant_id = models.BigIntegerField(null=True)

    objects = JournalQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "inventory_journalentry"

    def __str__(self) -> str:
        return f"{self.event} {self.object_id}"


class Seal(models.Model):
    """One link of the hash chain over committed journal rows and pool events. Append-only.

    Sealed in order of (xid, id), and only below the oldest running transaction, so that a
    row that commits late can never slip in front of a sealed one.
    """

    class Source(models.TextChoices):
        JOURNAL = "journal"
        POOL_EVENT = "pool_event"

    source = models.CharField(max_length=10, choices=Source)
    sequence = models.BigIntegerField()
    last_xid = models.CharField(max_length=20)  # xid8 as text
    last_id = models.BigIntegerField()
    row_count = models.IntegerField()
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    sealed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "sequence"], name="one_seal_per_sequence"),
        ]
        triggers = [append_only("seal_append_only")]

    def __str__(self) -> str:
        return f"{self.source} #{self.sequence}"
