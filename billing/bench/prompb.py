"""Remote write messages by the protobuf library: a floor to measure against, never the product's.

The library is of the test dependencies; only a bench and the tests come here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def write_request() -> Any:
    """prompb's WriteRequest, of Prometheus' types.proto and remote.proto, as far as 1.0 goes."""
    descriptor_pb2 = import_module("google.protobuf.descriptor_pb2")
    descriptor_pool = import_module("google.protobuf.descriptor_pool")
    message_factory = import_module("google.protobuf.message_factory")
    field_of = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="pb", syntax="proto3")
    for name, fields in {
        "Label": [("name", 1, field_of.TYPE_STRING), ("value", 2, field_of.TYPE_STRING)],
        "Sample": [("value", 1, field_of.TYPE_DOUBLE), ("timestamp", 2, field_of.TYPE_INT64)],
        "TimeSeries": [("labels", 1, "Label"), ("samples", 2, "Sample")],
        "WriteRequest": [("timeseries", 1, "TimeSeries")],
    }.items():
        message = file.message_type.add(name=name)
        for label, number, kind in fields:
            field = message.field.add(name=label, number=number)
            if isinstance(kind, str):
                field.type, field.label = field_of.TYPE_MESSAGE, field_of.LABEL_REPEATED
                field.type_name = f".pb.{kind}"
            else:
                field.type, field.label = kind, field_of.LABEL_OPTIONAL
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pb.WriteRequest"))
