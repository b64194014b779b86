"""Which line of the bank or Stripe is which movement of the books: the rules, in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from billing.models import BankWithdrawal, LedgerTransaction
from billing.reconciliation_sides import ARRIVES_AFTER, ARRIVES_BEFORE, Line, Movement

Pairs = Iterable[tuple[Line, Movement]]


def by_document(lines: Sequence[Line], movements: Sequence[Movement]) -> Pairs:
    """The receipt, or the refund, that a line was recorded as or completed names the posting."""
    return _only_ones(lines, movements, lambda line: line.documents, lambda m: (m.key,))


def by_reference(lines: Sequence[Line], movements: Sequence[Movement]) -> Pairs:
    """One reference stands on both."""
    return _only_ones(lines, movements, lambda line: line.references, lambda m: m.references)


def by_arrival(lines: Sequence[Line], movements: Sequence[Movement]) -> Pairs:
    """Stripe's payout to our bank, which the bank knows under no name of ours."""
    arrived = [m for m in movements if m.purpose == "bank" and m.kind == "stripe_paid_out"]
    if not arrived:
        return []
    names = {reference for m in arrived for reference in m.references}
    rows = BankWithdrawal.objects.filter(payout_id__in=names)
    days = dict(rows.values_list("payout_id", "arrival_at"))

    def fits(line: Line) -> tuple[str, ...]:
        if line.purpose != "bank" or "STRIPE" not in line.text.upper():
            return ()
        return tuple(
            name
            for name, day in days.items()
            if -ARRIVES_BEFORE <= line.since - day <= ARRIVES_AFTER
        )

    return _only_ones(lines, arrived, fits, lambda m: m.references)


def _only_ones(
    lines: Sequence[Line],
    movements: Sequence[Movement],
    of_line: Callable[[Line], tuple[str, ...]],
    of_movement: Callable[[Movement], tuple[str, ...]],
) -> Iterator[tuple[Line, Movement]]:
    """Pairs of one amount under one name, where neither fits anything else."""
    there: dict[tuple[str, str, int, str], list[Movement]] = defaultdict(list)
    for movement in movements:
        for name in of_movement(movement):
            there[movement.purpose, movement.currency, movement.net_minor, name].append(movement)
    fitting: dict[str, dict[int, Movement]] = {}
    wanted: dict[tuple[int, int], int] = defaultdict(int)
    for line in lines:
        found = {
            movement.transaction_id: movement
            for name in of_line(line)
            for movement in there.get((line.purpose, line.currency, line.net_minor, name), ())
        }
        fitting[line.name] = found
        for movement in found.values():
            wanted[movement.transaction_id, movement.account_id] += 1
    for line in lines:
        if len(found := fitting[line.name]) == 1:
            (movement,) = found.values()
            if wanted[movement.transaction_id, movement.account_id] == 1:
                yield line, movement


Offsets = list[tuple[Movement, Movement]]  # (earlier, later)


def rejected(movements: Sequence[Movement], undone: set[tuple[str, int]]) -> Offsets:
    """Receipts that were recorded and rejected: nobody outside ever knew of them."""
    recorded = {
        m.key.removesuffix(":recorded"): m for m in movements if m.key.endswith(":recorded")
    }
    return _offsets(
        movements,
        undone,
        lambda later: (
            recorded.get(later.key.removesuffix(":rejected"))
            if later.kind == "bank_receipt_rejected"
            else None
        ),
    )


def taken_back(movements: Sequence[Movement], undone: set[tuple[str, int]]) -> Offsets:
    """Movements that were reversed before the bank or Stripe heard of them."""
    known = {(m.transaction_id, m.account_id): m for m in movements}
    reverses = dict(
        LedgerTransaction.objects.filter(
            pk__in=[m.transaction_id for m in movements if m.kind == "reversed"]
        ).values_list("pk", "reverses_id")
    )
    return _offsets(
        movements,
        undone,
        lambda later: known.get((reverses.get(later.transaction_id, 0), later.account_id)),
    )


def _offsets(
    movements: Sequence[Movement],
    undone: set[tuple[str, int]],
    earlier_of: Callable[[Movement], Movement | None],
) -> Offsets:
    return [
        (earlier, later)
        for later in movements
        if (earlier := earlier_of(later)) is not None
        and earlier.account_id == later.account_id
        and earlier.net_minor == -later.net_minor
        and (f"ltx:{earlier.transaction_id}", later.transaction_id) not in undone
    ]


IN_ORDER = (by_document, by_reference, by_arrival)
