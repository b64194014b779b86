"""What may be paid out to a provider, and where it goes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F

from billing import bank_accounts, rails
from billing.models import BankAccount, LedgerAccount, PayoutLine, PayoutTerms, Settlement
from inventory.errors import DomainError
from inventory.models import Organisation

Part = PayoutLine.Part


class NoPayee(DomainError):
    """The rail knows no account of the provider's."""

    code = "no_payee"
    title = "There is no account that can be paid to yet"
    status = 409


@dataclass(frozen=True, slots=True)
class Due:
    """A part of a settlement that may be paid out."""

    settlement: Settlement
    part: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a payout goes, as it is kept in it."""

    payee: BankAccount | None
    name: str
    bank: str
    bank_code: str
    account: str


def due(*, provider_id: int, currency: str) -> list[Due]:
    """The settled parts that are in no live payout. One statement."""
    rows = (
        Settlement.objects.filter(
            provider_id=provider_id, currency=currency, state=Settlement.State.SETTLED
        )
        .select_related("terms")
        .prefetch_related("payout_lines")
        .order_by("pk")
    )
    return [part for row in rows for part in _parts(row)]


def destination(*, provider: Organisation, currency: str, method: str, at: datetime) -> Destination:
    """Where the provider is paid by this method now. Raises NoBankAccount, NoPayee."""
    if method == PayoutTerms.Method.BANK:
        payee = bank_accounts.usable(provider, currency, at=at)
        return Destination(payee, payee.holder_name, payee.bank_name, payee.bank_code, payee.number)
    if method not in rails.methods():
        raise NoPayee("No rail is set up for this method")
    account = rails.of(method).destination(provider, currency)
    if not account:
        raise NoPayee("The provider has no connected account yet")
    return Destination(None, provider.name, "", "", account)


def accounts() -> list[tuple[int, str]]:
    """Providers and currencies that may have something to be paid: settled and not held."""
    rows = LedgerAccount.objects.filter(
        purpose="provider_settling", balance__posted__gt=F("balance__held")
    )
    return [
        (owner_id, currency)
        for owner_id, currency in rows.order_by("owner_id", "currency").values_list(
            "owner_id", "currency"
        )
        if owner_id is not None
    ]


def _parts(row: Settlement) -> Iterable[Due]:
    taken = {line.part for line in row.payout_lines.all() if line.is_live}
    if row.payable_minor and Part.NET not in taken:
        yield Due(row, Part.NET, row.payable_minor)
    if row.reserve_released_at is not None and Part.RESERVE not in taken:
        yield Due(row, Part.RESERVE, row.reserve_minor)
