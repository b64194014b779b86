"""Our decoder says what the protobuf library says, of everything, and refuses what it refuses."""

from __future__ import annotations

import struct

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inventory.telemetry import remote_write
from tests.engines import require_data
from tests.telemetry import bodies

CAPTURED = [f"telemetry/remote_write_v1_prometheus2.42_{number}.snappy" for number in range(4)]


def ours(raw, known=None, times=1):
    """As `bodies.read`. More than once, so that what was learnt is used."""
    known = {} if known is None else known

    def learn(key, labels):
        known[key] = tuple(labels)
        return known[key]

    for _ in range(times):
        samples, unwanted = remote_write.decode(raw, known, learn)
        assert unwanted == 0
    return samples


def bits(samples):
    """NaN is not itself; its bits are."""
    return [(labels, instant, struct.pack("<d", value)) for labels, instant, value in samples]


def both(raw, known):
    try:
        expected = bits(bodies.read(raw))
    except DecodeError:
        with pytest.raises(remote_write.Malformed):
            ours(raw, known)
        return
    assert bits(ours(raw, known, times=2)) == expected


texts = st.text(max_size=12)
values = st.floats() | st.sampled_from([0.0, -0.0, 9.223372036854775794e18])
instants = st.integers(-(2**63), 2**63 - 1) | st.integers(1_700_000_000_000, 1_900_000_000_000)
labels = st.dictionaries(texts, texts, max_size=5)
series = st.tuples(labels, st.lists(st.tuples(instants, values), max_size=3))
messages = st.lists(series, max_size=8).map(bodies.message)


@pytest.mark.parametrize("name", CAPTURED)
def test_what_prometheus_sent(name: str) -> None:
    raw = remote_write.decompress(require_data(name).read_bytes())

    assert bits(ours(raw, times=3)) == bits(bodies.read(raw))


@settings(max_examples=300, deadline=None)
@given(st.lists(messages, min_size=1, max_size=4))
def test_every_message(raws: list[bytes]) -> None:
    known: dict[bytes, object] = {}
    for raw in raws:  # one after the other, so that known series come again
        both(raw, known)


@st.composite
def damaged(draw) -> bytes:
    """A message with a few bytes changed, put in, taken out or cut off."""
    raw = bytearray(draw(messages))
    for _ in range(draw(st.integers(1, 3))):
        spot = draw(st.integers(0, len(raw)))
        match draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change" if spot < len(raw):
                raw[spot] = draw(st.integers(0, 255))
            case "insert":
                raw[spot:spot] = draw(st.binary(min_size=1, max_size=4))
            case "remove":
                del raw[spot : spot + 2]
            case "cut":
                del raw[spot:]
    return bytes(raw)


@settings(max_examples=500, deadline=None)
@given(damaged() | st.binary(max_size=60))
@example(b"\x0b\x0c")  # an empty group, which is skipped
@example(b"\x0b\x14")  # one that ends as another
# A series without labels is known; one follows that ends like one, and is malformed before.
@example(b"\x0a\x02\x12\x00\x0a\x14\x0a\x7f" + b"a" * 11 + b"\x10" + b"\x80" * 5 + b"\x01")
def test_every_damaged_message(raw: bytes) -> None:
    known: dict[bytes, object] = {}
    both(raw, known)
    both(raw, known)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_a_body_that_is_no_snappy_is_malformed_and_nothing_else(body: bytes) -> None:
    try:
        remote_write.decompress(body)
    except (remote_write.Malformed, remote_write.BodyTooLarge):
        return


def test_a_bomb_is_refused_by_what_it_says_of_its_size() -> None:
    bomb = bodies.packed(bytes(remote_write.RAW_LIMIT + 1))
    assert len(bomb) < remote_write.COMPRESSED_LIMIT

    with pytest.raises(remote_write.BodyTooLarge):
        remote_write.decompress(bomb)


def test_a_size_that_lies_is_malformed() -> None:
    honest = bodies.packed(b"abc" * 100)
    for size in (b"\x00", b"\xff\xff\xff\x07"):
        with pytest.raises((remote_write.Malformed, remote_write.BodyTooLarge)):
            remote_write.decompress(size + honest[2:])
