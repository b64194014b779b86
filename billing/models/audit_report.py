"""What the operator reported of a month, as it was known then."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from inventory.identifiers import PublicIdField
from inventory.lifecycle import append_only


class AuditReport(models.Model):
    """The card-hour funnel of one calendar month as it was reported (利用率月报). Append-only.

    A month whose figures have changed since gets a next version, a restatement; what was said
    before stays. `figures` are whole card-seconds: of everything, and by hub node, owner, chip
    and centre. It is no rollup: nothing is read from it but the report itself.
    """

    public_id = PublicIdField(prefix="rpt")
    month = models.DateField()  # its first day, in the billing zone
    version = models.PositiveIntegerField()
    figures = models.JSONField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["month", "version"], name="one_report_per_version"),
            models.CheckConstraint(condition=Q(version__gte=1), name="report_versions_from_one"),
        ]
        triggers = [append_only("audit_report_append_only")]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} v{self.version}"
