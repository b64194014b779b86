"""Files of outgoing payments, as banks take them: one format, filled by a mapping file.

The same payments and layout give the same bytes, so that a file can be downloaded again. A layout
is a JSON file in `data/bank_files`; an operator's own lie in `BANK_FILE_LAYOUTS`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from django.conf import settings

from inventory.errors import DomainError, Invalid
from marketplace import money_text

OWN = Path(__file__).resolve().parent / "data" / "bank_files"
MOST_PAYMENTS = 5_000
_NAME = re.compile(r"[a-z0-9_]{1,40}")
# A cell that a spreadsheet would take for a formula when somebody looks into the file.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


class UnknownLayout(Invalid):
    """No mapping file of that name."""

    code = "unknown_layout"
    title = "There is no such layout of a bank's file"


class PaymentUnwritable(DomainError):
    """A payment cannot be written in that layout; `reference` names it."""

    code = "payment_unwritable"
    title = "A payment cannot be written into the bank's file"
    status = 422


@dataclass(frozen=True, slots=True)
class OutgoingPayment:
    """One transfer to order. `reference` comes back on the statement, in the purpose."""

    reference: str
    payee_name: str
    account: str
    bank: str
    amount_minor: int
    currency: str
    purpose: str
    bank_code: str = ""  # 联行号 of the payee's bank


@dataclass(frozen=True, slots=True)
class Payer:
    """The operator's account that is debited."""

    name: str
    account: str
    bank: str


@dataclass(frozen=True, slots=True)
class PaymentFile:
    """The file and what is checked of it: digest, number of payments, total."""

    content: bytes
    encoding: str
    file_name: str
    sha256: str
    line_count: int
    total_minor: int
    currency: str


def layouts() -> list[str]:
    """The names of the layouts there are, sorted."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.json")})


def render(
    payments: Sequence[OutgoingPayment], *, layout: str, payer: Payer, name: str
) -> PaymentFile:
    """The bank's file of these payments, in their order.

    `name` is the file's own reference, written where the layout has a place for it. Raises
    UnknownLayout, PaymentUnwritable, and Invalid without payments, with too many, with two of
    one reference, or of several currencies.
    """
    shape = _load(layout)
    if not 1 <= len(payments) <= MOST_PAYMENTS:
        raise Invalid(f"A file has between 1 and {MOST_PAYMENTS} payments")
    currencies = {payment.currency for payment in payments}
    if len(currencies) != 1:
        raise Invalid("A file has payments of one currency")
    if len({payment.reference for payment in payments}) != len(payments):
        raise Invalid("A file names each payment once")
    (currency,) = currencies
    total = sum(payment.amount_minor for payment in payments)
    facts = {
        "name": name,
        "line_count": str(len(payments)),
        "total": money_text.plain_money(total, currency),
        "currency": currency,
        "payer_name": payer.name,
        "payer_account": payer.account,
        "payer_bank": payer.bank,
    }
    lines = [[cell.format(**facts) for cell in row] for row in shape.get("before", [])]
    lines.append([column["title"] for column in shape["columns"]])
    for number, payment in enumerate(payments, start=1):
        lines.append(_line(payment, number, shape, facts))
    lines += [[cell.format(**facts) for cell in row] for row in shape.get("after", [])]
    content = _written(lines, shape)
    return PaymentFile(
        content=content,
        encoding=shape["encoding"],
        file_name=f"{name}.{shape.get('extension', 'csv')}",
        sha256=hashlib.sha256(content).hexdigest(),
        line_count=len(payments),
        total_minor=total,
        currency=currency,
    )


def _line(
    payment: OutgoingPayment, number: int, shape: dict[str, Any], facts: dict[str, str]
) -> list[str]:
    if payment.amount_minor <= 0:
        raise PaymentUnwritable("The amount must be more than zero", reference=payment.reference)
    if not payment.account.strip() or not payment.payee_name.strip():
        raise PaymentUnwritable(
            "The payee's name or account is missing", reference=payment.reference
        )
    own = {
        **facts,
        "number": str(number),
        "reference": payment.reference,
        "payee_name": payment.payee_name,
        "account": re.sub(r"\s", "", payment.account),
        "bank": payment.bank,
        "bank_code": payment.bank_code,
        "amount": money_text.plain_money(payment.amount_minor, payment.currency),
        "amount_minor": str(payment.amount_minor),
        "currency": payment.currency,
        "purpose": payment.purpose,
        # The reference first: banks cut what is too long from the end.
        "reference_and_purpose": f"{payment.reference} {payment.purpose}".strip(),
    }
    cells = []
    for column in shape["columns"]:
        text = _plain(own[column["field"]] if "field" in column else column["value"])
        longest = column.get("bytes")
        if longest is not None:
            text = _shortened(text, longest, column, shape["encoding"], payment)
        cells.append(text)
    return cells


def _plain(text: str) -> str:
    """A cell in one line that no spreadsheet runs."""
    text = _CONTROL.sub(" ", unicodedata.normalize("NFC", text)).strip()
    return f" {text}" if text.startswith(_FORMULA) else text


def _shortened(
    text: str, longest: int, column: dict[str, Any], encoding: str, payment: OutgoingPayment
) -> str:
    """Whole characters within so many bytes; a name or an account is never cut."""
    if len(text.encode(encoding, "replace")) <= longest:
        return text
    if not column.get("cut", False):
        raise PaymentUnwritable(
            f"{column['title']} is longer than the bank takes", reference=payment.reference
        )
    while len(text.encode(encoding, "replace")) > longest:
        text = text[:-1]
    return text


def _written(lines: list[list[str]], shape: dict[str, Any]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=shape.get("delimiter", ","), lineterminator="\r\n")
    writer.writerows(lines)
    try:
        return out.getvalue().encode(shape["encoding"])
    except UnicodeEncodeError as error:
        raise PaymentUnwritable(
            f"The character {error.object[error.start]!r} does not exist in {shape['encoding']}"
        ) from error


def _folders() -> list[Path]:
    own = settings.BANK_FILE_LAYOUTS
    return [*([Path(own)] if own else []), OWN]


@lru_cache(maxsize=32)
def _read(path: Path) -> dict[str, Any]:
    shape: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return shape


def _load(layout: str) -> dict[str, Any]:
    if _NAME.fullmatch(layout):
        for folder in _folders():
            path = folder / f"{layout}.json"
            if path.is_file():
                return _read(path)
    raise UnknownLayout(layout=layout[:40])
