"""The provider's word on a hold, where its listing sells by approval.

The hold waits until `decide_by`. So many different members as its provider's rule asks for its
amount agree to it, each under the number of a document; one rejection rejects. Silence releases.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings

from inventory import capacity, identifiers, journal, transactions, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.models import ApiKey, Membership, Organisation, User
from inventory.organisations import ROLE_SCOPES
from marketplace import money, policy
from marketplace.models import Approval, ApprovalRule, Reservation

State = Reservation.State
Decision = Reservation.Decision
SCOPE = "reservations:write"  # what a member needs to decide
MOST_THRESHOLDS = 10
MOST_MEMBERS = 20


class InvalidApprovalRule(Invalid):
    """The thresholds contradict themselves, or ask for more members than can decide."""

    code = "invalid_approval_rule"
    title = "The approval rule is not acceptable"


class ApprovalNotNeeded(DomainError):
    """The reservation does not wait for its provider: nothing is to be decided."""

    code = "approval_not_needed"
    title = "This reservation does not wait for the provider"


class ApprovalPending(DomainError):
    """The listing sells by approval, and its provider has not decided yet."""

    code = "approval_pending"
    title = "The provider has not approved this yet"


class AlreadyDecided(DomainError):
    """The provider has decided already; a decision is made once."""

    code = "already_decided"
    title = "The provider has decided already"


class DecisionTooLate(DomainError):
    """The time to decide is over; the hold is released."""

    code = "decision_too_late"
    title = "The time to decide is over"
    status = 410


class ApprovedAlready(DomainError):
    """The same member cannot agree twice; another one has to."""

    code = "approved_already"
    title = "You have approved this already; another member has to"


class ApproverUnknown(Forbidden):
    """Several different people have to agree, and this key was made by nobody."""

    code = "approver_unknown"
    title = "This key stands for no person"


def set_rule(
    *,
    provider_id: int,
    thresholds: Sequence[Sequence[int]],
    currency: str = settings.DEFAULT_CURRENCY,
    at: datetime,
    actor: Actor,
) -> ApprovalRule:
    """From now on a hold asks for as many approvals as the highest threshold it reaches.

    `thresholds`: [minor units from which on, members], ascending in both; none: one member
    decides on everything. Holds already made keep what they asked for. Locks the organisation.
    Raises NotFound, InvalidApprovalRule, UnknownCurrency. Not idempotent: each call is a version.
    """
    money.exponent(currency)
    with transactions.whole():
        rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
        provider = rows.filter(pk=provider_id, is_provider=True).first()
        if provider is None or provider.pk != actor.organisation_id:
            raise NotFound("No such provider")
        _check_thresholds(thresholds, provider, at)
        last = rule_of(provider.pk)
        rule = ApprovalRule.objects.create(
            provider=provider,
            version=last.version + 1 if last else 1,
            currency=currency,
            thresholds=[list(step) for step in thresholds],
            actor=actor.label,
            created_at=at,
        )
        journal.record(
            event="organisation.approval_rule_set",
            object_id=provider.public_id,
            actor=actor,
            at=at,
            provider_id=provider.pk,
            data={
                "version": rule.version,
                "currency": currency,
                "thresholds": rule.thresholds,
            },
        )
    return rule


def _check_thresholds(
    thresholds: Sequence[Sequence[int]], provider: Organisation, at: datetime
) -> None:
    last_amount, last_members = -1, 1
    for step in thresholds:
        if len(step) != 2:
            raise InvalidApprovalRule("A threshold is [minor units, members]")
        amount, members = step
        if not (last_amount < amount <= money.LARGEST_MINOR and members > last_members):
            raise InvalidApprovalRule("Thresholds go up, in amount and in members, from two on")
        last_amount, last_members = amount, members
    if len(thresholds) > MOST_THRESHOLDS or last_members > MOST_MEMBERS:
        raise InvalidApprovalRule(
            f"At most {MOST_THRESHOLDS} thresholds, and {MOST_MEMBERS} members"
        )
    able = len(deciders(provider, at))
    if last_members > able and thresholds:
        raise InvalidApprovalRule(
            f"Only {able} members can decide: a deal could never be approved", able=able
        )


def deciders(provider: Organisation, at: datetime) -> list[User]:
    """The people who may decide for a provider now."""
    rows = Membership.objects.filter(
        organisation=provider,
        role__in=[role for role, scopes in ROLE_SCOPES.items() if SCOPE in scopes],
        user__is_active=True,
    ).select_related("user")
    return [row.user for row in rows if row.expires_at is None or row.expires_at > at]


def rule_of(provider_id: int) -> ApprovalRule | None:
    """The newest rule of a provider; without one a single member decides."""
    return ApprovalRule.objects.filter(provider_id=provider_id).order_by("-version").first()


def needed(*, provider_id: int, amount_minor: int, currency: str) -> int:
    """How many different members have to approve a deal of that amount, one at the least.

    An amount in another currency than the rule's cannot be compared: it takes the most.
    """
    rule = rule_of(provider_id)
    if rule is None:
        return 1
    reached = [
        members
        for amount, members in rule.thresholds
        if amount_minor >= amount or currency != rule.currency
    ]
    return max(reached, default=1)


def decide_by(*, decide_hours: int, start: datetime, lead_seconds: int, at: datetime) -> datetime:
    """Until when the provider may decide on a hold made at `at`.

    By the terms, but so that the tenant still has its time to pay before the nodes have to be
    prepared; a minute where the start is that near.
    """
    pay = timedelta(seconds=settings.HOLD_SECONDS)
    latest = start - timedelta(seconds=lead_seconds) - pay
    return min(at + timedelta(hours=decide_hours), max(latest, at + policy.SHORTEST_HOLD))


def approve(
    *, reservation_public_id: str, document_number: str, at: datetime, actor: Actor
) -> Reservation:
    """One more member agrees; with the last one needed the tenant may confirm.

    Locks the reservation. Raises NotFound, ApprovalNotNeeded, AlreadyDecided, DecisionTooLate,
    ApprovedAlready, ApproverUnknown, OrganisationUnverified, IllegalTransition where it is
    over. Not idempotent: the same member twice is refused.
    """
    with transactions.whole():
        reservation = lock(reservation_public_id, actor)
        _require_open(reservation, at)
        policy.require_verified(reservation.provider)
        member_id = _member_of(actor)
        if reservation.approvals_needed > 1 and member_id is None:
            raise ApproverUnknown
        given = reservation.approvals.all()
        if member_id is not None and given.filter(member_id=member_id).exists():
            raise ApprovedAlready
        Approval.objects.create(
            reservation=reservation,
            member_id=member_id,
            actor=actor.label,
            document_number=document_number,
            created_at=at,
        )
        count = given.count()
        journal.record(  # the provider's own: the tenant learns of the decision
            event="reservation.approval_given",
            object_id=reservation.public_id,
            actor=actor,
            at=at,
            provider_id=reservation.provider_id,
            data={
                "document_number": document_number,
                "approvals": count,
                "approvals_needed": reservation.approvals_needed,
            },
        )
        if count >= reservation.approvals_needed:
            _decide(reservation, Decision.APPROVED, at=at, actor=actor)
    return reservation


def reject(*, reservation: Reservation, at: datetime, actor: Actor, reason: str) -> None:
    """The provider declines the locked reservation, whoever has agreed before.

    The caller gives capacity and deposit back in the same transaction. Raises as `approve`,
    and Invalid without a reason. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say why the reservation is rejected")
    _require_open(reservation, at)
    _decide(reservation, Decision.REJECTED, at=at, actor=actor, reason=reason)


def require_approved(reservation: Reservation, at: datetime) -> None:
    """A held reservation does not wait for its provider, or no more.

    Raises ApprovalPending, and HoldExpired where the time to decide is over.
    """
    if reservation.state != State.HELD or not is_undecided(reservation):
        return
    if at >= lapses_at(reservation):
        raise capacity.HoldExpired("The provider did not decide in time")
    raise ApprovalPending(decide_by=reservation.decide_by)


def lapses_at(reservation: Reservation) -> datetime:
    """When the hold lapses as things stand: undecided, already with the time to decide."""
    if is_undecided(reservation) and reservation.decide_by is not None:
        return reservation.decide_by
    return reservation.expires_at


def is_undecided(reservation: Reservation) -> bool:
    return reservation.decide_by is not None and not reservation.decision


def lock(public_id: str, actor: Actor) -> Reservation:
    """The provider's own reservation, locked. Raises NotFound, also where it is another's."""
    rows = Reservation.objects.select_for_update(of=("self",), no_key=True).select_related(
        "provider", "tenant", "allocation__pool"
    )
    row = identifiers.find(rows, public_id, "No such reservation")
    if row.provider_id != actor.organisation_id:
        raise NotFound("No such reservation")
    return row


def _require_open(reservation: Reservation, at: datetime) -> None:
    if reservation.decide_by is None:
        raise ApprovalNotNeeded
    if reservation.decision:
        raise AlreadyDecided(decision=reservation.decision, decided_at=reservation.decided_at)
    if reservation.state != State.HELD:
        raise transitions.IllegalTransition("It is over already", state=reservation.state)
    if at >= reservation.decide_by:
        raise DecisionTooLate(decide_by=reservation.decide_by)


def _member_of(actor: Actor) -> int | None:
    """The person who acts: signed in, or the maker of the key, who answers for it."""
    if actor.kind == "user":
        return User.objects.values_list("pk", flat=True).get(public_id=actor.label)
    made_by = ApiKey.objects.filter(public_id=actor.label).values_list("created_by_id", flat=True)
    return made_by.first()


def _decide(
    reservation: Reservation, decision: str, *, at: datetime, actor: Actor, reason: str = ""
) -> None:
    reservation.decision, reservation.decided_at = decision, at
    reservation.save(update_fields=["decision", "decided_at"])
    journal.record(
        event=f"reservation.{decision}",
        object_id=reservation.public_id,
        actor=actor,
        at=at,
        reason=reason,
        provider_id=reservation.provider_id,
        tenant_id=reservation.tenant_id,
        data={"approvals": reservation.approvals.count(), "expires_at": _iso(reservation)},
    )


def _iso(reservation: Reservation) -> str:
    return str(reservation.expires_at.isoformat())
