"""The worker of the kill tests: lets holds lapse, again and again, until somebody kills it."""

from __future__ import annotations

import os
import time

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")
django.setup()

from django.db import DatabaseError, connection  # noqa: E402

from billing import checkout  # noqa: E402
from inventory import clock  # noqa: E402


def main() -> None:
    while True:
        try:
            checkout.expire_due(at=clock.now(), limit=20)
        except DatabaseError:
            connection.close()
        time.sleep(0.02)


if __name__ == "__main__":
    main()
