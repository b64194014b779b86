"""Bank statements as banks export them: CSV in UTF-8 or GBK, read by a mapping file per bank.

A mapping says what the columns may be called, in which form dates are, and what the words for
in and out are. Title rows above the header and totals below the lines are passed over. Pure:
no database.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from billing import statement_lines
from billing.statement_lines import Line, LineError
from inventory.errors import Invalid
from marketplace import money_text
from marketplace.money import LARGEST_MINOR, exponent
from marketplace.money_text import InvalidAmount

OWN = Path(__file__).resolve().parent / "data" / "bank_statements"
BYTE_LIMIT = 4 * 1024 * 1024
LINE_LIMIT = 10_000
HEADER_WITHIN = 40  # title rows above the header are fewer
ERRORS_KEPT = 200
_LAYOUT = re.compile(r"[a-z0-9_]{1,40}")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")
_SIGNS = re.compile(r"CNY|RMB|USD|HKD|人民币|[¥￥$元\s]", re.IGNORECASE)
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?")
_TOTALS = re.compile(
    r"^(合计|总计|小计|本页|累计|总笔数|借方|贷方|期末|期初|total|sum)", re.IGNORECASE
)
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]")
_LENGTHS = {"reference": 80, "name": 200, "account": 64, "text": 500, "virtual": 64}


class StatementUnreadable(Invalid):
    """The file is not a statement in that layout; `reason` says why."""

    code = "statement_unreadable"
    title = "The statement cannot be read"


@dataclass(frozen=True, slots=True)
class Statement:
    """A file that was read: its good lines, what is wrong with the others, and its balances."""

    lines: list[Line]
    errors: list[LineError]
    opening_minor: int | None
    closing_minor: int | None
    ignored_columns: list[str] = field(default_factory=list)

    @property
    def in_minor(self) -> int:
        return sum(line.amount_minor for line in self.lines if line.amount_minor > 0)

    @property
    def out_minor(self) -> int:
        return -sum(line.amount_minor for line in self.lines if line.amount_minor < 0)


def layouts() -> list[str]:
    """The names of the layouts there are, sorted."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.json")})


def read(content: bytes, *, layout: str, currency: str) -> Statement:
    """The movements of a file. Raises StatementUnreadable, UnknownCurrency."""
    shape = _load(layout)
    exponent(currency)
    rows = _rows(content)
    top, columns, ignored = _header(rows, shape)
    lines: list[Line] = []
    errors: list[LineError] = []
    for number, cells in rows[top + 1 :]:
        texts = {
            name: _clean(cells[place]) if place < len(cells) else ""
            for name, place in columns.items()
        }
        if _is_no_line(cells, texts):
            continue
        if len(lines) >= LINE_LIMIT:
            raise StatementUnreadable(reason="too_many_lines", limit=LINE_LIMIT)
        found = _line(number, texts, shape, currency)
        if isinstance(found, LineError):
            errors.append(found)
        else:
            lines.append(found)
    if not lines and not errors:
        raise StatementUnreadable(reason="no_lines")
    opening, closing = _balances_said(rows, shape, currency)
    if not errors:
        errors += statement_lines.breaks(lines)
        opening, closing, more = statement_lines.ends(lines, opening, closing)
        errors += more
    return Statement(
        statement_lines.with_keys(lines), errors[:ERRORS_KEPT], opening, closing, ignored
    )


def _rows(content: bytes) -> list[tuple[int, list[str]]]:
    """The file's rows with their line numbers, empty ones left out."""
    if len(content) > BYTE_LIMIT:
        raise StatementUnreadable(reason="too_large", limit_mib=BYTE_LIMIT // 2**20)
    if not content.strip():
        raise StatementUnreadable(reason="empty")
    if content.startswith(_WORKBOOKS):
        raise StatementUnreadable(reason="not_csv")
    text = _decoded(content).replace("\r\n", "\n").replace("\r", "\n")
    head = text[:20_000]
    delimiter = max(",\t;", key=lambda sign: (head.count(sign), sign == ","))
    found = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        for row in reader:
            if any(cell.strip() for cell in row):
                found.append((reader.line_num, row))
    except csv.Error as error:
        raise StatementUnreadable(reason="not_csv") from error
    return found


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "gb18030"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" in text:
            break
        return text
    raise StatementUnreadable(reason="encoding")


def _header(
    rows: list[tuple[int, list[str]]], shape: dict[str, Any]
) -> tuple[int, dict[str, int], list[str]]:
    """Which row names the columns, where each is, and the names that mean nothing here."""
    aliases = {
        _name(alias): column for column, names in shape["columns"].items() for alias in names
    }
    for index, (_, cells) in enumerate(rows[:HEADER_WITHIN]):
        places: dict[str, int] = {}
        ignored = []
        for place, cell in enumerate(cells):
            column = aliases.get(_name(cell))
            if column is None:
                if cell.strip():
                    ignored.append(_clean(cell)[:40])
            else:
                places.setdefault(column, place)
        sums = {"in", "out"} <= set(places) or "amount" in places
        if "date" in places and sums:
            if "amount" in places and shape.get("needs_direction") and "direction" not in places:
                continue
            return index, places, ignored
    raise StatementUnreadable(
        reason="header_missing",
        wanted=[names[0] for names in shape["columns"].values()],
    )


def _is_no_line(cells: list[str], texts: dict[str, str]) -> bool:
    """A row of totals or a remark below the lines."""
    first = next((_clean(cell) for cell in cells if cell.strip()), "")
    if texts["date"]:
        return bool(_TOTALS.match(texts["date"]))
    sums = (texts.get("in"), texts.get("out"), texts.get("amount"))
    return bool(_TOTALS.match(first)) or not any(sums)


def _line(
    number: int, texts: dict[str, str], shape: dict[str, Any], currency: str
) -> Line | LineError:
    booked = _day(texts["date"], shape["dates"])
    if booked is None:
        return LineError(number, "date", "date_unreadable", texts["date"][:60])
    for name, longest in _LENGTHS.items():
        if len(texts.get(name, "")) > longest:
            return LineError(number, name, "too_long", texts[name][:60])
        if name in ("reference", "account") and re.search(r"\d[Ee]\+\d", texts.get(name, "")):
            return LineError(number, name, "scientific_notation", texts[name][:60])
    try:
        amount = _movement(texts, shape, currency)
    except InvalidAmount:
        said = "/".join(filter(None, (texts.get(n, "") for n in ("in", "out", "amount"))))
        return LineError(number, "amount", "amount_unreadable", said[:60])
    if amount is None:
        said = texts.get("direction", "")
        return LineError(number, "amount", "direction_unknown", said[:60])
    balance = None
    if texts.get("balance"):
        try:
            balance = amount_of(texts["balance"], currency)
        except InvalidAmount:
            return LineError(number, "balance", "amount_unreadable", texts["balance"][:60])
    return Line(
        number=number,
        booked_date=booked,
        time=texts.get("time", "")[:20],
        amount_minor=amount,
        balance_minor=balance,
        reference=texts.get("reference", "").upper(),
        name=texts.get("name", ""),
        account=re.sub(r"[\s\-]", "", texts.get("account", "")),
        text=" ".join(filter(None, (texts.get("text", ""), texts.get("remark", ""))))[:500],
        virtual=re.sub(r"[\s\-]", "", texts.get("virtual", "")),
    )


def _movement(texts: dict[str, str], shape: dict[str, Any], currency: str) -> int | None:
    """Minor units, in positive; None where it does not say which way. Raises InvalidAmount."""
    if "in" in texts and "out" in texts:
        inward = amount_of(texts["in"], currency) if texts["in"] else 0
        outward = amount_of(texts["out"], currency) if texts["out"] else 0
        if (inward == 0) == (outward == 0):
            raise InvalidAmount("One of the two columns has an amount")
        # A negative figure in a column is a movement taken back (红字冲正): the other way.
        return inward - outward
    amount = amount_of(texts["amount"], currency)
    if amount == 0:
        raise InvalidAmount("The amount must be more than zero")
    words = shape.get("direction", {})
    if "direction" not in texts:
        return amount
    said = texts["direction"].casefold()
    if said in (word.casefold() for word in words.get("in", ())):
        return amount
    if said in (word.casefold() for word in words.get("out", ())):
        return -amount
    return None


def amount_of(text: str, currency: str) -> int:
    """Minor units of a cell such as "¥1,234.50", "(3.00)" or "-5"; in wide digits too.

    Raises InvalidAmount where it is no number, or could be meant in two ways.
    """
    plain = _SIGNS.sub("", unicodedata.normalize("NFKC", text)).replace("−", "-")
    sign = 1
    if plain.startswith("(") and plain.endswith(")"):
        sign, plain = -1, plain[1:-1]
    if plain[:1] in ("+", "-"):
        sign, plain = (-sign if plain[0] == "-" else sign), plain[1:]
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    if plain.startswith("."):
        plain = f"0{plain}"
    whole, point, decimals = plain.removesuffix(".").partition(".")
    if whole.isascii() and whole.isdigit():
        whole = whole.lstrip("0") or "0"
    plain = f"{whole}{point}{decimals}"
    if re.fullmatch(r"0(\.0*)?", plain):
        return 0
    value = money_text.parse_money(plain, currency)
    if value > LARGEST_MINOR:
        raise InvalidAmount("The amount is too large")
    return sign * value


def _day(text: str, patterns: list[str]) -> date | None:
    plain = unicodedata.normalize("NFKC", text).strip()
    for pattern in patterns:
        for candidate in (plain, plain.split(" ")[0], plain[:8]):
            try:
                found = datetime.strptime(candidate, pattern).date()  # noqa: DTZ007 (a day only)
            except ValueError:
                continue
            if 2000 <= found.year < 2200:
                return found
    return None


def _balances_said(
    rows: list[tuple[int, list[str]]], shape: dict[str, Any], currency: str
) -> tuple[int | None, int | None]:
    """What title or closing rows say of the balances before and after."""
    found: dict[str, int | None] = {"opening": None, "closing": None}
    for which in found:
        names = [_name(name) for name in shape.get(which, ())]
        for _, cells in rows:
            texts = [_clean(cell) for cell in cells]
            for place, text in enumerate(texts):
                label, _, behind = unicodedata.normalize("NFKC", text).partition(":")
                if _name(label) not in names:
                    continue
                value = behind or next((t for t in texts[place + 1 :] if t), "")
                try:
                    found[which] = amount_of(value, currency) if value else None
                except InvalidAmount:
                    continue
    return found["opening"], found["closing"]


def _clean(cell: str) -> str:
    """A cell without what cannot be seen, and without the tab that banks put before digits."""
    text = _INVISIBLE.sub("", cell.encode("utf-8", "ignore").decode()).strip(" \t\u3000'`")
    return " ".join(text.split()) if text not in ("-", "--", "—") else ""


def _name(cell: str) -> str:
    text = unicodedata.normalize("NFKC", _clean(cell)).casefold()
    return re.sub(r"[\s_\-/:]", "", text)


def _folders() -> list[Path]:
    own = settings.BANK_STATEMENT_LAYOUTS
    return [*([Path(own)] if own else []), OWN]


@lru_cache(maxsize=32)
def _read(path: Path) -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return shape


def _load(layout: str) -> dict[str, Any]:
    if _LAYOUT.fullmatch(layout):
        for folder in _folders():
            path = folder / f"{layout}.json"
            if path.is_file():
                return _read(path)
    raise StatementUnreadable(reason="unknown_layout", layout=layout[:40])
