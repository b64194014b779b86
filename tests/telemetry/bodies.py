"""Remote write bodies, written and read by the protobuf library: what ours is held against."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

Field = descriptor_pb2.FieldDescriptorProto


def _classes() -> Any:
    """prompb's WriteRequest, types.proto and remote.proto of Prometheus, as far as 1.0 goes."""
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="pb", syntax="proto3")
    for name, fields in {
        "Label": [("name", 1, Field.TYPE_STRING), ("value", 2, Field.TYPE_STRING)],
        "Sample": [("value", 1, Field.TYPE_DOUBLE), ("timestamp", 2, Field.TYPE_INT64)],
        "TimeSeries": [("labels", 1, "Label"), ("samples", 2, "Sample")],
        "WriteRequest": [("timeseries", 1, "TimeSeries")],
    }.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            field = message.field.add(name=label, number=number)
            if isinstance(kind, str):
                field.type, field.label = Field.TYPE_MESSAGE, Field.LABEL_REPEATED
                field.type_name = f".pb.{kind}"
            else:
                field.type, field.label = kind, Field.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pb.WriteRequest"))


WriteRequest: Any = _classes()
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
