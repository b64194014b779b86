"""Who pays whom in a bench of the ledger: organisations by number, their wallets full."""

from __future__ import annotations

from datetime import datetime

from billing import chart, ledger
from billing.demo.people import SEED
from billing.ledger import Kind, Posting
from inventory.models import Organisation

WALLET_MINOR = 10**16
FIRST_PROVIDER = 10_000


def organisations(*, first: int, count: int, at: datetime, **kinds: bool) -> list[Organisation]:
    """Those of these numbers, made where they are missing.

    Their ids are digits alone, so that pgbench can write an account's code from a number.
    """
    ids = [f"org_{number:032d}" for number in range(first, first + count)]
    known = {row.public_id: row for row in Organisation.objects.filter(public_id__in=ids)}
    missing = [
        Organisation(public_id=name, name=f"国测账本{name[-8:]}", created_at=at, **kinds)
        for name in ids
        if name not in known
    ]
    Organisation.objects.bulk_create(missing)
    return [*known.values(), *missing]


def fill(tenants: list[Organisation], at: datetime) -> None:
    """Every wallet, once."""
    ledger.post_many(
        [
            Posting(
                kind=Kind.BANK_RECEIPT_APPROVED,
                key=f"bench:fill:{tenant.public_id}",
                entries=[
                    (chart.unmatched_receipts("CNY"), WALLET_MINOR),
                    (chart.wallet(tenant, "CNY"), -WALLET_MINOR),
                ],
                effective_at=tenant.created_at,
            )
            for tenant in tenants
        ],
        at=at,
        actor=SEED,
    )
