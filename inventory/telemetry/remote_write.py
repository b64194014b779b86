"""Bodies of Prometheus remote write 1.0: snappy in its block format, protobuf within.

A series that came before is looked up by the bytes of its labels, unread; only a new one is
taken apart. What is accepted and what is refused is what the protobuf library accepts and
refuses, for the fields that are read here; a test holds the two together.
https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TypeVar

import cramjam

from inventory.errors import DomainError

COMPRESSED_LIMIT = 10 * 1024 * 1024
# Real bodies are compressed to about a ninth. More than this is a bomb, or wants another sender.
RAW_LIMIT = 100 * 1024 * 1024

T = TypeVar("T")
Labels = list[tuple[str, str]]
Sample = tuple[T, int, float]  # whose, milliseconds since 1970, value

_DOUBLE = Struct("<d").unpack_from
_MISSING = object()
_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)
_DEEPEST = 100  # groups within groups, as the library allows


class Malformed(DomainError):
    """Nothing that decodes: sending it again would not help."""

    code = "malformed_body"
    title = "The body is no remote write request"
    status = 400


class BodyTooLarge(DomainError):
    """More than is read here, compressed or not: the sender has to send less at a time."""

    code = "too_large"
    title = "The request is too large"
    status = 413


def decompress(body: bytes) -> bytes:
    """The protobuf message. Its size is read before anything is decompressed.

    Raises BodyTooLarge, Malformed.
    """
    if len(body) > COMPRESSED_LIMIT:
        raise BodyTooLarge(limit_bytes=COMPRESSED_LIMIT)
    try:
        size, _ = _varint(body, 0, min(len(body), 5))
        if size > RAW_LIMIT:
            raise BodyTooLarge(limit_bytes=RAW_LIMIT)
        raw = bytes(cramjam.snappy.decompress_raw(body))
    except (cramjam.DecompressionError, ValueError, IndexError) as error:
        raise Malformed("The body is not snappy in its block format") from error
    if len(raw) != size:
        raise Malformed("The body is not as long as it says")
    return raw


def decode(
    raw: bytes, known: dict[bytes, T | None], learn: Callable[[bytes, Labels], T | None]
) -> tuple[list[Sample[T]], int]:
    """The samples of every series that somebody wants, and how many nobody does.

    `known` maps the bytes of labels to what is made of the series, None where its samples are not
    wanted; `learn` is asked for a new one and writes it there if it likes. Raises Malformed.
    """
    samples: list[Sample[T]] = []
    take, find, double = samples.append, known.get, _DOUBLE
    unwanted, at, end = 0, 0, len(raw)
    stamp, instant = b"", 0
    try:
        while at < end:
            if raw[at] != 0x0A:  # not a series: metadata
                at = _skip_field(raw, at, end)
                continue
            size = raw[at + 1]
            at += 2
            if size > 0x7F:
                more = raw[at]
                if more > 0x7F:
                    size, at = _varint(raw, at - 1, end)
                else:
                    size = (size & 0x7F) | more << 7
                    at += 1
            stop = at + size
            if stop > end:
                raise Malformed("A series is cut off")
            # Nearly all have one sample with a six-byte instant, and no value where it is zero.
            # The label bytes are known to be just labels, so what follows them is the rest.
            if size > 18 and raw[stop - 7] == 0x10 and raw[stop - 1] < 0x80:
                if raw[stop - 16] == 0x09 and raw[stop - 17] == 0x10 and raw[stop - 18] == 0x12:
                    cut = stop - 18
                elif raw[stop - 8] == 0x07 and raw[stop - 9] == 0x12:
                    cut = stop - 9
                else:
                    cut = 0  # no such sample; a series without labels is known by no bytes at all
                series = find(raw[at:cut], _MISSING) if cut else _MISSING
                if series is not _MISSING:
                    here = raw[stop - 6 : stop]
                    if here != stamp:
                        told, read = _varint(here, 0, 6)
                        if read == 6:
                            stamp, instant = here, told
                    if here == stamp:
                        if series is None:
                            unwanted += 1
                        elif cut == stop - 18:
                            take((series, instant, double(raw, cut + 3)[0]))  # type: ignore[arg-type]
                        else:
                            take((series, instant, 0.0))  # type: ignore[arg-type]
                        at = stop
                        continue
            unwanted += _read_series(raw, at, stop, known, learn, samples)
            at = stop
    except IndexError as error:
        raise Malformed("The message is cut off") from error
    return samples, unwanted


def _read_series(
    raw: bytes,
    at: int,
    end: int,
    known: dict[bytes, T | None],
    learn: Callable[[bytes, Labels], T | None],
    samples: list[Sample[T]],
) -> int:
    """Takes one series apart; returns how many of its samples are not wanted."""
    parts: list[bytes] = []
    labels: Labels = []
    found: list[tuple[int, float]] = []
    while at < end:
        field, wire, after = _tag(raw, at, end)
        if wire == _BYTES and field in (1, 2):
            start, stop = _span(raw, after, end)
            if field == 1:
                labels.append(_label(raw, start, stop))
                parts.append(raw[at:stop])
            else:
                found.append(_sample(raw, start, stop))
            at = stop
        else:
            at = _skip(raw, after, end, field, wire, 0)
    key = b"".join(parts)
    series = known.get(key, _MISSING)
    if series is _MISSING:
        series = learn(key, labels)
    if series is None:
        return len(found)
    samples.extend((series, instant, value) for instant, value in found)  # type: ignore[misc]
    return 0


def _label(raw: bytes, at: int, end: int) -> tuple[str, str]:
    name = value = ""
    while at < end:
        field, wire, after = _tag(raw, at, end)
        if wire == _BYTES and field in (1, 2):
            start, at = _span(raw, after, end)
            try:
                text = raw[start:at].decode()
            except UnicodeDecodeError as error:
                raise Malformed("A label is not UTF-8") from error
            if field == 1:
                name = text
            else:
                value = text
        else:
            at = _skip(raw, after, end, field, wire, 0)
    return name, value


def _sample(raw: bytes, at: int, end: int) -> tuple[int, float]:
    value, instant = 0.0, 0
    while at < end:
        field, wire, after = _tag(raw, at, end)
        if field == 1 and wire == _FIXED64:
            if after + 8 > end:
                raise Malformed("A value is cut off")
            (value,) = _DOUBLE(raw, after)
            at = after + 8
        elif field == 2 and wire == _VARINT:
            number, at = _varint(raw, after, end)
            instant = number - (1 << 64) if number >> 63 else number
        else:
            at = _skip(raw, after, end, field, wire, 0)
    return instant, value


def _varint(raw: bytes, at: int, end: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and where it ends."""
    number = shift = 0
    while True:
        if at >= end or shift > 63:
            raise Malformed("A number is cut off or too long")
        byte = raw[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7


def _tag(raw: bytes, at: int, end: int) -> tuple[int, int, int]:
    number, after = _varint(raw, at, min(end, at + 5))
    field, wire = number >> 3, number & 7
    if not field or number > 0xFFFF_FFFF or wire > _FIXED32:
        raise Malformed("No such field")
    return field, wire, after


def _span(raw: bytes, at: int, end: int) -> tuple[int, int]:
    size, start = _varint(raw, at, end)
    if size > end - start:
        raise Malformed("A field is cut off")
    return start, start + size


def _skip_field(raw: bytes, at: int, end: int) -> int:
    field, wire, after = _tag(raw, at, end)
    return _skip(raw, after, end, field, wire, 0)


def _skip(raw: bytes, at: int, end: int, field: int, wire: int, depth: int) -> int:
    """Past a field that is not read here."""
    if wire == _VARINT:
        _, at = _varint(raw, at, end)
        return at
    if wire == _BYTES:
        _, at = _span(raw, at, end)
        return at
    if wire in (_FIXED64, _FIXED32):
        at += 8 if wire == _FIXED64 else 4
        if at > end:
            raise Malformed("A field is cut off")
        return at
    if wire == _GROUP_END or depth >= _DEEPEST:
        raise Malformed("A group ends that did not begin, or is too deep")
    while True:
        inner, inner_wire, after = _tag(raw, at, end)
        if inner_wire == _GROUP_END:
            if inner != field:
                raise Malformed("A group ends as another")
            return after
        at = _skip(raw, after, end, inner, inner_wire, depth + 1)
