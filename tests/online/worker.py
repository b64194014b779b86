"""A worker process for kill tests: sends what is due, and stops dead where it is told to.

    python -m tests.online.worker STOP_IN

`before`: written down as being sent, nothing has left. `after`: Stripe has done it, and the
answer is lost. `apply`: in the transaction that takes the answer into the books.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup()

from django.conf import settings  # noqa: E402

from billing import gateway  # noqa: E402
from billing.psp import sending  # noqa: E402
from inventory import clock  # noqa: E402


def stop_here(*_: Any, **__: Any) -> None:
    sys.stdout.write("stopped\n")
    sys.stdout.flush()
    time.sleep(600)


def main(stop_in: str) -> None:
    settings.STRIPE_FAKE, settings.STRIPE_API_KEY = True, ""
    call = gateway.call

    def stopping(*args: Any, **kwargs: Any) -> None:
        if stop_in == "after":
            call(*args, **kwargs)
        stop_here()

    if stop_in == "apply":
        for operation, done in list(sending._DONE.items()):

            def and_stop(*args: Any, done: Any = done) -> None:
                done(*args)
                stop_here()

            sending._DONE[operation] = and_stop
    else:
        gateway.call = stopping
    sending.send_due(at=clock.now(), limit=1)


if __name__ == "__main__":
    main(sys.argv[1])
