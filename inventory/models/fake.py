"""What the fake engine remembers, so that it survives kills and is shared by all workers."""

from __future__ import annotations

from django.db import models


class FakeMachine(models.Model):
    """One machine as the fake engine believes it to be. It is no part of the market's truth.

    Known by the engine-side name; `boot_count` and `wipe_count` show that a step which ran
    twice had one effect.
    """

    name = models.CharField(max_length=120, primary_key=True)
    node = models.CharField(max_length=40, db_index=True)  # public id
    first_card = models.PositiveSmallIntegerField()
    card_count = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField()
    ready_at = models.DateTimeField()
    wipe_started_at = models.DateTimeField(null=True)
    clean_at = models.DateTimeField(null=True)  # when the wipe is or will be through
    shut_at = models.DateTimeField(null=True)  # nobody gets in
    boot_count = models.PositiveIntegerField(default=1)
    wipe_count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
