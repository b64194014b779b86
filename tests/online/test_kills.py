"""kill -9 between a request and its answer, and eight workers at one key: done once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.db import connection
from pytest_django import Settings

from billing import gateway, ledger
from billing.fakestripe import store
from billing.models import PspRequest
from billing.psp import refunds, sending
from tests import world
from tests.billing import books, online

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
ROOT = Path(__file__).resolve().parents[2]
WAIT_SECONDS = 120


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


def kill_a_worker(stop_in: str) -> None:
    url = urlsplit(os.environ["DATABASE_URL"])
    environment = {
        **os.environ,
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{connection.settings_dict['NAME']}")),
        "PYTHONPATH": str(ROOT),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "tests.online.worker", stop_in],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "stopped"
        process.send_signal(signal.SIGKILL)
        assert process.wait(WAIT_SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize(("stop_in", "made"), [("before", 0), ("after", 1), ("apply", 1)])
def test_a_refund_whose_sender_was_killed_is_made_once(stop_in: str, made: int) -> None:
    top_up = online.paid(100_000)
    row = refunds.ask(
        top_up_public_id=top_up.public_id, amount_minor=40_000, at=online.now(), actor=world.SYSTEM
    )

    kill_a_worker(stop_in)

    request = PspRequest.objects.get(subject=row.public_id)
    assert request.state == "sending"
    assert len(list(store.each("refund"))) == made
    assert ledger.balance(world.tenant()).held_minor == 40_000
    assert online.send() == 0  # the claim is not over: it may be at work still
    assert wait_for(lambda: online.send(online.later(seconds=180))) == 1
    request.refresh_from_db()
    row.refresh_from_db()
    assert (request.state, request.attempt_count) == ("succeeded", 2)
    assert (row.state, row.refund_id) == ("succeeded", request.object_id)
    assert len(list(store.each("refund"))) == 1
    found = ledger.balance(world.tenant())
    assert (found.posted_minor, found.held_minor) == (60_000, 0)
    online.deliver()
    assert not online.differences()
    assert not books.differences()


def wait_for(send: Callable[[], int]) -> int:
    """The database notices within a moment that its client is gone, and lets go of the row."""
    for _ in range(100):
        if count := send():
            return count
        time.sleep(0.1)
    return 0


def at_once(work: Any) -> list[Any]:
    start = threading.Barrier(8)
    results: list[Any] = [None] * 8

    def body(number: int) -> None:
        try:
            start.wait(30)
            results[number] = work()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=body, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


def test_the_same_key_from_eight_threads_is_one_refund() -> None:
    top_up = online.paid(100_000)
    asked = {"payment_intent": str(top_up.intent_id), "amount": 1_000}

    results = at_once(lambda: gateway.call("refund.create", asked, key="one key").id)

    assert len(set(results)) == 1
    assert len(list(store.each("refund"))) == 1
    with pytest.raises(gateway.Refused) as refused:
        gateway.call("refund.create", {**asked, "amount": 2_000}, key="one key")
    assert refused.value.code == "IdempotencyError"


def test_the_control_eight_keys_are_eight_refunds() -> None:
    top_up = online.paid(100_000)
    asked = {"payment_intent": str(top_up.intent_id), "amount": 1_000}
    keys = iter(range(8))

    at_once(lambda: gateway.call("refund.create", asked, key=f"key {next(keys)}").id)

    assert len(list(store.each("refund"))) == 8


def test_eight_workers_send_each_request_once() -> None:
    top_up = online.paid(100_000)
    for _ in range(10):
        refunds.ask(
            top_up_public_id=top_up.public_id,
            amount_minor=1_000,
            at=online.now(),
            actor=world.SYSTEM,
        )
    at = online.now()

    results = at_once(lambda: sending.send_due(at=at, limit=100))

    assert sum(results) == 10
    assert ledger.balance(world.tenant()).posted_minor == 90_000
    assert len(list(store.each("refund"))) == 10
    online.deliver()
    assert not online.differences()
