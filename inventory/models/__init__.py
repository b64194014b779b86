"""Machines and who owns them."""

from inventory.models.acceptance import Acceptance, AcceptanceRun
from inventory.models.capacity import (
    CLAIM_LIVE,
    Allocation,
    Binding,
    Block,
    Claim,
    Outage,
    PoolEvent,
)
from inventory.models.centre import Centre, Chip, Fabric, HubNode, OwnerKind
from inventory.models.dispute import MeterDispute, MeterReading, ReadingCursor
from inventory.models.event import JournalEntry, Seal
from inventory.models.fake import FakeMachine
from inventory.models.health import (
    FaultRate,
    HealthEntry,
    HealthReport,
    HealthSource,
    HealthState,
    NodeHealth,
)
from inventory.models.instance import (
    Credential,
    Instance,
    InstanceHistory,
    MeteringCursor,
    UsageHour,
)
from inventory.models.manual import ManualTask
from inventory.models.organisation import (
    ApiKey,
    Membership,
    Organisation,
    Project,
    User,
    Verification,
)
from inventory.models.pool import Node, Pool, PoolLock, PoolVersion
from inventory.models.ssh_key import SshKey
from inventory.models.telemetry import (
    SeriesBinding,
    SeriesIdentity,
    TelemetryHour,
    TelemetryKey,
    TelemetrySource,
    UnknownSeries,
)

__all__ = [
    "CLAIM_LIVE",
    "Acceptance",
    "AcceptanceRun",
    "Allocation",
    "ApiKey",
    "Binding",
    "Block",
    "Centre",
    "Chip",
    "Claim",
    "Credential",
    "Fabric",
    "FakeMachine",
    "FaultRate",
    "HealthEntry",
    "HealthReport",
    "HealthSource",
    "HealthState",
    "HubNode",
    "Instance",
    "InstanceHistory",
    "JournalEntry",
    "ManualTask",
    "Membership",
    "MeterDispute",
    "MeterReading",
    "MeteringCursor",
    "Node",
    "NodeHealth",
    "Organisation",
    "Outage",
    "OwnerKind",
    "Pool",
    "PoolEvent",
    "PoolLock",
    "PoolVersion",
    "Project",
    "ReadingCursor",
    "Seal",
    "SeriesBinding",
    "SeriesIdentity",
    "SshKey",
    "TelemetryHour",
    "TelemetryKey",
    "TelemetrySource",
    "UnknownSeries",
    "UsageHour",
    "User",
    "Verification",
]
