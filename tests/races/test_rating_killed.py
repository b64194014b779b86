"""A rater that dies between its batches, or inside one, has lost nothing and doubled nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.db import connection

from billing import rating
from billing.models import Charge
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

LEASES, HOURS = 3, 60
# One lease and four hours to a transaction, so that there are many places to die in.
CHILD = """
import django; django.setup()
from datetime import datetime, UTC
from billing import rating
rating.LEASES_AT_ONCE, rating.HOURS_AT_ONCE = 1, 4
print("ready", flush=True)
rating.rate_due(at=datetime(2026, 12, 1, tzinfo=UTC), limit=10**6)
print("done", flush=True)
"""


def child() -> subprocess.Popen[str]:
    default = settings.DATABASES["default"]
    url = (
        f"postgresql://{default['USER']}:{default['PASSWORD']}"
        f"@{default['HOST']}:{default['PORT']}/{connection.settings_dict['NAME']}"
    )
    return subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env={
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "marketplace.settings",
            "SECRET_KEY": settings.SECRET_KEY,
        },
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_raters_leave_nothing_doubled() -> None:
    books.top_up(world.tenant(), 10**8)
    listing = scene.listing()
    for _ in range(LEASES):
        lease = books.activate(books.lease(listing, start=10, end=10 + HOURS))
        books.meter(lease, until=T0 + hours(10 + HOURS))

    for charged in (1, 60):
        worker = child()
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while Charge.objects.count() < charged and time.monotonic() < deadline:
            time.sleep(0.002)
        worker.send_signal(signal.SIGKILL)
        worker.wait(30)
        assert not books.differences()
    interrupted = Charge.objects.count()
    rating.rate_due(at=T0 + hours(1000), limit=10**6)

    assert 0 < interrupted < LEASES * HOURS
    assert Charge.objects.count() == LEASES * HOURS
    total = sum(Charge.objects.values_list("gross_minor", flat=True))
    assert total == LEASES * HOURS * 8 * 680
    assert not books.differences()
