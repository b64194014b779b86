"""Public keys with which an organisation's people get into what it rents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q

from inventory.identifiers import PublicIdField
from inventory.lifecycle import unchanging
from inventory.models.organisation import Organisation

if TYPE_CHECKING:
    from inventory.actors import Actor


class SshKeyQuerySet(models.QuerySet["SshKey"]):
    def visible_to(self, actor: Actor) -> SshKeyQuerySet:
        if actor.sees_everything:
            return self
        own = actor.organisation_id
        return self.none() if own is None else self.filter(organisation_id=own)


class SshKey(models.Model):
    """A public key (SSH 公钥) that machines of later deals let in, where a deal names no keys.

    Not a secret, and no key to the API. A deal freezes the keys it is made with.
    """

    public_id = PublicIdField(prefix="ssh")
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="ssh_keys"
    )
    name = models.CharField(max_length=80)
    algorithm = models.CharField(max_length=40)
    line = models.CharField(max_length=1000)  # as authorized_keys has it, with `name` as comment
    fingerprint = models.CharField(max_length=60)  # SHA256:…, as `ssh-keygen -l` prints it
    created_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    objects = SshKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "fingerprint"],
                condition=Q(removed_at__isnull=True),
                name="ssh_key_once",
            ),
        ]
        triggers = [
            unchanging(
                "ssh_key_as_added", "organisation", "name", "algorithm", "line", "fingerprint"
            )
        ]

    def __str__(self) -> str:
        return self.public_id
