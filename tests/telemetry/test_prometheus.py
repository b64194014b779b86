"""A real Prometheus, twice as an HA pair, scrapes pages of real exporters and writes to us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from billing.bench import pgbench
from inventory.models import Node, TelemetryHour, TelemetrySource
from inventory.telemetry.folding import SLOT_BYTES
from tests.engines import require, require_data
from tests.telemetry.scene import Scene, scene

ROOT = Path(__file__).resolve().parents[2]
DCGM = "telemetry/dcgm_exporter__format_real_VALUES_SYNTHETIC_1server.prom"
H200 = "telemetry/nvidia_gpu_exporter__linux-x86_64__nvidia-h200__590.48.01__{}.prom"
ASCEND = "telemetry/ascend_npu_exporter__910_8card_testdata.prom"
ZERO = "00000000-0000-0000-0000-000000000000"  # the authors of the captures took the UUIDs out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def pages(texts: dict[str, str]) -> Iterator[str]:
    """These pages, each below its own path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts[self.path].encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Receiver:
    """The product's web server, as it is started everywhere."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self.log = log

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws",
                    "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
                    "--blocking-threads", "4", "marketplace.wsgi:application",
                ],
                cwd=ROOT,
                env={**os.environ, "DATABASE_URL": pgbench.url("default")},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """The process and its worker, at once and without a word."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)


@contextmanager
def prometheus(
    folder: Path, replica: str, targets: str, receiver: Receiver, key: str
) -> Iterator[None]:
    jobs = "".join(
        f"""
  - job_name: {name}
    metrics_path: /{name}
    honor_timestamps: false
    static_configs: [{{targets: ["{targets}"], labels: {{hostname: {host}}}}}]"""
        for name, host in (("dcgm", "ignored"), ("load", "g1"), ("idle", "g1"), ("ascend", "npu1"))
    )
    config = folder / f"{replica}.yml"
    config.write_text(
        f"""
global:
  scrape_interval: 1s
  external_labels: {{prometheus_replica: {replica}}}
scrape_configs: {jobs}
remote_write:
  - url: http://127.0.0.1:{receiver.port}/api/v1/telemetry/write
    authorization: {{credentials: {key}}}
    queue_config:
      {{batch_send_deadline: 1s, min_backoff: 50ms, max_backoff: 500ms, retry_on_http_429: true}}
"""
    )
    with (folder / f"{replica}.log").open("wb") as log:
        process = subprocess.Popen(
            [
                require("prometheus"), f"--config.file={config}",
                f"--storage.tsdb.path={folder / replica}",
                f"--web.listen-address=127.0.0.1:{free_port()}",
            ],
            stdout=log,
            stderr=log,
        )  # fmt: skip
    try:
        yield
    finally:
        process.terminate()  # sends what it has before it goes
        process.wait(timeout=90)


def wait(condition: Callable[[], Any], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "what was waited for did not happen"
        time.sleep(0.2)


def slots_of(row: TelemetryHour, card: int) -> list[int]:
    taken = bytes(row.slots)[card * SLOT_BYTES : (card + 1) * SLOT_BYTES]
    first = int(row.hour.timestamp()) // 30
    return [first + n for n in range(120) if taken[n // 8] >> n % 8 & 1]


def described(scene: Scene) -> None:
    """The three nodes that the pages are of."""
    host = require_data(DCGM).read_text()
    dcgm, cards = scene.nodes[:2]
    Node.objects.filter(pk=dcgm.pk).update(
        hostname="srv0000" if 'hostname="srv0000"' in host else "unknown"
    )
    Node.objects.filter(pk=cards.pk).update(card_uuids=["GPU-load", "GPU-idle"], hostname="h200")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_pair_writes_through_a_killed_receiver_and_counts_once(tmp_path: Path) -> None:
    require("prometheus")
    s = scene(nodes=2)
    described(s)
    receiver = Receiver(tmp_path / "web.log")
    receiver.start()
    texts = {
        "/dcgm": require_data(DCGM).read_text(),
        "/load": require_data(H200.format("load")).read_text().replace(ZERO, "GPU-load"),
        "/idle": require_data(H200.format("idle")).read_text().replace(ZERO, "GPU-idle"),
        "/ascend": require_data(ASCEND).read_text(),
    }

    def stored() -> int:
        return TelemetrySource.objects.get(pk=s.source.pk).stored_count

    def seen() -> set[int]:
        rows = TelemetryHour.objects.filter(node_id=s.nodes[1].pk)
        return {slot for row in rows for slot in slots_of(row, 0)}

    try:
        with (
            pages(texts) as targets,
            prometheus(tmp_path, "a", targets, receiver, s.key),
            prometheus(tmp_path, "b", targets, receiver, s.key),
        ):
            wait(lambda: stored() > 0)
            wait(lambda: len(seen()) >= 2)
            receiver.kill()
            wait(lambda: time.time() % 30 > 25)  # over the edge of a slot that nobody receives
            wait(lambda: time.time() % 30 < 5)
            receiver.start()
            before = max(seen())
            wait(lambda: max(seen()) >= before + 2)
    finally:
        receiver.kill()

    rows = list(TelemetryHour.objects.filter(node_id=s.nodes[1].pk).order_by("hour"))
    for card, busy in ((0, 1000), (1, 0)):
        taken = [slot for row in rows for slot in slots_of(row, card)]
        assert taken == list(range(taken[0], taken[-1] + 1))  # none is lost
        assert sum(row.busy_slots[card] for row in rows) == len(taken)  # nor doubled
        assert sum(row.busy_permille_sum[card] for row in rows) == busy * len(taken)
    power = [sum(row.power_watt_sum[0] for row in rows), sum(row.power_slots[0] for row in rows)]
    assert power[0] == 627 * power[1]
    assert max(row.temperature_max[0] for row in rows) == 52
    dcgm = TelemetryHour.objects.filter(node_id=s.nodes[0].pk)
    assert {row.card_count for row in dcgm} == {8}
    assert all(all(row.seen_slots) for row in dcgm)
    source = TelemetrySource.objects.get(pk=s.source.pk)
    assert source.repeated_count > source.stored_count > 0
    assert source.replica in ("a", "b")
    # The Ascend page names a host that no node has: shown, to be bound by a person.
    assert set(source.unknown.values_list("value", flat=True)) == {"npu1"}
    assert source.unknown.count() == 8
