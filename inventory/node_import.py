"""Node lists as centres keep them: CSV in UTF-8 or GBK, with or without a BOM."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from inventory import capacity
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Node, Pool
from inventory.pools import NodeRow

ROW_LIMIT = 100_000
BYTE_LIMIT = 32 * 1024 * 1024
# The template's header, and what else centres call the same column: in any case and width,
# blanks and hyphens as underscores.
COLUMNS: dict[str, tuple[str, ...]] = {
    "serial": (
        "serial", "序列号", "服务器序列号", "设备序列号", "节点序列号", "sn", "s/n", "sn号",
        "serial_number", "serial_no",
    ),
    "hostname": ("hostname", "主机名", "主机名称", "节点名称", "host", "host_name"),
    "rack": ("rack", "机柜", "机架", "机柜号", "机架号"),
    "leaf": ("leaf", "接入交换机", "leaf_switch", "tor"),
    "card_uuids": ("card_uuids", "卡号", "gpu_uuids", "npu_uuids", "uuids"),
    "driver_version": ("driver_version", "驱动版本", "driver"),
    "runtime_version": (
        "runtime_version", "运行时版本", "cuda/cann版本", "cuda版本", "cann版本", "cuda", "cann",
    ),
    "framework_version": ("framework_version", "框架版本", "框架", "framework"),
    "firmware_version": ("firmware_version", "固件版本", "firmware"),
}  # fmt: skip
_COLUMN_OF = {alias: column for column, aliases in COLUMNS.items() for alias in aliases}
_LENGTHS = {
    "serial": 80,
    "hostname": 120,
    "rack": 60,
    "leaf": 60,
    "driver_version": 60,
    "runtime_version": 60,
    "framework_version": 60,
    "firmware_version": 60,
}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and other archives, .xls
_OTHER_SEPARATORS = (";", "\t", "|", chr(0xFF0C), chr(0xFF1B), "、")
_TOTALS = re.compile(r"合计|总计|小计|汇总|总数|((grand |sub)?totals?|sum)\W*$", re.IGNORECASE)
# What a spreadsheet makes of a long number: the digits are lost.
_SCIENTIFIC = re.compile(r"\d(\.\d+)?e\+\d+", re.IGNORECASE)
# What shows as nothing, or as a blank that is none: two serials that look alike would be two
# nodes. Control and format characters, blanks of other widths (the wide one of Chinese texts is
# seen), fillers and selectors of variants: Cc, Cf and Zs, and Default_Ignorable_Code_Point of
# Unicode's DerivedCoreProperties.txt.
_INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    r"\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

Verdict = Literal["new", "changed", "same"]


class Unreadable(Invalid):
    """The file is not a CSV of nodes; `reason` says why, beside its particulars."""

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
    verdicts: dict[str, Verdict]  # by serial
    lines: dict[str, int]  # of the file, by serial
    ignored_columns: list[str]
    cards_before: int
    cards_after: int

    @property
    def new_count(self) -> int:
        return self._count("new")

    @property
    def known_count(self) -> int:
        return len(self.verdicts) - self.new_count

    @property
    def changed_count(self) -> int:
        """Known nodes that the file knows something new of."""
        return self._count("changed")

    def _count(self, verdict: Verdict) -> int:
        return sum(each == verdict for each in self.verdicts.values())


@dataclass(frozen=True, slots=True)
class _File:
    """The well-formed rows with their line numbers, what is wrong with the others, and which
    columns there are."""

    rows: list[tuple[int, NodeRow]]
    errors: list[RowError]
    columns: frozenset[str]
    ignored_columns: list[str]


def template() -> str:
    """An empty file with the header and one example row."""
    header = ",".join(COLUMNS)
    example = "SN-2026-0001,gpu-0001,A01,leaf-01,GPU-0;GPU-1,550.90.07,CUDA 12.4,1.2.3"
    return f"\ufeff{header}\r\n{example}\r\n"


def preview(*, pool: Pool, content: bytes) -> Preview:
    """What the file would change in the pool. Changes nothing. Raises Unreadable.

    A column that the file lacks leaves what is known of a node; an empty cell clears it. Four
    statements, whatever the number of rows.
    """
    file = _read(content)
    errors = file.errors + list(_taken(pool, file.rows))
    bad = {error.line for error in errors}
    lines = {row.serial: line for line, row in file.rows if line not in bad}
    rows = [row for line, row in file.rows if line not in bad]
    known = {
        node.serial: node
        for node in Node.objects.filter(pool=pool, serial__in=[row.serial for row in rows])
    }
    before = Node.objects.filter(pool=pool).exclude(state=Node.State.RETIRED).count()
    fresh = len(rows) - len(known)
    rows = [_completed(row, known.get(row.serial), file.columns) for row in rows]
    return Preview(
        rows=rows,
        errors=sorted(errors, key=lambda error: (error.line, error.column)),
        verdicts={row.serial: _verdict(row, known.get(row.serial)) for row in rows},
        lines=lines,
        ignored_columns=file.ignored_columns,
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


def _completed(row: NodeRow, node: Node | None, columns: frozenset[str]) -> NodeRow:
    if node is None:
        return row
    kept = {name: getattr(node, name) for name in COLUMNS if name not in columns}
    return replace(row, **kept)


def _verdict(row: NodeRow, node: Node | None) -> Verdict:
    if node is None:
        return "new"
    same = list(row.card_uuids) == node.card_uuids and all(
        getattr(row, name) == getattr(node, name) for name in COLUMNS if name != "card_uuids"
    )
    return "same" if same else "changed"


def _decode(content: bytes) -> str:
    if len(content) > BYTE_LIMIT:
        raise Unreadable(
            f"The file has more than {BYTE_LIMIT} bytes",
            reason="too_large",
            limit_mib=BYTE_LIMIT // 2**20,
        )
    if content.startswith(_WORKBOOKS):
        raise Unreadable("This is a workbook or an archive; save it as CSV", reason="workbook")
    is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    # GB 18030 reads GBK and GB2312 as well.
    for encoding in ["utf-16"] if is_utf16 else ["utf-8-sig", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            raise Unreadable("The file holds a NUL character", reason="binary")
        return text
    raise Unreadable("The file is neither UTF-8 nor GBK", reason="encoding")


def _read(content: bytes) -> _File:
    text = _decode(content)
    if not text.strip():
        raise Unreadable("The file is empty", reason="empty")
    reader = csv.reader(io.StringIO(text.lstrip(), newline=""), strict=True)
    skipped = text[: len(text) - len(text.lstrip())].count("\n")  # blank lines before the header
    rows: list[tuple[int, NodeRow]] = []
    errors: list[RowError] = []
    seen: set[str] = set()
    try:
        header = next(reader)
        columns = _header(header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(rows) + len(errors) >= ROW_LIMIT:
                raise Unreadable(
                    f"The file has more than {ROW_LIMIT} rows",
                    reason="too_many_rows",
                    limit_rows=ROW_LIMIT,
                )
            line = reader.line_num + skipped
            row, wrong = _row(line, columns, cells)
            if not wrong and row.serial in seen:
                wrong = [RowError(line, "serial", "duplicate_serial", row.serial)]
            if wrong:
                errors += wrong
            else:
                seen.add(row.serial)
                rows.append((line, row))
    except csv.Error as error:
        line = reader.line_num + skipped
        raise Unreadable(f"Line {line} is not CSV: {error}", reason="not_csv", line=line) from error
    if not rows and not errors:
        raise Unreadable("The file has a header and no rows", reason="no_rows")
    taken = set(columns.values())
    ignored = [cell.strip() for place, cell in enumerate(header) if place not in taken]
    return _File(rows, errors, frozenset(columns), [name for name in ignored if name])


def _name(cell: str) -> str:
    """A column's name as `COLUMNS` spells it: narrow, small, without what marks it as needed."""
    text = unicodedata.normalize("NFKC", cell).strip().rstrip("*:").strip().casefold()
    return _INVISIBLE.sub("", re.sub(r"[\s_-]+", "_", text))


def _header(cells: list[str]) -> dict[str, int]:
    """Which column stands where. Raises Unreadable without a serial column."""
    places: dict[str, int] = {}
    for position, cell in enumerate(cells):
        column = _COLUMN_OF.get(_name(cell))
        if column is not None:
            places.setdefault(column, position)
    if "serial" in places:
        return places
    separator = _other_separator(cells)
    if separator:
        raise Unreadable(
            "The columns are not separated by commas", reason="separator", separator=separator
        )
    raise Unreadable(
        "The first line needs a column 'serial' (序列号)",
        reason="serial_column",
        columns=[cell.strip()[:40] for cell in cells if cell.strip()][:12],
    )


def _other_separator(cells: list[str]) -> str:
    """What the names of the columns are separated by instead, where they make sense so."""
    line = ",".join(cells)
    for separator in _OTHER_SEPARATORS:
        if any(_COLUMN_OF.get(_name(part)) == "serial" for part in line.split(separator)):
            return separator
    return ""


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
    if wrong := _wrong_serial(values["serial"], cells):
        errors.append(RowError(line, "serial", wrong, values["serial"][:60]))
    errors += [
        RowError(line, column, "invisible_character", _shown(value, found))
        for column, value in values.items()
        if (found := _INVISIBLE.search(value))
    ]
    # A cell that a spreadsheet would run as a formula is a broken export or an attack.
    errors += [
        RowError(line, column, "formula", value[:60])
        for column, value in values.items()
        if value[:1] in ("=", "@", "+") or value[:2] == "-="
    ]
    uuids = tuple(u for u in values.pop("card_uuids", "").replace("|", ";").split(";") if u.strip())
    return NodeRow(card_uuids=tuple(u.strip() for u in uuids), **values), errors


def _shown(text: str, found: re.Match[str]) -> str:
    """The text around what cannot be seen, which is named: "SN[U+200B ZERO WIDTH SPACE]1"."""
    start = max(0, found.start() - 30)
    return _INVISIBLE.sub(_named, text[start : found.end() + 30])


def _named(found: re.Match[str]) -> str:
    name = unicodedata.name(found[0], "")  # control characters have none
    return f"[U+{ord(found[0]):04X}{' ' if name else ''}{name}]"


def _wrong_serial(serial: str, cells: list[str]) -> str:
    """Why this is no serial number; empty where it may be one."""
    plain = unicodedata.normalize("NFKC", serial)
    if _TOTALS.match(plain) or (not plain and any(_TOTALS.match(cell.strip()) for cell in cells)):
        return "totals_row"
    if not plain:
        return "serial_missing"
    return "scientific_notation" if _SCIENTIFIC.fullmatch(plain) else ""


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
