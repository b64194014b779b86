"""Sites, the chips in them and the networks between their nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from inventory.identifiers import PublicIdField
from inventory.models.organisation import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class HubNode(models.TextChoices):
    """The eight national hub nodes (东数西算, NDRC 2022) and elsewhere."""

    BEIJING_TIANJIN_HEBEI = "jjj", _("Beijing-Tianjin-Hebei")
    YANGTZE_DELTA = "yrd", _("Yangtze River Delta")
    GREATER_BAY = "gba", _("Guangdong-Hong Kong-Macao")
    CHENGDU_CHONGQING = "cyu", _("Chengdu-Chongqing")
    INNER_MONGOLIA = "nmg", _("Inner Mongolia")
    GUIZHOU = "gzh", _("Guizhou")
    GANSU = "gan", _("Gansu")
    NINGXIA = "nxa", _("Ningxia")
    NONE = "none", _("outside the hubs")


class OwnerKind(models.TextChoices):
    """Who stands behind a centre: it decides terms, invoices and appetite."""

    GOVERNMENT = "government", _("government")
    TELECOM = "telecom", _("telecom carrier")
    CLOUD = "cloud", _("cloud vendor")
    ENTERPRISE = "enterprise", _("enterprise")
    UNIVERSITY = "university", _("university or institute")


class Chip(models.Model):
    """A catalogue entry (芯片型号). Read from `inventory/chips.toml`, which names its sources."""

    code = models.SlugField(max_length=40, primary_key=True)
    vendor = models.CharField(max_length=40)
    model = models.CharField(max_length=60)
    generation = models.CharField(max_length=40)
    memory_gib = models.PositiveIntegerField()
    memory_bandwidth_gbps = models.PositiveIntegerField(null=True)  # GB/s; null where unpublished
    interconnect = models.CharField(max_length=40)
    interconnect_gbps = models.PositiveIntegerField(null=True)  # GB/s per card, both directions
    bf16_tflops = models.DecimalField(max_digits=8, decimal_places=1, null=True)  # dense
    origin = models.CharField(
        max_length=10, choices=[("domestic", _("domestic")), ("imported", _("imported"))]
    )
    chip_class = models.CharField(max_length=20)  # training, inference, consumer …
    cards_per_node = models.PositiveSmallIntegerField(default=8)
    source = models.CharField(max_length=300)

    def __str__(self) -> str:
        return self.code


class CentreQuerySet(models.QuerySet["Centre"]):
    def visible_to(self, actor: Actor) -> CentreQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(provider_id=actor.organisation_id)


class Centre(models.Model):
    """A provider's site (智算中心): one place, one hub. Not a legal entity; it sells nothing."""

    public_id = PublicIdField(prefix="ctr")
    provider = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="centres")
    name = models.CharField(max_length=120)
    name_en = models.CharField(max_length=120, blank=True)
    region = models.CharField(max_length=60)  # province or municipality
    hub = models.CharField(max_length=8, choices=HubNode, default=HubNode.NONE)
    owner_kind = models.CharField(max_length=16, choices=OwnerKind)
    timezone = models.CharField(max_length=40, default="Asia/Shanghai")
    pue = models.DecimalField(max_digits=4, decimal_places=2, null=True, blank=True)
    energy_approval = models.CharField(max_length=120, blank=True)  # 节能审查 document number
    built_racks = models.PositiveIntegerField(null=True, blank=True)
    occupied_racks = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()

    objects = CentreQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "name"], name="centre_name_once"),
            models.CheckConstraint(
                condition=Q(occupied_racks__isnull=True)
                | Q(built_racks__isnull=True)
                | Q(occupied_racks__lte=F("built_racks")),
                name="centre_racks_within_built",
            ),
            models.CheckConstraint(
                condition=Q(pue__isnull=True) | Q(pue__gte=1, pue__lte=5),
                name="centre_pue_physical",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class FabricQuerySet(models.QuerySet["Fabric"]):
    def visible_to(self, actor: Actor) -> FabricQuerySet:
        if actor.sees_everything:
            return self
        return self.filter(centre__provider_id=actor.organisation_id)


class Fabric(models.Model):
    """One lossless network in one site (网络域). A training job can span nodes of one fabric only.

    A fact that nobody has proved is null and reads "unknown"; it is never guessed.
    """

    public_id = PublicIdField(prefix="fab")
    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="fabrics")
    name = models.CharField(max_length=80)
    technology = models.CharField(max_length=40)  # InfiniBand NDR, RoCE v2, HCCS …
    site_count = models.PositiveSmallIntegerField(null=True, blank=True)
    proved_node_count = models.PositiveIntegerField(null=True, blank=True)  # in one collective run
    proved_on_date = models.DateField(null=True, blank=True)
    # n in n:1, of the uplinks; 1 is without any.
    oversubscription = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)
    created_at = models.DateTimeField()

    objects = FabricQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["centre", "name"], name="fabric_name_once"),
            models.CheckConstraint(
                condition=Q(proved_node_count__isnull=True, proved_on_date__isnull=True)
                | Q(proved_node_count__gt=0, proved_on_date__isnull=False),
                name="fabric_proof_has_a_date",
            ),
            models.CheckConstraint(
                condition=Q(oversubscription__isnull=True)
                | Q(oversubscription__gte=1, oversubscription__lte=100),
                name="fabric_oversubscription_possible",
            ),
            models.CheckConstraint(
                condition=Q(site_count__isnull=True) | Q(site_count__gte=1),
                name="fabric_stands_somewhere",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"
