"""The same trace through the whole market over HTTP, by several clients at once."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from billing import verification as books
from inventory import verification
from marketplace.models import Lease
from tests.replay.test_replay import HEAD, write

pytestmark = pytest.mark.django_db(transaction=True)


def trace(leases: int = 24) -> str:
    """More than five nodes can serve, by three tenants, now and then of two nodes."""
    rows = [
        f"{n},t{n % 3},2017-10-01T{hour:02d}:00:00Z,2017-10-01T{hour + 4:02d}:00:00Z,{1 + n % 2}"
        for n in range(leases)
        for hour in [n % 12]
    ]
    return HEAD + "\n".join(rows) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["shared", "split"])
def test_eight_clients_make_the_leases_that_one_makes(
    tmp_path: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    url = urlsplit(os.environ["DATABASE_URL"])
    name = connection.settings_dict["NAME"]
    monkeypatch.setenv("DATABASE_URL", urlunsplit(url._replace(path=f"/{name}")))

    call_command(
        "replay", str(write(tmp_path, trace())), "--nodes=5", f"--policy={policy}", "--flex-hours",
        "0", "3", "--http-clients=8", "--json", stdout=out, stderr=io.StringIO(),
    )  # fmt: skip

    rows = json.loads(out.getvalue())
    assert [row["http"]["same_as_serial"] for row in rows] == [True, True]
    made = [row["http"]["leases"] for row in rows]
    assert [round(row["acceptance"] * 24) for row in rows] == made
    assert 0 < made[0] <= made[1] < 24
    assert Lease.objects.count() == sum(made)
    assert verification.verify() == []
    assert [finding.title for finding in books.verify() if finding.rows] == []


def test_only_whole_hours_and_waiting_go_over_http(tmp_path: Path) -> None:
    odd = write(tmp_path, HEAD + "1,t,2017-10-01T00:30:00Z,2017-10-01T02:00:00Z,1\n")

    with pytest.raises(CommandError, match="hour"):
        call_command("replay", str(odd), "--nodes=1", "--http-clients=2", stderr=io.StringIO())
    with pytest.raises(CommandError, match="flex-mode"):
        call_command(
            "replay", str(odd), "--nodes=1", "--http-clients=2", "--flex-mode=book",
            stderr=io.StringIO(),
        )  # fmt: skip
