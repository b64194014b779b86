"""Node lists as centres keep them: CSV in UTF-8 or GBK, with or without a BOM."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from inventory import capacity
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Node, Pool
from inventory.pools import NodeRow

ROW_LIMIT = 100_000
BYTE_LIMIT = 32 * 1024 * 1024
# The template's header, and what else centres call the same column.
COLUMNS: dict[str, tuple[str, ...]] = {
    "serial": ("serial", "sn", "序列号", "服务器序列号", "serial_number"),
    "hostname": ("hostname", "主机名", "host"),
    "rack": ("rack", "机柜", "机架"),
    "leaf": ("leaf", "接入交换机", "leaf_switch", "tor"),
    "card_uuids": ("card_uuids", "卡号", "gpu_uuids", "uuids"),
    "driver_version": ("driver_version", "驱动版本", "driver"),
    "runtime_version": ("runtime_version", "cuda/cann版本", "cuda", "cann", "运行时版本"),
    "firmware_version": ("firmware_version", "固件版本", "firmware"),
}
_LENGTHS = {
    "serial": 80,
    "hostname": 120,
    "rack": 60,
    "leaf": 60,
    "driver_version": 60,
    "runtime_version": 60,
    "firmware_version": 60,
}


class Unreadable(Invalid):
    """The file is not a CSV of nodes: encoding, header or size."""

    code = "file_unreadable"
    title = "The file cannot be read"


class RowsInvalid(DomainError):
    """Some rows cannot be taken; nothing was changed. `errors` names each with its line."""

    code = "import_row_invalid"
    title = "Some rows cannot be taken"
    status = 422


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong with one line of the file, as a stable code and its particulars."""

    line: int
    column: str
    code: str
    value: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do, before anything is done."""

    rows: list[NodeRow]
    errors: list[RowError]
    new_count: int
    known_count: int
    cards_before: int
    cards_after: int


def template() -> str:
    """An empty file with the header and one example row."""
    header = ",".join(COLUMNS)
    example = "SN-2026-0001,gpu-0001,A01,leaf-01,GPU-0;GPU-1,550.90.07,CUDA 12.4,1.2.3"
    return f"\ufeff{header}\r\n{example}\r\n"


def preview(*, pool: Pool, content: bytes) -> Preview:
    """What the file would change in the pool. Changes nothing. Raises Unreadable.

    Four statements, whatever the number of rows.
    """
    numbered, errors = _read(content)
    errors += list(_taken(pool, numbered))
    bad = {error.line for error in errors}
    rows = [row for line, row in numbered if line not in bad]
    known = set(
        Node.objects.filter(pool=pool, serial__in=[row.serial for row in rows]).values_list(
            "serial", flat=True
        )
    )
    before = Node.objects.filter(pool=pool).exclude(state=Node.State.RETIRED).count()
    fresh = len(rows) - len(known)
    return Preview(
        rows=rows,
        errors=sorted(errors, key=lambda error: (error.line, error.column)),
        new_count=fresh,
        known_count=len(known),
        cards_before=before * pool.cards_per_node,
        cards_after=(before + fresh) * pool.cards_per_node,
    )


def apply(*, pool: Pool, content: bytes, at: datetime, actor: Actor) -> Preview:
    """The pool has the file's nodes. All rows or none. Idempotent by serial.

    Locks the pool. Raises Unreadable, RowsInvalid, NotFound.
    """
    plan = preview(pool=pool, content=content)
    if plan.errors:
        raise RowsInvalid(
            errors=[
                {"line": e.line, "column": e.column, "code": e.code, "value": e.value}
                for e in plan.errors[:100]
            ],
            error_count=len(plan.errors),
        )
    capacity.put_nodes(pool_id=pool.pk, rows=plan.rows, at=at, actor=actor)
    return plan


def _decode(content: bytes) -> str:
    if len(content) > BYTE_LIMIT:
        raise Unreadable(f"The file has more than {BYTE_LIMIT} bytes")
    if content[:4] == b"PK\x03\x04":
        raise Unreadable("This is a workbook or an archive; save it as CSV")
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    # GB 18030 reads GBK and GB2312 as well.
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            raise Unreadable("The file holds a NUL character")
        return text
    raise Unreadable("The file is neither UTF-8 nor GBK")


def _read(content: bytes) -> tuple[list[tuple[int, NodeRow]], list[RowError]]:
    """The well-formed rows with their line numbers, and what is wrong with the others."""
    reader = csv.reader(io.StringIO(_decode(content), newline=""), strict=True)
    try:
        columns = _header(next(reader, []))
        rows: list[tuple[int, NodeRow]] = []
        errors: list[RowError] = []
        seen: dict[str, int] = {}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) + len(errors) >= ROW_LIMIT:
                raise Unreadable(f"The file has more than {ROW_LIMIT} rows")
            row, wrong = _row(reader.line_num, columns, cells)
            if not wrong and row.serial in seen:
                wrong = [RowError(reader.line_num, "serial", "duplicate_serial", row.serial)]
            if wrong:
                errors += wrong
            else:
                seen[row.serial] = reader.line_num
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise Unreadable(f"Line {reader.line_num} is not CSV: {error}") from error
    return rows, errors


def _header(cells: list[str]) -> dict[str, int]:
    """Which column stands where. Raises Unreadable without a serial column."""
    places: dict[str, int] = {}
    for position, cell in enumerate(cells):
        name = cell.strip().lower()
        for column, aliases in COLUMNS.items():
            if name in aliases and column not in places:
                places[column] = position
    if "serial" not in places:
        raise Unreadable("The first line needs a column 'serial' (序列号)")
    return places


def _row(line: int, columns: dict[str, int], cells: list[str]) -> tuple[NodeRow, list[RowError]]:
    values = {
        column: cells[position].strip() if position < len(cells) else ""
        for column, position in columns.items()
    }
    errors = [
        RowError(line, column, "too_long", value[:60])
        for column, value in values.items()
        if len(value) > _LENGTHS.get(column, 4000)
    ]
    if not values["serial"]:
        errors.append(RowError(line, "serial", "serial_missing", ""))
    # A cell that a spreadsheet would run as a formula is a broken export or an attack.
    errors += [
        RowError(line, column, "formula", value[:60])
        for column, value in values.items()
        if value[:1] in ("=", "@", "+") or value[:2] == "-="
    ]
    uuids = tuple(u for u in values.pop("card_uuids", "").replace("|", ";").split(";") if u.strip())
    return NodeRow(card_uuids=tuple(u.strip() for u in uuids), **values), errors


def _taken(pool: Pool, numbered: list[tuple[int, NodeRow]]) -> Iterator[RowError]:
    """Serials and cards that belong to another pool, another node, or a retired node."""
    lines = {row.serial: line for line, row in numbered}
    rows = Node.objects.filter(provider_id=pool.provider_id, serial__in=list(lines))
    for serial, pool_id, state in rows.values_list("serial", "pool_id", "state"):
        if pool_id != pool.pk:
            yield RowError(lines[serial], "serial", "serial_in_other_pool", serial)
        elif state == Node.State.RETIRED:
            yield RowError(lines[serial], "serial", "serial_retired", serial)
    named = [row for _, row in numbered]
    for row, card, _ in capacity.cards_elsewhere(provider_id=pool.provider_id, rows=named):
        yield RowError(lines[row.serial], "card_uuids", "card_elsewhere", card)
    for line, row in numbered:
        if row.card_uuids and len(row.card_uuids) != pool.cards_per_node:
            yield RowError(line, "card_uuids", "card_count_differs", str(len(row.card_uuids)))
