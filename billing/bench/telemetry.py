"""Telemetry end to end over HTTP, beside protobuf decoding alone and COPY alone in the same run.

Bodies are as a Prometheus sends them that scrapes DCGM: 2,000 samples each, 25 metrics a card,
every 15 seconds. All are made beforehand. Processor time is the web server's, PostgreSQL's beside
it: a rate per core is samples by seconds of processor, whatever else ran on the machine.
"""

from __future__ import annotations

import http.client
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import cramjam
from django.db import connections

from billing.bench import pgbench, processes, prompb, server, world
from billing.bench.measure import Row, ratio
from inventory import capacity, chips, pools, telemetry
from inventory.actors import system
from inventory.models import Organisation, TelemetrySource
from inventory.pools import NodeRow
from marketplace.http import telemetry as receiver

SAMPLES_PER_BODY = 2_000
SCRAPE = timedelta(seconds=15)
CARDS = 8
WARM_SCRAPES = 2
WARMING = 3  # times they are sent: to both processes of the server, very likely
# 10,000 cards × 25 metrics / 15 s.
AIM_PER_SECOND = 16_700
METRICS = (
    "DEV_SM_CLOCK", "DEV_MEM_CLOCK", "DEV_MEMORY_TEMP", "DEV_GPU_TEMP", "DEV_POWER_USAGE",
    "DEV_TOTAL_ENERGY_CONSUMPTION", "DEV_PCIE_REPLAY_COUNTER", "DEV_GPU_UTIL", "DEV_MEM_COPY_UTIL",
    "DEV_ENC_UTIL", "DEV_DEC_UTIL", "DEV_XID_ERRORS", "DEV_FB_FREE", "DEV_FB_USED",
    "DEV_FB_RESERVED", "DEV_NVLINK_BANDWIDTH_TOTAL", "DEV_VGPU_LICENSE_STATUS",
    "DEV_UNCORRECTABLE_REMAPPED_ROWS", "DEV_CORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_FAILURE",
    "PROF_GR_ENGINE_ACTIVE", "PROF_PIPE_TENSOR_ACTIVE", "PROF_DRAM_ACTIVE", "PROF_PCIE_TX_BYTES",
    "PROF_PCIE_RX_BYTES",
)  # fmt: skip
_WHOLE = {"DEV_XID_ERRORS": 0.0, "DEV_ROW_REMAP_FAILURE": 0.0}
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """So many nodes of eight cards, scraped so many times, sent by so many connections."""

    nodes: int = 64
    scrapes: int = 40
    connections: int = 4


def measure(asked: Asked, *, progress: Progress) -> list[Row]:
    """Needs both roles of a database with nothing real in it."""
    at = world.now()
    progress(f"{asked.nodes} nodes and their feed")
    source, key = _feed(asked.nodes, at)
    progress("bodies")
    bodies = list(_bodies(asked, at))
    # The first scrapes only teach; a body more than they fill, so that none is cut in two.
    first = WARM_SCRAPES * asked.nodes * CARDS * len(METRICS) // SAMPLES_PER_BODY + 1
    warm, bodies = bodies[:first], bodies[first:]
    samples = len(bodies) * SAMPLES_PER_BODY
    decoded = _decode_alone(bodies, progress)
    copied = _copy_alone(bodies, progress)
    progress("end to end over HTTP")
    end = _end_to_end(warm, bodies, key, asked.connections)
    _check(source, samples)
    both = end.web_cpu + (end.database_cpu or 0.0)
    return [
        Row(case="protobuf decode alone", operations=samples, per_second=decoded),
        Row(case="COPY alone", operations=samples, per_second=copied),
        Row(
            case="end to end, per core of the web server",
            clients=asked.connections,
            operations=samples,
            per_second=round(samples / end.web_cpu, 1),
            python_cpu_ms=round(end.web_cpu * 1000 / len(bodies), 3),
            seconds=round(end.seconds, 2),
            floor_per_second=decoded,
            of_floor=ratio(samples / end.web_cpu, decoded),
            share_of_a_core=round(AIM_PER_SECOND * end.web_cpu / samples, 3),
            bytes_per_card_hour=_bytes_per_card_hour(),
        ),
        Row(
            case="end to end, per core, PostgreSQL's time included",
            operations=samples,
            per_second=round(samples / both, 1),
            db_cpu_ms=None
            if end.database_cpu is None
            else round(end.database_cpu * 1000 / len(bodies), 3),
            floor_per_second=decoded,
            of_floor=ratio(samples / both, decoded),
            share_of_a_core=round(AIM_PER_SECOND * both / samples, 3),
        ),
        Row(
            case="sealed",
            operations=telemetry.seal(at=at + timedelta(days=1)),
            bytes_per_card_hour=_bytes_per_card_hour(),
        ),
    ]


def _feed(nodes: int, at: datetime) -> tuple[TelemetrySource, str]:
    chips.load_catalogue()
    who = system("bench")
    owner = Organisation.objects.create(
        name="Bench telemetry", is_provider=True, state="verified", created_at=at
    )
    centre = pools.create_centre(
        provider_id=owner.pk, name="Bench", region="贵州", hub="gzh", owner_kind="enterprise",
        at=at, actor=who,
    )  # fmt: skip
    fabric = pools.create_fabric(
        centre_id=centre.pk, name="IB-1", technology="InfiniBand NDR", at=at, actor=who
    )
    pool = pools.create_pool(
        fabric_id=fabric.pk, chip_code=world.CHIP, name="Bench", at=at, actor=who
    )
    rows = [
        NodeRow(
            serial=f"T{number:05d}",
            hostname=f"srv{number:04d}",
            card_uuids=[_uuid(number, card) for card in range(CARDS)],
        )
        for number in range(nodes)
    ]
    capacity.put_nodes(pool_id=pool.pk, rows=rows, at=at, actor=who)
    source, key = telemetry.open_source(centre_id=centre.pk, name="bench", at=at, actor=who)
    TelemetrySource.objects.filter(pk=source.pk).update(samples_per_second=10_000_000)
    return source, key


def _uuid(node: int, card: int) -> str:
    return f"GPU-{node:08x}-0000-0000-0000-{card:012x}"


def _bodies(asked: Asked, at: datetime) -> Iterator[bytes]:
    """In order of time, each scrape metric by metric, as Prometheus' queues hand them on."""
    labels = {
        (metric, node, card): _labels(metric, node, card)
        for metric in METRICS
        for node in range(asked.nodes)
        for card in range(CARDS)
    }
    first = at - timedelta(minutes=1) - asked.scrapes * SCRAPE
    parts: list[bytes] = []
    for scrape in range(asked.scrapes):
        stamp = b"\x10" + _varint(int((first + scrape * SCRAPE).timestamp() * 1000))
        for (metric, node, card), named in labels.items():
            value = _WHOLE.get(metric, (scrape * 7 + node * 3 + card * 11) % 101 + 0.25)
            sample = (b"\x09" + struct.pack("<d", value) if value else b"") + stamp
            series = named + b"\x12" + _varint(len(sample)) + sample
            parts.append(b"\x0a" + _varint(len(series)) + series)
            if len(parts) == SAMPLES_PER_BODY:
                yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))
                parts = []


def _labels(metric: str, node: int, card: int) -> bytes:
    pairs = {
        "DCGM_FI_DRIVER_VERSION": "550.54.15",
        "UUID": _uuid(node, card),
        "__name__": f"DCGM_FI_{metric}",
        "device": f"nvidia{card}",
        "gpu": str(card),
        "hostname": f"srv{node:04d}",
        "instance": f"srv{node:04d}",
        "job": "dcgm",
        "modelName": "NVIDIA H800",
        "pci_bus_id": f"00000000:{card:02d}:00.0",
        "site": "zsz-1",
    }
    return b"".join(
        b"\x0a" + _sized(b"\x0a" + _sized(name.encode()) + b"\x12" + _sized(value.encode()))
        for name, value in pairs.items()
    )


def _sized(text: bytes) -> bytes:
    return _varint(len(text)) + text


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _decode_alone(bodies: Sequence[bytes], progress: Progress) -> float:
    """Samples a second of processor: unpacked, and every label and sample read."""
    progress("protobuf decode alone")
    message = prompb.write_request()
    some = bodies[: max(1, min(len(bodies), 60))]
    began = time.process_time()
    count = 0
    for body in some:
        for series in message.FromString(bytes(cramjam.snappy.decompress_raw(body))).timeseries:
            _named = tuple((label.name, label.value) for label in series.labels)
            for sample in series.samples:
                _read = (_named, sample.timestamp, sample.value)
                count += 1
    return round(count / (time.process_time() - began), 1)


def _copy_alone(bodies: Sequence[bytes], progress: Progress) -> float:
    """Rows a second by the clock, in binary, into a table without an index: one commit."""
    progress("COPY alone")
    rows = min(len(bodies) * SAMPLES_PER_BODY, 500_000)
    instant = world.now()
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP SCHEMA IF EXISTS {pgbench.SCHEMA} CASCADE")
        cursor.execute(f"CREATE SCHEMA {pgbench.SCHEMA}")
        cursor.execute(
            f"CREATE TABLE {pgbench.SCHEMA}.raw (series int8, at timestamptz, value float8)"
        )
        began = time.perf_counter()
        with cursor.copy(f"COPY {pgbench.SCHEMA}.raw FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["int8", "timestamptz", "float8"])
            for number in range(rows):
                copy.write_row((number, instant, 1.5))
        return round(rows / (time.perf_counter() - began), 1)


@dataclass(frozen=True, slots=True)
class Took:
    seconds: float
    web_cpu: float
    database_cpu: float | None


def _end_to_end(warm: Sequence[bytes], bodies: Sequence[bytes], key: str, count: int) -> Took:
    """What came before taught each process of the server its series and is not timed."""
    with server.serving() as web:
        for _ in range(WARMING):
            _send(web.port, warm, key, count)
        postmaster = processes.postmaster()
        cpu, database = processes.cpu_seconds(web.process_id), processes.cpu_seconds(postmaster)
        began = time.perf_counter()
        _send(web.port, bodies, key, count)
        seconds = time.perf_counter() - began
        after, stored = processes.cpu_seconds(web.process_id), processes.cpu_seconds(postmaster)
    if cpu is None or after is None:
        raise RuntimeError("this machine does not tell processor time")
    return Took(
        seconds, after - cpu, None if database is None or stored is None else stored - database
    )


def _send(port: int, bodies: Sequence[bytes], key: str, count: int) -> None:
    """Each connection takes every count-th body, as the shards of a queue do."""
    with ThreadPoolExecutor(max_workers=count) as threads:
        for _ in threads.map(lambda n: _client(port, bodies[n::count], key), range(count)):
            pass


def _client(port: int, bodies: Sequence[bytes], key: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": receiver.MEDIA_TYPE,
        "Content-Encoding": "snappy",
        "X-Prometheus-Remote-Write-Version": "0.1.0",
    }
    for body in bodies:
        connection.request("POST", receiver.PATH, body, headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 204:
            raise RuntimeError(f"a body was answered {answer.status}: {said[:300]!r}")


def _check(source: TelemetrySource, samples: int) -> None:
    """Everything that was sent is accounted for, and nothing was refused."""
    row = TelemetrySource.objects.get(pk=source.pk)
    if row.stored_count + row.repeated_count + row.unused_count < samples:
        raise RuntimeError("samples are missing")
    if row.unknown_count or row.void_count or row.early_count or row.late_count:
        raise RuntimeError("samples were refused")


def _bytes_per_card_hour() -> float:
    """Of a row as it is stored, without what an update left behind; and its key's part."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT avg(pg_column_size(t.*)) / avg(t.card_count) FROM inventory_telemetryhour t"
        )
        return round(float(cursor.fetchone()[0]), 1)
