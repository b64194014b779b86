"""For every node: what is written here is what its engine says, or a failure is on record."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import clock, provisioning
from inventory.errors import DomainError


class Command(BaseCommand):
    help = "Compares every node with its engine. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pool", metavar="pool_…", help="this one only")
        parser.add_argument(
            "--minutes",
            type=int,
            default=5,
            help="how long paper and engine may differ (default 5)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at, patience = clock.now(), timedelta(minutes=options["minutes"])
        faults = count = 0
        for pool in provisioning.pools():
            if options["pool"] not in (None, pool.public_id):
                continue
            count += 1
            try:
                found = [
                    str(each)
                    for each in provisioning.verify_pool(pool=pool, at=at, patience=patience)
                ]
            except DomainError as error:
                found = [str(error)]
            for word in found:
                self.stderr.write(f"{pool.public_id} {word}")
            faults += len(found)
        if faults:
            raise CommandError(f"{faults} differences")
        self.stdout.write(f"{count} pools are as their engines say")
