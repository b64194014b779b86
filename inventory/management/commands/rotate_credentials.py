"""Re-encrypts every live credential with the first of CREDENTIAL_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from inventory import credentials


class Command(BaseCommand):
    help = "Re-encrypt live credentials with the first key; after it the older keys may go."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{credentials.rotate()} credentials re-encrypted")
