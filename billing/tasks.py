"""The money's sweeps. Each is safe to run twice and beside itself; each is one domain call."""

from __future__ import annotations

from celery import shared_task

from billing import (
    arrears,
    baskets,
    checkout,
    closing,
    fapiaos,
    invoices,
    payout_sending,
    rating,
    reserves,
    settlement,
    statements,
    verification,
)
from inventory import clock


@shared_task(name="billing.expire_reservations")
def expire_reservations(**_: object) -> int:
    return checkout.expire_due(at=clock.now(), limit=500)


@shared_task(name="billing.expire_baskets")
def expire_baskets(**_: object) -> int:
    return baskets.expire_due(at=clock.now(), limit=100)


@shared_task(name="billing.rate_usage")
def rate_usage(**_: object) -> int:
    return len(rating.rate_due(at=clock.now(), limit=20_000))


@shared_task(name="billing.close_leases")
def close_leases(**_: object) -> int:
    return closing.close_leases(at=clock.now(), limit=500)


@shared_task(name="billing.end_unpaid")
def end_unpaid(**_: object) -> int:
    return arrears.end_unpaid(at=clock.now(), limit=500)


@shared_task(name="billing.verify_books")
def verify_books(**_: object) -> int:
    return verification.report(at=clock.now())


@shared_task(name="billing.settle_month")
def settle_month(**_: object) -> int:
    return settlement.settle_month(at=clock.now())


@shared_task(name="billing.release_reserves")
def release_reserves(**_: object) -> int:
    return reserves.release_due(at=clock.now(), limit=1000)


@shared_task(name="billing.step_payouts")
def step_payouts(**_: object) -> int:
    return payout_sending.step_due(at=clock.now(), limit=50)


@shared_task(name="billing.refresh_invoices")
def refresh_invoices(**_: object) -> int:
    return invoices.refresh(at=clock.now(), limit=1_000_000)


@shared_task(name="billing.finalise_invoices")
def finalise_invoices(**_: object) -> int:
    done = invoices.finalise_due(at=clock.now(), limit=10_000)
    return done.invoices + done.credit_notes


@shared_task(name="billing.follow_payments")
def follow_payments(**_: object) -> int:
    return invoices.follow_payments(at=clock.now())


@shared_task(name="billing.render_invoices")
def render_invoices(**_: object) -> int:
    return invoices.render_due(at=clock.now(), limit=500)


@shared_task(name="billing.issue_statements")
def issue_statements(**_: object) -> int:
    return statements.issue_due(at=clock.now(), limit=1_000)


@shared_task(name="billing.deem_statements")
def deem_statements(**_: object) -> int:
    return statements.deem_due(at=clock.now(), limit=1_000)


@shared_task(name="billing.submit_fapiaos")
def submit_fapiaos(**_: object) -> int:
    return fapiaos.submit_due(at=clock.now(), limit=100)
