"""Names the engine of a pool; its secret comes by standard input, so that no list shows it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import actors, clock, engines
from inventory.errors import DomainError


class Command(BaseCommand):
    help = "Sets a pool's driver, its options (a JSON file) and, with --secret, its secret."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pool", required=True, metavar="pool_…")
        parser.add_argument("--driver", required=True)
        parser.add_argument("--options", required=True, type=Path, metavar="FILE.json")
        parser.add_argument("--secret", action="store_true", help="read one line from stdin")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            given = json.loads(options["options"].read_text())
        except (OSError, ValueError) as error:
            raise CommandError(f"the options cannot be read: {error}") from error
        if not isinstance(given, dict):
            raise CommandError("the options are no JSON object")
        secret = sys.stdin.readline().rstrip("\n") if options["secret"] else None
        try:
            pool = engines.configure(
                pool_id=options["pool"],
                driver=options["driver"],
                options=given,
                secret=secret,
                at=clock.now(),
                actor=actors.system("set_engine"),
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{pool.public_id} is served by {pool.driver}")
