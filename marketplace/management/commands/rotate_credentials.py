"""Re-encrypts every live secret with the first of CREDENTIAL_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from inventory import credentials, engines, manual_tasks, telemetry
from marketplace import notifications


class Command(BaseCommand):
    help = "Re-encrypt live secrets with the first key; after it the older keys may go."

    def handle(self, *args: Any, **options: Any) -> None:
        done = (
            credentials.rotate()
            + telemetry.rewrap_secrets()
            + engines.rewrap_secrets()
            + manual_tasks.rewrap_secrets()
            + notifications.rewrap_secrets()
        )
        self.stdout.write(f"{done} credentials re-encrypted")
