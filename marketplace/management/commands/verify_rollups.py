"""Counts every pool-day again from its rows, and compares it with what is kept of it."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import clock
from marketplace.models import PoolHours, RollupCursor
from marketplace.utilisation import readings, rollups


class Command(BaseCommand):
    help = "Verifies the hours and readings of the card-hour funnel against the rows they are of."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=date.fromisoformat, metavar="DAY", help="all of them")
        parser.add_argument(
            "--again", action="store_true", help="first count everything (from --since on) again"
        )

    def handle(self, *args: Any, since: date | None, again: bool, **options: Any) -> None:
        at = clock.now()
        first = PoolHours.objects.order_by("day").values_list("day", flat=True).first()
        if again and first is not None:
            RollupCursor.objects.update(dirty_since=max(since or first, first))
        faults = rollups.verify(at=at, first=since)
        for line in faults:
            self.stderr.write(line)
        text = f"{readings.mark().checked_count} pool-days counted again, {len(faults)} differ"
        if faults:
            raise CommandError(text)
        self.stdout.write(text)
