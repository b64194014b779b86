"""A trace asked for over HTTP by several clients, with the result of one.

What is admitted depends on the order of the holds in a listing. So each line has one order,
that of `inventory.replay.line`, in which its holds are sent one after another; lines run side
by side. What does not decide anything is done by whichever client is free: offers for the next
leases of a line are looked up ahead, and confirmations follow their holds while the line goes on.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from billing.replay.clients import Clients, Refused
from billing.replay.market import Market
from inventory.periods import Period
from inventory.replay.line import serve
from inventory.replay.traces import Demand

MOST_OFFERS = 20
# A server's map of the market may be older than a listing that was published just now; what
# it has seen once it never misses again.
SEEN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Deals:
    """Which leases were confirmed, for when, and what it took."""

    accepted: Mapping[str, Period]  # in the trace's time
    asked: int  # holds asked for, granted or refused
    seconds: float
    reservations: Mapping[str, str]  # by id of the lease in the trace


def replay(
    asked: Sequence[tuple[datetime, Demand]],
    *,
    market: Market,
    nodes: Mapping[str, int],
    line_of: Callable[[Demand], str],
    flex: timedelta,
    clients: int,
    port: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Deals:
    """Every lease of the trace is held and confirmed, or refused, by `clients` at once."""
    by_line: dict[str, list[tuple[datetime, Demand]]] = defaultdict(list)
    for at, demand in asked:
        by_line[line_of(demand)].append((at, demand))
    time.sleep(SEEN_SECONDS)
    began = time.perf_counter()
    with (
        ThreadPoolExecutor(clients) as hands,
        ThreadPoolExecutor(max(1, len(by_line))) as orders,
    ):
        counters = [
            _Counter(Clients(port), market, hands, line, max(1, clients // len(by_line)), progress)
            for line in by_line
        ]
        served = [
            orders.submit(
                serve,
                by_line[counter.line],
                nodes=nodes,
                line_of=line_of,
                flex=flex,
                ask=counter.expecting([demand for _, demand in by_line[counter.line]]),
            )
            for counter in counters
        ]
        accepted = {name: period for each in served for name, period in each.result().items()}
        reservations = {
            name: confirmed.result()
            for counter in counters
            for name, confirmed in counter.confirmed.items()
        }
    return Deals(
        accepted=accepted,
        asked=sum(counter.asks for counter in counters),
        seconds=time.perf_counter() - began,
        reservations=reservations,
    )


@dataclass
class _Counter:
    """Where one line is served."""

    clients: Clients
    market: Market
    hands: ThreadPoolExecutor
    line: str
    ahead: int  # offers looked up before their turn
    progress: Callable[[int], None]
    asks: int = 0
    coming: list[Demand] = field(default_factory=list)
    offers: dict[str, Future[str | None]] = field(default_factory=dict)
    confirmed: dict[str, Future[str]] = field(default_factory=dict)

    def expecting(
        self, demands: list[Demand]
    ) -> Callable[[datetime, Demand, Period], Period | None]:
        self.coming = demands[::-1]
        self._look_ahead()
        return self.ask

    def ask(self, at: datetime, demand: Demand, period: Period) -> Period | None:
        """The period, once its hold is acknowledged; None where there is no room."""
        early = self.offers.pop(demand.id, None)
        self._look_ahead()
        if early is None or period != demand.period:
            early = self.hands.submit(self._offer, demand, period)
        self.asks += 1
        self.progress(self.asks)
        offer = early.result()
        if offer is None:
            return None
        key = self.market.keys[demand.tenant]
        try:
            held = self.hands.submit(
                self.clients.post, "/api/v1/reservations", {"offer": offer}, key=key
            ).result()
        except Refused as refusal:
            if refusal.code != "capacity_taken":
                raise
            return None
        self.confirmed[demand.id] = self.hands.submit(self._confirm, str(held["id"]), key)
        return period

    def _look_ahead(self) -> None:
        while self.coming and len(self.offers) < self.ahead:
            demand = self.coming.pop()
            self.offers[demand.id] = self.hands.submit(self._offer, demand, demand.period)

    def _offer(self, demand: Demand, period: Period) -> str | None:
        """The token of this line's listing for exactly this period, or None.

        The search map may be some hundred milliseconds old, so it may still show what was sold
        since: the hold decides. What it shows as taken is taken, because nothing comes back.
        """
        start, end = period.start + self.market.shift, period.end + self.market.shift
        found: dict[str, Any] = self.clients.post(
            "/api/v1/offers/search",
            {
                "units": demand.node_count,
                "hours": (end - start) // timedelta(hours=1),
                "earliest_start": start.isoformat(),
                "latest_end": end.isoformat(),
                "regions": [self.market.region],
                "limit": MOST_OFFERS,
            },
            key=self.market.keys[demand.tenant],
        )
        listing = self.market.listings[self.line]
        return next(
            (str(offer["token"]) for offer in found["data"] if offer["listing"] == listing),
            None,
        )

    def _confirm(self, reservation: str, key: str) -> str:
        self.clients.post(f"/api/v1/reservations/{reservation}/confirm", {}, key=key)
        return reservation
