"""Checks blocks, claims, bindings and events of every pool from the rows alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import partitions, verification


class Command(BaseCommand):
    help = "Verifies that nothing is oversold and that events, claims and bindings agree."

    def handle(self, *args: Any, **options: Any) -> None:
        faults = verification.verify()
        for fault in faults:
            self.stderr.write(f"{fault.rule}: {fault.key}: {fault.figures}")
        for stray in partitions.strays():
            self.stderr.write(f"{stray.row_count} rows of {stray.table} lie in DEFAULT")
        if faults:
            raise CommandError(f"{len(faults)} faults")
        self.stdout.write(f"{len(verification.RULES)} rules hold")
