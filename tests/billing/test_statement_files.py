"""Statements as banks export them: read whole or refused line by line, never a crash."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import bank_names, statement_files
from billing.statement_files import StatementUnreadable
from marketplace.money_text import InvalidAmount

ICBC = """账户名称,卡时运营有限公司,账号,0200001
币种,人民币,,
凭证号,交易时间,对方单位名称,对方账号,借贷标志,发生额,余额,摘要,附言
\t1001,2026-06-01 09:30:11,北京某某科技（集团）有限公司,62220001,贷,"1,000.00","1,500.00",货款,CHW1
\t1002,2026-06-02,某供应商,62220002,借,￥２００．５０,"1,299.50",付款,
合计,,,,,1200.50,,,
"""
CMB = """招商银行 交易明细
期初余额,500.00
交易日,交易时间,借方金额,贷方金额,余额,摘要,收(付)方名称,收(付)方账号,流水号
20260602,10:00:00,,10.00,500.00,b,乙,2,R2
20260601,09:00:00,10.00,,490.00,a,甲,1,R1
期末余额,500.00
"""


def read(text: str, layout: str = "plain", encoding: str = "utf-8") -> statement_files.Statement:
    return statement_files.read(text.encode(encoding), layout=layout, currency="CNY")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_a_statement_like_icbcs_in_any_encoding(encoding: str) -> None:
    text = ICBC.replace("￥", "¥") if encoding == "gbk" else ICBC
    text = text.replace("¥", "") if encoding == "gbk" else text

    found = read(text, "icbc", encoding)

    assert found.errors == []
    assert [line.amount_minor for line in found.lines] == [100_000, -20_050]
    assert (found.opening_minor, found.closing_minor) == (50_000, 129_950)
    assert found.lines[0].reference == "1001"
    assert found.lines[0].text == "货款 CHW1"


def test_a_statement_like_cmbs_lists_the_newest_first() -> None:
    found = read(CMB, "cmb")

    assert found.errors == []
    assert [line.amount_minor for line in found.lines] == [1_000, -1_000]
    assert (found.opening_minor, found.closing_minor) == (50_000, 50_000)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("1,299.50", "1,299.51"), "balance_differs"),
        (("2026-06-02", "31/31/2026"), "date_unreadable"),
        (('"1,000.00"', "1e3"), "amount_unreadable"),
        (('"1,000.00"', "NaN"), "amount_unreadable"),
        ((",贷,", ",?,"), "direction_unknown"),
        (("62220001", "6.22E+18"), "scientific_notation"),
    ],
)
def test_a_bad_line_is_named(change: tuple[str, str], code: str) -> None:
    found = read(ICBC.replace(*change), "icbc")

    assert code in [error.code for error in found.errors]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"PK\x03\x04abc", "not_csv"),
        (b"a,b\n1,2\n", "header_missing"),
        (b"date,amount\n", "no_lines"),
        (b"date,amount\n\x00,1\n", "encoding"),
        (b"\xff\xfe\x00\xd8", "encoding"),
    ],
)
def test_what_is_no_statement_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(StatementUnreadable) as refusal:
        statement_files.read(content, layout="plain", currency="CNY")

    assert refusal.value.fields()["reason"] == reason


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1,234.50", 123_450), ("¥5", 500), ("（3.00）", -300), ("-5", -500), ("0.00", 0),
        ("１２３．４５", 12_345), ("+7.1元", 710), ("999999999.99", 99_999_999_999),
    ],
)  # fmt: skip
def test_amounts_as_banks_write_them(text: str, minor: int) -> None:
    assert statement_files.amount_of(text, "CNY") == minor


@pytest.mark.parametrize("text", ["1.234,50", "1,23", "1e5", "NaN", "", "--1", "1.001", "9" * 30])
def test_amounts_that_could_mean_two_things_are_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        statement_files.amount_of(text, "CNY")


@given(st.binary(max_size=600), st.sampled_from(statement_files.layouts()))
def test_no_bytes_break_it(content: bytes, layout: str) -> None:
    with contextlib.suppress(StatementUnreadable):
        statement_files.read(content, layout=layout, currency="CNY")


@given(st.text(max_size=300))
def test_no_text_below_a_header_breaks_it(text: str) -> None:
    with contextlib.suppress(StatementUnreadable, UnicodeEncodeError):
        read("date,amount,balance,reference,name,account,text\n" + text, encoding="utf-8")


@given(st.lists(st.integers(-(10**15), 10**15).filter(bool), min_size=1, max_size=20))
def test_sums_are_kept_and_alike_lines_stay_apart(amounts: list[int]) -> None:
    rows = [f"2026-06-01,{'-' if a < 0 else ''}{abs(a) // 100}.{abs(a) % 100:02d}" for a in amounts]

    found = read("date,amount\n" + "\n".join(rows))

    assert found.errors == []
    assert found.in_minor - found.out_minor == sum(amounts)
    assert len({line.fact_key for line in found.lines}) == len(amounts)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("北京某某（集团）有限公司", "北京某某(集团)有限公司", True),
        ("北京某某有限责任公司", "北京某某有限公司", True),
        ("北京某某有限公司（基本户）", "北京某某 有限公司", True),
        ("ＡＢＣ Co., Ltd.", "abc co ltd", True),
        ("某某（北京）有限公司", "某某有限公司", False),
        ("", "", False),
    ],
)
def test_names_as_banks_write_them(one: str, other: str, same: bool) -> None:
    assert bank_names.same(one, other) is same
