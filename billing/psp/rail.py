"""Stripe as a rail for payouts: a transfer to the provider's connected account."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from billing import gateway
from billing.models import PayoutAccount, Transfer, TransferReversal
from billing.psp import transfers
from billing.rails import Order, Outcome, RailBusy, RailRefused, Status
from inventory import clock
from inventory.errors import DomainError
from inventory.models import Organisation

_STATUS = {
    Transfer.State.PLANNED: Status.PENDING,
    Transfer.State.SENT: Status.PAID,
    Transfer.State.FAILED: Status.FAILED,
}


class StripeRail:
    """See `billing.rails.Rail`. An order becomes a row and a request in one transaction; the
    request is sent by its own sweep, so that nothing here may be lost between two systems.
    """

    def destination(self, provider: Organisation, currency: str) -> str:
        account = PayoutAccount.objects.filter(
            provider=provider, state=PayoutAccount.State.ENABLED
        ).first()
        return (account.account_id or "") if account is not None and gateway.is_on() else ""

    def send(self, order: Order) -> Outcome:
        """Nothing is asked for that our available balance would not cover: Stripe would refuse
        it for good, and the money may be there tomorrow. Then RailBusy says so."""
        known = Transfer.objects.filter(payout_id=order.key).select_related("account").first()
        if known is not None:
            if (known.amount_minor, known.currency, known.account.account_id) != (
                order.amount_minor,
                order.currency,
                order.destination,
            ):
                raise RailRefused("This key is another order's")
            return _outcome(known)
        account = (
            PayoutAccount.objects.filter(account_id=order.destination)
            .select_related("provider")
            .first()
        )
        if account is None:
            raise RailRefused("No such amount or destination can be paid")
        try:
            available, _pending = gateway.balance().get(order.currency, (0, 0))
        except gateway.GatewayError as error:
            raise RailBusy(str(error)) from error
        if available < order.amount_minor:
            raise RailBusy(f"{available} of {order.amount_minor} {order.currency} available")
        try:
            with transaction.atomic():
                made = transfers.plan(
                    payout_id=order.key,
                    provider=account.provider,
                    amount_minor=order.amount_minor,
                    currency=order.currency,
                    at=clock.now(),
                )
        except DomainError as error:
            raise RailRefused(str(error)) from error
        return _outcome(made)

    def returned(self, *, since: datetime) -> list[tuple[str, Outcome]]:
        rows = TransferReversal.objects.filter(
            state=TransferReversal.State.SUCCEEDED,
            succeeded_at__gte=since,
            amount_minor=F("transfer__amount_minor"),
        )
        return [
            (row.transfer.payout_id, Outcome(Status.RETURNED, row.reversal_id or "", row.reason))
            for row in rows.select_related("transfer").order_by("pk")
        ]

    def look_up(self, key: str) -> Outcome:
        row = Transfer.objects.filter(payout_id=key).first()
        return Outcome(Status.UNKNOWN) if row is None else _outcome(row)


def _outcome(row: Transfer) -> Outcome:
    status = _STATUS[Transfer.State(row.state)]
    return Outcome(status, row.transfer_id or "", row.failure_reason)
