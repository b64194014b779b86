"""One machine at a time: ask its driver for one step, write down what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from inventory import capacity, engines
from inventory.drivers import registry
from inventory.drivers.base import Driver, DriverError, Progress, Target
from inventory.errors import DomainError
from inventory.models import Allocation, Instance, Node
from inventory.provisioning import claims, moves
from inventory.provisioning.claims import Claimed
from inventory.provisioning.pacing import Deadlines, retry_at

logger = logging.getLogger(__name__)
State = Instance.State
DUE = (State.PLANNED, State.PROVISIONING, State.PROVISION_FAILED, State.RELEASING)


def sweep_instances(*, at: datetime, limit: int = 50) -> int:
    """Makes one step for each due instance; returns how many were stepped.

    Opens its own transactions and must not be called inside one. Idempotent; any number
    may run at once.
    """
    due = claims.claim_due(Instance, states=DUE, at=at, limit=limit)
    return claims.work_off(due, lambda claim: _step(claim, at), Instance)


def step_instance(*, instance_id: int, at: datetime) -> int:
    """As the sweep, for one instance; 0 where it is not due or another worker has it."""
    due = claims.claim_due(Instance, states=DUE, at=at, limit=1, only=instance_id)
    return claims.work_off(due, lambda claim: _step(claim, at), Instance)


def targets_of(instances: Sequence[Instance]) -> list[Target]:
    """What a driver may know of these instances of one allocation: facts, no rows.

    One statement. Raises CredentialUnreadable.
    """
    allocation = instances[0].allocation
    every = Instance.objects.filter(allocation=allocation).order_by("pk")
    known = list(
        every.values_list(
            "pk", "state", "engine_name", "binding__node__hostname", "binding__node__serial"
        )
    )
    ordinals = {row[0]: number for number, row in enumerate(known)}
    # The machines that are to stand under one name; each once, slices or not. Those taken over
    # from an earlier allocation go on under that one's.
    peers: dict[str, set[str]] = {}
    for _pk, state, engine_name, hostname, serial in known:
        if state in moves.SERVING:
            peers.setdefault(_begun_by(engine_name), set()).add(hostname or serial)
    secret = engines.secret_of(allocation.pool)
    return [
        Target(
            name=name_of(each),
            allocation=allocation.public_id,
            node=each.binding.node.public_id,
            serial=each.binding.node.serial,
            hostname=each.binding.node.hostname,
            first_card=each.binding.cards.lower,
            card_count=each.card_count,
            ordinal=ordinals[each.pk],
            attempt=each.attempt_count,
            reference=each.engine_reference,
            ssh_keys=tuple(allocation.ssh_keys),
            peers=tuple(sorted(peers.get(_begun_by(each.engine_name), ()))),
            options=allocation.pool.driver_options,
            secret=secret,
        )
        for each in instances
    ]


def target_of(instance: Instance) -> Target:
    """As `targets_of`, of one."""
    return targets_of([instance])[0]


def ask_each(
    row: Allocation, rows: Sequence[Instance], ask: Callable[[Driver, Instance, Target], bool]
) -> list[int]:
    """Those of the allocation's machines whose driver says that it is done.

    Outside any transaction. What fails is logged, and asked again at the next look.
    """
    done: list[int] = []
    if not rows:
        return done
    for each in rows:
        each.allocation = row
    try:
        targets = targets_of(rows)
    except DomainError:
        logger.exception("%s: its drivers cannot be asked", row)
        return done
    for each, target in zip(rows, targets, strict=True):
        try:
            if ask(registry.get(each.driver), each, target):
                done.append(each.pk)
        except DriverError as error:
            logger.warning("%s: %s has to be asked again: %s", row, each, error)
        except Exception:
            logger.exception("%s: the driver %s failed on %s", row, each.driver, each)
    return done


def _begun_by(engine_name: str) -> str:
    return engine_name.partition("-")[0]


def name_of(instance: Instance) -> str:
    """What the engine calls it: after the allocation that began it, whoever has it now."""
    if instance.engine_name:
        return instance.engine_name
    node, first_card = instance.binding.node, instance.binding.cards.lower
    return f"{instance.allocation.public_id}-{node.public_id}-c{first_card}"


def _step(claim: Claimed, at: datetime) -> None:
    instance = Instance.objects.select_related("allocation__pool", "binding__node").get(pk=claim.id)
    if instance.state == State.PROVISION_FAILED:
        _begin_release(claim, at)
        return
    outcome = _ask(instance, at)
    with transaction.atomic():
        failed = _failure(instance, outcome, at)
        node = instance.binding.node
        if failed:  # its node may be quarantined: pool and node are locked before the instance
            capacity.lock(instance.allocation.pool_id, at)
            node = Node.objects.select_for_update(of=("self",), no_key=True).get(pk=node.pk)
        row = claims.take(Instance, claim)
        if row is None:
            return
        row.allocation = instance.allocation
        before = row.state
        if row.state == State.RELEASING:
            _apply_release(row, node, outcome, failed, at)
        else:
            _apply_provision(row, node, outcome, failed, at)
    if row.state != before:
        _wake(row.allocation_id, at)


def _ask(instance: Instance, at: datetime) -> Progress | DriverError:
    """One driver step, outside any transaction."""
    try:
        target = target_of(instance)
        driver = registry.get(instance.driver)
        if instance.state == State.RELEASING:
            return driver.release(target, at=at)
        if instance.engine_reference:
            return driver.poll(target, at=at)
        return driver.provision(target, at=at)
    except DriverError as error:
        return error
    except Exception as error:
        logger.exception("driver %s failed on %s", instance.driver, instance)
        return DriverError(f"{type(error).__name__}: {error}", permanent=False)


def _failure(instance: Instance, outcome: Progress | DriverError, at: datetime) -> str:
    """Why the present state is given up; empty where it goes on."""
    if isinstance(outcome, DriverError) and outcome.permanent:
        return outcome.detail
    late = instance.deadline_at is not None and at >= instance.deadline_at
    if late and isinstance(outcome, DriverError):
        return f"deadline exceeded: {outcome.detail}"
    # An engine that could not be reached until now has had no time to work yet.
    if late and isinstance(outcome, Progress) and not outcome.done and not instance.attempt_count:
        return "deadline exceeded"
    return ""


def _apply_provision(
    row: Instance, node: Node, outcome: Progress | DriverError, failed: str, at: datetime
) -> None:
    if row.state == State.PLANNED:
        # Counted from the first try: a pause of the workers is no fault of the node.
        row.deadline_at = at + _time_to(State.PROVISIONING, row)
        moves.move(row, to=State.PROVISIONING, at=at, changed=("deadline_at",))
    if failed:
        row.last_error = failed[:500]
        moves.move(row, to=State.PROVISION_FAILED, at=at, reason=failed, changed=("last_error",))
        # An engine that cannot be reached says nothing about the node.
        if not isinstance(outcome, DriverError) or outcome.permanent:
            moves.quarantine(node, at=at, reason=f"provision failed: {failed}")
        claims.rest(row, until=None)
    elif isinstance(outcome, DriverError):
        _try_again(row, outcome, at)
    else:
        row.engine_reference = outcome.reference or row.engine_reference
        row.save(update_fields=["engine_reference"])
        _answered(row, at)
        if outcome.done:
            moves.move(row, to=State.ACTIVE, at=at)
        claims.rest(row, until=_after(outcome, at))


def _apply_release(
    row: Instance, node: Node, outcome: Progress | DriverError, failed: str, at: datetime
) -> None:
    if failed:
        row.last_error = failed[:500]
        moves.move(row, to=State.RELEASE_FAILED, at=at, reason=failed, changed=("last_error",))
        moves.quarantine(node, at=at, reason=f"release failed: {failed}")
        claims.rest(row, until=None)
    elif isinstance(outcome, DriverError):
        _try_again(row, outcome, at)
    else:
        _answered(row, at)
        if outcome.done:
            moves.move(row, to=State.RELEASED, at=at)
        claims.rest(row, until=_after(outcome, at))


def _begin_release(claim: Claimed, at: datetime) -> None:
    """What failed to come up is taken down like everything else."""
    with transaction.atomic():
        row = claims.take(Instance, claim)
        if row is not None:
            claims.rest(row, until=None)
            moves.take_down(row, at=at, reason="provision failed")


def _answered(row: Instance, at: datetime) -> None:
    """The engine is at work again after tries that failed until time was up: it begins anew."""
    if row.attempt_count and row.deadline_at is not None and at >= row.deadline_at:
        row.attempt_count = 0
        row.deadline_at = at + _time_to(State(row.state), row)
        row.save(update_fields=["attempt_count", "deadline_at"])


def _time_to(state: State, row: Instance) -> timedelta:
    deadlines = Deadlines.of(row.allocation.pool)
    up = state == State.PROVISIONING
    return timedelta(seconds=deadlines.provision_seconds if up else deadlines.release_seconds)


def _try_again(row: Instance, error: DriverError, at: datetime) -> None:
    row.attempt_count += 1
    row.last_error = error.detail[:500]
    row.save(update_fields=["attempt_count", "last_error"])
    claims.rest(row, until=retry_at(name=row.public_id, attempt=row.attempt_count, at=at))


def _after(progress: Progress, at: datetime) -> datetime:
    """When the engine is asked again: by its own estimate, within sense, so that neither a
    hasty engine floods us nor a hopeful one outlasts its deadline unseen."""
    return at + timedelta(seconds=min(60.0, max(0.1, progress.check_after_seconds)))


def _wake(allocation_id: int, at: datetime) -> None:
    """Its allocation looks again soon. A hint, after the commit: it looks anyway in a while."""
    Allocation.objects.filter(pk=allocation_id, next_step_at__gt=at).update(next_step_at=at)
