"""Payout accounts: where a provider is paid over Stripe, and what Stripe still wants to know."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from billing import gateway
from billing.gateway import shapes
from billing.models import PayoutAccount, PspRequest
from billing.psp import booking, requests
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Organisation

State = PayoutAccount.State


class PayoutAccountExists(DomainError):
    """A provider has one account at a time."""

    code = "payout_account_exists"
    title = "There is a payout account already"
    status = 409


class AccountNotThere(DomainError):
    """Stripe has not opened the account yet, or has closed it."""

    code = "payout_account_not_there"
    title = "The payout account is not there yet"
    status = 409


def open_account(*, provider_id: int, country: str, at: datetime, actor: Actor) -> PayoutAccount:
    """A connected account is asked for: the platform pays its fees and bears its losses, Stripe
    asks the provider what it has to know.

    Raises GatewayOff, PayoutAccountExists, Invalid, NotFound.
    """
    gateway.require_on()
    if country not in settings.STRIPE_PAYOUT_COUNTRIES:
        raise Invalid("Stripe pays no account in this country for us; payouts go by bank")
    provider = Organisation.objects.filter(pk=provider_id, is_provider=True).first()
    if provider is None:
        raise NotFound("No such provider")
    row = PayoutAccount(provider=provider, country=country, created_at=at)
    with transaction.atomic():
        try:
            with transaction.atomic():
                row.save(force_insert=True)
        except IntegrityError as error:
            raise PayoutAccountExists() from error
        requests.plan(
            operation="account.create",
            subject=row.public_id,
            organisation=provider,
            parameters={
                "country": country,
                # Not `type`: who bears what is said part by part.
                "controller": {
                    "losses": {"payments": "application"},
                    "fees": {"payer": "application"},
                    "requirement_collection": "stripe",
                    "stripe_dashboard": {"type": "express"},
                },
                "capabilities": {"transfers": {"requested": True}},
            },
            at=at,
        )
        journal.record(
            event="payoutaccount.asked",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.PLANNED,
            provider_id=provider.pk,
            data={"country": country},
        )
    return row


def onboarding_link(row: PayoutAccount, *, refresh_url: str, return_url: str) -> str:
    """Stripe's page for the provider. Calls Stripe: not in a transaction.

    Raises AccountNotThere, GatewayBusy.
    """
    if row.account_id is None or row.state == State.CLOSED:
        raise AccountNotThere()
    try:
        return gateway.onboarding_link(
            row.account_id, refresh_url=refresh_url, return_url=return_url
        )
    except gateway.GatewayError as error:
        raise gateway.GatewayBusy() from error


def refused(request: PspRequest, at: datetime) -> None:
    row = _lock(public_id=request.subject)
    if row is not None and row.state == State.PLANNED:
        row.disabled_reason = request.error_code
        transitions.advance(
            row,
            to=State.CLOSED,
            at=at,
            actor=booking.ACTOR,
            reason=request.error_code,
            changed=("disabled_reason",),
        )


def follow(seen: shapes.Account, at: datetime) -> bool:
    """Our row is as far as Stripe's account. False: not ours. Locks the payout account."""
    row = _lock(account_id=seen.id)
    if row is None:
        subject = str(seen.metadata.get("subject", ""))
        row = _lock(public_id=subject) if subject.startswith("pac_") else None
        if row is None or row.account_id not in (None, seen.id):
            return False
    row.account_id = seen.id
    row.wanted, row.disabled_reason = list(seen.wanted), seen.disabled_reason
    changed = ("account_id", "wanted", "disabled_reason")
    to = _state(row, seen)
    if to == row.state or not row.LIFECYCLE.allows(row.state, to):
        row.save(update_fields=changed)
    else:
        transitions.advance(
            row,
            to=to,
            at=at,
            actor=booking.ACTOR,
            reason=seen.disabled_reason,
            changed=changed,
        )
    return True


def _state(row: PayoutAccount, seen: shapes.Account) -> str:
    if seen.disabled_reason.startswith("rejected"):
        return State.CLOSED
    if seen.can_receive and seen.can_pay_out:
        return State.ENABLED
    return State.ONBOARDING if row.state == State.PLANNED else State.RESTRICTED


def deauthorized(account_id: str, at: datetime) -> bool:
    """The provider took the account away from us."""
    row = _lock(account_id=account_id)
    if row is None:
        return False
    if row.state != State.CLOSED:
        transitions.advance(row, to=State.CLOSED, at=at, actor=booking.ACTOR, reason="deauthorized")
    return True


def bank_payout(account_id: str, seen: shapes.Payout, at: datetime) -> bool:
    """A payout of the account to its own bank: none of our books, but a failure is told."""
    row = _lock(account_id=account_id)
    if row is None:
        return False
    failure = seen.failure_reason or "failed" if seen.status == "failed" else ""
    if failure != row.payout_failure:
        row.payout_failure = failure
        row.save(update_fields=["payout_failure"])
        if failure:
            journal.record(
                event="payoutaccount.bank_refused",
                object_id=row.public_id,
                actor=booking.ACTOR,
                at=at,
                reason=failure,
                provider_id=row.provider_id,
            )
    return True


def _lock(**wanted: str) -> PayoutAccount | None:
    rows = PayoutAccount.objects.select_for_update(of=("self",), no_key=True)
    try:
        return (
            identifiers.find(rows, wanted["public_id"])
            if "public_id" in wanted
            else (rows.filter(**wanted).first())
        )
    except NotFound:
        return None
