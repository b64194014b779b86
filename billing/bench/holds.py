"""Holds over HTTP: the real web server, real keys, real admission, beside the bare row writes.

Each client alternates a hold and its cancellation, so that the state stays the same. Holds
are what is counted and timed; the floor writes the rows of both. `spread` sends every client
to pools of its own choosing, `hot` all of them to one.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from billing.bench import floor, world
from billing.bench.measure import Operation, Row, run_clients

WARM_UP_SECONDS = 2.0


def run(
    *,
    clients: int = 8,
    seconds: int = 10,
    pools: int = 32,
    progress: Callable[[str], None],
) -> list[Row]:
    """One row a case: `spread` and `hot`. Needs an empty database and both of its roles."""
    progress(f"a world of {pools} pools")
    scene = world.build(pool_count=pools, at=datetime.now(UTC))
    progress("statements of one hold; rows of a hold and its cancellation")
    trip = _InProcess(scene)
    sql = trip.statements()
    writes = floor.writes_of(trip.hold_and_cancel)
    rows = []
    with _server() as port:
        for case, targets in (("spread", scene.regions), ("hot", scene.regions[:1])):
            progress(f"{case}: the floor, {clients} clients, {seconds} s")
            bare = floor.per_second(writes, clients=clients, seconds=seconds)
            progress(f"{case}: holds, {clients} clients, {seconds} s")

            def make(number: int, targets: list[str] = targets) -> Operation:
                client = _HttpClient(port, scene, targets, number)
                return Operation(client.hold, client.give_back)

            run_clients(clients=clients, seconds=WARM_UP_SECONDS, make=make)
            load = run_clients(clients=clients, seconds=seconds, make=make)
            for code, count in sorted(load.refused.items()):
                progress(f"{case}: {count} refused with {code}")
            rows.append(load.row(f"holds {case} {clients}c", sql=sql, floor_per_second=bare))
    return rows


class _InProcess:
    """The same request without a socket, to count what it does to the database."""

    def __init__(self, scene: world.Scene) -> None:
        self.scene = scene
        headers = {"authorization": f"Bearer {scene.key}"}
        self.client = Client(headers=headers, SERVER_NAME="localhost")
        self.numbers = itertools.count()
        self.token = _body(
            self.client.post(
                "/api/v1/offers/search",
                data=json.dumps(scene.request(scene.regions[0])),
                content_type="application/json",
            ).content
        )["data"][0]["token"]

    def hold(self) -> str:
        return str(self._post("/api/v1/reservations", {"offer": self.token})["id"])

    def hold_and_cancel(self) -> None:
        self._post(f"/api/v1/reservations/{self.hold()}/cancel", {"reason": "bench"})

    def statements(self) -> int:
        self.hold_and_cancel()
        with CaptureQueriesContext(connection) as queries:
            self.hold()
        return len(queries)

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


class _HttpClient:
    """One client on one connection."""

    def __init__(self, port: int, scene: world.Scene, regions: list[str], number: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.headers = {
            "Authorization": f"Bearer {scene.key}",
            "Content-Type": "application/json",
        }
        self.numbers = itertools.count()
        self.name = f"{os.getpid()}-{time.time_ns()}-{number}"
        self.rng = random.Random(number)
        self.offers = [
            self._offer(scene, region) for region in self.rng.sample(regions, min(4, len(regions)))
        ]
        self.held: str | None = None

    def _offer(self, scene: world.Scene, region: str) -> str:
        status, body = self._post("/api/v1/offers/search", scene.request(region))
        if status != 200 or not body["data"]:
            raise RuntimeError(f"no offer for {region}: {body}")
        return str(body["data"][0]["token"])

    def give_back(self) -> None:
        if self.held is not None:
            self._post(f"/api/v1/reservations/{self.held}/cancel", {"reason": "bench"})
            self.held = None

    def hold(self) -> str | None:
        status, body = self._post("/api/v1/reservations", {"offer": self.rng.choice(self.offers)})
        if status != 201:
            return str(body.get("code", status))
        self.held = str(body["id"])
        return None

    def _post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        headers = self.headers | {"Idempotency-Key": f"{self.name}-{next(self.numbers)}"}
        self.connection.request("POST", path, json.dumps(body), headers)
        answer = self.connection.getresponse()
        return answer.status, _body(answer.read())


def _body(content: bytes) -> dict[str, Any]:
    return dict(json.loads(content))


@contextmanager
def _server() -> Iterator[int]:
    """The product's own web server on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "2",
            "--blocking-threads",
            "4",
            "--log-level",
            "warning",
            "marketplace.wsgi:application",
        ],
        env={**os.environ, "REQUESTS_PER_MINUTE": "0"},  # one key does the work of thousands
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait(port, server)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if server.poll() is not None:
            raise RuntimeError("the web server did not start")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("the web server did not answer within a minute")
