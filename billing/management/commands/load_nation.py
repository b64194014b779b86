"""`load_nation`: a country to play in and to measure on."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import nation

MOST = 10_000_000


class Command(BaseCommand):
    help = (
        "Makes a country of 250 centres, 1,000 pools and 50,000 nodes with so many claims, a"
        " tenth of them live or to come. Refused beside anything real. Run again, it goes on"
        " where it was cut off; with more claims it adds the difference."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--claims", type=int, default=1_000_000)

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["claims"] <= MOST:
            raise CommandError(f"1 to {MOST} claims")
        began = time.monotonic()

        def progress(text: str) -> None:
            print(f"  {text} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

        try:
            added = nation.load(
                claim_count=options["claims"], now=datetime.now(UTC), progress=progress
            )
        except nation.NationRefused as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{added} claims added in {time.monotonic() - began:.1f} s")
