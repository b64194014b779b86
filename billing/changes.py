"""The money of a change: what an amendment says moves, exactly, and with the lease's machines."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from billing import chart, closing, draws, instalments, ledger, payments, rating, selling
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

    Of a lease sold directly what is paid and paid back is between the two parties: the amendment
    says it, and only the fee on what is kept is booked.

    Locks every balance that it touches. Raises DebtOpen, InsufficientFunds,
    CompensationUncovered.
    """
    change = amendment.change
    left = ledger.lock(sorted(draws.accounts(lease.tenant, lease.provider, lease.currency)))
    direct = selling.is_direct(lease)
    if amendment.asks_more and (late := instalments.late_minor(lease)):
        raise payments.DebtOpen(owed_minor=late, currency=lease.currency)
    if change.pay_minor and not direct:
        owed = chart.receivable(lease.tenant, lease.currency)
        if left[owed]:
            raise payments.DebtOpen(owed_minor=left[owed], currency=lease.currency)
        booked = _book(
            _kind(amendment, Kind.DEAL_EXTENDED), _paid(lease, change), amendment, at, actor
        )
        instalments.paid_by(lease=lease, amendment=amendment, transaction_id=booked, at=at)
    if change.compensation_minor and not direct:
        earned = left[chart.provider_accrued(lease.provider, lease.currency)]
        missing = change.compensation_minor - earned - settings.PROVIDER_DEBT_MINOR
        if missing > 0:
            raise CompensationUncovered(missing_minor=missing, currency=lease.currency)
    returned = change.refund_minor + change.compensation_minor
    kept = charge(lease, Charge.Kind.LEAVING, change.kept, at)
    kept.deposit_minor = change.kept.gross_minor - kept.direct_minor
    # A price paid back rather than a supply: it bears no VAT, and the market takes no part.
    paid = Amounts(-change.compensation_minor, 0, 0, -change.compensation_minor)
    compensation = charge(lease, Charge.Kind.COMPENSATION, paid, at)
    compensation.wallet_minor = paid.gross_minor - compensation.direct_minor
    transaction_id = _book(
        _kind(amendment, Kind.DEAL_SHORTENED),
        _returned(lease, change, [kept, compensation]),
        amendment,
        at,
        actor,
    )
    if returned and not direct:
        payments.clear_receivable(
            lease.tenant,
            currency=lease.currency,
            up_to_minor=returned,
            cause=f"amendment:{amendment.public_id}",
            at=at,
            actor=actor,
        )
    for row in (kept, compensation):
        if row.gross_minor:
            row.ledger_transaction_id = transaction_id
            row.save(force_insert=True)
    moved = change.pay_minor - change.refund_minor - change.kept.gross_minor
    tally.deposit_left_minor += moved
    tally.paid_minor += moved
    tally.save(update_fields=["deposit_left_minor", "paid_minor"])
    rating.reweigh(lease=lease, before=Period.of(amendment.before_period))
    if not direct:
        instalments.remake(lease=lease, tally=tally, amendment=amendment, at=at, actor=actor)
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
) -> int | None:
    """None where no money of ours moves."""
    totals: dict[str, int] = {}
    for code, amount in entries:
        totals[code] = totals.get(code, 0) + amount
    moved = [entry for entry in totals.items() if entry[1]]
    if not moved:
        return None
    return ledger.post(
        kind=kind,
        key=f"amendment:{amendment.public_id}:{kind.value}",
        entries=moved,
        at=at,
        actor=actor,
        external_reference=amendment.public_id,
    )


def _paid(lease: Lease, change: Change) -> list[Entry]:
    return [
        (chart.wallet(lease.tenant, lease.currency), change.pay_minor),
        (chart.deposit(lease.tenant, lease.currency), -change.pay_minor),
    ]


def _returned(lease: Lease, change: Change, charges: list[Charge]) -> list[Entry]:
    tenant, currency = lease.tenant, lease.currency
    refund = 0 if selling.is_direct(lease) else change.refund_minor
    entries = [
        (chart.deposit(tenant, currency), refund + sum(c.deposit_minor for c in charges)),
        (chart.wallet(tenant, currency), -refund + sum(c.wallet_minor for c in charges)),
    ]
    for row in charges:
        entries += selling.earned(row, lease.provider)
    return entries


def charge(lease: Lease, kind: Charge.Kind, amounts: Amounts, at: datetime) -> Charge:
    """What a change of the lease leaves with its provider, fee and VAT: of no hour, not saved.
    Where it is taken from, unless paid directly, and where it is booked, is the caller's to say."""
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
        selling=lease.selling,
        gross_minor=amounts.gross_minor,
        vat_minor=amounts.vat_minor,
        fee_minor=amounts.fee_minor,
        provider_minor=amounts.provider_minor,
        fee_vat_minor=selling.fee_vat_minor(lease, before_minor=0, after_minor=amounts.fee_minor),
        deposit_minor=0,
        wallet_minor=0,
        receivable_minor=0,
        direct_minor=amounts.gross_minor if selling.is_direct(lease) else 0,
        created_at=at,
    )
