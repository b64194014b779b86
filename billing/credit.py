"""What a tenant may owe by deals that are paid afterwards, before they are made."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import connection

from billing import ledger
from inventory.errors import DomainError
from marketplace import money
from marketplace.models import Lease, PriceVersion


class CreditExceeded(DomainError):
    """What could be used before the market would notice that nobody pays is more than the
    tenant's credit limit: it tops up less, or the operator grants more."""

    code = "credit_exceeded"
    title = "The credit limit does not cover this deal"
    status = 402


def check(lease: Lease, *, at: datetime) -> None:
    """Whether the tenant's credit limit covers its deals in arrears, this one among them.

    The caller holds the tenant's wallet. `ARREARS_COVER_BPS` says how much of the exposure has
    to be covered; nothing switches the check off. Raises CreditExceeded.
    """
    if lease.price.schedule != PriceVersion.Schedule.ARREARS or not settings.ARREARS_COVER_BPS:
        return
    exposed = exposure_minor(lease.tenant_id, lease.currency, at)
    needed = money.share(exposed, settings.ARREARS_COVER_BPS)
    limit = ledger.balance(lease.tenant, currency=lease.currency).credit_minor
    if needed > limit:
        raise CreditExceeded(
            exposure_minor=exposed, limit_minor=limit, needed_minor=needed, currency=lease.currency
        )


def exposure_minor(tenant_id: int, currency: str, at: datetime) -> int:
    """What a tenant could have used unpaid when its access is shut, in all, less the security.

    Of each lease in arrears the periods that begin before then: a month, the days until it is
    due, and those of grace and notice; counted from now, or from its start.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT coalesce(sum(greatest(0, x.open - t.security_minor)), 0)
            FROM marketplace_lease l
            JOIN billing_leasetally t ON t.lease_id = l.id
            JOIN marketplace_priceversion p ON p.id = l.price_id
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(i.amount_minor - i.used_minor - i.cleared_minor), 0) AS open
                FROM billing_instalment i
                WHERE i.lease_id = l.id AND i.kind = 'arrears'
                  AND i.state IN ('planned', 'unpaid', 'overdue')
                  AND lower(i.period) < greatest(%(at)s, lower(l.period))
                    + make_interval(months => 1, days =>
                        p.net_days + p.grace_days + p.notice_days)) x
            WHERE l.tenant_id = %(tenant)s AND l.currency = %(currency)s
              AND l.closed_at IS NULL AND p.schedule = 'arrears'
            """,
            {"at": at, "tenant": tenant_id, "currency": currency},
        )
        return int(cursor.fetchone()[0])
