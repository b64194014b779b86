"""Computes every seal of the journal and the pool events again from the rows as they are."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import seals
from inventory.models import Seal


class Command(BaseCommand):
    help = "Verifies the hash chains of the journal and the pool events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--against",
            action="append",
            default=[],
            metavar="SOURCE:HEAD",
            help="a head that left the house before, as journal:<hex> or pool_event:<hex>",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        against = dict(self._pair(text) for text in options["against"])
        broken = []
        for source in Seal.Source.values:
            broken += seals.verify(source=source, against=against.get(source, ""))
            count = Seal.objects.filter(source=source).count()
            self.stdout.write(f"{source}: {count} seals, head {seals.head(source) or 'none'}")
        for fault in broken:
            self.stderr.write(f"{fault.source} seal {fault.sequence}: {fault.why}")
        if broken:
            raise CommandError(f"{len(broken)} faults")

    @staticmethod
    def _pair(text: str) -> tuple[str, str]:
        source, separator, head = text.partition(":")
        if not separator:
            return Seal.Source.JOURNAL, text
        if source not in Seal.Source.values:
            raise CommandError(f"no chain named {source}")
        return source, head
