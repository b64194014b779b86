"""Everything the product keeps of one organisation, as files with checksums.

A row belongs to an organisation that it names, and to the one that the row it hangs on belongs
to. Both parties of a deal get its rows; nobody gets another's. Secrets stay: digests of keys,
ciphertexts, passwords.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.db.models import Q

from inventory import seals
from inventory.models import (
    Allocation,
    JournalEntry,
    MeterReading,
    Node,
    Organisation,
    Seal,
    TelemetryHour,
    UsageHour,
    User,
)

PACKAGES = ("inventory", "marketplace", "billing")
# Of nobody, or of the operator alone: catalogues, cursors, the chain, and what Stripe tells it.
NOBODYS = frozenset(
    {
        "inventory.Chip", "inventory.Seal", "inventory.FakeMachine", "marketplace.NotifiedMark",
        "marketplace.RollupMark", "billing.AuditReport", "billing.BilledCursor",
        "billing.SlaCursor", "billing.PayoutFile", "billing.BankWithdrawal",
        "billing.GatewayEvent", "billing.PspBalanceTransaction", "billing.PspBalance",
        "billing.FakeStripeObject", "billing.Voucher", "billing.VoucherEntry",
        "billing.LedgerTransaction", "billing.LedgerExchange",
        # Kept for the work of a sweep, or of a lock, and told by other rows.
        "inventory.PoolLock", "inventory.PoolVersion", "inventory.ReadingCursor",
        "marketplace.RollupCursor", "marketplace.IdempotencyRecord", "billing.SettledMark",
        "billing.PspRequest", "billing.LedgerCheckpoint",
    }
)  # fmt: skip
# Where several ways lead to an owner: the one that counts.
HANGS_ON = {
    "inventory.Claim": "allocation", "inventory.Binding": "allocation",
    "inventory.SeriesBinding": "source", "inventory.PoolEvent": "pool",
    "inventory.Outage": "pool", "inventory.NodeHealth": "node", "inventory.Instance": "allocation",
    "marketplace.LeasePrice": "lease", "marketplace.IncidentLease": "lease",
    "marketplace.IncidentOutage": "incident", "billing.BankLine": "account",
    "billing.BilledCharge": "charge", "billing.InvoiceLine": "invoice",
    "billing.FapiaoPart": "fapiao", "billing.SettlementLine": "settlement",
    "billing.PayoutLine": "payout", "billing.ReconciliationMatch": "account",
}  # fmt: skip
GUESSED = ("candidate",)  # whose money a receipt may be is no fact about anybody
SECRET = ("password", "claim_token", "secret", "query_secret", "client_secret")
CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class File:
    """One table of the export."""

    name: str
    row_count: int
    sha256: str


def write(*, organisation: Organisation, folder: Path, at: datetime) -> list[File]:
    """The folder has a JSON line for every row of the organisation, one file a table.

    `manifest.json` says when and whose, the head of the journal by then, and rows and SHA-256 of
    each file; `SHA256SUMS` is what `sha256sum --check` reads. One snapshot of the database.
    Raises FileExistsError where the folder is not empty: an export is never mixed with another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty")
    files = []
    with transaction.atomic(durable=True):
        _one_snapshot()
        heads = {source: seals.head(source) for source in Seal.Source.values}
        for model in exported():
            rows = model._default_manager.filter(_of(model, organisation)).order_by("pk").distinct()
            files.append(_file(folder, model, rows))
    manifest = {
        "organisation": organisation.public_id,
        "name": organisation.name,
        "exported_at": at.isoformat(),
        "heads": heads,
        "files": [{"name": f.name, "rows": f.row_count, "sha256": f.sha256} for f in files],
    }
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    sums = [(f.sha256, f.name) for f in files]
    sums.append((hashlib.sha256(text.encode()).hexdigest(), "manifest.json"))
    (folder / "SHA256SUMS").write_text(
        "".join(f"{digest}  {name}\n" for digest, name in sums), encoding="utf-8"
    )
    return files


def exported() -> list[type[models.Model]]:
    """Every table that has rows of an organisation, in the order of their names."""
    found = [
        model
        for package in PACKAGES
        for model in apps.get_app_config(package).get_models()
        if model._meta.label not in NOBODYS
    ]
    return sorted(found, key=lambda model: model._meta.label)


def way_to_owner(model: type[models.Model]) -> list[str]:
    """The fields, with those they hang on, that name an organisation. Raises LookupError."""
    if model is Organisation:
        return ["pk"]
    links = [f for f in model._meta.fields if isinstance(f, models.ForeignKey)]
    named = [f.name for f in links if f.related_model is Organisation]
    if named:
        return [name for name in named if name not in GUESSED]
    chosen = HANGS_ON.get(model._meta.label)
    for link in links:
        parent: Any = link.related_model
        if parent in (model, User) or (chosen and link.name != chosen):
            continue
        try:
            return [f"{link.name}__{way}" for way in way_to_owner(parent)]
        except LookupError:
            continue
    raise LookupError(f"nobody knows whose a row of {model._meta.label} is")


def _of(model: type[models.Model], organisation: Organisation) -> Q:
    own = organisation.pk
    if model is JournalEntry:
        return Q(provider_id=own) | Q(tenant_id=own)
    if model in (UsageHour, MeterReading):
        mine = Allocation.objects.filter(Q(provider=own) | Q(tenant=own)).order_by()
        return Q(allocation_id__in=mine.values("pk"))
    if model is TelemetryHour:
        return Q(node_id__in=Node.objects.filter(provider=own).order_by().values("pk"))
    if model is User:
        return Q(memberships__organisation=own)
    condition = Q()
    for way in way_to_owner(model):
        condition |= Q(**{way: own})
    return condition


def _file(folder: Path, model: type[models.Model], rows: Any) -> File:
    """One line a row, hashed as it is written."""
    name = f"{model._meta.label_lower}.jsonl"
    digest, count = hashlib.sha256(), 0
    with (folder / name).open("wb") as file:
        for line in _lines(model, rows):
            file.write(line)
            digest.update(line)
            count += 1
    return File(name, count, digest.hexdigest())


def _lines(model: type[models.Model], rows: Any) -> Iterator[bytes]:
    columns = [
        f.attname
        for f in model._meta.concrete_fields
        if not isinstance(f, models.CompositePrimaryKey)
        and f.name not in SECRET
        # Of bytes only papers and attachments: the rest are digests and ciphertexts.
        and (f.name == "content" or not isinstance(f, models.BinaryField))
    ]
    for row in rows.values(*columns).iterator(chunk_size=CHUNK):
        yield (json.dumps(row, cls=_Encoder, ensure_ascii=False) + "\n").encode()


class _Encoder(DjangoJSONEncoder):
    """Ranges as their bounds, half open as everywhere; files in base64."""

    def default(self, o: Any) -> Any:
        if isinstance(o, bytes | memoryview):
            return base64.b64encode(o).decode()
        if hasattr(o, "lower") and hasattr(o, "upper"):
            return [o.lower, o.upper]
        return super().default(o)


def _one_snapshot() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
