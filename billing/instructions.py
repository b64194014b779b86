"""What a tenant is told to transfer: how much, where to, and what to write beside it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Sum

from billing import bank_accounts, references
from billing.models import BankAccount, BankDeal, BankReceipt, VirtualAccount
from inventory.models import Organisation
from marketplace.models import Basket, Reservation


@dataclass(frozen=True, slots=True)
class Destination:
    """An account of the operator, and the tenant's own number of it where the bank has one."""

    account: BankAccount
    virtual_number: str


@dataclass(frozen=True, slots=True)
class Instructions:
    """A transfer to make. `amount_minor` is None where any amount will do."""

    reference: str
    currency: str
    destinations: list[Destination]
    amount_minor: int | None = None
    due_minor: int = 0
    kept_aside_minor: int = 0  # counts towards what is due
    received_minor: int = 0  # approved for this deal so far
    pay_by: datetime | None = None
    deal: BankDeal | None = None


def for_wallet(tenant: Organisation, currency: str) -> Instructions:
    """How to top up. Reads only."""
    return Instructions(
        reference=references.of(tenant.public_id),
        currency=currency,
        destinations=_destinations(tenant, currency),
    )


def for_deal(deal: Reservation | Basket) -> Instructions:
    """How to pay a deal that is held, or was. Reads only; a constant number of statements."""
    named = {"reservation": deal} if isinstance(deal, Reservation) else {"basket": deal}
    received = BankReceipt.objects.filter(**named, state=BankReceipt.State.APPROVED).aggregate(
        sum=Sum("amount_minor", default=0)
    )["sum"]
    due = deal.due_minor
    aside = deal.hold_deposit_minor if deal.state == "held" else 0
    is_open = deal.state in ("held", "expired")
    return Instructions(
        reference=references.of(deal.public_id),
        currency=deal.currency,
        destinations=_destinations(deal.tenant, deal.currency),
        amount_minor=max(0, due - aside - received) if is_open else 0,
        due_minor=due,
        kept_aside_minor=aside,
        received_minor=received,
        pay_by=deal.expires_at,
        deal=BankDeal.objects.filter(**named).first(),
    )


def _destinations(tenant: Organisation, currency: str) -> list[Destination]:
    accounts = bank_accounts.of_operator(currency)
    own = dict(
        VirtualAccount.objects.filter(tenant=tenant, account__in=accounts).values_list(
            "account_id", "number"
        )
    )
    return [Destination(account, own.get(account.pk, "")) for account in accounts]
