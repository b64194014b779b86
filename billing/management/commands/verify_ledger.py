"""`verify_ledger`: recomputes the books and fails where anything differs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import verification


class Command(BaseCommand):
    help = (
        "Recomputes the ledger, charges and settlements in plain SQL; exit code 1 on a difference."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for finding in verification.verify():
            if finding.holds:
                self.stdout.write(f"ok         {finding.title}")
                continue
            broken += 1
            self.stdout.write(f"DIFFERENT  {finding.title}")
            self.stdout.write("           " + " | ".join(finding.columns))
            for row in finding.rows:
                cells = " | ".join(map(verification.text, row))
                self.stdout.write(f"           {cells}")
        if broken:
            raise CommandError(f"{broken} checks found differences")
        self.stdout.write("The books agree.")
