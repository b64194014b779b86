"""Remote write bodies, written and read by the protobuf library: what ours is held against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cramjam

from billing.bench import prompb

WriteRequest: Any = prompb.write_request()
# Labels, and samples as (milliseconds since 1970, value).
Series = tuple[dict[str, str], list[tuple[int, float]]]


def message(series: Iterable[Series]) -> bytes:
    request = WriteRequest()
    for labels, samples in series:
        row = request.timeseries.add()
        for name, value in sorted(labels.items()):
            row.labels.add(name=name, value=value)
        for instant, number in samples:
            row.samples.add(timestamp=instant, value=number)
    return bytes(request.SerializeToString())


def body(series: Iterable[Series]) -> bytes:
    return packed(message(series))


def packed(raw: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(raw))


def read(raw: bytes) -> list[tuple[tuple[tuple[str, str], ...], int, float]]:
    """By the library. Raises DecodeError."""
    return [
        (tuple((label.name, label.value) for label in row.labels), one.timestamp, one.value)
        for row in WriteRequest.FromString(raw).timeseries
        for one in row.samples
    ]
