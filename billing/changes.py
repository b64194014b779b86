"""The money of a change: what an amendment says moves, exactly, and with the lease's machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from billing import chart, closing, draws, ledger, payments
from billing.ledger import Entry, Kind
from billing.models import Charge, LeaseTally
from inventory import capacity
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import Organisation
from inventory.periods import Period
from marketplace import leases, policy, reservations
from marketplace.changes import Change
from marketplace.models import Amendment, Lease, Reservation
from marketplace.money import Amounts


class CompensationUncovered(DomainError):
    """The provider has earned too little to compensate by: the market would pay in its place.

    Both sides can still agree on another end.
    """

    code = "compensation_uncovered"
    title = "The provider's earnings do not cover this compensation"


@dataclass(frozen=True, slots=True)
class Locked:
    """A lease with its deal, locked for a change, in the global order."""

    tenant: Organisation | None  # where more is asked for: its quotas are counted one by one
    reservation: Reservation
    lease: Lease


def lock(*, lease: Lease, asks_more: bool) -> Locked:
    """Locks the tenant where more is asked for, then the reservation, then the lease.

    Raises OrganisationUnverified where an unverified tenant asks for more.
    """
    tenant = reservations.lock_tenant(lease.tenant_id) if asks_more else None
    reservation = reservations.lock_of(lease.pk)
    return Locked(tenant, reservation, leases.lock(lease.pk))


def carry_out(
    *,
    reservation: Reservation,
    lease: Lease,
    tally: LeaseTally,
    amendment: Amendment,
    block_ids: list[int],
    at: datetime,
    actor: Actor,
) -> Lease:
    """Both sides have signed: lease, money and machines change together.

    `block_ids` are the further blocks that a later end needs. The caller has locked the deal and
    its tally, and the tenant where more is asked for. Locks balances, and the pool last. Raises
    QuotaExceeded, DebtOpen, InsufficientFunds, CompensationUncovered, and what
    `capacity.extend` and `capacity.shorten` raise. Not idempotent.
    """
    before, after = Period.of(lease.period), Period.of(amendment.period)
    if amendment.asks_more:
        _check_quotas(reservation, lease, amendment, actor)
    leases.amend(lease=lease, amendment=amendment)
    move(reservation=reservation, lease=lease, tally=tally, amendment=amendment, at=at, actor=actor)
    if after.end > before.end:
        capacity.extend(
            allocation_id=lease.allocation_id,
            end=after.end,
            block_ids=block_ids,
            at=at,
            actor=actor,
        )
    elif after.end < before.end:
        capacity.shorten(
            allocation_id=lease.allocation_id,
            end=after.end,
            at=at,
            actor=actor,
            reason=amendment.kind,
        )
    return lease


def move(
    *,
    reservation: Reservation,
    lease: Lease,
    tally: LeaseTally,
    amendment: Amendment,
    at: datetime,
    actor: Actor,
) -> None:
    """The amendment's figures are booked, charged, and counted in tally and quotas.

    Locks every balance that it touches. Raises DebtOpen, InsufficientFunds,
    CompensationUncovered.
    """
    change = amendment.change
    left = ledger.lock(sorted(draws.accounts(lease.tenant, lease.provider, lease.currency)))
    if change.pay_minor:
        owed = chart.receivable(lease.tenant, lease.currency)
        if left[owed]:
            raise payments.DebtOpen(owed_minor=left[owed], currency=lease.currency)
        _book(_kind(amendment, Kind.DEAL_EXTENDED), _paid(lease, change), amendment, at, actor)
    if change.compensation_minor:
        earned = left[chart.provider_accrued(lease.provider, lease.currency)]
        missing = change.compensation_minor - earned - settings.PROVIDER_DEBT_MINOR
        if missing > 0:
            raise CompensationUncovered(missing_minor=missing, currency=lease.currency)
    returned = change.refund_minor + change.compensation_minor
    transaction_id = None
    if returned or change.kept.gross_minor:
        transaction_id = _book(
            _kind(amendment, Kind.DEAL_SHORTENED), _returned(lease, change), amendment, at, actor
        )
        payments.clear_receivable(
            lease.tenant,
            currency=lease.currency,
            up_to_minor=returned,
            cause=f"amendment:{amendment.public_id}",
            at=at,
            actor=actor,
        )
    if change.kept.gross_minor:
        kept = charge(lease, Charge.Kind.LEAVING, change.kept, transaction_id, at)
        kept.deposit_minor = change.kept.gross_minor
        kept.save(force_insert=True)
    if change.compensation_minor:
        # A price paid back rather than a supply: it bears no VAT, and the market takes no part.
        paid = Amounts(-change.compensation_minor, 0, 0, -change.compensation_minor)
        compensation = charge(lease, Charge.Kind.COMPENSATION, paid, transaction_id, at)
        compensation.wallet_minor = -change.compensation_minor
        compensation.save(force_insert=True)
    tally.deposit_left_minor += change.pay_minor - change.refund_minor - change.kept.gross_minor
    tally.save(update_fields=["deposit_left_minor"])
    reservation.save(
        update_fields=reservations.commits(
            reservation,
            minor=lease.gross_minor + closing.kept_minor(lease),
            card_seconds=lease.card_count * Period.of(lease.period).seconds,
        )
    )


def _check_quotas(
    reservation: Reservation, lease: Lease, amendment: Amendment, actor: Actor
) -> None:
    """Whether the tenant's caps have room for the time or price that is added.

    Where it will count: in the month the deal was made in, for the key that made it; and for
    the key that asks. Raises QuotaExceeded.
    """
    before, after = Period.of(amendment.before_period), Period.of(amendment.period)
    longer = after.end > before.end
    ask = policy.Ask(
        chip_class=lease.allocation.pool.chip.chip_class,
        card_count=lease.card_count if longer else 0,  # that time is counted already
        period=Period(before.end, after.end) if longer else after,
        currency=lease.currency,
        gross_minor=amendment.gross_minor - amendment.before_gross_minor,
    )
    signers = {reservation.actor, amendment.tenant_signed_by}
    keys = sorted(label for label in signers if label.startswith("key_"))
    for key_id in [None, *keys]:
        standing = policy.standing(
            tenant_id=lease.tenant_id,
            project_id=lease.project_id,
            key_id=key_id,
            discreet=actor.project_id is not None or actor.organisation_id != lease.tenant_id,
            at=reservation.created_at,
        )
        policy.check_quotas(standing, ask)


def _kind(amendment: Amendment, kind: Kind) -> Kind:
    return Kind.DEAL_REPRICED if amendment.kind == Amendment.Kind.PRICE else kind


def _book(
    kind: Kind, entries: list[Entry], amendment: Amendment, at: datetime, actor: Actor
) -> int:
    return ledger.post(
        kind=kind,
        key=f"amendment:{amendment.public_id}:{kind.value}",
        entries=[entry for entry in entries if entry[1]],
        at=at,
        actor=actor,
        external_reference=amendment.public_id,
    )


def _paid(lease: Lease, change: Change) -> list[Entry]:
    return [
        (chart.wallet(lease.tenant, lease.currency), change.pay_minor),
        (chart.deposit(lease.tenant, lease.currency), -change.pay_minor),
    ]


def _returned(lease: Lease, change: Change) -> list[Entry]:
    tenant, currency, kept = lease.tenant, lease.currency, change.kept
    return [
        (chart.deposit(tenant, currency), change.refund_minor + kept.gross_minor),
        (chart.wallet(tenant, currency), -change.refund_minor - change.compensation_minor),
        (
            chart.provider_accrued(lease.provider, currency),
            change.compensation_minor - kept.provider_minor,
        ),
        (chart.fee(currency), -kept.fee_minor),
        (chart.vat(currency), -kept.vat_minor),
    ]


def charge(
    lease: Lease, kind: Charge.Kind, amounts: Amounts, transaction_id: int | None, at: datetime
) -> Charge:
    """What a change of the lease leaves with its provider, fee and VAT: of no hour, not saved.
    Where it is taken from is the caller's to say."""
    return Charge(
        lease=lease,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        price_id=lease.price_id,
        kind=kind,
        allocation_id=lease.allocation_id,
        hour=at,
        card_seconds=0,
        currency=lease.currency,
        gross_minor=amounts.gross_minor,
        vat_minor=amounts.vat_minor,
        fee_minor=amounts.fee_minor,
        provider_minor=amounts.provider_minor,
        deposit_minor=0,
        wallet_minor=0,
        receivable_minor=0,
        ledger_transaction_id=transaction_id,
        created_at=at,
    )
