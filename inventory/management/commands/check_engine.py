"""Asks the engine of a pool, in a dry run, what is missing before it can deliver."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from inventory import clock, engines
from inventory.errors import DomainError
from inventory.identifiers import find
from inventory.models import Pool


class Command(BaseCommand):
    help = "Says in plain words what a pool's engine lacks. Changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--pool", required=True, metavar="pool_…")
        parser.add_argument(
            "--nodes", action="store_true", help="print the engine's machines as a node file"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        at = clock.now()
        try:
            pool = find(Pool.objects.all(), options["pool"], "No such pool")
            if options["nodes"]:
                self.stdout.write(engines.node_file(pool=pool, at=at).decode(), ending="")
                return
            missing = engines.check(pool=pool, at=at)
        except DomainError as error:
            raise CommandError(str(error)) from error
        try:
            seen = engines.isolation(pool=pool, at=at)
        except DomainError:
            pass  # it is missing already, with the reason
        else:
            verdict = "isolated" if seen.is_proved else "not isolated"
            self.stdout.write(f"{verdict}: {seen.evidence}")
        for word in missing:
            self.stderr.write(f"- {word}")
        if missing:
            raise CommandError(f"{pool.driver}: {len(missing)} things are missing")
        self.stdout.write(f"{pool.driver}: nothing is missing")
