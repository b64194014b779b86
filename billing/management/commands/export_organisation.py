"""Writes everything that is kept of one organisation into a folder, with checksums."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing import organisation_export
from inventory import actors, clock, identifiers, journal
from inventory.errors import NotFound
from inventory.models import Organisation

ACTOR = actors.system("organisation_export")


class Command(BaseCommand):
    help = "Exports an organisation's complete data as JSON lines; check with sha256sum --check."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("organisation", help="its public id, org_…")
        parser.add_argument("folder", type=Path, help="new, or empty")

    def handle(self, *args: Any, organisation: str, folder: Path, **options: Any) -> None:
        at = clock.now()
        try:
            row: Organisation = identifiers.find(Organisation.objects.all(), organisation)
            files = organisation_export.write(organisation=row, folder=folder, at=at)
        except NotFound as error:
            raise CommandError(f"no organisation is called {organisation}") from error
        except OSError as error:
            raise CommandError(str(error)) from error
        with transaction.atomic(durable=True):
            journal.record(
                event="organisation.exported",
                object_id=row.public_id,
                actor=ACTOR,
                at=at,
                provider_id=row.pk,
                data={"rows": sum(file.row_count for file in files)},
            )
        self.stdout.write(
            f"{sum(file.row_count for file in files)} rows in {len(files)} files:"
            f" cd {folder} && sha256sum --check SHA256SUMS"
        )
