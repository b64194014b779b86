"""`bench NAME`: measures and prints a table, or with --json one JSON array."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict, fields
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.bench import BENCHES
from billing.bench.measure import Row


class Command(BaseCommand):
    help = "Measures beside the physical floor of the same run. Wants an empty database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=sorted(BENCHES))
        parser.add_argument("--clients", type=int, default=8)
        parser.add_argument("--seconds", type=int, default=10)
        parser.add_argument("--json", action="store_true", dest="as_json")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 1 <= options["clients"] <= 64 or not 1 <= options["seconds"] <= 120:
            raise CommandError("1 to 64 clients, 1 to 120 seconds")
        rows = BENCHES[options["name"]](
            clients=options["clients"],
            seconds=options["seconds"],
            progress=lambda text: print(f"  {text} …", file=sys.stderr, flush=True),
        )
        if options["as_json"]:
            self.stdout.write(json.dumps([asdict(row) for row in rows]))
        else:
            self.stdout.write(_table(rows))


def _table(rows: list[Row]) -> str:
    names = [field.name for field in fields(Row)]
    cells = [names] + [
        ["–" if value is None else str(value) for value in asdict(row).values()] for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
