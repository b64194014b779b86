"""The pages and bodies of real exporters give the facts that a reader of them gives."""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, datetime

import pytest

from inventory import telemetry
from inventory.models import Node, TelemetryHour, TelemetrySource
from inventory.telemetry import identity, remote_write
from inventory.telemetry.metrics import Fact
from tests.engines import require_data
from tests.telemetry import bodies
from tests.telemetry.scene import Scene, at, ms, scene
from tests.telemetry.test_decoding import CAPTURED
from tests.world import T0

pytestmark = pytest.mark.django_db
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
ZERO = "00000000-0000-0000-0000-000000000000"


def page(name: str, **labels: str) -> list[bodies.Series]:
    """A page as Prometheus would send it, with the labels of its target, at T0."""
    found = []
    for line in require_data(f"telemetry/{name}").read_text().splitlines():
        if match := LINE.match(line):
            own = dict(LABEL.findall(match[2] or ""))
            series = {**labels, **own, "__name__": match[1]}
            found.append((series, [(ms(T0), float(match[3]))]))
    return found


def sent(s: Scene, series: list[bodies.Series]) -> telemetry.Counts:
    return telemetry.receive(source=s.source, body=bodies.body(series), at=at(10))


def h200(state: str, uuid: str) -> list[bodies.Series]:
    name = f"nvidia_gpu_exporter__linux-x86_64__nvidia-{state}.prom"
    return [
        ({**labels, "uuid": uuid} if labels.get("uuid") == ZERO else labels, samples)
        for labels, samples in page(name, instance="g1:9835")
    ]


@pytest.mark.parametrize(
    ("state", "busy", "watts", "celsius"),
    [
        ("h200__590.48.01__load", 1000, 627, 52),
        ("h200__590.48.01__idle", 0, None, None),
        ("h100-80gb-hbm3__590.48.01__load", 1000, None, None),
        ("h100-80gb-hbm3__590.48.01__idle", 0, None, None),
    ],
)
def test_real_captures_of_nvidia_gpu_exporter(
    state: str, busy: int, watts: int | None, celsius: int | None
) -> None:
    s = scene(nodes=1)
    Node.objects.filter(pk=s.nodes[0].pk).update(card_uuids=["GPU-a", "GPU-b"])

    counts = sent(s, h200(state, "GPU-b"))

    (row,) = s.hours()
    assert row.seen_slots[:3] == [0, 1, 0]
    assert row.busy_permille_sum[1] == busy
    assert (row.unhealthy_slots[1], row.last_error[1]) == (0, 0)
    assert 60 <= row.power_watt_sum[1] <= 720
    assert 20 <= row.temperature_max[1] <= 90
    assert row.memory_slots[1] == 1
    if watts is not None:
        assert (row.power_watt_sum[1], row.temperature_max[1]) == (watts, celsius)
    assert (counts.stored, counts.unknown) == (6, 0)


def test_dcgm_page_of_one_server() -> None:
    s = scene(nodes=1)
    Node.objects.filter(pk=s.nodes[0].pk).update(hostname="srv0000")
    series = page("dcgm_exporter__format_real_VALUES_SYNTHETIC_1server.prom")

    sent(s, series)

    (row,) = s.hours()
    assert row.seen_slots == [1] * 8
    said = {
        (labels["__name__"], int(labels["gpu"])): value
        for labels, [(_, value)] in series
        if "gpu" in labels
    }
    for card in range(8):
        watts = said["DCGM_FI_DEV_POWER_USAGE", card]
        assert row.power_watt_sum[card] == int(watts + 0.5)
        util = said["DCGM_FI_DEV_GPU_UTIL", card]
        assert row.busy_slots[card] == (util <= 105)


@pytest.mark.parametrize("style", ["own", "other"])
def test_ascend_page_in_both_styles_of_labels(style: str) -> None:
    """The exporter's own test page, whose values are mostly zero; the other style's labels."""
    s = scene(nodes=1, chip="ascend-910b-64g")
    Node.objects.filter(pk=s.nodes[0].pk).update(hostname="npu1")
    series = page("ascend_npu_exporter__910_8card_testdata.prom", instance="npu1:8082")
    if style == "other":
        other = {"id": "npuID", "model_name": "modelName", "pcie_bus_info": "pcie"}
        series = [
            ({other.get(name, name): value for name, value in labels.items()}, samples)
            for labels, samples in series
        ]

    sent(s, series)

    (row,) = s.hours()
    assert row.seen_slots == [1] * 8
    assert row.unhealthy_slots == [0] * 8
    assert row.link_down_slots == [1] * 8  # the page says 0: the link is down, the card is well
    assert row.memory_permille_sum == [0] * 8


def test_an_ascend_card_that_is_not_well() -> None:
    s = scene(nodes=1, chip="ascend-910b-64g")
    named = {"id": "5", "vdie_id": "x", "hostname": s.nodes[0].hostname}

    sent(
        s,
        [
            ({**named, "__name__": f"npu_chip_info_{name}"}, [(ms(T0), value)])
            for name, value in (
                ("health_status", 0.0),
                ("error_code", float(0x80E01801)),
                ("hbm_used_memory", 32768.0),
                ("utilization", 37.0),
            )
        ],
    )

    (row,) = s.hours()
    assert (row.unhealthy_slots[5], row.busy_permille_sum[5]) == (1, 370)
    assert row.memory_permille_sum[5] == 500
    assert row.last_error[5] & 0xFFFF_FFFF == 0x80E01801


DOCUMENTED = [
    ("gpu_gfx_activity", {"gpu_id": "2"}, 40, Fact.BUSY, 400),
    ("amd_gpu_package_power", {"gpu_id": "2"}, 512, Fact.POWER, 512),
    ("mlu_utilization", {"mlu": "2"}, 40, Fact.BUSY, 400),
    ("mlu_memory_used", {"mlu": "2"}, 20 * 2**30, Fact.MEMORY, 250),
    ("dcu_utilizationrate", {"minor_number": "2"}, 40, Fact.BUSY, 400),
    ("dcu_usedmemory_bytes", {"minor_number": "2"}, 20 * 2**30, Fact.MEMORY, 250),
    ("mx_gpu_usage", {"deviceId": "2"}, 40, Fact.BUSY, 400),
    ("mx_board_power", {"deviceId": "2"}, 350_000, Fact.POWER, 350),
    ("mx_memory_used", {"deviceId": "2", "type": "vram"}, 20 * 2**20, Fact.MEMORY, 250),
]


@pytest.mark.parametrize(("name", "labels", "value", "fact", "expected"), DOCUMENTED)
def test_units_of_what_is_known_from_documentation(
    name: str, labels: dict[str, str], value: float, fact: Fact, expected: int
) -> None:
    s = scene(nodes=1)
    series = {**labels, "__name__": name, "Hostname": s.nodes[0].hostname}

    sent(s, [(series, [(ms(T0), float(value))])])

    (row,) = s.hours()
    sums = {
        Fact.BUSY: row.busy_permille_sum,
        Fact.MEMORY: row.memory_permille_sum,
        Fact.POWER: row.power_watt_sum,
    }
    assert sums[fact][2] == expected
    assert telemetry.METRICS[name].exporter.tried == "documented"


def test_a_slice_of_a_card_and_other_memory_say_nothing_of_it() -> None:
    named = {"gpu": "0", "hostname": "h", "deviceId": "0"}
    for labels in (
        {"__name__": "DCGM_FI_DEV_FB_USED", "GPU_I_ID": "3"},
        {"__name__": "mx_memory_used", "type": "xtt"},
        {"__name__": "mlu_utilization", "mlu": "0", "vf": "1"},
        {"__name__": "up"},
    ):
        assert identity.read({**named, **labels}, replica_label="r") is None


def naive(raw: bytes) -> dict[str, dict[int, dict[str, object]]]:
    """By host and card: the first value of each fact, read with the protobuf library."""
    found: dict[str, dict[int, dict[str, object]]] = defaultdict(lambda: defaultdict(dict))
    for labels, _, value in bodies.read(raw):
        named = dict(labels)
        card = found[named["hostname"]][int(named["gpu"])] if "gpu" in named else {}
        card.setdefault(named["__name__"], value)
    return found


@pytest.mark.parametrize("name", CAPTURED)
def test_a_captured_body_gives_the_facts_that_the_library_reads(name: str) -> None:
    body = require_data(name).read_bytes()
    expected = naive(remote_write.decompress(body))
    s = scene(nodes=64)
    for number, node in enumerate(s.nodes):
        node.hostname = f"srv{number:04d}"
    Node.objects.bulk_update(s.nodes, ["hostname"])
    instants = [stamp for _, stamp, _ in bodies.read(remote_write.decompress(body))]
    when = datetime.fromtimestamp(max(instants) / 1000 + 5, UTC)

    counts = telemetry.receive(source=s.source, body=body, at=when)

    assert counts.total == len(instants)
    rows = {row.node_id: row for row in TelemetryHour.objects.all()}
    checked = 0
    for node in s.nodes:
        for card, values in expected.get(node.hostname, {}).items():
            row = rows.get(node.pk)
            util = values.get("DCGM_FI_DEV_GPU_UTIL")
            if isinstance(util, float) and util <= 100:
                assert row is not None
                assert row.busy_permille_sum[card] == int(util * 10 + 0.5)
                checked += 1
            power = values.get("DCGM_FI_DEV_POWER_USAGE")
            if isinstance(power, float):
                assert row is not None
                assert row.power_watt_sum[card] == int(power + 0.5)
                checked += 1
    source = TelemetrySource.objects.get(pk=s.source.pk)
    assert source.unknown_count == 0
    assert checked or not counts.stored
