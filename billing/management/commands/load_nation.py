"""`load_nation`: a country to play in and to measure on."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import nation
from marketplace.utilisation import rollups

MOST = 10_000_000


class Command(BaseCommand):
    help = (
        "Makes a country of 250 centres, 1,000 pools and 50,000 nodes with so many claims, a"
        " tenth of them live or to come. Refused beside anything real. Run again, it goes on"
        " where it was cut off; with more claims it adds the difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--claims", type=int, default=1_000_000)
        parser.add_argument(
            "--usage",
            action="store_true",
            help="instead, the half-year of early 2024: 1.7 billion card-hours on line, 0.56 used",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["claims"] <= MOST:
            raise CommandError(f"1 to {MOST} claims")
        began = time.monotonic()

        def progress(text: str) -> None:
            print(f"  {text} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

        if options["usage"]:
            self._usage(progress)
            return
        try:
            added = nation.load(
                claim_count=options["claims"], now=datetime.now(UTC), progress=progress
            )
        except nation.NationRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{added} claims added in {time.monotonic() - began:.1f} s")

    def _usage(self, progress: nation.Progress) -> None:
        now = datetime.now(UTC)
        try:
            added = nation.load_usage(now=now, progress=progress)
        except nation.NationRefused as error:
            raise CommandError(str(error)) from error
        swept = rollups.sweep(at=now)
        progress(f"{swept.pool_day_count} pool-days counted")
        self.stdout.write(f"{added} usage hours added")
