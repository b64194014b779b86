"""An allocation's machines go on for the one that continues it: at the seam, as they stand."""

from __future__ import annotations

from datetime import datetime

from inventory import capacity, credentials, transitions
from inventory.models import Allocation, Instance, InstanceHistory
from inventory.periods import Period
from inventory.provisioning import claims, moves
from inventory.provisioning.instances import name_of

State = Allocation.State


def is_pending(row: Allocation) -> bool:
    """Whether the allocation waits for the machines of the one it continues. That one's own
    step hands them over; where it ended early, this one is delivered like any other."""
    if row.continues_id is None:
        return False
    return Allocation.objects.filter(
        pk=row.continues_id, state=State.ACTIVE, period__endswith=Period.of(row.period).start
    ).exists()


def hand_over(row: Allocation, *, at: datetime) -> bool:
    """What serves the locked allocation serves its successor from the seam on: bindings,
    machines in whatever state they are, and the way into them. False where there is none.

    Hours up to the seam are the one's, hours after it the other's, however late this step is:
    the machines stood all the while. What was replaced before stays here, to be wiped. All in
    the caller's transaction, with the pool locked. Locks: allocations, bindings, instances.
    """
    seam = Period.of(row.period).end
    following = (
        Allocation.objects.select_for_update(of=("self",), no_key=True)
        .filter(continues=row, state=State.SCHEDULED, period__startswith=seam)
        .select_related("pool")
        .first()
    )
    if following is None or at >= Period.of(following.period).end:
        return False
    pairs = capacity.hand_over(allocation_id=row.pk, into_id=following.pk, at=at, actor=moves.ACTOR)
    for each in (
        row.instances.select_for_update(of=("self",), no_key=True)
        .filter(binding__in=pairs)
        .select_related("binding__node")
        .order_by("pk")
    ):
        each.allocation = row
        _pass_on(each, following, pairs[each.binding_id], seam=seam, at=at)
    credentials.carry_over(from_id=row.pk, to_id=following.pk, at=at)
    for to in (State.DELIVERING, State.ACTIVE):
        transitions.advance(following, to=to, at=seam, actor=moves.ACTOR, reason="handed over")
    claims.rest(following, until=None)
    transitions.advance(row, to=State.RELEASING, at=at, actor=moves.ACTOR, reason="handed over")
    return True


def _pass_on(
    old: Instance, following: Allocation, binding_id: int, *, seam: datetime, at: datetime
) -> None:
    """A step that another worker has in flight is waited out by the new row; its result finds
    the old one gone, and the engine is asked again under the same name.

    One that is wiped already, with nothing in its place yet, stays with the old allocation;
    the new row says which machine is missing.
    """
    last = old.history.order_by("-at", "-pk").values_list("at", flat=True).first()
    since = max(seam, last or seam)
    in_flight = old.claimed_until if old.claim_token is not None else None
    new = Instance.objects.create(
        allocation=following,
        binding_id=binding_id,
        driver=old.driver,
        engine_reference=old.engine_reference,
        engine_name=name_of(old),
        state=old.state,
        card_count=old.card_count,
        attempt_count=old.attempt_count,
        deadline_at=old.deadline_at,
        next_step_at=in_flight or old.next_step_at,
        last_error=old.last_error,
        created_at=since,
        active_at=old.active_at,
        renewal_asked_at=old.renewal_asked_at,
        renewed_at=old.renewed_at,
        releasing_at=old.releasing_at,
    )
    InstanceHistory.objects.create(instance=new, state=new.state, at=since, recorded_at=at)
    if old.state == Instance.State.RELEASED:
        return
    old.claim_token, old.claimed_until, old.next_step_at = None, None, None
    moves.move(
        old,
        to=Instance.State.HANDED_OVER,
        at=since,
        reason=f"goes on as {new.public_id}",
        changed=("claim_token", "claimed_until", "next_step_at"),
    )
