"""Clients that make deals while others kill, and what the database says of it afterwards.

    python -m tests.kills.load PORT SECONDS

Says "ready" before it begins. Each client repeats what was not answered under the same key
until it is answered, and notes what was acknowledged. In the end the database must hold exactly
that. Prints what is wrong as JSON, with the counts.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import OperationalError, connection  # noqa: E402

from billing import checkout  # noqa: E402
from billing import verification as books  # noqa: E402
from billing.replay import market  # noqa: E402
from billing.replay.clients import Clients, Refused  # noqa: E402
from inventory import clock, verification  # noqa: E402
from inventory.models import Allocation  # noqa: E402
from inventory.periods import Period  # noqa: E402
from inventory.replay.traces import Demand  # noqa: E402
from marketplace.models import Lease, Reservation  # noqa: E402

CLIENTS = 6
NODES = 6  # few: many holds are refused
HOURS = 24 * 4
ZERO = datetime(2030, 1, 1, tzinfo=UTC)


class Customer(threading.Thread):
    """Holds, and then confirms, cancels or lets lapse; notes what it was told."""

    def __init__(self, number: int, clients: Clients, scene: market.Market, until: float) -> None:
        super().__init__()
        self.draw = random.Random(number)
        self.clients, self.scene, self.until = clients, scene, until
        self.key = list(scene.keys.values())[number % len(scene.keys)]
        self.told: dict[str, str] = {}
        self.refusals: Counter[str] = Counter()
        self.failure = ""

    def run(self) -> None:
        try:
            while time.monotonic() < self.until:
                self._deal()
        except Exception as error:  # noqa: BLE001  a thread's end is told, not lost
            self.failure = repr(error)

    def _deal(self) -> None:
        start = ZERO + self.scene.shift + timedelta(hours=self.draw.randrange(HOURS - 12))
        hours = self.draw.randrange(1, 12)
        request = {
            "units": self.draw.randrange(1, 4),
            "hours": hours,
            "earliest_start": start.isoformat(),
            "latest_end": (start + timedelta(hours=hours)).isoformat(),
            "regions": [self.scene.region],
        }
        found = self.clients.post("/api/v1/offers/search", request, key=self.key)
        if not found["data"]:
            self.refusals["no_offer"] += 1
            return
        held = self._post("/api/v1/reservations", {"offer": found["data"][0]["token"]})
        if held is None:
            return
        name = str(held["id"])
        self.told[name] = "held"
        then = self.draw.choices(["confirm", "cancel", ""], [5, 4, 1])[0]
        body = {"reason": "not needed"} if then == "cancel" else {}
        if then and self._post(f"/api/v1/reservations/{name}/{then}", body) is not None:
            self.told[name] = {"confirm": "confirmed", "cancel": "cancelled"}[then]

    def _post(self, path: str, body: object) -> dict[str, Any] | None:
        try:
            return self.clients.post(path, body, key=self.key)
        except Refused as refusal:
            self.refusals[refusal.code] += 1
            return None


def faults(told: dict[str, str]) -> list[str]:
    """What the database says otherwise than the customers were told."""
    found = []
    rows = {row.public_id: row for row in Reservation.objects.all()}
    if unknown := set(told) - set(rows):
        found.append(f"acknowledged and gone: {sorted(unknown)}")
    if untold := set(rows) - set(told):
        found.append(f"made and never acknowledged: {sorted(untold)}")
    wanted = {
        "held": {"expired"},
        "confirmed": {"confirmed"},
        "cancelled": {"cancelled", "expired"},
    }
    for name, state in told.items():
        if name in rows and rows[name].state not in wanted[state]:
            found.append(f"{name} was {state} and is {rows[name].state}")
    confirmed = sorted(name for name, state in told.items() if state == "confirmed")
    leased = sorted(Lease.objects.values_list("reservation__public_id", flat=True))
    if confirmed != leased:
        found.append(f"{len(confirmed)} were confirmed, there are {len(leased)} leases")
    if Allocation.objects.count() != len(rows):
        found.append(f"{Allocation.objects.count()} allocations of {len(rows)} reservations")
    found += [str(fault) for fault in verification.verify()]
    found += [f"{finding.title}: {finding.rows}" for finding in books.verify() if finding.rows]
    return found


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _connect_again() -> None:
    """A new pool, once the database answers: it may have been stopped a moment ago."""
    for _ in range(60):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        try:
            connection.ensure_connection()
        except OperationalError:
            time.sleep(0.5)
        else:
            return


def main(port: int, seconds: float) -> None:
    demands = [
        Demand(str(n), f"t{n}", Period(ZERO, ZERO + timedelta(hours=1)), 1) for n in range(3)
    ]
    scene = market.build(
        demands,
        nodes={"": NODES},
        sellable=Period(ZERO, ZERO + timedelta(hours=HOURS)),
        cards_per_node=8,
        at=clock.now(),
    )
    _say("ready")
    clients = Clients(port, timeout_seconds=2)
    until = time.monotonic() + seconds
    crowd = [Customer(number, clients, scene, until) for number in range(CLIENTS)]
    for customer in crowd:
        customer.start()
    for customer in crowd:
        customer.join()
    _connect_again()
    last = Reservation.objects.filter(state="held").order_by("-expires_at").first()
    if last is not None:
        time.sleep(max(0, (last.expires_at - clock.now()).total_seconds()) + 0.1)
    checkout.expire_due(at=clock.now(), limit=10_000)
    told = {name: state for customer in crowd for name, state in customer.told.items()}
    refusals = sum((customer.refusals for customer in crowd), Counter[str]())
    failures = [customer.failure for customer in crowd if customer.failure]
    _say(
        json.dumps(
            {
                "faults": failures + faults(told),
                "told": Counter(told.values()),
                "refusals": refusals,
                "hold_seconds": settings.HOLD_SECONDS,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
