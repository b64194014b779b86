"""kill -9 at every boundary of a payout: none is doubled, none is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection

from billing import chart, ledger, payout_sending, rails
from billing.models import LedgerTransaction, Payout
from billing.payout_sending import CLAIM, SLOWEST_POLL
from billing.rails.fake import FakeRail
from tests import world
from tests.billing import books, paying
from tests.billing.paying import SETTLED_AT
from tests.payouts.worker import BOUNDARIES

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 120


@pytest.fixture
def rail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> FakeRail:
    """A file of its own, as a payment provider's books are: it outlives every worker."""
    monkeypatch.setenv("CARDHOUR_FAKE_RAIL", str(tmp_path / "rail.sqlite"))
    settings.PAYOUT_RAILS = {"stripe": "billing.rails.fake.FakeRail"}
    return FakeRail()


@pytest.fixture
def payout(rail: FakeRail) -> Payout:
    paying.terms(method="stripe")
    paying.settled()
    return paying.approve(paying.plan())


def kill_when_stopped(at: datetime, stop_in: str) -> None:
    """A real process on the test's own database, killed where it stops."""
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "PYTHONPATH": str(ROOT),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.payouts.worker", at.isoformat(), stop_in],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "stopped"
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


def go_on(at: datetime, until: str = "paid") -> datetime:
    """Other workers come by until the payout has arrived."""
    for _round in range(20):
        row = Payout.objects.get()
        if row.state == until:
            return at
        payout_sending.step_due(at=at, limit=10)
        at += CLAIM
    raise AssertionError(f"stuck in {row.state}: {row.last_error}")


def check_paid_once(rail: FakeRail, payout: Payout) -> None:
    payout.refresh_from_db()
    provider = world.provider()
    assert rail.paid() == {payout.public_id: payout.amount_minor}
    assert LedgerTransaction.objects.filter(kind="paid_out").count() == 1
    assert ledger.posted(chart.stripe("CNY")) == -payout.amount_minor
    assert ledger.posted(chart.provider_settling(provider, "CNY")) == 0
    assert not books.differences()


@pytest.mark.parametrize("stop_in", BOUNDARIES)
def test_killed_at(rail: FakeRail, payout: Payout, stop_in: str) -> None:
    at = SETTLED_AT
    if stop_in in ("captured, not committed", "paid, not committed"):
        payout_sending.step_due(at=at, limit=10)  # it is with the rail already
        at += SLOWEST_POLL

    kill_when_stopped(at, stop_in)
    assert not books.differences()
    early = payout_sending.step_due(at=at + CLAIM / 2, limit=10)
    go_on(at + CLAIM)

    # A killed worker's row waits until its claim has lapsed, unless the claim died with it.
    assert early == (1 if stop_in == "claimed, not committed" else 0)
    check_paid_once(rail, payout)


def test_killed_again_and_again_at_every_boundary(rail: FakeRail, payout: Payout) -> None:
    at = SETTLED_AT
    for stop_in in (
        "claimed, not committed", "claimed", "looked up", "before the rail has it",
        "the rail has it, no answer", "answered", "captured, not committed", "paid, not committed",
    ):  # fmt: skip
        kill_when_stopped(at, stop_in)
        at += CLAIM
    go_on(at)

    check_paid_once(rail, payout)


@pytest.mark.parametrize("seed", range(12))
def test_a_rail_that_does_not_answer_is_asked_and_not_paid_twice(
    payout: Payout, tmp_path: Path, settings: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"{seed}.sqlite"
    bad = FakeRail(path, seed=seed, lost_rate=0.4, silent_rate=0.5, pending_polls=2)
    monkeypatch.setattr(rails, "of", lambda _method: bad)
    at = SETTLED_AT

    for _round in range(60):
        payout_sending.step_due(at=at, limit=10)
        payout_sending.step_due(at=at, limit=10)
        assert not books.differences()
        at += SLOWEST_POLL

    check_paid_once(bad, payout)


def test_what_the_payees_bank_does_not_take_comes_back_visibly(
    payout: Payout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = FakeRail(tmp_path / "f.sqlite", failure_rate=1.0)
    monkeypatch.setattr(rails, "of", lambda _method: bad)

    payout_sending.step_due(at=SETTLED_AT, limit=10)
    payout_sending.step_due(at=SETTLED_AT + timedelta(hours=1), limit=10)

    payout.refresh_from_db()
    assert (payout.state, payout.last_error) == ("failed", "account_closed")
    assert bad.paid() == {}
    good = FakeRail(tmp_path / "g.sqlite")
    monkeypatch.setattr(rails, "of", lambda _method: good)
    later = SETTLED_AT + timedelta(hours=2)
    again = paying.approve(paying.plan(at=later), at=later)
    payout_sending.step_due(at=later, limit=10)
    payout_sending.step_due(at=later + timedelta(hours=1), limit=10)
    again.refresh_from_db()
    assert again.state == "paid"
    assert good.paid() == {again.public_id: payout.amount_minor}
    assert not books.differences()


def test_the_rail_is_never_asked_inside_a_transaction(
    rail: FakeRail, payout: Payout, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside: set[bool] = set()
    for verb in ("send", "look_up"):
        original = getattr(FakeRail, verb)

        def asked(self, given, *, original=original):
            inside.add(connection.in_atomic_block)
            return original(self, given)

        monkeypatch.setattr(FakeRail, verb, asked)

    go_on(SETTLED_AT)

    assert inside == {False}
    check_paid_once(rail, payout)


def test_a_rail_refuses_another_order_under_a_known_key(rail: FakeRail, payout: Payout) -> None:
    order = payout_sending.order_of(payout)
    rail.send(order)
    rail.send(order)

    with pytest.raises(rails.RailRefused):
        rail.send(replace(order, amount_minor=1))
    assert rail.paid() == {payout.public_id: payout.amount_minor}
