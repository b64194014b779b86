"""Charges as rows of COPY: thousands of them at once, without a model for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import overload

from django.db import connection
from uuid_utils import UUID, uuid7

from billing.models import Charge


@dataclass(slots=True)
class NewCharge:
    """The columns of a charge, under their names; `billing_charge` takes them in this order."""

    public_id: UUID
    lease_id: int
    provider_id: int
    tenant_id: int
    price_id: int
    kind: str
    allocation_id: int
    hour: datetime
    revision: int
    card_seconds: int
    currency: str
    selling: str
    gross_minor: int
    vat_minor: int
    fee_minor: int
    provider_minor: int
    fee_vat_minor: int
    deposit_minor: int
    wallet_minor: int
    receivable_minor: int
    arrears_minor: int
    direct_minor: int
    created_at: datetime
    ledger_transaction_id: int | None = None


COLUMNS = tuple(field.name for field in fields(NewCharge))
new_id = uuid7


class Made(Sequence[Charge]):
    """Charges that were made, in their order; read from the database when looked at."""

    def __init__(self, ids: Sequence[UUID] = ()) -> None:
        self._ids = list(ids)
        self._rows: list[Charge] | None = None

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, index: int) -> Charge: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Charge]: ...
    def __getitem__(self, index: int | slice) -> Charge | Sequence[Charge]:
        return self._read()[index]

    def __iter__(self) -> Iterator[Charge]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Sequence) else other)

    def __hash__(self) -> int:
        return hash(tuple(self._ids))

    def __add__(self, other: Made) -> Made:
        return Made([*self._ids, *other._ids])

    def _read(self) -> list[Charge]:
        if self._rows is None:
            names = [f"chg_{key.hex}" for key in self._ids]
            found = {row.public_id: row for row in Charge.objects.filter(public_id__in=names)}
            self._rows = [found[name] for name in names]
        return self._rows


def insert(rows: Sequence[NewCharge]) -> Made:
    """Writes them in one COPY. Every text among them is an id, a word of ours or an instant."""
    if not rows:
        return Made()
    hours: dict[datetime, str] = {}
    lines = []
    for row in rows:
        hour = hours.get(row.hour)
        if hour is None:
            hour = hours[row.hour] = row.hour.isoformat()
        lines.append(
            "\t".join(
                [
                    hour
                    if name == "hour"
                    else "\\N"
                    if (value := getattr(row, name)) is None
                    else str(value)
                    for name in COLUMNS
                ]
            )
        )
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY billing_charge ({', '.join(COLUMNS)}) FROM STDIN") as copy,
    ):
        copy.write("\n".join(lines) + "\n")
    return Made([row.public_id for row in rows])
