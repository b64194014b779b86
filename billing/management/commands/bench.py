"""`bench NAME`: measures and prints a table, or with --json one JSON array."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing import nation
from billing.bench import (
    audit,
    charging,
    closing,
    delivery,
    holds,
    metering,
    postings,
    search,
    soak,
    telemetry,
)
from billing.bench.measure import Row

FULL = {"claims": [1_000, 100_000, 1_000_000], "clients": [1, 8, 32]}


def _bounded(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdigit() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{least} to {most}")
        return int(text)

    return number


class Command(BaseCommand):
    help = "Measures beside the physical floor of the same run. Wants nothing real around it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = parser.add_subparsers(dest="name", required=True)
        _holds(names.add_parser("holds", help="holds over HTTP and in the database"))
        _search(names.add_parser("search", help="national search while the market moves"))
        _ledger(names.add_parser("ledger", help="postings, and usage hours charged in one batch"))
        _closing(names.add_parser("closing", help="a month closed, for more and more leases"))
        _telemetry(names.add_parser("telemetry", help="remote write, decoded and folded"))
        _metering(
            names.add_parser("metering", help="an hour closed, for more and more allocations")
        )
        _delivery(names.add_parser("delivery", help="reconcile steps, for more and more in flight"))
        _audit(names.add_parser("audit", help="the operator's pages over half a year of a country"))
        _soak(names.add_parser("soak", help="mixed operations, then verify_capacity"))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            nation.check_nothing_is_real()
            rows = options["run"](options, self._progress)
        except (nation.NationRefused, soak.SoakFailed, audit.AuditFailed) as error:
            raise CommandError(str(error)) from error
        text = json.dumps([asdict(row) for row in rows])
        if options["output"]:
            options["output"].write_text(text + "\n", encoding="utf-8")
        self.stdout.write(text if options["as_json"] else table(rows))

    def _progress(self, text: str) -> None:
        print(f"  {text} …", file=sys.stderr, flush=True)


def _common(parser: ArgumentParser) -> None:
    parser.add_argument("--nation", action="store_true", help="on a country of 1,000 pools")
    parser.add_argument(
        "--claims",
        type=_bounded(1, 10_000_000),
        nargs="+",
        help="of the country, one measurement after the other; 1,000,000",
    )
    parser.add_argument("--seconds", type=_bounded(1, 120), default=5, help="of each measurement")
    parser.add_argument("--json", action="store_true", dest="as_json")
    parser.add_argument("--output", type=Path, help="a file that takes the JSON too")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="`dev` keeps the database of the last bench instead of an empty one",
    )


def _holds(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--clients", type=_bounded(1, 64), nargs="+", default=[8])
    parser.add_argument(
        "--pools", type=_bounded(1, 1000), default=32, help="of the world without --nation"
    )
    parser.add_argument(
        "--full", action="store_true", help="1, 8, 32 clients at 1k, 100k, 1M claims"
    )
    parser.set_defaults(run=_run_holds)


def _run_holds(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    if options["full"]:
        options |= FULL
    asked = holds.Asked(
        clients=options["clients"],
        claims=_claims(options),
        seconds=options["seconds"],
        pools=options["pools"],
    )
    return holds.run(asked, progress=progress)


def _search(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--clients", type=_bounded(1, 64), nargs="+", default=[8])
    parser.add_argument("--holds-per-second", type=_bounded(1, 1000), default=50)
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.set_defaults(run=_run_search)


def _run_search(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = search.Asked(
        clients=options["clients"],
        claims=_claims(options) or [1_000_000],
        seconds=options["seconds"],
        holds_per_second=options["holds_per_second"],
        profile=options["profile"],
    )
    return search.run(asked, progress=progress)


def _ledger(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--clients", type=_bounded(1, 8), nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=_bounded(1, 50), default=5)
    parser.add_argument("--leases", type=_bounded(1, 100_000), default=1_000)
    parser.add_argument("--hours", type=_bounded(1, 168), default=100, help="of each lease")
    parser.add_argument("--only", choices=["postings", "charging"])
    parser.set_defaults(run=_run_ledger)


def _run_ledger(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    rows: list[Row] = []
    if options["only"] != "charging":
        rows += postings.measure(
            clients=options["clients"],
            seconds=options["seconds"],
            rounds=options["rounds"],
            progress=progress,
        )
    if options["only"] != "postings":
        asked = charging.Asked(
            leases=options["leases"], hours=options["hours"], rounds=min(3, options["rounds"])
        )
        rows += charging.measure(asked, progress=progress)
    return rows


def _closing(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--leases", type=_bounded(10, 100_000), nargs="+", default=[1_000, 10_000])
    parser.add_argument("--hours", type=_bounded(1, 100), default=24, help="charged, of each lease")
    parser.set_defaults(run=_run_closing)


def _run_closing(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = closing.Asked(leases=options["leases"], hours=options["hours"])
    return closing.measure(asked, progress=progress)


def _telemetry(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--nodes", type=_bounded(10, 10_000), default=64, help="of eight cards")
    parser.add_argument("--scrapes", type=_bounded(2, 480), default=40, help="15 seconds apart")
    parser.add_argument("--clients", type=_bounded(1, 32), default=4, help="connections")
    parser.set_defaults(run=_run_telemetry)


def _run_telemetry(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = telemetry.Asked(
        nodes=options["nodes"], scrapes=options["scrapes"], connections=options["clients"]
    )
    return telemetry.measure(asked, progress=progress)


def _metering(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--allocations", type=_bounded(10, 1_000_000), nargs="+", default=[1_000, 10_000, 100_000]
    )
    parser.add_argument("--rounds", type=_bounded(1, 24), default=3, help="hours closed at each")
    parser.set_defaults(run=_run_metering)


def _run_metering(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = metering.Asked(allocations=sorted(options["allocations"]), rounds=options["rounds"])
    return metering.measure(asked, progress=progress)


def _delivery(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument(
        "--allocations", type=_bounded(10, 100_000), nargs="+", default=[1_000, 10_000]
    )
    parser.add_argument("--steps", type=_bounded(10, 100_000), default=1_000, help="timed of each")
    parser.set_defaults(run=_run_delivery)


def _run_delivery(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = delivery.Asked(
        allocations=options["allocations"], steps=options["steps"], seconds=options["seconds"]
    )
    return delivery.measure(asked, progress=progress)


def _audit(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--runs", type=_bounded(5, 1000), default=50, help="periods of chance")
    parser.add_argument(
        "--leases-times", type=_bounded(1, 100), nargs="+", default=[1, 10],
        help="the same card-hours in so many times the leases",
    )  # fmt: skip
    parser.set_defaults(run=_run_audit)


def _run_audit(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = audit.Asked(runs=options["runs"], leases_times=options["leases_times"])
    return audit.measure(asked, progress=progress)


def _soak(parser: ArgumentParser) -> None:
    _common(parser)
    parser.add_argument("--operations", type=_bounded(1, 10**9), default=20_000)
    parser.add_argument("--processes", type=_bounded(1, 32), default=2)
    parser.add_argument("--seed", type=_bounded(0, 10**9), default=1)
    parser.add_argument(
        "--minutes", type=_bounded(1, 24 * 60), help="stop after so long; --resume goes on"
    )
    parser.set_defaults(run=_run_soak)


def _run_soak(options: dict[str, Any], progress: Callable[[str], None]) -> list[Row]:
    asked = soak.Asked(
        operations=options["operations"],
        processes=options["processes"],
        claims=(_claims(options) or [1_000_000])[0],
        seed=options["seed"],
        seconds=options["minutes"] and options["minutes"] * 60,
    )
    return soak.run(asked, soak.scene_on_nation(asked, progress), progress=progress)


def _claims(options: dict[str, Any]) -> list[int]:
    if options["claims"]:
        return list(options["claims"])
    return [1_000_000] if options["nation"] else []


def table(rows: list[Row]) -> str:
    """The rows under the names of the columns that any of them fills."""
    filled = [
        field.name
        for field in fields(Row)
        if any(getattr(row, field.name) is not None for row in rows)
    ]
    cells = [filled] + [
        ["–" if (value := getattr(row, name)) is None else str(value) for name in filled]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(filled))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )
