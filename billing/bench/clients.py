"""Clients of the API: one connection each, or none at all to count statements."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.bench import floor, world
from billing.bench.buyers import Buyer
from billing.bench.floor import Writes
from billing.bench.world import Good, Scene


class HttpClient:
    """One client on one connection, in the name of its buyers by turns."""

    def __init__(self, port: int, buyers: Sequence[Buyer], number: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.keys = itertools.cycle([buyer.key for buyer in buyers])
        self.numbers = itertools.count()
        self.name = f"{os.getpid()}-{time.time_ns()}-{number}"
        self.rng = random.Random(number)

    def post(self, path: str, body: object, key: str = "") -> tuple[int, dict[str, Any]]:
        headers = {
            "Authorization": f"Bearer {key or next(self.keys)}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"{self.name}-{next(self.numbers)}",
        }
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, _body(answer.read())

    def ask_bare(self) -> str | None:
        """A request to the bare view."""
        status, body = self.post("/api/v1/bench/bare", {"units": 1})
        return None if status == 201 else str(body.get("code", status))


class Holder(HttpClient):
    """Holds one of the goods at a random hour, and again, and gives all back in the end."""

    def __init__(
        self, port: int, buyers: Sequence[Buyer], number: int, goods: Sequence[Good]
    ) -> None:
        super().__init__(port, buyers, number)
        self.goods = goods
        self.held: list[tuple[str, str]] = []  # key, reservation

    def hold(self) -> str | None:
        good, key = self.rng.choice(self.goods), next(self.keys)
        offer = good.offer(self.rng.randrange(good.choices), world.now())
        status, body = self.post("/api/v1/reservations", {"offer": offer}, key)
        if status != 201:
            return str(body.get("code", status))
        self.held.append((key, str(body["id"])))
        return None

    def give_back(self) -> None:
        while self.held:
            key, reservation = self.held.pop()
            self.post(f"/api/v1/reservations/{reservation}/cancel", {"reason": "bench"}, key)


class InProcess:
    """The same requests without a socket, to count what they do to the database."""

    def __init__(self, scene: Scene) -> None:
        self.good = replace(scene.goods[0], units=1)
        self.client = Client(
            headers={"authorization": f"Bearer {scene.buyers[0].key}"}, SERVER_NAME="localhost"
        )
        self.numbers = itertools.count()

    def hold(self) -> str:
        hour = next(self.numbers) % self.good.choices
        offer = self.good.offer(hour, world.now())
        return str(self._post("/api/v1/reservations", {"offer": offer})["id"])

    def cancel(self, reservation_id: str) -> None:
        self._post(f"/api/v1/reservations/{reservation_id}/cancel", {"reason": "bench"})

    def statements(self) -> int:
        """How many statements a hold takes, its transaction's begin and end not counted."""
        self.cancel(self.hold())
        with CaptureQueriesContext(connection) as queries:
            held = self.hold()
        count = len(queries)  # now: the next request forgets them
        self.cancel(held)
        return count

    def writes(self, *, times: int = 20) -> Sequence[Writes]:
        """The rows that a hold writes, and those that its cancellation writes."""
        held: list[str] = []
        return [
            floor.writes_of(lambda: held.append(self.hold()), times=times),
            floor.writes_of(lambda: self.cancel(held.pop()), times=times),
        ]

    def _post(self, path: str, body: object) -> dict[str, Any]:
        answer = self.client.post(
            path,
            data=json.dumps(body),
            content_type="application/json",
            headers={"idempotency-key": f"count-{time.time_ns()}-{next(self.numbers)}"},
        )
        if answer.status_code not in (200, 201):
            raise RuntimeError(answer.content.decode()[:500])
        return _body(answer.content)


def _body(content: bytes) -> dict[str, Any]:
    return dict(json.loads(content))
