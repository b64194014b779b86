"""A node list is looked at, then applied; whatever is wrong with it is named."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.urls import reverse

from inventory import node_import
from inventory.models import Node
from tests.web.conftest import Market, keyed


def look(market: Market, content: bytes | str) -> Any:
    data = content.encode() if isinstance(content, str) else content
    address = reverse("node_import", args=[market.pool.public_id])
    return market.client(market.provider).post(address, {"file": io.BytesIO(data)})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
def test_a_node_list_is_looked_at_and_then_applied(market: Market, encoding: str) -> None:
    client = market.client(market.provider)
    text = "序列号,主机名,机柜\r\nSN-1,甲机,A01\r\nSN-2,乙机,A01\r\n"
    address = reverse("node_import", args=[market.pool.public_id])

    look = client.post(address, {"file": io.BytesIO(text.encode(encoding))})
    assert look.status_code == 200
    assert look.context["plan"].cards_before == 32
    assert look.context["plan"].cards_after == 48
    assert not Node.objects.filter(serial="SN-1").exists()
    packed = look.context["packed"]
    for _time in range(2):
        done = client.post(
            reverse("node_import_apply", args=[market.pool.public_id]), keyed(content=packed)
        )
        assert done.status_code == 302

    assert Node.objects.filter(serial__in=["SN-1", "SN-2"]).count() == 2
    assert Node.objects.get(serial="SN-1").hostname == "甲机"


def test_wrong_rows_are_named_and_nothing_is_taken(market: Market) -> None:
    client = market.client(market.provider)
    text = b"serial,hostname\nSN-1,a\nSN-1,b\n,c\n=1+1,d\n"

    look = client.post(
        reverse("node_import", args=[market.pool.public_id]), {"file": io.BytesIO(text)}
    )

    assert [(error.line, error.code) for error in look.context["plan"].errors] == [
        (3, "duplicate_serial"),
        (4, "serial_missing"),
        (5, "formula"),
    ]
    assert "Apply" not in look.content.decode()
    assert Node.objects.filter(pool=market.pool).count() == 4


@pytest.mark.parametrize("content", ["", "AAAA", "%%%", "eJwDAAAAAAE=", "é", "x" * 2_000_000])
def test_a_mangled_second_step_changes_nothing(market: Market, content: str) -> None:
    client = market.client(market.provider)
    address = reverse("node_import_apply", args=[market.pool.public_id])

    reply = client.post(address, keyed(content=content))

    assert reply.status_code in (302, 422)
    assert Node.objects.filter(pool=market.pool).count() == 4


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "The file is empty."),
        (b"  \n \n", "The file is empty."),
        (b"PK\x03\x04 xl/workbook.xml", "This is a workbook (.xlsx or .xls), not a CSV."),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "This is a workbook (.xlsx or .xls), not a CSV."),
        ("名称,机柜\nA,1\n".encode(), "The first line has: 名称, 机柜."),
        ("序列号;主机名\nA;1\n".encode(), "separated by “;”, not by commas"),
        ("序列号\t主机名\nA\t1\n".encode("utf-16"), "separated by tabs, not by commas"),
        ("序列号，主机名\nA，1\n".encode("gbk"), "separated by “，”, not by commas"),
        (b"serial,hostname\n", "The file has a header and no rows"),
        (b'serial\n"SN1\n', "Line 2 is not CSV."),
        (b"serial\r\nSN\x001\r\n", "This is not a text file."),
        (b"\xff\xff\x81\x20\xff", "neither UTF-8 nor GBK"),
        (b"x" * (node_import.BYTE_LIMIT + 1), "The file is larger than 32 MiB."),
    ],
)
def test_the_cause_is_named(market: Market, content: bytes, says: str) -> None:
    reply = look(market, content)

    assert reply.status_code == 422
    assert says in reply.content.decode()
    assert "Apply" not in reply.content.decode()
    assert Node.objects.filter(pool=market.pool).count() == 4


def test_the_page_lists_the_columns_it_reads(market: Market) -> None:
    address = reverse("node_import", args=[market.pool.public_id])

    text = market.client(market.provider).get(address).content.decode()

    for alias in ("serial", "序列号", "设备序列号", "主机名", "机柜", "接入交换机", "固件版本"):
        assert f"<code>{alias}</code>" in text


def test_totals_and_shortened_numbers_are_named_by_row(market: Market) -> None:
    reply = look(market, "序列号,机柜\nSN-1,A\n1.23E+15,A\n合计,2\n,总计\n")

    assert [(e.line, e.code) for e in reply.context["plan"].errors] == [
        (3, "scientific_notation"),
        (4, "totals_row"),
        (5, "totals_row"),
    ]
    text = reply.content.decode()
    assert "the spreadsheet has shortened this number" in text
    assert text.count("this is a row of totals; delete it") == 2


def test_a_character_nobody_sees_is_named_by_row(market: Market) -> None:
    reply = look(market, "序列号,主机名\nSN-1,gpu\u200b-1\nSN\xa02,gpu-2\n")

    text = reply.content.decode()
    assert "gpu[U+200B ZERO WIDTH SPACE]-1" in text
    assert "SN[U+00A0 NO-BREAK SPACE]2" in text
    assert text.count("an invisible character stands here, named in brackets") == 2
    assert "Apply" not in text


def test_what_is_known_already_is_no_success(market: Market) -> None:
    client = market.client(market.provider)
    serial = market.pool.nodes.order_by("pk")[0].serial

    reply = look(market, f"serial\n{serial}\n")
    text = reply.content.decode()
    assert "Nothing to import" in text
    assert "Apply" not in text
    address = reverse("node_import_apply", args=[market.pool.public_id])
    done = client.post(address, keyed(content=reply.context["packed"]), follow=True)

    text = done.content.decode()
    assert "Nothing to import: all 1 nodes of the file are in the pool as they stand." in text
    assert "alert-success" not in text


def test_columns_that_are_not_read_are_named(market: Market) -> None:
    reply = look(market, "序列号,备注,型号\nSN-1,x,y\n")

    assert "Not read: 备注, 型号" in reply.content.decode()
    assert reply.context["plan"].new_count == 1


def test_every_row_of_the_preview_has_its_line(market: Market) -> None:
    reply = look(market, "serial,hostname\nSN-1,a\n,b\nSN-3,c\n")

    assert [(row.serial, line) for row, line, *_ in reply.context["rows"]] == [
        ("SN-1", 2), ("SN-3", 4),
    ]  # fmt: skip
