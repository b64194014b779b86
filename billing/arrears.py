"""Leases that nobody pays for any more."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import connection

from billing.models import Charge
from inventory import actors
from inventory.errors import DomainError
from marketplace import leases

logger = logging.getLogger(__name__)
ACTOR = actors.system("arrears")


def end_unpaid(*, at: datetime, limit: int) -> int:
    """Running leases whose deposit is used up and whose tenant owes are ended; returns how many.

    Only those paid by the hour: a prepaid one is paid. The deposit is the tenant's time to
    fill its wallet; after it, every further hour would be lent by the operator. One transaction
    each, so that one that cannot end holds up no other. Idempotent.
    """
    ended = 0
    for lease_id in _due(limit):
        try:
            leases.end_unpaid(
                lease_id=lease_id, evidence=_first_unpaid(lease_id), at=at, actor=ACTOR
            )
        except DomainError as error:
            logger.warning("lease %s does not end: %s", lease_id, error)
        else:
            ended += 1
    return ended


def _first_unpaid(lease_id: int) -> str:
    """The public id of the first charge that the wallet could not pay: why it ends."""
    rows = Charge.objects.filter(lease_id=lease_id, receivable_minor__gt=0)
    return rows.order_by("hour", "pk").values_list("public_id", flat=True)[0]


def _due(limit: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT l.id FROM marketplace_lease l
            JOIN marketplace_priceversion p ON p.id = l.price_id
            JOIN billing_leasetally t ON t.lease_id = l.id
            JOIN billing_ledgeraccount a ON a.owner_id = l.tenant_id
             AND a.purpose = 'tenant_receivable' AND a.currency = l.currency
            JOIN billing_ledgerbalance b ON b.account_id = a.id
            WHERE l.state = 'active' AND l.end_reason = '' AND p.schedule = 'deposit_hourly'
              AND t.deposit_left_minor = 0 AND b.posted > 0
              AND EXISTS (SELECT FROM billing_charge c
                          WHERE c.lease_id = l.id AND c.receivable_minor > 0)
            ORDER BY l.id LIMIT %s
            """,
            [limit],
        )
        return [row[0] for row in cursor.fetchall()]
