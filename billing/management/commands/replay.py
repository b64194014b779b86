"""Plays a trace of real demand through the admission verbs and prints what was admitted.

With `--http-clients` the same trace then goes through the whole market over HTTP, and has to
end with the same leases.
"""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from billing.bench.server import serving
from billing.replay import deals, market
from billing.replay.clients import Refused, Unanswered
from billing.replay.deals import Deals
from inventory.errors import DomainError
from inventory.periods import Period
from inventory.replay import play, traces
from inventory.replay.play import Outcome
from inventory.replay.traces import Demand

MOST = 1_000_000  # of nodes, hours or yuan: more is a slip of the hand


class Command(BaseCommand):
    help = "Plays the leases of FILE in a fresh pool: utilisation, acceptance, revenue, bound."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--nodes", type=_above_zero, action="append", required=True)
        parser.add_argument("--policy", choices=["split", "shared", "both"], default="both")
        parser.add_argument(
            "--lead-hours", type=_hours, default=0, help="ask up to so long before the start"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--flex-hours", type=_hours, nargs="+", default=[0], help="may start so much later"
        )
        parser.add_argument(
            "--flex-mode",
            choices=play.FLEX_MODES,
            default="wait",
            help="with flex, wait in line for nodes (default) or book the earliest start ahead",
        )
        parser.add_argument(
            "--price", type=_price, default=Decimal("6.80"), help="CNY per card-hour"
        )
        parser.add_argument("--cards-per-node", type=_above_zero, default=8)
        parser.add_argument(
            "--columns",
            "--mapping",
            default="",
            metavar="WORD=COLUMN,…",
            help=f"columns of another trace; words: {', '.join([*traces.COLUMNS, *traces.OTHERS])}",
        )
        parser.add_argument(
            "--http-clients",
            type=_above_zero,
            default=0,
            metavar="N",
            help="and once more over HTTP, by so many clients: the same leases, and how fast",
        )
        parser.add_argument("--json", action="store_true", help="one JSON array on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demands = traces.read(
                options["file"],
                columns=_mapping(options["columns"]),
                cards_per_node=options["cards_per_node"],
            )
            horizon = traces.horizon(demands)
            self._say(f"{len(demands)} leases, {horizon.start:%Y-%m-%d} to {horizon.end:%Y-%m-%d}")
            outcomes = [
                self._play(demands, nodes, policy, flex, options)
                for nodes in options["nodes"]
                for policy in _policies(options["policy"])
                for flex in options["flex_hours"]
            ]
            rows = [_row(outcome, options["price"]) for outcome in outcomes]
            if options["http_clients"]:
                self._over_http(demands, outcomes, rows, options)
        except (DomainError, OSError, Refused, Unanswered) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=1))
        else:
            self.stdout.write(_table(rows))

    def _play(
        self, demands: list[Demand], nodes: int, policy: str, flex: float, options: dict[str, Any]
    ) -> Outcome:
        label = f"{nodes} nodes, {policy}, flex {flex:g} h"
        began = spoke = time.monotonic()

        def progress(done: int) -> None:
            nonlocal spoke
            if time.monotonic() - spoke > 1:
                spoke = time.monotonic()
                self._say(f"{label}: {done} of {len(demands)}")

        outcome = play.play(
            demands,
            node_count=nodes,
            policy=policy,
            flex_hours=flex,
            flex_mode=options["flex_mode"],
            lead_hours=options["lead_hours"],
            seed=options["seed"],
            cards_per_node=options["cards_per_node"],
            progress=progress,
        )
        seconds = time.monotonic() - began
        self._say(
            f"{label}: {len(demands)} asked in {seconds:.1f} s, {len(demands) / seconds:.0f}/s"
        )
        return outcome

    def _over_http(
        self,
        demands: list[Demand],
        outcomes: list[Outcome],
        rows: list[dict[str, Any]],
        options: dict[str, Any],
    ) -> None:
        """Adds to each row what came of it. Raises CommandError where a lease differs."""
        if options["flex_mode"] != "wait":
            raise CommandError("Over HTTP a refused lease waits: --flex-mode wait")
        if any(_off_the_hour(demand) for demand in demands):
            raise CommandError("Over HTTP leases start and end on the hour")
        with serving() as server:
            for outcome, row in zip(outcomes, rows, strict=True):
                made = self._deals(demands, outcome, server.port, options)
                row["http"] = _http_row(outcome, made, options["http_clients"])
                if made.accepted != outcome.accepted:
                    differ = sorted(
                        name
                        for name in {*made.accepted, *outcome.accepted}
                        if made.accepted.get(name) != outcome.accepted.get(name)
                    )
                    raise CommandError(f"Over HTTP {len(differ)} leases differ: {differ[:10]}")

    def _deals(
        self, demands: list[Demand], outcome: Outcome, port: int, options: dict[str, Any]
    ) -> Deals:
        label = f"over HTTP: {outcome.nodes} nodes, {outcome.policy}"
        flex = timedelta(hours=outcome.flex_hours)
        nodes = play.lines(demands, outcome.policy, outcome.nodes)
        self._say(f"{label}: a pool on sale, and tenants with full wallets")
        scene = market.build(
            demands,
            nodes=nodes,
            sellable=Period(outcome.horizon.start, outcome.horizon.end + flex),
            cards_per_node=options["cards_per_node"],
            at=datetime.now(UTC),
        )
        made = deals.replay(
            traces.submissions(demands, lead_hours=options["lead_hours"], seed=options["seed"]),
            market=scene,
            nodes=nodes,
            line_of=play.line_of(outcome.policy),
            flex=flex,
            clients=options["http_clients"],
            port=port,
        )
        self._say(
            f"{label}: {made.asked} holds asked, {len(made.accepted)} leases made"
            f" in {made.seconds:.1f} s, {made.asked / made.seconds:.0f}/s"
        )
        return made

    def _say(self, line: str) -> None:
        self.stderr.write(line)


def _off_the_hour(demand: Demand) -> bool:
    return any(
        edge.minute or edge.second or edge.microsecond
        for edge in (demand.period.start, demand.period.end)
    )


def _http_row(outcome: Outcome, made: Deals, clients: int) -> dict[str, Any]:
    return {
        "clients": clients,
        "leases": len(made.accepted),
        "same_as_serial": made.accepted == outcome.accepted,
        "asked_per_second": round(made.asked / made.seconds, 1),
        "leases_per_second": round(len(made.accepted) / made.seconds, 1),
    }


def _above_zero(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= MOST):
        raise ArgumentTypeError(f"a whole number from 1 to {MOST:,}, not {text}")
    return int(text)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1
    if not 0 <= hours <= MOST:  # NaN is neither
        raise ArgumentTypeError(f"hours from 0 to {MOST:,}, not {text}")
    return hours


def _price(text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal(-1)
    if not (price.is_finite() and 0 <= price <= MOST):
        raise ArgumentTypeError(f"a price from 0 to {MOST:,}, not {text}")
    return price


def _policies(choice: str) -> list[str]:
    return ["shared", "split"] if choice == "both" else [choice]


def _mapping(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if any(not separator or not column for _, separator, column in pairs):
        raise CommandError("--columns takes pairs like start=submit_time,nodes=servers8")
    return {word.strip(): column.strip() for word, _, column in pairs}


def _row(outcome: Outcome, price: Decimal) -> dict[str, Any]:
    return {
        "nodes": outcome.nodes,
        "policy": outcome.policy,
        "flex_hours": outcome.flex_hours,
        "utilisation": round(float(outcome.utilisation), 6),
        "acceptance": round(float(outcome.acceptance), 6),
        "card_hours": round(float(outcome.card_hours), 3),
        "revenue": float(outcome.revenue(price)),
        "bound": round(float(outcome.bound), 6),
        "wait_hours": round(float(outcome.wait_hours), 3),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "  nodes  policy  flex h  utilisation  acceptance   card-hours           revenue  bound"
        "   wait h" + ("  over HTTP" if "http" in rows[0] else "")
    ]
    lines += [
        f"{row['nodes']:>7}  {row['policy']:<6}  {row['flex_hours']:>6g}"
        f"  {row['utilisation']:>11.3f}  {row['acceptance']:>10.3f}"
        f"  {row['card_hours']:>11,.0f}  {row['revenue']:>16,.2f}  {row['bound']:>5.3f}"
        f"  {row['wait_hours']:>7.3f}{_http_text(row)}"
        for row in rows
    ]
    return "\n".join(lines)


def _http_text(row: dict[str, Any]) -> str:
    if "http" not in row:
        return ""
    http = row["http"]
    return (
        f"  {http['clients']} clients: same {http['leases']} leases,"
        f" {http['asked_per_second']:g} holds/s"
    )
