"""A month of the books as vouchers for another accounting system (凭证导出).

A layout is a JSON file in `data/voucher_exports`, an operator's own lie in
`VOUCHER_EXPORT_LAYOUTS`: which account of ours is which of theirs, and how the file looks. What
is exported is the ledger itself, summed by day and kind of movement, or transaction by
transaction; debits and credits are never netted, so that the file's totals are those of the trial
balance. Deterministic: the same month and layout give the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from billing.accounting_periods import month_period
from billing.models import LedgerAccount
from inventory.errors import DomainError, Invalid
from marketplace import money, money_text

OWN = Path(__file__).resolve().parent / "data" / "voucher_exports"
MOST_LINES = 1_000_000
_LAYOUT = re.compile(r"[a-z0-9_]{1,40}")
# A cell that a spreadsheet would take for a formula; amounts and dates are no texts.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_FIGURES = frozenset({"debit", "credit", "amount", "original_debit", "original_credit", "rate"})


class UnknownExportLayout(Invalid):
    """No mapping file of that name."""

    code = "unknown_export_layout"
    title = "There is no such layout of a voucher export"


class AccountUnmapped(DomainError):
    """The layout does not say which account of the other system is meant; `accounts` names ours."""

    code = "account_unmapped"
    title = "An account has no counterpart in this layout"
    status = 422


class RateNeeded(Invalid):
    """The other system keeps its books in one currency: this month is in another."""

    code = "export_rate_needed"
    title = "A month in a foreign currency needs a rate"


class ExportUnwritable(DomainError):
    """A text cannot be written in the encoding of the layout, or is too long."""

    code = "export_unwritable"
    title = "The export cannot be written in this layout"
    status = 422


@dataclass(frozen=True, slots=True)
class Leg:
    """One side of one account within a voucher, in minor units of the month's currency."""

    code: str  # our account
    owner: str  # an organisation's name where the layout keeps parties apart
    owner_number: str
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, slots=True)
class ExportVoucher:
    """What the other system takes for one voucher."""

    number: int
    day: date
    text: str
    attachment_count: int  # transactions of ours in it
    legs: tuple[Leg, ...]


@dataclass(frozen=True, slots=True)
class Export:
    """The file, and what is checked of it."""

    file_name: str
    content: bytes
    encoding: str
    sha256: str
    voucher_count: int
    line_count: int
    debit_minor: int
    credit_minor: int

    @property
    def content_type(self) -> str:
        return f"text/plain; charset={self.encoding.removesuffix('-sig')}"


def layouts() -> list[str]:
    """The names of the layouts there are, sorted."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.json")})


def title_of(layout: str) -> str:
    """What a layout calls itself. Raises UnknownExportLayout."""
    return str(_load(layout)["title"])


def render(
    *, month: date, currency: str, layout: str, rate: Decimal | None = None, maker: str = ""
) -> Export:
    """The month's transactions in one currency, as a file of that layout.

    Of a month that is open it is what is there now. Every account that moved has to be mapped.
    A currency that is not the layout's own needs a rate: units of its own for one of the
    month's; each voucher balances in both. Raises UnknownExportLayout, UnknownCurrency,
    AccountUnmapped, RateNeeded, ExportUnwritable, Invalid where the month is too large.
    """
    shape = _load(layout)
    money.exponent(currency)
    if currency != shape["currency"] and (rate is None or not rate.is_finite() or rate <= 0):
        raise RateNeeded(currency=currency, own=shape["currency"])
    period = month_period(month)
    found = list(_vouchers(shape, period.start, period.end, currency))
    _require_mapped(shape, {leg.code for voucher in found for leg in voucher.legs}, currency)
    lines: list[list[str]] = [list(row) for row in shape.get("before", [])]
    if shape.get("header", True):
        lines += [list(row) for row in shape.get("titles", [])]
        lines.append([column["title"] for column in shape["columns"]])
    serial = 0
    for voucher in found:
        for row in _lines(voucher, shape, currency, rate, maker, month):
            serial += 1
            row["serial"] = str(serial)
            lines.append([_cell(column, row, shape) for column in shape["columns"]])
    content = _written(lines, shape)
    return Export(
        file_name=f"vouchers-{month:%Y-%m}-{currency}-{layout}.{shape['extension']}",
        content=content,
        encoding=shape["encoding"],
        sha256=hashlib.sha256(content).hexdigest(),
        voucher_count=len(found),
        line_count=sum(len(voucher.legs) for voucher in found),
        debit_minor=sum(leg.debit_minor for voucher in found for leg in voucher.legs),
        credit_minor=sum(leg.credit_minor for voucher in found for leg in voucher.legs),
    )


def rate_of(text: str) -> Decimal | None:
    """A rate as people write it; None where they wrote none. Raises Invalid."""
    if not text:
        return None
    try:
        rate = Decimal(text)
    except InvalidOperation as error:
        raise Invalid("A rate is a positive number") from error
    if not rate.is_finite() or not Decimal("1e-12") <= rate < 10**9:
        raise Invalid("A rate is a positive number")
    return rate


# Each voucher's legs, debit and credit apart: by day and kind, or by transaction.
_LEGS = """
    SELECT {group} AS grouped, (t.effective_at AT TIME ZONE %(zone)s)::date AS day, t.kind,
           a.kind || ':' || a.purpose AS code, {owner} AS owner_id,
           count(DISTINCT t.id) AS transactions,
           coalesce(sum(e.amount_minor) FILTER (WHERE e.amount_minor > 0), 0) AS debit,
           coalesce(-sum(e.amount_minor) FILTER (WHERE e.amount_minor < 0), 0) AS credit,
           min(t.reason) AS reason, min(t.external_reference) AS reference
    FROM billing_ledgertransaction t
    JOIN billing_ledgerentry e ON e.transaction_id = t.id
    JOIN billing_ledgeraccount a ON a.id = e.account_id
    WHERE t.effective_at >= %(start)s AND t.effective_at < %(end)s AND e.currency = %(currency)s
    GROUP BY 1, 2, 3, 4, 5
    ORDER BY 2, 1, 3, 4, 5
"""


def _vouchers(
    shape: dict[str, Any], start: datetime, end: datetime, currency: str
) -> Iterator[ExportVoucher]:
    parties = [
        name for name in _own_names() if "party" in _account(_mapped(shape, name, currency) or "")
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _LEGS.format(
                group="t.id" if _is_single(shape) else "0",
                owner="CASE WHEN a.kind || ':' || a.purpose = ANY (%(parties)s)"
                " THEN a.owner_id END",
            ),
            {
                "zone": settings.BILLING_ZONE,
                "start": start,
                "end": end,
                "currency": currency,
                "parties": parties,
            },
        )
        rows = cursor.fetchall()
        if len(rows) > MOST_LINES:
            raise Invalid(f"An export has at most {MOST_LINES} lines")
        names = _names(cursor, {row[4] for row in rows if row[4] is not None})
    grouped = groupby(rows, key=lambda row: row[:3])
    for number, ((_grouped, day, kind), of_voucher) in enumerate(grouped, start=1):
        found = list(of_voucher)
        yield ExportVoucher(
            number=number,
            day=day,
            text=_text(kind, found[0], shape),
            attachment_count=max(int(row[5]) for row in found),
            legs=tuple(_legs(found, names)),
        )


def _legs(rows: Sequence[tuple[Any, ...]], names: dict[int, tuple[str, str]]) -> Iterator[Leg]:
    """Debits first, as vouchers are written."""
    for is_debit in (True, False):
        for row in rows:
            code, owner, debit, credit = row[3], row[4], int(row[6]), int(row[7])
            name, number = names.get(owner, ("", ""))
            if is_debit and debit:
                yield Leg(code, name, number, debit, 0)
            elif not is_debit and credit:
                yield Leg(code, name, number, 0, credit)


def _names(cursor: Any, owners: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Name and number of each party: its credit code, else the end of its public id."""
    cursor.execute(
        "SELECT id, name, coalesce(nullif(credit_code, ''), right(public_id::text, 12))"
        " FROM inventory_organisation WHERE id = ANY (%s)",
        [sorted(owners)],
    )
    return {pk: (name, number) for pk, name, number in cursor.fetchall()}


def _text(kind: str, row: tuple[Any, ...], shape: dict[str, Any]) -> str:
    """The other system's people read it, so its words are the layout's."""
    detail = " ".join(filter(None, (row[8], row[9]))) if _is_single(shape) else ""
    return f"{shape.get('texts', {}).get(kind, kind)} {detail}".strip()


def _is_single(shape: dict[str, Any]) -> bool:
    """A voucher for each transaction, instead of one for each day and kind."""
    return bool(shape.get("group", "day") == "transaction")


def _lines(
    voucher: ExportVoucher,
    shape: dict[str, Any],
    currency: str,
    rate: Decimal | None,
    maker: str,
    month: date,
) -> Iterator[dict[str, str]]:
    own = shape["currency"]
    converted = _converted(voucher.legs, currency, own, rate)
    for entry, (leg, (debit, credit)) in enumerate(
        zip(voucher.legs, converted, strict=True), start=1
    ):
        account = _account(_mapped(shape, leg.code, currency) or "")
        original = leg.debit_minor or leg.credit_minor
        yield {
            "date": "",
            "_day": voucher.day.isoformat(),
            "year": f"{month:%Y}",
            "period": str(month.month),
            "word": shape.get("word", "记"),
            "number": str(voucher.number),
            "entry": str(entry),
            "text": voucher.text,
            "attachments": str(min(voucher.attachment_count, 9999)),
            "account": account["code"].replace(".", shape.get("code_separator", ".")),
            "account_name": account.get("name", ""),
            "debit": money_text.plain_money(debit, own),
            "credit": money_text.plain_money(credit, own),
            "original": money_text.plain_money(original, currency),
            "original_debit": money_text.plain_money(leg.debit_minor, currency),
            "original_credit": money_text.plain_money(leg.credit_minor, currency),
            "currency": shape.get("currencies", {}).get(currency, currency),
            "rate": f"{rate.normalize():f}" if rate is not None and currency != own else "1",
            "maker": maker or shape.get("maker", ""),
            "customer": leg.owner_number if account.get("party") == "customer" else "",
            "supplier": leg.owner_number if account.get("party") == "supplier" else "",
            "party_name": leg.owner,
            "direction": "1" if leg.debit_minor else "0",
        }


def _converted(
    legs: Sequence[Leg], currency: str, own: str, rate: Decimal | None
) -> list[tuple[int, int]]:
    """Each leg in the other system's currency; what rounding leaves is on the last of a side."""
    if currency == own or rate is None:
        return [(leg.debit_minor, leg.credit_minor) for leg in legs]
    factor = Fraction(rate) * Fraction(10) ** (money.exponent(own) - money.exponent(currency))
    total = money.half_up(sum(leg.debit_minor for leg in legs) * factor)
    found: list[tuple[int, int]] = []
    for is_debit in (True, False):
        side = [leg for leg in legs if bool(leg.debit_minor) == is_debit]
        left = total
        for place, leg in enumerate(side, start=1):
            minor = money.half_up((leg.debit_minor or leg.credit_minor) * factor)
            minor = left if place == len(side) else minor
            left -= minor
            found.append((minor, 0) if is_debit else (0, minor))
    return found  # debits first, as the legs are


def _cell(column: dict[str, Any], row: dict[str, str], shape: dict[str, Any]) -> str:
    name = column.get("field", "")
    if not name:
        return str(column.get("value", ""))
    if name == "date":
        return date.fromisoformat(row["_day"]).strftime(column.get("form", "%Y-%m-%d"))
    text = row[name]
    if name in _FIGURES or name == "original":
        return "" if column.get("empty_zero") and not text.strip("0.") else text
    text = _plain(text)
    longest = column.get("bytes")
    if longest is None:
        return text
    if len(text.encode(shape["encoding"], "replace")) > longest and not column.get("cut"):
        raise ExportUnwritable(f"{column['title']} is longer than the other system takes")
    while len(text.encode(shape["encoding"], "replace")) > longest:
        text = text[:-1]
    return text


def _plain(text: str) -> str:
    """A cell in one line that no spreadsheet runs."""
    text = _CONTROL.sub(" ", unicodedata.normalize("NFC", text)).strip()
    return f"'{text}" if text.startswith(_FORMULA) else text


def _written(lines: list[list[str]], shape: dict[str, Any]) -> bytes:
    out = io.StringIO(newline="")
    delimiter = shape.get("delimiter", ",")
    if not shape.get("quotes", True):
        lines = [[_without(cell, delimiter) for cell in line] for line in lines]
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(lines)
    try:
        return out.getvalue().encode(shape["encoding"])
    except UnicodeEncodeError as error:
        raise ExportUnwritable(
            f"The character {error.object[error.start]!r} does not exist in {shape['encoding']}"
        ) from error


def _without(cell: str, delimiter: str) -> str:
    """Where the format has no quotes: what would need them, in its wide form (U+FF01 and on)."""
    for sign in (delimiter, '"'):
        cell = cell.replace(sign, chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else " ")
    return cell


def _require_mapped(shape: dict[str, Any], codes: set[str], currency: str) -> None:
    missing = sorted(code for code in codes if not _mapped(shape, code, currency))
    if missing:
        raise AccountUnmapped(accounts=missing)


def _mapped(shape: dict[str, Any], code: str, currency: str) -> Any:
    """What the layout says of an account: of that currency, else of any."""
    accounts = shape["accounts"]
    return accounts.get(f"{code}:{currency}") or accounts.get(code)


def _own_names() -> list[str]:
    """The names of all accounts that were opened, without owner and currency."""
    rows = LedgerAccount.objects.order_by("kind", "purpose").values_list("kind", "purpose")
    return [f"{kind}:{purpose}" for kind, purpose in rows.distinct()]


def _account(own: Any) -> dict[str, str]:
    """A mapping says a code, or a code with its name and whose parties are kept apart."""
    return {"code": own} if isinstance(own, str) else dict(own)


def _folders() -> list[Path]:
    own = settings.VOUCHER_EXPORT_LAYOUTS
    return [*([Path(own)] if own else []), OWN]


@lru_cache(maxsize=32)
def _read(path: Path) -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "chart" in shape:  # one for several layouts, which may say some accounts otherwise
        chart = json.loads(
            (path.parent / "charts" / f"{shape['chart']}.json").read_text(encoding="utf-8")
        )
        for part in ("accounts", "texts"):
            shape[part] = {**chart[part], **shape.get(part, {})}
    return shape


def _load(layout: str) -> dict[str, Any]:
    if _LAYOUT.fullmatch(layout):
        for folder in _folders():
            path = folder / f"{layout}.json"
            if path.is_file():
                return _read(path)
    raise UnknownExportLayout(layout=layout[:40])
