"""Whose a transfer is: a proposal, which two persons see before it is in a wallet.

First by a reference in its text, then by the virtual account it was paid to, then by a verified
tenant's own account. Whoever is found that way has to have paid it itself: money of a third
party is a person's decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

from billing import bank_names, references
from billing.models import (
    BankAccount,
    BankLine,
    BankReceipt,
    BankWithdrawal,
    Payout,
    Refund,
    VirtualAccount,
)
from billing.reconciliation_sides import ARRIVES_AFTER, ARRIVES_BEFORE, start_of
from billing.references import Reference
from inventory.models import Organisation, Verification
from marketplace.models import Basket, Reservation

Match = BankReceipt.Match
Doubt = BankReceipt.Doubt
_BY_TAIL = {
    "rsv": "SELECT id FROM marketplace_reservation WHERE right(public_id::text, 12) = %s LIMIT 2",
    "bsk": "SELECT id FROM marketplace_basket WHERE right(public_id::text, 12) = %s LIMIT 2",
    "org": "SELECT id FROM inventory_organisation"
    " WHERE is_tenant AND right(public_id::text, 12) = %s LIMIT 2",
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a bank says of money that came in."""

    payer_name: str
    payer_account: str
    text: str
    virtual_number: str
    currency: str
    account: BankAccount | None
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """Whose it seems to be and what for; or why nobody's, and whom it names all the same."""

    tenant: Organisation | None = None
    reservation: Reservation | None = None
    basket: Basket | None = None
    refund: Refund | None = None
    matched_by: str = ""
    doubt: str = ""
    candidate: Organisation | None = None


@dataclass(frozen=True, slots=True)
class _Named:
    tenant: Organisation
    reservation: Reservation | None = None
    basket: Basket | None = None


def propose(transfer: Transfer) -> Proposal:
    """Whose the transfer is. Reads only; a constant number of statements."""
    found = references.read(transfer.text)
    refund = _refund(transfer, found.references)
    if refund is not None:
        return refund
    named = [each for reference in found.references for each in _named(reference)]
    tenants = {each.tenant.pk: each.tenant for each in named}
    deals = {(each.reservation, each.basket) for each in named}
    if len(tenants) > 1:
        return Proposal(doubt=Doubt.AMBIGUOUS)
    if named:
        (tenant,) = tenants.values()
        one = named[0] if len(deals) == 1 else _Named(tenant)  # several deals: the wallet
        return _if_own(transfer, one, Match.REFERENCE)
    by_account = _owner(transfer)
    if found.has_typo:
        return Proposal(doubt=Doubt.REFERENCE_TYPO, candidate=by_account)
    virtual = _virtual(transfer)
    if virtual is not None:
        return _if_own(transfer, _Named(virtual), Match.VIRTUAL_ACCOUNT)
    if by_account is not None:
        return _if_own(transfer, _Named(by_account), Match.PAYER)
    return Proposal(doubt=Doubt.UNKNOWN_PAYER, candidate=_namesake(transfer))


def is_own_money(line: BankLine) -> bool:
    """Stripe's payout to us, or a payout of ours that came back: no receipt of anybody's.

    Each is booked where it belongs, and reconciliation finds that posting.
    """
    if line.own_reference.startswith(references.PAYOUT):
        sent = Payout.objects.filter(
            amount_minor=line.amount_minor,
            currency=line.currency,
            state__in=[Payout.State.SENT, Payout.State.PAID, Payout.State.RETURNED],
        )
        return any(references.of(row.public_id) == line.own_reference for row in sent)
    if "STRIPE" not in line.counterparty_name.upper():
        return False
    day = start_of(line.booked_date)
    around = (day - ARRIVES_AFTER, day + ARRIVES_BEFORE)
    return BankWithdrawal.objects.filter(
        amount_minor=line.amount_minor, currency=line.currency, arrival_at__range=around
    ).exists()


def resolve(reference: Reference) -> tuple[Reservation | None, Basket | None] | None:
    """The deal of a reference; None where it is of no deal, or of two."""
    named = _named(reference)
    return (named[0].reservation, named[0].basket) if len(named) == 1 else None


def _named(reference: Reference) -> list[_Named]:
    if reference.prefix not in _BY_TAIL:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_BY_TAIL[reference.prefix], [reference.tail])
        ids = [row[0] for row in cursor.fetchall()]
    if reference.prefix == "rsv":
        rows = Reservation.objects.filter(pk__in=ids).select_related("tenant", "basket")
        # What lies in a basket is confirmed with it.
        return [
            _Named(row.tenant, basket=row.basket) if row.basket else _Named(row.tenant, row)
            for row in rows
        ]
    if reference.prefix == "bsk":
        baskets = Basket.objects.filter(pk__in=ids).select_related("tenant")
        return [_Named(row.tenant, basket=row) for row in baskets]
    return [_Named(row) for row in Organisation.objects.filter(pk__in=ids)]


def _if_own(transfer: Transfer, named: _Named, how: str) -> Proposal:
    tenant = named.tenant
    own = bank_names.is_of(transfer.payer_name, tenant)
    if not own and transfer.payer_account:
        # The bank knows the holder by a name that somebody of the operator has seen.
        holders = BankAccount.objects.filter(
            owner=tenant, number=transfer.payer_account, state=BankAccount.State.VERIFIED
        ).values_list("holder_name", flat=True)
        own = any(bank_names.same(transfer.payer_name, holder) for holder in holders)
    if not own:
        return Proposal(doubt=Doubt.THIRD_PARTY, candidate=tenant)
    return Proposal(tenant, named.reservation, named.basket, matched_by=how)


def _refund(transfer: Transfer, found: tuple[Reference, ...]) -> Proposal | None:
    """A refund of ours that the payee's bank sent back, of the same amount."""
    codes = [reference.text for reference in found if reference.prefix == "rfd"]
    row = (
        Refund.objects.filter(
            reference__in=codes,
            amount_minor=transfer.amount_minor,
            currency=transfer.currency,
            state__in=[Refund.State.SENT, Refund.State.DONE],
            receipt__isnull=True,
        )
        .select_related("tenant")
        .first()
    )
    if row is None:
        return None
    return Proposal(row.tenant, refund=row, matched_by=Match.REFUND)


def _virtual(transfer: Transfer) -> Organisation | None:
    if not transfer.virtual_number or transfer.account is None:
        return None
    row = (
        VirtualAccount.objects.filter(account=transfer.account, number=transfer.virtual_number)
        .select_related("tenant")
        .first()
    )
    return row.tenant if row else None


def _owner(transfer: Transfer) -> Organisation | None:
    """The verified tenant whose verified account it came from."""
    if not transfer.payer_account:
        return None
    row = (
        BankAccount.objects.filter(
            number=transfer.payer_account,
            currency=transfer.currency,
            state=BankAccount.State.VERIFIED,
            owner__is_tenant=True,
            owner__state=Verification.VERIFIED,
        )
        .select_related("owner")
        .first()
    )
    return row.owner if row else None


def _namesake(transfer: Transfer) -> Organisation | None:
    """The one tenant of exactly that name: a hint to whoever looks, no match."""
    rows = Organisation.objects.filter(is_tenant=True, name=transfer.payer_name.strip())[:2]
    found = list(rows)
    return found[0] if len(found) == 1 else None
