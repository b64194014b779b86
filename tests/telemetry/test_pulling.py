"""A feed that we query: what a store holds is folded as if it had been sent, once."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from pytest_django import Settings

from inventory import telemetry
from inventory.errors import Invalid
from inventory.models import TelemetryHour, TelemetrySource
from inventory.telemetry import pulling
from tests.engines import require, require_data
from tests.telemetry.scene import Scene, at, dcgm, scene
from tests.telemetry.test_prometheus import H200, ZERO, free_port, pages, wait
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_network(settings: Settings) -> None:
    settings.TELEMETRY_PULLS_PRIVATE = True


class Store:
    """Answers a query with what it was told to."""

    def __init__(self) -> None:
        self.result: Any = []
        self.raw: bytes | None = None
        self.status = 200
        self.asked: list[dict[str, list[str]]] = []
        self.tokens: list[str | None] = []

    @contextmanager
    def serving(self) -> Iterator[str]:
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                store.asked.append(parse_qs(self.rfile.read(length).decode()))
                store.tokens.append(self.headers.get("Authorization"))
                answer = {
                    "status": "success",
                    "data": {"resultType": "matrix", "result": store.result},
                }
                body = json.dumps(answer).encode() if store.raw is None else store.raw
                self.send_response(store.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/prom/"
        finally:
            server.shutdown()
            server.server_close()


def pulled(s: Scene, url: str, secret: str = "") -> TelemetrySource:
    source, text = telemetry.open_source(
        centre_id=s.pool.fabric.centre_id, name="store", at=T0, actor=SYSTEM,
        query_url=url, query_secret=secret,
    )  # fmt: skip
    assert text == ""
    return source


def points(node, card: int, *values: tuple[float, float]) -> dict[str, Any]:
    labels, _ = dcgm(node, card, 0, 0)
    return {
        "metric": labels,
        "values": [[at(second).timestamp(), str(value)] for second, value in values],
    }


def test_a_range_is_folded_and_the_cursor_moves() -> None:
    s, store = scene(), Store()
    with store.serving() as url:
        source = pulled(s, url, "tok")
        store.result = [points(s.nodes[0], 2, (5, 80), (35, 40), (40, 10))]

        (found,) = telemetry.pull(at=at(90))

    (row,) = s.hours()
    assert (row.seen_slots[2], row.busy_permille_sum[2]) == (2, 1200)
    assert (found.counts.stored, found.counts.repeated) == (2, 1)
    assert store.asked[0]["query"][0].endswith("[60s]")
    assert store.asked[0]["time"] == [f"{at(60).timestamp():.3f}"]
    assert store.tokens == ["Bearer tok"]
    source.refresh_from_db()
    assert (source.pulled_until, source.next_pull_at) == (at(60), at(150))
    assert telemetry.pull(at=at(100)) == []


def test_what_was_asked_twice_counts_once() -> None:
    s, store = scene(), Store()
    with store.serving() as url:
        source = pulled(s, url)
        store.result = [points(s.nodes[0], 0, (5, 80))]
        telemetry.pull(at=at(90))
        TelemetrySource.objects.filter(pk=source.pk).update(pulled_until=T0, next_pull_at=at(90))
        telemetry.pull(at=at(91))

    (row,) = s.hours()
    assert (row.seen_slots[0], row.busy_permille_sum[0]) == (1, 800)


def test_a_backlog_is_worked_off_piece_by_piece() -> None:
    s, store = scene(), Store()
    with store.serving() as url:
        source = pulled(s, url)
        for _ in range(3):
            telemetry.pull(at=at(3600))

    source.refresh_from_db()
    assert source.pulled_until == T0 + 3 * pulling.RANGE


@pytest.mark.parametrize(
    ("status", "raw"),
    [
        (500, b"oops"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b'{"status":"success","data":{"result":7}}'),
        (200, b'{"status":"success","data":{"result":[7]}}'),
        (200, b'{"status":"error","error":"too many samples"}'),
        (302, b""),
    ],
)
def test_a_store_that_fails_is_asked_again_later(status: int, raw: bytes) -> None:
    s, store = scene(), Store()
    store.status, store.raw = status, raw
    with store.serving() as url:
        source = pulled(s, url)
        assert telemetry.pull(at=at(90)) == []

    source.refresh_from_db()
    assert source.last_error
    assert (source.pulled_until, source.next_pull_at) == (T0, at(90) + pulling.AGAIN)
    assert source.claim_token is None


def test_nobody_asks_our_own_network_through_us(settings: Settings) -> None:
    settings.TELEMETRY_PULLS_PRIVATE = False
    s, store = scene(), Store()
    with store.serving() as url:
        source = pulled(s, url)
        telemetry.pull(at=at(90))

    source.refresh_from_db()
    assert source.last_error == "The address leads into a private network"
    assert store.asked == []


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example", "http://", "http://a:b@c.example", "https://x.example/?q=1",
     "http://169.254.169.254", "http://[::ffff", "http://a.example:99999999"],
)  # fmt: skip
def test_an_address_has_to_be_one(url: str) -> None:
    s = scene()
    with pytest.raises(Invalid):
        pulled(s, url)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_real_prometheus_is_asked(tmp_path: Path) -> None:
    s = scene(nodes=1)
    s.nodes[0].card_uuids = ["GPU-load"]
    s.nodes[0].save(update_fields=["card_uuids"])
    page = require_data(H200.format("load")).read_text().replace(ZERO, "GPU-load")
    port = free_port()
    began = datetime.now(UTC)
    with pages({"/load": page}) as target:
        config = tmp_path / "p.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\nscrape_configs:\n"
            "  - job_name: load\n    metrics_path: /load\n"
            f"    static_configs: [{{targets: ['{target}']}}]\n"
        )
        command = [
            str(require("prometheus")), f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            source = pulled(s, f"http://127.0.0.1:{port}")
            TelemetrySource.objects.filter(pk=source.pk).update(pulled_until=began)

            def seen() -> bool:
                # The store is asked for what it has by now, whatever "a little later" is.
                later = datetime.now(UTC) + pulling.BEHIND
                TelemetrySource.objects.filter(pk=source.pk).update(
                    pulled_until=began, next_pull_at=began
                )
                telemetry.pull(at=later)
                return TelemetryHour.objects.filter(node_id=s.nodes[0].pk).exists()

            wait(seen, 60)
        finally:
            process.terminate()
            process.wait(timeout=60)
    (row,) = TelemetryHour.objects.filter(node_id=s.nodes[0].pk)[:1]
    assert row.busy_permille_sum[0] == 1000 * row.busy_slots[0] > 0
    assert row.power_watt_sum[0] == 627 * row.power_slots[0]


def test_tokens_survive_another_key_of_ours(settings: Settings) -> None:
    s, store = scene(), Store()
    with store.serving() as url:
        source = pulled(s, url, "tok")
        new = Fernet.generate_key().decode()
        settings.CREDENTIAL_KEYS = [new, *settings.CREDENTIAL_KEYS]
        call_command("rotate_credentials", stdout=io.StringIO())
        settings.CREDENTIAL_KEYS = [new]
        telemetry.pull(at=at(90))
        assert store.tokens == ["Bearer tok"]

        settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
        TelemetrySource.objects.filter(pk=source.pk).update(next_pull_at=at(90))
        assert telemetry.pull(at=at(150)) == []
    source.refresh_from_db()
    assert source.last_error == "The credential cannot be read"
