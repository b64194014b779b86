"""Files of outgoing payments: the same bytes again, nothing cut that matters."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import bank_files
from billing.bank_files import OutgoingPayment, Payer
from inventory.errors import Invalid

PAYER = Payer("卡时运营有限公司", "0200004509012345678", "工行北京中关村支行")
ONE = OutgoingPayment(
    reference="CHF0000000001" + "77",
    payee_name="北京某某科技（集团）有限公司",
    account="6222 0211 1122 2333",
    bank="招商银行北京分行",
    amount_minor=123_456_789_01,
    currency="CNY",
    purpose="退款",
)
TWO = replace(ONE, reference="CHF000000000299", amount_minor=1)


def rows(file: bank_files.PaymentFile) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.content.decode(file.encoding))))


@pytest.mark.parametrize("layout", bank_files.layouts())
def test_every_layout_writes_the_same_bytes_again(layout: str) -> None:
    first = bank_files.render([ONE, TWO], layout=layout, payer=PAYER, name="PF1")
    again = bank_files.render([ONE, TWO], layout=layout, payer=PAYER, name="PF1")

    assert first == again
    assert (first.line_count, first.total_minor) == (2, 123_456_789_02)
    text = first.content.decode(first.encoding)
    assert "123456789.01" in text
    assert "6222021111222333" in text
    assert ONE.reference in text


def test_the_layout_of_cmb_is_gbk_and_says_how_many_and_how_much() -> None:
    file = bank_files.render([ONE, TWO], layout="cmb", payer=PAYER, name="PF1")

    assert file.encoding == "gbk"
    assert rows(file)[0] == ["批次号", "PF1", "总笔数", "2", "总金额", "123456789.02"]
    assert rows(file)[2][3] == "北京某某科技（集团）有限公司"


def test_a_purpose_is_cut_to_whole_characters_and_a_name_never() -> None:
    long = replace(ONE, purpose="退" * 200)

    file = bank_files.render([long], layout="icbc", payer=PAYER, name="PF1")

    assert rows(file)[1][9].startswith(ONE.reference)
    assert len(rows(file)[1][9].encode("gb18030")) <= 60
    with pytest.raises(bank_files.PaymentUnwritable):
        bank_files.render(
            [replace(ONE, payee_name="名" * 100)], layout="icbc", payer=PAYER, name="PF1"
        )


def test_nothing_in_it_is_a_formula_or_breaks_a_line() -> None:
    sly = replace(ONE, payee_name="=HYPERLINK(1)\r\nx", purpose="@a")

    file = bank_files.render([sly], layout="plain", payer=PAYER, name="PF1")

    assert rows(file)[1][2] == " =HYPERLINK(1) x"


@pytest.mark.parametrize(
    "payments",
    [[], [ONE, ONE], [ONE, replace(TWO, currency="USD")], [ONE] * 5_001],
)
def test_refuses_what_is_no_file(payments: list[OutgoingPayment]) -> None:
    with pytest.raises(Invalid):
        bank_files.render(payments, layout="plain", payer=PAYER, name="PF1")


@pytest.mark.parametrize("layout", ["", "../plain", "nobody", "PLAIN"])
def test_refuses_a_layout_that_there_is_not(layout: str) -> None:
    with pytest.raises(bank_files.UnknownLayout):
        bank_files.render([ONE], layout=layout, payer=PAYER, name="PF1")


@pytest.mark.parametrize("changes", [{"amount_minor": 0}, {"account": " "}, {"payee_name": "😀"}])
def test_refuses_a_payment_that_cannot_be_written(changes: dict[str, Any]) -> None:
    with pytest.raises(bank_files.PaymentUnwritable):
        bank_files.render([replace(ONE, **changes)], layout="cmb", payer=PAYER, name="PF1")


@given(st.text(), st.text(), st.integers(min_value=1, max_value=10**17))
def test_whatever_the_texts_one_line_each_and_the_total_kept(
    name: str, purpose: str, amount: int
) -> None:
    payment = replace(ONE, payee_name=name, purpose=purpose, amount_minor=amount)
    try:
        file = bank_files.render([payment, TWO], layout="plain", payer=PAYER, name="PF1")
    except bank_files.PaymentUnwritable:
        return

    assert len(rows(file)) == 4
    assert file.total_minor == amount + 1
