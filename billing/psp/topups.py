"""Top-ups: a tenant pays by card, Alipay or WeChat Pay, and the money is in its wallet."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction

from billing import chart, gateway, ledger, payments
from billing.gateway import currencies, shapes
from billing.ledger import Kind
from billing.models import Dispute, PspCustomer, PspRequest, TopUp
from billing.psp import booking, requests
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, NotFound
from inventory.models import Organisation

State = TopUp.State
OPEN_AT_ONCE = 10


class TopUpsFrozen(DomainError):
    """A payment of this tenant is disputed: until that is settled it pays by bank transfer."""

    code = "top_ups_frozen"
    title = "Paying online is stopped while a payment is disputed"
    status = 403


class TooManyOpen(DomainError):
    """Payments that were begun are finished or cancelled before more are begun."""

    code = "too_many_open_top_ups"
    title = "Too many payments are open already"
    status = 409


def start(*, tenant_id: int, amount_minor: int, currency: str, at: datetime, actor: Actor) -> TopUp:
    """A payment of that amount can be made soon: its PaymentIntent is asked for.

    Locks the tenant's customer row. Not idempotent. Raises GatewayOff, AmountRefused,
    UnknownCurrency, TopUpsFrozen, TooManyOpen, NotFound.
    """
    gateway.require_on()
    currencies.payment(amount_minor, currency)
    tenant = Organisation.objects.filter(pk=tenant_id, is_tenant=True).first()
    if tenant is None:
        raise NotFound("No such tenant")
    with transaction.atomic():
        customer = _customer(tenant, at)
        _refuse_frozen(tenant, currency)
        open_now = TopUp.objects.filter(tenant=tenant, state__in=[State.PLANNED, State.OPEN])
        if open_now.count() >= OPEN_AT_ONCE:
            raise TooManyOpen(most=OPEN_AT_ONCE)
        row = TopUp.objects.create(
            tenant=tenant,
            amount_minor=amount_minor,
            currency=currency,
            asked_by=actor.label,
            created_at=at,
        )
        journal.record(
            event="topup.started",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.PLANNED,
            tenant_id=tenant.pk,
            data={"amount_minor": amount_minor, "currency": currency},
        )
        if customer.customer_id is not None:
            _plan(row, customer, at)
    return row


def cancel(*, top_up_public_id: str, at: datetime, actor: Actor) -> TopUp:
    """Stripe is asked to take the payment away; one that was paid meanwhile stays paid.

    Idempotent. Raises NotFound, IllegalTransition where it is over or not there yet.
    """
    with transaction.atomic():
        row = identifiers.find(
            TopUp.objects.select_for_update(of=("self",), no_key=True),
            top_up_public_id,
            "No such top-up",
        )
        if row.state != State.OPEN or row.intent_id is None:
            raise transitions.IllegalTransition(
                f"{row.public_id} is {row.state} and cannot become cancelled",
                current=row.state,
                wanted="cancelled",
            )
        asked = PspRequest.objects.filter(subject=row.public_id, operation="payment_intent.cancel")
        if not asked.exists():
            requests.plan(
                operation="payment_intent.cancel",
                subject=row.public_id,
                organisation=row.tenant,
                parameters={"target": row.intent_id, "cancellation_reason": "abandoned"},
                at=at,
            )
    return row


def _customer(tenant: Organisation, at: datetime) -> PspCustomer:
    PspCustomer.objects.bulk_create(
        [PspCustomer(organisation=tenant, created_at=at)], ignore_conflicts=True
    )
    customer = PspCustomer.objects.select_for_update(of=("self",), no_key=True).get(
        organisation=tenant
    )
    asked = PspRequest.objects.filter(subject=tenant.public_id, operation="customer.create")
    if customer.customer_id is None and not asked.exclude(state="failed").exists():
        requests.plan(
            operation="customer.create",
            subject=tenant.public_id,
            organisation=tenant,
            parameters={"name": tenant.name[:256]},
            at=at,
            attempt=asked.count() + 1,
        )
    return customer


def _refuse_frozen(tenant: Organisation, currency: str) -> None:
    disputes = Dispute.objects.filter(tenant=tenant)
    if disputes.filter(state=Dispute.State.OPEN).exists():
        raise TopUpsFrozen()
    if disputes.filter(state=Dispute.State.LOST).exists() and ledger.posted(
        chart.receivable(tenant, currency)
    ):
        raise TopUpsFrozen()


def _plan(row: TopUp, customer: PspCustomer, at: datetime) -> None:
    requests.plan(
        operation="payment_intent.create",
        subject=row.public_id,
        organisation=row.tenant,
        parameters={
            "amount": currencies.payment(row.amount_minor, row.currency),
            "currency": row.currency.lower(),
            "customer": customer.customer_id,
            # A filter on what the account offers for this currency; payment_method_types is gone.
            "allowed_payment_method_types": settings.STRIPE_METHODS,
            "description": f"Cardhour {row.public_id}",
        },
        at=at,
    )


def customer_made(request: PspRequest, seen: shapes.Customer, at: datetime) -> None:
    """Stripe knows the tenant: the payments that waited for it are asked for."""
    customer = PspCustomer.objects.select_for_update(of=("self",), no_key=True).get(
        organisation=request.organisation
    )
    if customer.customer_id is None:
        customer.customer_id = seen.id
        customer.save(update_fields=["customer_id"])
    waiting = TopUp.objects.filter(tenant=request.organisation, state=State.PLANNED)
    for row in waiting.order_by("pk").select_related("tenant"):
        asked = PspRequest.objects.filter(subject=row.public_id)
        if not asked.exists():
            _plan(row, customer, at)


def customer_refused(request: PspRequest, at: datetime) -> None:
    waiting = TopUp.objects.select_for_update(of=("self",), no_key=True).filter(
        tenant=request.organisation, state=State.PLANNED
    )
    for row in waiting.order_by("pk"):
        _refuse(row, request, at)


def refused(request: PspRequest, at: datetime) -> None:
    if request.operation == "payment_intent.create":
        _refuse(_lock(request.subject), request, at)


def _refuse(row: TopUp, request: PspRequest, at: datetime) -> None:
    if row.state == State.PLANNED:
        transitions.advance(
            row, to=State.FAILED, at=at, actor=booking.ACTOR, reason=request.error_code
        )


def follow(seen: shapes.Intent, at: datetime) -> bool:
    """Our row is as far as Stripe's object; paid means booked. False: the object is not ours.

    The money is in the wallet once Stripe says what arrived of it; then what the tenant owes
    is paid first. Locks the top-up, then balances.
    """
    row = _find(seen)
    if row is None:
        return False
    row.intent_id = seen.id
    changed = ["intent_id"]
    if seen.client_secret and not row.client_secret:
        row.client_secret = seen.client_secret
        changed.append("client_secret")
    if seen.decline_code != row.decline_code:
        row.decline_code = seen.decline_code
        changed.append("decline_code")
    to = _state(seen)
    if row.LIFECYCLE.is_final(row.state) or row.state == to:
        row.save(update_fields=changed)
        return True
    if to == State.SUCCEEDED:
        changed += _book(row, seen, at)
    transitions.advance(row, to=to, at=at, actor=booking.ACTOR, changed=tuple(changed))
    return True


def is_behind(seen: shapes.Intent) -> bool:
    row = TopUp.objects.filter(intent_id=seen.id).first()
    if row is None:
        return str(seen.metadata.get("subject", "")).startswith("top_")
    return not row.LIFECYCLE.is_final(row.state) and row.state != _state(seen)


def _state(seen: shapes.Intent) -> str:
    match seen.status:
        case "succeeded" if seen.charge is None or seen.charge.line is None:
            return State.PROCESSING  # its balance transaction comes a little later
        case "succeeded":
            return State.SUCCEEDED
        case "processing" | "requires_capture":
            return State.PROCESSING
        case "canceled":
            return State.CANCELLED
    return State.OPEN


def _book(row: TopUp, seen: shapes.Intent, at: datetime) -> list[str]:
    assert seen.charge is not None and seen.charge.line is not None  # noqa: PT018
    line, wallet = seen.charge.line, chart.wallet(row.tenant, row.currency)
    if (seen.received_minor, seen.currency) != (row.amount_minor, row.currency):
        raise booking.LineDiffers(f"{seen.id}: {seen.received_minor} {seen.currency} received")
    row.charge_id = seen.charge.id
    row.method, row.card_fingerprint = seen.charge.method, seen.charge.fingerprint
    row.settled_minor, row.settled_currency = line.amount_minor, line.currency
    row.fee_minor, row.exchange_rate = line.fee_minor, line.exchange_rate
    ledger.lock([wallet, chart.receivable(row.tenant, row.currency)])
    booking.post(
        Kind.TOPPED_UP,
        f"stripe:{seen.charge.id}:captured",
        booking.entries(line, account=wallet, currency=row.currency, debit_minor=-row.amount_minor),
        line=line,
        at=at,
    )
    payments.clear_receivable(
        row.tenant,
        currency=row.currency,
        up_to_minor=row.amount_minor,
        cause=f"topup:{row.public_id}",
        at=at,
        actor=booking.ACTOR,
    )
    return [
        "charge_id", "method", "card_fingerprint", "settled_minor", "settled_currency",
        "fee_minor", "exchange_rate",
    ]  # fmt: skip


def _find(seen: shapes.Intent) -> TopUp | None:
    rows = TopUp.objects.select_for_update(of=("self",), no_key=True).select_related("tenant")
    row = rows.filter(intent_id=seen.id).first()
    if row is None:
        subject = str(seen.metadata.get("subject", ""))
        row = rows.filter(public_id=subject).first() if subject.startswith("top_") else None
    # Somebody else's object of the same account may name ours.
    return row if row is not None and row.intent_id in (None, seen.id) else None


def _lock(public_id: str) -> TopUp:
    rows = TopUp.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("tenant"), public_id)
