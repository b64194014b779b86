"""Reads what collective tests print: nccl-tests' `all_reduce_perf`, and HCCL Test's all-reduce.

Strict: a report that is cut off, of another test, or that contradicts itself is refused with the
line it fails at. Sources: nccl-tests, `src/common.cu` and `doc/PERFORMANCE.md` (bus bandwidth of
an all-reduce over n ranks = size / time * 2(n-1)/n); Huawei's HCCL Test guide, "result
description" (it prints the algorithm bandwidth, size / time, and names no machines).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from inventory.errors import Invalid
from inventory.models import AcceptanceRun

Tool = AcceptanceRun.Tool
LARGEST_REPORT = 1024 * 1024  # that of ten thousand ranks
# Smaller messages measure latency; what is accepted is bandwidth.
LEAST_SIZE_BYTES = 2**30
MOST_RANKS = 200_000
_GB = 1_000  # MB in a GB, as both tools count them


class ReportInvalid(Invalid):
    """It is no whole report of an all-reduce by this tool, or it contradicts itself."""

    code = "acceptance_report_invalid"
    title = "The report cannot be read"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run over `ranks_by_host` measured at its largest message."""

    tool: str
    ranks_by_host: dict[str, int]
    size_bytes: int
    busbw_mb_per_second: int  # cut to whole MB/s
    is_correct: bool  # values were checked, and none was wrong

    @property
    def rank_count(self) -> int:
        return sum(self.ranks_by_host.values())


def read(tool: str, text: str, *, hosts: str = "") -> Report:
    """The report in `text`. `hosts` is HCCL's hostfile, a line `name:ranks` for each machine.

    Raises ReportInvalid.
    """
    if len(text.encode("utf-8", "replace")) > LARGEST_REPORT:
        raise ReportInvalid("A report has at most 1 MiB")
    if tool == Tool.NCCL:
        if hosts.strip():
            raise ReportInvalid("An NCCL report names its machines itself")
        return _nccl(text)
    if tool == Tool.HCCL:
        return _hccl(text, hosts)
    raise ReportInvalid("The tool is nccl or hccl")


_RANK = re.compile(
    r"#\s+Rank\s+(\d{1,6})\s+Group\s+\d+\s+Pid\s+\d+\s+on\s+(\S+)\s+device\s+(\d{1,3})\s+\[[^\]]+\]",
    re.ASCII,
)
_TEST = re.compile(r"#\s*Collective test (?:starting|concluded):\s*(\S+)")
_WRONG = re.compile(r"#\s*Out of bounds values\s*:\s*(\d+)\s+(OK|FAILED)\s*")
_AVERAGE = re.compile(r"#\s*Avg bus bandwidth\s*:\s*[\d.]+\s*")
_NUMBER = r"(\d{1,12}(?:\.\d+)?)"
_ROW = re.compile(
    rf"\s*(\d{{1,18}})\s+(\d{{1,18}})\s+(\w+)\s+(\w+)\s+(-?\d+)"
    rf"\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(\d+|N/A)"
    rf"\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(\d+|N/A)\s*",
    re.ASCII,
)


def _nccl(text: str) -> Report:
    ranks: dict[int, str] = {}
    devices: set[tuple[str, str]] = set()
    rows: list[re.Match[str]] = []
    began = average = False
    wrong: str | None = None
    for number, line in _lines(text):
        if line.startswith("# nThread"):
            if began:
                raise ReportInvalid("There are two reports in it", line=number)
            began = True
        elif match := _TEST.match(line):
            if match[1] != "all_reduce_perf":
                raise ReportInvalid("It is a report of another test", line=number)
        elif line.startswith("#") and "Rank" in line and "Pid" in line:
            rank = _RANK.match(line)
            if rank is None or int(rank[1]) != len(ranks) or len(ranks) >= MOST_RANKS:
                raise ReportInvalid("The ranks are not named one by one from 0", line=number)
            ranks[int(rank[1])] = rank[2]
            if (rank[2], rank[3]) in devices:
                raise ReportInvalid("A card takes part twice", line=number)
            devices.add((rank[2], rank[3]))
        elif match := _WRONG.fullmatch(line):
            wrong = match[2]
        elif _AVERAGE.fullmatch(line):
            average = True
        elif match := _ROW.fullmatch(line):
            rows.append(match)
        elif began and re.match(r"\s+\d+\s+\d+\s", line):
            raise ReportInvalid("A line of the table cannot be read", line=number)
    if not began or not ranks or not rows or wrong is None or not average:
        raise ReportInvalid("It is no whole report of all_reduce_perf")
    if len(ranks) < 2:
        raise ReportInvalid("A single rank reduces nothing")
    for row in rows:
        _check_row(row, len(ranks))
    largest = max(rows, key=lambda row: int(row[1]))
    _check_size(int(largest[1]))
    checked = [row[index] for row in rows for index in (9, 13)]
    return Report(
        tool=Tool.NCCL,
        ranks_by_host=dict(Counter(ranks.values())),
        size_bytes=int(largest[1]),
        # Both ways have to reach it: in place as well as out of place.
        busbw_mb_per_second=min(int(Decimal(largest[index]) * _GB) for index in (8, 12)),
        is_correct=wrong == "OK" and all(each == "0" for each in checked),
    )


def _check_row(row: re.Match[str], ranks: int) -> None:
    """A row whose figures do not follow from each other was not printed by the tool."""
    factor = Decimal(2 * (ranks - 1)) / ranks
    size = Decimal(row[1])
    for time, algorithm, bus in ((6, 7, 8), (10, 11, 12)):
        microseconds, algbw, busbw = (Decimal(row[index]) for index in (time, algorithm, bus))
        if microseconds <= 0:
            raise ReportInvalid("A line of the table takes no time")
        # Printed with two decimals; times with three to five digits.
        if abs(algbw * factor - busbw) > Decimal("0.02") + busbw / 1000:
            raise ReportInvalid("The bus bandwidth does not follow from the algorithm's")
        if abs(size / microseconds / _GB - algbw) > Decimal("0.02") + algbw / 100:
            raise ReportInvalid("The bandwidth does not follow from size and time")


_HEADER = ("data_size", "time", "alg_bandwidth", "check_result")
_HOST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,252}):(\d{1,3})", re.ASCII)


def _hccl(text: str, hosts: str) -> Report:
    ranks = _hostfile(hosts)
    count = sum(ranks.values())
    if count < 2:
        raise ReportInvalid("A single rank reduces nothing")
    rows: list[tuple[int, Decimal, Decimal, str]] = []
    began = False
    for number, line in _lines(text):
        cells = [cell.strip() for cell in line.replace("|", " ").split()]
        if len(cells) == 4 and all(name in cell for name, cell in zip(_HEADER, cells, strict=True)):
            if began:
                raise ReportInvalid("There are two reports in it", line=number)
            began = True
        elif began and cells:
            rows.append(_hccl_row(cells, number))
    if not began or not rows:
        raise ReportInvalid("It is no whole report of all_reduce_test")
    size, _time, algbw, _found = max(rows)
    _check_size(size)
    return Report(
        tool=Tool.HCCL,
        ranks_by_host=ranks,
        size_bytes=size,
        busbw_mb_per_second=int(algbw * _GB * 2 * (count - 1) / count),
        is_correct=all(row[3] == "success" for row in rows),
    )


def _hccl_row(cells: list[str], number: int) -> tuple[int, Decimal, Decimal, str]:
    if len(cells) != 4 or not re.fullmatch(r"\d{1,18}", cells[0], re.ASCII):
        raise ReportInvalid("A line of the table cannot be read", line=number)
    if any(not re.fullmatch(r"\d{1,12}(\.\d+)?", cell, re.ASCII) for cell in cells[1:3]):
        raise ReportInvalid("A line of the table cannot be read", line=number)
    if cells[3] not in ("success", "failed", "NULL"):
        raise ReportInvalid("A line of the table cannot be read", line=number)
    size, time, algbw = int(cells[0]), Decimal(cells[1]), Decimal(cells[2])
    if time <= 0:
        raise ReportInvalid("A line of the table takes no time", line=number)
    if abs(Decimal(size) / time / _GB - algbw) > Decimal("0.0001") + algbw / 100:
        raise ReportInvalid("The bandwidth does not follow from size and time", line=number)
    return size, time, algbw, cells[3]


def _hostfile(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for number, line in _lines(text):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _HOST.fullmatch(line.strip())
        if match is None or int(match[2]) < 1:
            raise ReportInvalid("A hostfile has lines such as node-1:8", line=number)
        if match[1] in found:
            raise ReportInvalid("A machine is named twice", line=number)
        found[match[1]] = int(match[2])
        if sum(found.values()) > MOST_RANKS:
            raise ReportInvalid("There are too many ranks", line=number)
    if not found:
        raise ReportInvalid("HCCL names no machines: give its hostfile too")
    return found


def _check_size(size: int) -> None:
    if size < LEAST_SIZE_BYTES:
        raise ReportInvalid("The largest message has to have 1 GiB or more")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered from 1."""
    lines: Iterable[str] = text.replace("\r\n", "\n").split("\n")
    yield from enumerate(lines, start=1)
