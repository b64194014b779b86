"""Where a charge is taken from: deposit, wallet, and what remains owed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing import chart, ledger
from billing.models import LeaseTally
from inventory.models import Organisation
from marketplace.models import Lease, PriceVersion


@dataclass(frozen=True, slots=True)
class Draw:
    """The parts of one gross amount, minor units; negative parts are given back."""

    deposit_minor: int
    wallet_minor: int
    receivable_minor: int


def accounts(tenant: Organisation, provider: Organisation, currency: str) -> set[str]:
    """Every account that charging a lease of theirs can touch."""
    return {
        chart.wallet(tenant, currency),
        chart.deposit(tenant, currency),
        chart.receivable(tenant, currency),
        chart.provider_accrued(provider, currency),
        # Not guarded, but opened with the others: an account opened while balances are locked
        # could wait for somebody who waits for these.
        chart.fee(currency),
        chart.vat(currency),
    }


class Purses:
    """What some leases' tenants can pay, locked, and counted down draw by draw.

    Locks every balance that charging these leases can touch, the providers' too, so that
    postings made afterwards lock nothing new.
    """

    def __init__(self, leases: Iterable[Lease]) -> None:
        codes: set[str] = set()
        for lease in leases:
            codes |= accounts(lease.tenant, lease.provider, lease.currency)
        self.left = ledger.lock(sorted(codes))

    def draw(self, lease: Lease, tally: LeaseTally, gross_minor: int) -> Draw:
        """Takes (or gives back) an amount and counts the tally's deposit down with it."""
        if gross_minor < 0:
            draw = self._give_back(lease, -gross_minor)
        else:
            draw = self._take(lease, tally, gross_minor)
        tally.deposit_left_minor -= draw.deposit_minor
        self.left[chart.wallet(lease.tenant, lease.currency)] -= draw.wallet_minor
        self.left[chart.receivable(lease.tenant, lease.currency)] += draw.receivable_minor
        return draw

    def _take(self, lease: Lease, tally: LeaseTally, amount: int) -> Draw:
        """Prepaid from the deposit, hourly from the wallet; then the other; then it is owed."""
        wallet_left = max(0, self.left[chart.wallet(lease.tenant, lease.currency)])
        if _is_prepaid(lease):
            deposit = min(amount, tally.deposit_left_minor)
            wallet = min(amount - deposit, wallet_left)
        else:
            wallet = min(amount, wallet_left)
            deposit = min(amount - wallet, tally.deposit_left_minor)
        return Draw(deposit, wallet, amount - deposit - wallet)

    def _give_back(self, lease: Lease, amount: int) -> Draw:
        """What the tenant owes shrinks first; a prepaid lease's deposit grows until it closes."""
        owed = self.left[chart.receivable(lease.tenant, lease.currency)]
        receivable = min(amount, max(0, owed))
        rest = amount - receivable
        if _is_prepaid(lease) and lease.closed_at is None:
            return Draw(-rest, 0, -receivable)
        return Draw(0, -rest, -receivable)


def _is_prepaid(lease: Lease) -> bool:
    return lease.price.schedule == PriceVersion.Schedule.PREPAID
