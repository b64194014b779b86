"""A month of the books as files that other accounting systems take."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from billing import chart, ledger, trial_balance, voucher_export
from billing.voucher_export import Export
from inventory.errors import DomainError
from marketplace import money
from tests import world
from tests.billing import books
from tests.billing.test_trial_balance import JUNE
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
MONTH = date(2026, 6, 1)
LAYOUTS = ["kingdee_k3", "kingdee_kis", "yonyou_u8", "yonyou_yonbip"]


def export(layout: str, currency: str = "CNY", **how: Any) -> Export:
    return voucher_export.render(month=MONTH, currency=currency, layout=layout, **how)


def table(made: Export) -> list[list[str]]:
    return list(csv.reader(io.StringIO(made.content.decode(made.encoding), newline="")))


def post(minor: int, key: str, reason: str = "", code: str = "", days: int = 0) -> None:
    ledger.post(
        kind="adjusted",
        key=key,
        entries=[(code or chart.bank_fee("CNY"), minor), (chart.bank("CNY"), -minor)],
        at=T0 + timedelta(days=days),
        actor=SYSTEM,
        reason=reason,
    )


def lived() -> None:
    books.top_up(world.tenant(), 10_000_000)
    books.live(books.lease(scene.listing()))
    books.settle()


def own_layout(folder: Path, settings: Settings, **changes: Any) -> str:
    """A layout of the operator's own, beside those of the house."""
    shape = {
        "title": "Own",
        "currency": "CNY",
        "encoding": "gbk",
        "extension": "csv",
        "accounts": {"asset:bank": "1002", "expense:bank_fee": "6603"},
        "columns": [
            {"title": "number", "field": "number"},
            {"title": "text", "field": "text"},
            {"title": "account", "field": "account"},
            {"title": "debit", "field": "debit"},
            {"title": "credit", "field": "credit"},
            {"title": "customer", "field": "customer"},
        ],
        **changes,
    }
    (folder / "own.json").write_text(json.dumps(shape), encoding="utf-8")
    settings.VOUCHER_EXPORT_LAYOUTS = str(folder)
    voucher_export._read.cache_clear()
    return "own"


def test_these_layouts_are_there_and_say_what_they_are() -> None:
    assert voucher_export.layouts() == LAYOUTS
    assert [voucher_export.title_of(name)[:2] for name in LAYOUTS] == [
        "金蝶",
        "金蝶",
        "用友",
        "用友",
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_totals_are_those_of_the_trial_balance(layout: str) -> None:
    lived()
    total = trial_balance.of(currency="CNY", period=JUNE).total
    assert total.debit_minor > 0

    made = export(layout)

    assert (made.debit_minor, made.credit_minor) == (total.debit_minor, total.credit_minor)
    rows = table(made)
    shape = json.loads((voucher_export.OWN / f"{layout}.json").read_text(encoding="utf-8"))
    names = [column.get("field") for column in shape["columns"]]
    body = rows[-made.line_count :]
    for side, minor in (("debit", total.debit_minor), ("credit", total.credit_minor)):
        place = names.index(side)
        amounts = [Decimal(row[place] or "0") for row in body]
        assert sum(amounts) * 100 == minor
    numbers = [row[names.index("number")] for row in body]
    assert sorted(set(map(int, numbers))) == list(range(1, made.voucher_count + 1))
    assert export(layout) == made


def test_every_voucher_of_the_file_balances_and_has_its_debits_first() -> None:
    lived()

    rows = table(export("kingdee_k3"))
    head, body = rows[0], rows[1:]
    of_voucher: dict[str, list[dict[str, str]]] = {}
    for row in body:
        line = dict(zip(head, row, strict=True))
        of_voucher.setdefault(line["FNumber"], []).append(line)

    for lines in of_voucher.values():
        debits = [Decimal(line["FDebit"]) for line in lines]
        assert sum(debits) == sum(Decimal(line["FCredit"]) for line in lines)
        assert [amount > 0 for amount in debits] == sorted(
            (amount > 0 for amount in debits), reverse=True
        )
        assert [line["FEntryID"] for line in lines] == [str(n + 1) for n in range(len(lines))]
        assert {(line["FYear"], line["FPeriod"]) for line in lines} == {("2026", "6")}
    assert [row[head.index("FSerialNum")] for row in body] == [
        str(n) for n in range(1, len(body) + 1)
    ]


def test_a_file_of_u8_is_gb18030_with_its_line_first_and_without_quotes() -> None:
    post(300, "fee")

    made = export("yonyou_u8")

    assert made.encoding == "gb18030"
    assert made.file_name == "vouchers-2026-06-CNY-yonyou_u8.txt"
    lines = made.content.decode("gb18030").split("\r\n")
    assert lines[0] == "填制凭证,V800"
    assert lines[1].startswith("2026-06-01,记,1,1,手工调整凭证,660302,3.00,0.00,0,3.00,1,")
    assert lines[2].startswith("2026-06-01,记,1,1,手工调整凭证,100201,0.00,3.00,0,3.00,1,")
    assert '"' not in made.content.decode("gb18030")
    assert len(lines[1].split(",")) == 21


def test_movements_of_a_day_and_kind_are_one_voucher_and_never_netted() -> None:
    post(300, "one")
    post(-100, "two")
    post(50, "three", days=1)

    made = export("kingdee_kis")

    assert (made.voucher_count, made.line_count) == (2, 6)
    assert (made.debit_minor, made.credit_minor) == (450, 450)


def test_an_account_that_is_not_mapped_is_named(tmp_path: Path, settings: Settings) -> None:
    layout = own_layout(tmp_path, settings)
    post(300, "fee")
    assert export(layout).line_count == 2
    post(40, "vat", code=chart.vat("CNY"))
    post(41, "adjusted", code=chart.adjustment("CNY"))

    with refused(voucher_export.AccountUnmapped) as refusal:
        export(layout)

    assert isinstance(refusal.value, DomainError)
    assert refusal.value.fields() == {"accounts": ["equity:adjustment", "liability:vat"]}


def test_what_a_spreadsheet_would_run_is_escaped(tmp_path: Path, settings: Settings) -> None:
    layout = own_layout(
        tmp_path, settings, group="transaction", texts={"adjusted": "=1+1"}, encoding="utf-8"
    )
    post(300, "fee", reason='@SUM(A1) "x", y\nz')
    post(-7, "back", reason="-")

    rows = table(export(layout))[1:]

    assert [row[1] for row in rows] == ['\'=1+1 @SUM(A1) "x", y z'] * 2 + ["'=1+1 -"] * 2
    assert [row[3:5] for row in rows] == [
        ["3.00", "0.00"],
        ["0.00", "3.00"],
        ["0.07", "0.00"],
        ["0.00", "0.07"],
    ]


def test_a_text_that_the_encoding_has_no_character_for_is_refused(
    tmp_path: Path, settings: Settings
) -> None:
    layout = own_layout(tmp_path, settings, group="transaction")
    post(300, "fee", reason="🙂")

    with refused(voucher_export.ExportUnwritable):
        export(layout)


def test_parties_are_kept_apart_where_the_layout_says_so(
    tmp_path: Path, settings: Settings
) -> None:
    accounts = {
        "asset:bank": "1002",
        "liability:wallet": {"code": "2241", "party": "customer"},
        "liability:unmatched_receipts": "2241.04",
    }
    layout = own_layout(tmp_path, settings, accounts=accounts)
    borealis, eos = world.tenant("Borealis"), world.tenant("Eos")
    books.top_up(borealis, 500, "B-1")
    books.top_up(eos, 700, "B-2")

    rows = table(export(layout))[1:]

    wallets = {(row[5], row[4]) for row in rows if row[2] == "2241"}
    numbers = [row.credit_code or row.public_id[-12:] for row in (borealis, eos)]
    assert wallets == {(numbers[0], "5.00"), (numbers[1], "7.00")}


def test_a_foreign_month_needs_a_rate_and_balances_in_both_currencies() -> None:
    usd = [chart.bank_fee("USD"), chart.psp_fee("USD"), chart.vat("USD"), chart.bank("USD")]
    ledger.post(
        kind="adjusted",
        key="usd",
        entries=list(zip(usd, [1, 1, 1, -3], strict=True)),
        at=T0,
        actor=SYSTEM,
    )

    for rate in (None, Decimal(0), Decimal("NaN"), Decimal(-7)):
        with refused(voucher_export.RateNeeded):
            export("kingdee_k3", "USD", rate=rate)
    made = export("kingdee_k3", "USD", rate=Decimal("7.1450"))

    rows = table(made)
    lines = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    assert [line["FDebit"] for line in lines] == ["0.07", "0.07", "0.07", "0.00"]
    assert [line["FCredit"] for line in lines] == ["0.00", "0.00", "0.00", "0.21"]
    assert {line["FExchangeRate"] for line in lines} == {"7.145"}
    assert [line["FAmountFor"] for line in lines] == ["0.01", "0.01", "0.01", "0.03"]
    assert (made.debit_minor, made.credit_minor) == (3, 3)


def test_what_rounding_leaves_lies_on_the_last_line() -> None:
    usd = [chart.bank_fee("USD"), chart.psp_fee("USD"), chart.vat("USD"), chart.bank("USD")]
    ledger.post(
        kind="adjusted",
        key="usd",
        entries=list(zip(usd, [1, 1, 1, -3], strict=True)),
        at=T0,
        actor=SYSTEM,
    )

    rows = table(export("kingdee_k3", "USD", rate=Decimal("0.5")))

    lines = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    # 1.5 in all, which is 2; half a cent is one each.
    assert [line["FDebit"] for line in lines] == ["0.01", "0.01", "0.00", "0.00"]
    assert lines[-1]["FCredit"] == "0.02"


def test_an_empty_month_and_an_unknown_layout_or_currency() -> None:
    made = export("kingdee_kis")

    assert (made.voucher_count, made.line_count, len(table(made))) == (0, 0, 1)
    for name in ("nothing", "../charts/prc", "charts/prc", ""):
        with refused(voucher_export.UnknownExportLayout):
            export(name)
    with refused(money.UnknownCurrency):
        export("kingdee_kis", "XXX")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_account_of_the_chart_has_its_counterpart(layout: str) -> None:
    """A layout of the house refuses no month."""
    shape = voucher_export._load(layout)
    with open("billing/sql/ledger_functions.sql", encoding="utf-8") as functions:
        text = functions.read()
    names = {line.split("'")[1] for line in text.splitlines() if line.strip().startswith("('")}

    assert names == set(shape["accounts"])
    assert {str(kind) for kind in ledger.Kind} == set(shape["texts"])
