"""A worker process for kill tests: sends payouts, and stops dead at a boundary if told to.

    python -m tests.payouts.worker AT STOP_IN

AT is an instant; STOP_IN names where it goes to sleep for ever, after saying "stopped".
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup()

from django.conf import settings  # noqa: E402

from billing import ledger, payout_sending, payouts  # noqa: E402
from billing.rails.fake import FakeRail  # noqa: E402
from inventory import transitions  # noqa: E402

settings.PAYOUT_RAILS = {"stripe": "billing.rails.fake.FakeRail"}

# In the order in which a payout passes them; "after" and "before" a step of the code.
BOUNDARIES: dict[str, tuple[Any, str, bool]] = {
    "claimed, not committed": (transitions, "advance", True),
    "claimed": (payout_sending, "_step", False),
    "looked up": (FakeRail, "look_up", True),
    "before the rail has it": (FakeRail, "send", False),
    "the rail has it, no answer": (FakeRail, "send", True),
    "answered": (payout_sending, "apply", False),
    "answered, being written": (payout_sending, "_pause", False),
    "captured, not committed": (ledger, "capture_hold", True),
    "paid, not committed": (payouts, "_rest", True),
}


def stop_at(owner: Any, name: str, after: bool) -> None:
    original: Callable[..., Any] = getattr(owner, name)

    def stopping(*given: Any, **named: Any) -> None:
        if after:
            original(*given, **named)
        sys.stdout.write("stopped\n")
        sys.stdout.flush()
        time.sleep(600)

    setattr(owner, name, stopping)


def main(at: datetime, stop_in: str) -> None:
    if stop_in:
        stop_at(*BOUNDARIES[stop_in])
    payout_sending.step_due(at=at, limit=10)


if __name__ == "__main__":
    main(datetime.fromisoformat(sys.argv[1]), sys.argv[2])
