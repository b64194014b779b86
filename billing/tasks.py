"""The money's sweeps. Each is safe to run twice and beside itself; each is one domain call."""

from __future__ import annotations

import logging
from smtplib import SMTPException

from celery import shared_task

from billing import (
    arrears,
    audit_mail,
    audit_reports,
    bank_accounts,
    bank_deals,
    baskets,
    checkout,
    checkpoints,
    closing,
    collecting,
    dunning,
    fapiaos,
    invoices,
    ledger,
    payout_sending,
    rating,
    receipts,
    receivables,
    reserves,
    runway,
    settlement,
    sla_credits,
    statements,
    verification,
)
from billing.psp import demo, events, sending, sweeping
from inventory import clock

logger = logging.getLogger(__name__)


@shared_task(name="billing.expire_reservations")
def expire_reservations(**_: object) -> int:
    return checkout.expire_due(at=clock.now(), limit=500)


@shared_task(name="billing.expire_baskets")
def expire_baskets(**_: object) -> int:
    return baskets.expire_due(at=clock.now(), limit=100)


@shared_task(name="billing.rate_usage")
def rate_usage(**_: object) -> int:
    return len(rating.rate_due(at=clock.now(), limit=20_000))


@shared_task(name="billing.collect_instalments")
def collect_instalments(**_: object) -> int:
    at = clock.now()
    return collecting.note_cleared(at=at, limit=500) + collecting.collect_due(at=at, limit=1000)


@shared_task(name="billing.dun")
def dun(**_: object) -> int:
    return dunning.sweep(at=clock.now(), limit=500)


@shared_task(name="billing.warn_of_runway")
def warn_of_runway(**_: object) -> int:
    return runway.warn_due(at=clock.now())


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


@shared_task(name="billing.credit_service_levels")
def credit_service_levels(**_: object) -> int:
    return sla_credits.credit_due(at=clock.now(), limit=5_000)


@shared_task(name="billing.expire_holds")
def expire_holds(**_: object) -> int:
    return ledger.expire_holds(at=clock.now(), limit=500)


@shared_task(name="billing.lapse_credit_limits")
def lapse_credit_limits(**_: object) -> int:
    return ledger.lapse_credit_limits(at=clock.now(), limit=500)


@shared_task(name="billing.take_checkpoints")
def take_checkpoints(**_: object) -> int:
    return checkpoints.take(at=clock.now())


@shared_task(name="billing.confirm_paid_deals")
def confirm_paid_deals(**_: object) -> int:
    return bank_deals.confirm_paid(at=clock.now(), limit=200)


@shared_task(name="billing.assign_virtual_accounts")
def assign_virtual_accounts(**_: object) -> int:
    return bank_accounts.assign_virtual_accounts(at=clock.now(), limit=500)


@shared_task(name="billing.warn_of_unmatched")
def warn_of_unmatched(**_: object) -> int:
    rows = receipts.aged(at=clock.now())
    for row in rows:
        logger.warning("receipt %s is nobody's since %s", row.public_id, row.created_at.date())
    return len(rows)


@shared_task(name="billing.release_reserves")
def release_reserves(**_: object) -> int:
    return reserves.release_due(at=clock.now(), limit=1000)


@shared_task(name="billing.step_payouts")
def step_payouts(**_: object) -> int:
    at = clock.now()
    moved = payout_sending.return_due(at=at) + payout_sending.step_due(at=at, limit=50)
    return moved + receivables.follow_claw_backs(at=at, actor=settlement.ACTOR)


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


@shared_task(name="billing.send_to_stripe")
def send_to_stripe(**_: object) -> int:
    return sending.send_due(at=clock.now(), limit=100)


@shared_task(name="billing.apply_stripe_events")
def apply_stripe_events(**_: object) -> int:
    demo.deliver(at=clock.now())
    return events.apply_due(at=clock.now(), limit=200)


@shared_task(name="billing.look_around_stripe")
def look_around_stripe(**_: object) -> int:
    return sweeping.look_around(at=clock.now())


@shared_task(name="billing.import_stripe_lines")
def import_stripe_lines(**_: object) -> int:
    return sweeping.import_lines(at=clock.now())


@shared_task(name="billing.make_audit_reports")
def make_audit_reports(**_: object) -> int:
    return len(audit_reports.make_due(at=clock.now()))


@shared_task(
    name="billing.mail_audit",
    autoretry_for=(OSError, SMTPException),
    retry_backoff=60,
    retry_jitter=True,
    max_retries=8,
)
def mail_audit(**_: object) -> bool:
    return audit_mail.send(at=clock.now())
