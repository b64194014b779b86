"""One organisation's data, all of it and nobody else's, and no secret among it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import transaction

from billing import organisation_export
from billing.models import BankAccount
from inventory.models import JournalEntry
from tests import world
from tests.marketplace import scene
from tests.marketplace.test_utilisation import usage
from tests.world import T0


@pytest.fixture
def parties(transactional_db: object):
    """A lease of Aurora and Borealis; a lease of Cirrus with another tenant, beside it."""
    with transaction.atomic():
        lease = scene.lease(scene.listing(world.pool(nodes=4)), units=2)
        usage(lease.allocation_id, 10, 3600, 3600)
        other = world.tenant("Dorado")
        far = scene.lease(scene.listing(world.pool(nodes=4, owner=world.stranger())), tenant=other)
        usage(far.allocation_id, 10, 3600)
        world.key(lease.tenant)
        world.member(lease.tenant)
        BankAccount.objects.create(
            owner=lease.tenant, currency="CNY", holder_name="B", bank_name="Bank", number="6222",
            created_at=T0,
        )  # fmt: skip
    return lease, far


def rows(folder: Path, table: str) -> list[dict[str, object]]:
    lines = (folder / f"{table}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_table_is_somebodys_or_said_to_be_nobodys() -> None:
    own = {"inventory.JournalEntry", "inventory.UsageHour", "inventory.MeterReading",
           "inventory.TelemetryHour", "inventory.User"}  # fmt: skip
    labels = {model._meta.label for model in apps.get_models()}
    assert labels >= organisation_export.NOBODYS
    assert labels >= set(organisation_export.HANGS_ON)
    for model in organisation_export.exported():
        if model._meta.label not in own:
            assert organisation_export.way_to_owner(model), model


def test_a_tenant_gets_its_own_rows_and_no_others(parties, tmp_path: Path) -> None:
    lease, far = parties

    call_command("export_organisation", lease.tenant.public_id, str(tmp_path / "b"))

    folder = tmp_path / "b"
    assert [row["id"] for row in rows(folder, "marketplace.lease")] == [lease.pk]
    assert [row["card_seconds"] for row in rows(folder, "inventory.usagehour")] == [3600, 3600]
    assert [row["owner_id"] for row in rows(folder, "billing.bankaccount")] == [lease.tenant_id]
    assert rows(folder, "inventory.pool") == []  # machines are the provider's
    assert len(rows(folder, "inventory.user")) == 1
    everything = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
    assert far.public_id not in everything
    assert "Dorado" not in everything
    assert "secret_sha256" not in everything
    assert "password" not in everything
    entry = JournalEntry.objects.get(event="organisation.exported")
    assert entry.object_id == lease.tenant.public_id


def test_a_provider_gets_its_machines_and_deals(parties, tmp_path: Path) -> None:
    lease, _far = parties

    organisation_export.write(organisation=lease.provider, folder=tmp_path / "p", at=T0)

    folder = tmp_path / "p"
    assert len(rows(folder, "inventory.node")) == 4
    assert [row["id"] for row in rows(folder, "marketplace.lease")] == [lease.pk]
    assert len(rows(folder, "marketplace.priceversion")) == 1
    assert rows(folder, "billing.bankaccount") == []


def test_the_checksums_are_of_the_files_and_an_export_stands_alone(parties, tmp_path) -> None:
    lease, _far = parties
    folder = tmp_path / "b"
    files = organisation_export.write(organisation=lease.tenant, folder=folder, at=T0)

    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False
    )
    assert checked.returncode == 0
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["organisation"] == lease.tenant.public_id
    assert [row["rows"] for row in manifest["files"]] == [file.row_count for file in files]
    first = folder / files[0].name
    assert hashlib.sha256(first.read_bytes()).hexdigest() == files[0].sha256
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_organisation", lease.tenant.public_id, str(folder))
    with pytest.raises(CommandError, match="no organisation"):
        call_command("export_organisation", "org_" + "0" * 32, str(tmp_path / "n"))
