"""Runs of the test, and the signature under the one that passed."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar

from django.db import transaction

from inventory import journal, transitions
from inventory.acceptance import gate, reports
from inventory.acceptance.reports import Report
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden
from inventory.models import Acceptance, AcceptanceRun, Allocation, Fabric, Instance

State = Acceptance.State
MOST_NAMED = 20  # machines in a refusal


class NotBeingTested(DomainError):
    """Its machines are not up yet, or it was accepted or given up."""

    code = "not_being_tested"
    title = "The delivery is not being tested"


class NothingPassed(DomainError):
    """Only a run that passed can be signed for."""

    code = "nothing_passed"
    title = "No run stands that passed"


class OtherMachines(DomainError):
    """The report is about other machines than those delivered, or not about all their cards."""

    code = "other_machines"
    title = "The report is not about the machines that were delivered"
    status: ClassVar[int] = 422


def report(
    *, acceptance_public_id: str, tool: str, text: str, hosts: str, at: datetime, actor: Actor
) -> AcceptanceRun:
    """A run stands in the record: the last one says whether the gate may be signed.

    One that passes proves the fabric for so many nodes. One that fails restarts the clock and
    costs nothing. By either side; both see it. Locks the allocation, the gate, the fabric.
    Raises NotFound, NotBeingTested, ReportInvalid, OtherMachines. Not idempotent.
    """
    found = reports.read(tool, text, hosts=hosts)
    with transaction.atomic():
        row = _testing(acceptance_public_id, actor)
        serials = _participants(row.allocation, found)
        passed = found.is_correct and found.busbw_mb_per_second >= row.threshold_mb_per_second
        run = AcceptanceRun.objects.create(
            acceptance=row,
            tool=found.tool,
            passed=passed,
            is_correct=found.is_correct,
            busbw_mb_per_second=found.busbw_mb_per_second,
            size_bytes=found.size_bytes,
            node_count=len(serials),
            rank_count=found.rank_count,
            serials=serials,
            report=text,
            report_sha256=hashlib.sha256(text.encode()).hexdigest(),
            posted_by_id=actor.organisation_id or row.provider_id,
            actor=actor.label,
            at=at,
        )
        _journal_run(row, run, at, actor)
        _apply(row, run, at, actor)
        if passed:
            _prove(row.allocation, len(serials), at, actor)
    return run


def sign(*, acceptance_public_id: str, at: datetime, actor: Actor) -> Acceptance:
    """The tenant accepts what passed; its time counts from the loop's next look, at once.

    Locks the allocation, then the gate. Raises NotFound, Forbidden where it is not the
    tenant's, NotBeingTested, NothingPassed. Not idempotent.
    """
    with transaction.atomic():
        row = _testing(acceptance_public_id, actor)
        if actor.organisation_id != row.tenant_id:
            raise Forbidden("Only the tenant signs for what it takes")
        if row.state != State.PASSED:
            raise NothingPassed(state=row.state)
        row.signed_by = actor.label
        transitions.advance(row, to=State.ACCEPTED, at=at, actor=actor, changed=("signed_by",))
        _wake(row)
    return row


def _testing(public_id: str, actor: Actor) -> Acceptance:
    row = gate.lock(public_id, actor)
    if row.state not in (State.TESTING, State.PASSED):
        raise NotBeingTested(state=row.state)
    return row


def _apply(row: Acceptance, run: AcceptanceRun, at: datetime, actor: Actor) -> None:
    """A pass after a pass leaves the clock of the first; every failure restarts it."""
    if run.passed and row.state == State.PASSED:
        return
    gate.restart(row, at)
    if not run.passed and row.state == State.TESTING:
        row.save(update_fields=["due_at"])
        return
    to = State.PASSED if run.passed else State.TESTING
    transitions.advance(row, to=to, at=at, actor=actor, changed=("due_at",))


def _participants(allocation: Allocation, found: Report) -> list[str]:
    """The serials of the nodes that took part: all that serve the allocation, each with all its
    cards, and no other. Raises OtherMachines."""
    standing = allocation.instances.filter(state=Instance.State.ACTIVE)
    expected: dict[str, int] = {}
    names: dict[str, str] = {}
    for each in standing.select_related("binding__node").order_by("pk"):
        node = each.binding.node
        expected[node.serial] = expected.get(node.serial, 0) + each.card_count
        # Tools cut a host's name at its first dot.
        for name in (node.serial, node.hostname, node.hostname.partition(".")[0]):
            if name:
                names[name.lower()] = node.serial
    took: dict[str, int] = {}
    strange = []
    for host, ranks in found.ranks_by_host.items():
        serial = names.get(host.lower()) or names.get(host.lower().partition(".")[0])
        if serial is None:
            strange.append(host)
        else:
            took[serial] = took.get(serial, 0) + ranks
    missing = sorted(serial for serial in expected if took.get(serial) != expected[serial])
    if strange or missing:
        raise OtherMachines(missing=missing[:MOST_NAMED], strange=sorted(strange)[:MOST_NAMED])
    return sorted(took)


def _prove(allocation: Allocation, node_count: int, at: datetime, actor: Actor) -> None:
    """The fabric has carried one collective over so many nodes; the most count, and the last
    day they were shown."""
    fabrics = Fabric.objects.select_for_update(of=("self",), no_key=True)
    fabric = fabrics.select_related("centre").get(pools=allocation.pool_id)
    if fabric.proved_node_count is not None and node_count < fabric.proved_node_count:
        return
    fabric.proved_node_count, fabric.proved_on_date = node_count, at.date()
    fabric.save(update_fields=["proved_node_count", "proved_on_date"])
    journal.record(
        event="fabric.proved",
        object_id=fabric.public_id,
        actor=actor,
        at=at,
        provider_id=allocation.provider_id,
        data={"node_count": node_count},
    )


def _journal_run(row: Acceptance, run: AcceptanceRun, at: datetime, actor: Actor) -> None:
    journal.record(
        event="acceptance.run_passed" if run.passed else "acceptance.run_failed",
        object_id=row.public_id,
        actor=actor,
        at=at,
        provider_id=row.provider_id,
        tenant_id=row.tenant_id,
        data={
            "run": run.public_id,
            "busbw_mb_per_second": run.busbw_mb_per_second,
            "node_count": run.node_count,
            "report_sha256": run.report_sha256,
        },
    )


def _wake(row: Acceptance) -> None:
    """The allocation is locked: the reconcile loop looks again at once."""
    Allocation.objects.filter(pk=row.allocation_id).update(next_step_at=None)
