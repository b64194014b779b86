"""Replies kept, so that a repeated request gets the same one and does nothing."""

from __future__ import annotations

from django.db import models

from inventory.models import Organisation


class IdempotencyRecord(models.Model):
    """The stored reply to one (organisation, key): it commits with its effect, 2xx only."""

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=255)
    request_sha256 = models.BinaryField(max_length=32)  # of method, path and body
    status = models.PositiveSmallIntegerField()
    content_type = models.CharField(max_length=80)
    body = models.BinaryField()
    location = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organisation", "key"], name="one_reply_per_key"),
        ]
        indexes = [models.Index(fields=["created_at"], name="idempotency_by_age")]

    def __str__(self) -> str:
        return f"{self.organisation_id} {self.key}"
