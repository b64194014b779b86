"""A centre with nodes that report, and the ways to report for them."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inventory import telemetry
from inventory.models import Node, Pool, TelemetryHour, TelemetrySource
from inventory.telemetry import reception
from marketplace.http import telemetry as receiver
from tests import world
from tests.telemetry import bodies
from tests.world import SYSTEM, T0


@dataclass
class Scene:
    pool: Pool
    nodes: list[Node]
    source: TelemetrySource
    key: str

    def hours(self, node: int = 0) -> list[TelemetryHour]:
        rows = TelemetryHour.objects.filter(node_id=self.nodes[node].pk)
        return list(rows.order_by("hour"))


def scene(nodes: int = 2, **facts: Any) -> Scene:
    """A pool of H100 nodes and a feed of its centre."""
    reception.forget()
    pool = world.pool(nodes=nodes, **facts)
    source, key = telemetry.open_source(
        centre_id=pool.fabric.centre_id, name="prometheus", at=T0, actor=SYSTEM
    )
    return Scene(pool, list(pool.nodes.order_by("pk")), source, key)


def ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def dcgm(
    node: Node, card: int, seconds: float, value: float, metric: str = "GPU_UTIL", **labels: str
) -> bodies.Series:
    """One sample of a DCGM metric, `seconds` after T0."""
    named = {
        "__name__": f"DCGM_FI_DEV_{metric}",
        "gpu": str(card),
        "Hostname": node.hostname,
        "instance": "10.0.0.1:9400",
        "job": "dcgm",
        **labels,
    }
    return named, [(ms(at(seconds)), value)]


def send(source: TelemetrySource, *series: bodies.Series, seconds: float = 0) -> telemetry.Counts:
    """Through the verb, `seconds` after T0."""
    return telemetry.receive(source=source, body=bodies.body(series), at=at(seconds))


def post(key: str, body: bytes, **environ: Any) -> Any:
    """Through the receiver as the web server calls it; returns Django's response."""
    return receiver.respond(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": receiver.PATH,
            "CONTENT_TYPE": "application/x-protobuf",
            "HTTP_CONTENT_ENCODING": "snappy",
            "HTTP_X_PROMETHEUS_REMOTE_WRITE_VERSION": "0.1.0",
            "HTTP_AUTHORIZATION": f"Bearer {key}",
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.input": io.BytesIO(body),
        }
        | environ
    )
