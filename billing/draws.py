"""Where a charge is taken from: deposit, wallet, and what remains owed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billing import chart, ledger, selling
from billing.models import LeaseTally
from inventory.models import Organisation
from marketplace.models import Lease, PriceVersion


@dataclass(frozen=True, slots=True)
class Draw:
    """The parts of one gross amount, minor units; negative parts are given back."""

    deposit_minor: int
    wallet_minor: int
    receivable_minor: int
    arrears_minor: int = 0
    direct_minor: int = 0  # from the tenant to the centre itself


def accounts(tenant: Organisation, provider: Organisation, currency: str) -> set[str]:
    """Every account that charging a lease of theirs can touch."""
    return {
        chart.wallet(tenant, currency),
        chart.deposit(tenant, currency),
        chart.receivable(tenant, currency),
        chart.arrears(tenant, currency),
        chart.provider_accrued(provider, currency),
        # Not guarded, but opened with the others: an account opened while balances are locked
        # could wait for somebody who waits for these.
    } | selling.platform_accounts(currency)


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
        if selling.is_direct(lease):
            tally.deposit_left_minor = selling.left_minor(lease, tally, gross_minor)
            return Draw(0, 0, 0, direct_minor=gross_minor)
        if gross_minor < 0:
            draw = self._give_back(lease, tally, -gross_minor)
        else:
            draw = self._take(lease, tally, gross_minor)
        tally.deposit_left_minor -= draw.deposit_minor
        tally.arrears_minor += draw.arrears_minor
        self.left[chart.wallet(lease.tenant, lease.currency)] -= draw.wallet_minor
        self.left[chart.receivable(lease.tenant, lease.currency)] += draw.receivable_minor
        return draw

    def credit(self, lease: Lease, tally: LeaseTally, gross_minor: int) -> Draw:
        """Gives back an amount that no hour was too much, or takes some of it back (negative).

        What was used and is not to be paid yet shrinks first, then what the tenant owes, then
        its wallet grows: never the deposit, which is for hours to come. Between the two parties
        of a direct lease nothing moves here.
        """
        if selling.is_direct(lease):
            return Draw(0, 0, 0, direct_minor=-gross_minor)
        if gross_minor < 0:
            draw = self._take_credit_back(lease, -gross_minor)
        else:
            open_now = _has_instalments(lease) and lease.closed_at is None
            arrears = min(gross_minor, tally.arrears_minor) if open_now else 0
            owed = max(0, self.left[chart.receivable(lease.tenant, lease.currency)])
            receivable = min(gross_minor - arrears, owed)
            draw = Draw(0, arrears + receivable - gross_minor, -receivable, -arrears)
        tally.arrears_minor += draw.arrears_minor
        self.left[chart.wallet(lease.tenant, lease.currency)] -= draw.wallet_minor
        self.left[chart.receivable(lease.tenant, lease.currency)] += draw.receivable_minor
        return draw

    def _take_credit_back(self, lease: Lease, amount: int) -> Draw:
        if _has_instalments(lease) and lease.closed_at is None:
            return Draw(0, 0, 0, amount)
        wallet = min(amount, max(0, self.left[chart.wallet(lease.tenant, lease.currency)]))
        return Draw(0, wallet, amount - wallet)

    def _take(self, lease: Lease, tally: LeaseTally, amount: int) -> Draw:
        """Prepaid from the deposit, hourly from the wallet; then the other; then it is owed.

        By a schedule of instalments from what they have filled; beyond it nothing is to be paid
        before the next of them falls due.
        """
        if _has_instalments(lease) and lease.closed_at is None:
            ahead = min(amount, tally.deposit_left_minor)
            return Draw(ahead, 0, 0, amount - ahead)
        wallet_left = max(0, self.left[chart.wallet(lease.tenant, lease.currency)])
        if _is_prepaid(lease):
            deposit = min(amount, tally.deposit_left_minor)
            wallet = min(amount - deposit, wallet_left)
        else:
            wallet = min(amount, wallet_left)
            deposit = min(amount - wallet, tally.deposit_left_minor)
        return Draw(deposit, wallet, amount - deposit - wallet)

    def _give_back(self, lease: Lease, tally: LeaseTally, amount: int) -> Draw:
        """What the tenant owes shrinks first; a prepaid lease's deposit grows until it closes."""
        if _has_instalments(lease) and lease.closed_at is None:
            arrears = min(amount, tally.arrears_minor)
            if lease.price.schedule == PriceVersion.Schedule.ADVANCE:
                return Draw(arrears - amount, 0, 0, -arrears)
            back = self._give_back_paid(lease, amount - arrears)
            return Draw(back.deposit_minor, back.wallet_minor, back.receivable_minor, -arrears)
        return self._give_back_paid(lease, amount)

    def _give_back_paid(self, lease: Lease, amount: int) -> Draw:
        owed = self.left[chart.receivable(lease.tenant, lease.currency)]
        receivable = min(amount, max(0, owed))
        rest = amount - receivable
        if _is_prepaid(lease) and lease.closed_at is None:
            return Draw(-rest, 0, -receivable)
        return Draw(0, -rest, -receivable)


def _has_instalments(lease: Lease) -> bool:
    return lease.price.schedule in (PriceVersion.Schedule.ADVANCE, PriceVersion.Schedule.ARREARS)


def _is_prepaid(lease: Lease) -> bool:
    return lease.price.schedule == PriceVersion.Schedule.PREPAID
