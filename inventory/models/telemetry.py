"""What exporters on the nodes report: who may send it, whose it is, and what is kept of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.models.centre import Centre
from inventory.models.organisation import Organisation
from inventory.models.pool import Node

if TYPE_CHECKING:
    from inventory.actors import Actor


class TelemetryHour(models.Model):
    """What telemetry (遥测) saw of one node in one hour: the base of utilisation and health.

    Not raw samples: an hour has 120 slots of 30 seconds, and of each card and slot the first
    sample of a fact counts. Arrays have one element per card, in the order of the node's card
    indexes. Partitioned by month of `hour`; nothing has a foreign key to it. Written until it
    is sealed. The table is made by SQL in the migration.
    """

    pk = models.CompositePrimaryKey("node_id", "hour")
    node_id = models.BigIntegerField()
    hour = models.DateTimeField()  # its start, on a UTC hour
    card_count = models.PositiveSmallIntegerField()
    # Slots with a sample of the card's utilisation or health; of them, those it was not well in.
    seen_slots = ArrayField(models.SmallIntegerField())
    unhealthy_slots = ArrayField(models.SmallIntegerField())
    # Sums over the slots that have the fact, beside how many slots have it.
    busy_slots = ArrayField(models.SmallIntegerField())
    busy_permille_sum = ArrayField(models.IntegerField())
    memory_slots = ArrayField(models.SmallIntegerField())
    memory_permille_sum = ArrayField(models.IntegerField())
    power_slots = ArrayField(models.SmallIntegerField())
    power_watt_sum = ArrayField(models.IntegerField())
    temperature_max = ArrayField(models.SmallIntegerField())  # °C; 0 where never reported
    last_error = ArrayField(models.IntegerField())  # the vendor's code; 0 none
    error_slots = ArrayField(models.SmallIntegerField())  # the slot `last_error` lies in; -1 none
    link_down_slots = ArrayField(models.SmallIntegerField())  # slots in which its link was down
    # card × 120 bits, card by card, 15 bytes each, bit 0 first: which slots are seen.
    slots = models.BinaryField()
    # The same once per fact of `inventory.telemetry.facts.COUNTED`; emptied by sealing.
    fact_slots = models.BinaryField()
    replica = models.TextField()  # the HA replica that was followed when the row was last written
    recorded_at = models.DateTimeField()
    sealed_at = models.DateTimeField(null=True)  # nothing is added from here on

    class Meta:
        managed = False
        db_table = "inventory_telemetryhour"

    def __str__(self) -> str:
        return f"telemetry of node {self.node_id} at {self.hour}"


class TelemetrySourceQuerySet(models.QuerySet["TelemetrySource"]):
    def visible_to(self, actor: Actor) -> TelemetrySourceQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


class TelemetrySource(models.Model):
    """A feed of telemetry (遥测源): one Prometheus, or an HA pair of them, of one centre.

    It reaches the nodes of its own centre and no others, whatever its samples claim. Not an
    exporter: a feed carries the series of many.
    """

    class Kind(models.TextChoices):
        PUSH = "push", _("remote write")
        """The centre sends, with a key of this feed."""
        PULL = "pull", _("query")
        """We ask the centre's own store, on from where we stopped."""

    public_id = PublicIdField(prefix="tms")
    provider = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="telemetry_sources"
    )
    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="telemetry_sources")
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.PUSH)
    # Which external label tells the members of an HA pair apart, and whom of them we follow.
    replica_label = models.CharField(max_length=80, default="prometheus_replica")
    replica = models.CharField(max_length=200, blank=True)
    replica_until = models.DateTimeField(null=True, blank=True)  # silent for longer, it is left
    samples_per_second = models.PositiveIntegerField(default=50_000)  # more is asked to wait
    # Of a feed that we query: where, as whom, how far we are, and when to come again.
    query_url = models.CharField(max_length=300, blank=True)
    query_secret = models.BinaryField(null=True, blank=True)  # encrypted
    pulled_until = models.DateTimeField(null=True, blank=True)
    next_pull_at = models.DateTimeField(null=True, blank=True)
    claim_token = models.UUIDField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, blank=True)
    # What came, in samples, since the feed was made.
    stored_count = models.BigIntegerField(default=0)
    repeated_count = models.BigIntegerField(default=0)  # of a slot that was taken, or a replica
    unused_count = models.BigIntegerField(default=0)  # of metrics no fact is read from
    unknown_count = models.BigIntegerField(default=0)  # of series bound to no card
    late_count = models.BigIntegerField(default=0)  # of hours that are sealed
    early_count = models.BigIntegerField(default=0)  # from the future
    void_count = models.BigIntegerField(default=0)  # NaN, stale, or no value at all
    last_seen_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    objects = TelemetrySourceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["centre", "name"],
                condition=Q(closed_at__isnull=True),
                name="telemetry_source_name_once",
            ),
            models.CheckConstraint(
                condition=Q(kind="push", query_url="") | (Q(kind="pull") & ~Q(query_url="")),
                name="telemetry_pull_has_an_address",
            ),
            models.CheckConstraint(
                condition=Q(samples_per_second__gte=1), name="telemetry_rate_positive"
            ),
        ]
        indexes = [
            models.Index(
                fields=["next_pull_at"],
                name="telemetry_pull_due",
                condition=Q(kind="pull", closed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class TelemetryKey(models.Model):
    """What a feed sends with: `ct_live_<lookup>_<secret>`; only a digest of the secret is kept.

    It writes telemetry and opens nothing else. A rotated one goes on until `expires_at`.
    """

    public_id = PublicIdField(prefix="tmk")
    source = models.ForeignKey(TelemetrySource, on_delete=models.PROTECT, related_name="keys")
    lookup = models.CharField(max_length=8, unique=True)
    secret_sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["source"], name="telemetry_key_live", condition=Q(revoked_at__isnull=True)
            )
        ]

    def __str__(self) -> str:
        return f"ct_live_{self.lookup}_…"


class SeriesIdentity(models.TextChoices):
    """By which of its labels a series names the machine or card it is of."""

    SERIAL = "serial", _("serial number")
    CARD_UUID = "card_uuid", _("card UUID")
    HOSTNAME = "hostname", _("hostname")


class SeriesBinding(models.Model):
    """A person's word that series with this identity are of that node (序列绑定).

    Comes before what the register of nodes says by itself. Without a card index, the series'
    own index label says which card.
    """

    public_id = PublicIdField(prefix="tsb")
    source = models.ForeignKey(TelemetrySource, on_delete=models.PROTECT, related_name="bindings")
    identity = models.CharField(max_length=10, choices=SeriesIdentity)
    value = models.CharField(max_length=200)
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="series_bindings")
    card_index = models.PositiveSmallIntegerField(null=True, blank=True)
    bound_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "identity", "value"],
                condition=Q(removed_at__isnull=True),
                name="series_bound_once",
            ),
            models.CheckConstraint(
                condition=~Q(identity="card_uuid") | Q(card_index__isnull=False),
                name="card_uuid_names_a_card",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.identity} {self.value} of source {self.source_id}"


class UnknownSeries(models.Model):
    """An identity that came with a feed and is bound to no card yet: what its page offers to bind.

    Kept for a bounded number per feed; beyond that only the feed's count grows.
    """

    source = models.ForeignKey(TelemetrySource, on_delete=models.PROTECT, related_name="unknown")
    identity = models.CharField(max_length=10, choices=SeriesIdentity)
    value = models.CharField(max_length=200)
    card = models.CharField(max_length=80, blank=True)  # its index label
    labels = models.JSONField(default=dict)  # of one of its series, to recognise it by
    sample_count = models.BigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source", "identity", "value", "card"], name="unknown_series_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.identity} {self.value} {self.card}"
