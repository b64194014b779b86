"""Reports of tests: what the tool printed is read as it is; anything else is refused, never 500."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.acceptance.reports import ReportInvalid, read
from inventory.ssh_keys import PrivateKeyGiven, SshKeyInvalid, parse
from tests.delivery.test_acceptance import nccl

HOSTS = st.lists(
    st.from_regex(r"[a-z][a-z0-9-]{0,14}", fullmatch=True), min_size=1, max_size=6, unique=True
)
GOOD = nccl(["gpu-001", "gpu-002"], cards=4)


@settings(max_examples=60, deadline=None)
@given(hosts=HOSTS, cards=st.sampled_from([2, 4, 8]), speed=st.integers(1_000, 48_000))
def test_a_whole_report_says_who_took_part_and_how_fast(
    hosts: list[str], cards: int, speed: int
) -> None:
    algbw = speed / 100  # as printed, with two decimals
    count = len(hosts) * cards

    found = read("nccl", nccl(hosts, cards=cards, algbw=algbw))

    assert found.ranks_by_host == dict.fromkeys(hosts, cards)
    bus = algbw * 2 * (count - 1) / count
    assert abs(found.busbw_mb_per_second - bus * 1000) <= 6
    assert found.is_correct


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_report_that_was_tampered_with_never_gains(data: st.DataObject) -> None:
    """One place replaced by anything: it reads the same speed or less, or is refused."""
    start = data.draw(st.integers(0, len(GOOD) - 1))
    end = data.draw(st.integers(start, min(len(GOOD), start + 40)))
    put = data.draw(st.text(max_size=20))

    with contextlib.suppress(ReportInvalid):
        found = read("nccl", GOOD[:start] + put + GOOD[end:])
        whole = read("nccl", GOOD)
        assert found.busbw_mb_per_second <= whole.busbw_mb_per_second * 1.02


@settings(max_examples=150, deadline=None)
@given(tool=st.sampled_from(["nccl", "hccl", "x"]), text=st.text(), hosts=st.text())
def test_any_text_is_read_or_refused(tool: str, text: str, hosts: str) -> None:
    with contextlib.suppress(ReportInvalid):
        read(tool, text, hosts=hosts)


@settings(max_examples=150, deadline=None)
@given(text=st.text() | st.builds("ssh-ed25519 {}".format, st.text()))
def test_any_text_is_a_public_key_or_refused(text: str) -> None:
    with contextlib.suppress(SshKeyInvalid, PrivateKeyGiven):
        assert parse(text).line
