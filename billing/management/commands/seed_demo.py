"""`seed_demo`: makes the demo world, or what is still missing of it."""

from __future__ import annotations

import sys
import time
from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from billing import demo


class Command(BaseCommand):
    help = (
        "Makes the demo world by the product's own verbs with instants in the past: the same"
        " seed makes the same world. Run again, it goes on where it was cut off."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--seed", type=int, default=1)
        part = parser.add_mutually_exclusive_group()
        part.add_argument(
            "--foreground-part",
            action="store_true",
            help="what the first page needs, and no more",
        )
        part.add_argument(
            "--background-part",
            action="store_true",
            help="the rest, while the product runs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("the demo world has known passwords; set DEMO=1 to have it")
        began = time.monotonic()
        now = datetime.now(UTC)

        def progress(text: str) -> None:
            print(
                f"  {text} ({time.monotonic() - began:.1f} s)",
                file=sys.stderr,
                flush=True,
            )

        if not options["background_part"]:
            demo.lay_ground(seed=options["seed"], now=now, progress=progress)
        if not options["foreground_part"]:
            demo.play_the_rest(seed=options["seed"], now=now, progress=progress)
