from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import capacity, node_import
from inventory.models import Node
from inventory.pools import NodeRow
from tests import world
from tests.world import T0

pytestmark = pytest.mark.django_db


def _csv(*lines: str, header: str = "serial,hostname,rack,leaf") -> str:
    return "\r\n".join([header, *lines]) + "\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_reads_what_spreadsheets_write(encoding: str) -> None:
    pool = world.pool(nodes=0)
    text = _csv("SN1,主机一,甲一,叶一", header="序列号,主机名,机柜,接入交换机")

    plan = node_import.preview(pool=pool, content=text.encode(encoding))

    assert plan.errors == []
    assert plan.rows[0].serial == "SN1"
    assert plan.rows[0].hostname == "主机一"
    assert (plan.new_count, plan.cards_before, plan.cards_after) == (1, 0, 8)
    assert not Node.objects.exists()


def test_is_idempotent_by_serial() -> None:
    pool = world.pool(nodes=2)
    content = _csv("SN1,h1,r1,l1", "SN2,h2,r1,l1").encode()
    actor = world.actor(world.provider())

    first = node_import.apply(pool=pool, content=content, at=T0, actor=actor)
    second = node_import.apply(pool=pool, content=content, at=T0, actor=actor)

    assert (first.new_count, first.known_count) == (2, 0)
    assert (second.new_count, second.known_count) == (0, 2)
    assert (first.cards_before, first.cards_after) == (16, 32)
    assert pool.nodes.count() == 4


def test_a_known_serial_takes_the_new_facts() -> None:
    pool = world.pool(nodes=0)
    actor = world.actor(world.provider())
    node_import.apply(pool=pool, content=_csv("SN1,h1,r1,l1").encode(), at=T0, actor=actor)

    node_import.apply(pool=pool, content=_csv("SN1,h9,r9,l9").encode(), at=T0, actor=actor)

    node = pool.nodes.get()
    assert (node.hostname, node.rack, node.leaf) == ("h9", "r9", "l9")


def test_a_column_that_is_not_in_the_file_leaves_what_is_known() -> None:
    pool = world.pool(nodes=0)
    actor = world.actor(world.provider())
    node_import.apply(pool=pool, content=_csv("SN1,h1,r1,l1").encode(), at=T0, actor=actor)

    plan = node_import.apply(
        pool=pool, content=_csv("SN1,r2", header="serial,rack").encode(), at=T0, actor=actor
    )

    node = pool.nodes.get()
    assert (node.hostname, node.rack, node.leaf) == ("h1", "r2", "l1")
    assert (plan.new_count, plan.known_count, plan.changed_count) == (0, 1, 1)


@pytest.mark.parametrize(
    "name",
    ["serial", "SERIAL", "ＳＮ", " Serial Number ", "serial-no", "S/N", "序列号*", "设备序列号："],
)
def test_headers_are_read_in_any_case_and_width(name: str) -> None:
    pool = world.pool(nodes=0)

    plan = node_import.preview(pool=pool, content=_csv("SN1", header=name).encode())

    assert [row.serial for row in plan.rows] == ["SN1"]
    assert plan.ignored_columns == []


@pytest.mark.parametrize(
    ("serial", "code"),
    [
        ("合计", "totals_row"), ("总计：12", "totals_row"), ("TOTAL", "totals_row"),
        ("Grand total:", "totals_row"), ("Sum", "totals_row"),
        ("1.23E+15", "scientific_notation"), ("２.1e+08", "scientific_notation"),
        ("", "serial_missing"),
    ],
)  # fmt: skip
def test_flags_what_is_no_serial(serial: str, code: str) -> None:
    pool = world.pool(nodes=0)

    plan = node_import.preview(pool=pool, content=_csv(f"{serial},h,r,l").encode())

    assert [(error.column, error.code) for error in plan.errors] == [("serial", code)]


@pytest.mark.parametrize("serial", ["2102310XXE15", "1.23", "totaliser-7", "SUM-2026-1", "1E15"])
def test_takes_what_may_be_a_serial(serial: str) -> None:
    pool = world.pool(nodes=0)

    plan = node_import.preview(pool=pool, content=_csv(f"{serial},h,r,l").encode())

    assert plan.errors == []


@pytest.mark.parametrize(
    ("character", "shown"),
    [
        ("\u200b", "[U+200B ZERO WIDTH SPACE]"),
        ("\ufeff", "[U+FEFF ZERO WIDTH NO-BREAK SPACE]"),
        ("\u202e", "[U+202E RIGHT-TO-LEFT OVERRIDE]"),
        ("\u2066", "[U+2066 LEFT-TO-RIGHT ISOLATE]"),
        ("\xad", "[U+00AD SOFT HYPHEN]"),
        ("\xa0", "[U+00A0 NO-BREAK SPACE]"),
        ("\u3164", "[U+3164 HANGUL FILLER]"),
        ("\ufe0f", "[U+FE0F VARIATION SELECTOR-16]"),
        ("\x07", "[U+0007]"),
    ],
)
@pytest.mark.parametrize("column", list(node_import.COLUMNS))
def test_refuses_what_cannot_be_seen(column: str, character: str, shown: str) -> None:
    pool = world.pool(nodes=0, cards_per_node=1)
    cells = {"serial": "SN1", column: f"A{character}1"}
    content = _csv(",".join(cells.values()), header=",".join(cells)).encode()

    plan = node_import.preview(pool=pool, content=content)

    assert [(e.line, e.column, e.code, e.value) for e in plan.errors] == [
        (2, column, "invisible_character", f"A{shown}1")
    ]
    assert plan.rows == []


def test_blanks_that_are_seen_stay_and_those_around_a_text_go() -> None:
    pool = world.pool(nodes=0)
    content = _csv("\xa0SN 1\u3000,主机　一", header="\u200bserial,host\xadname").encode()

    plan = node_import.preview(pool=pool, content=content)

    assert plan.errors == []
    assert [(row.serial, row.hostname) for row in plan.rows] == [("SN 1", "主机　一")]


def test_an_error_shows_the_place_in_a_long_text() -> None:
    pool = world.pool(nodes=0)
    content = _csv("SN1," + "x" * 100 + "\u200b" + "y" * 10, header="serial,hostname").encode()

    plan = node_import.preview(pool=pool, content=content)

    assert plan.errors[0].value == "x" * 30 + "[U+200B ZERO WIDTH SPACE]" + "y" * 10


def test_names_every_bad_row_and_changes_nothing() -> None:
    pool = world.pool(nodes=0)
    other = world.pool(nodes=1)
    taken = other.nodes.get().serial
    content = _csv(
        "SN1,h,r,l",
        ",h,r,l",
        "SN1,h,r,l",
        "=cmd|' /C calc'!A0,h,r,l",
        f"{taken},h,r,l",
        f"{'x' * 81},h,r,l",
    ).encode()

    with pytest.raises(node_import.RowsInvalid) as refusal:
        node_import.apply(pool=pool, content=content, at=T0, actor=world.actor(world.provider()))

    errors = refusal.value.fields()["errors"]
    assert [(e["line"], e["code"]) for e in errors] == [
        (3, "serial_missing"),
        (4, "duplicate_serial"),
        (5, "formula"),
        (6, "serial_in_other_pool"),
        (7, "too_long"),
    ]
    assert not pool.nodes.exists()


def test_card_uuids_must_be_as_many_as_cards() -> None:
    pool = world.pool(nodes=0)
    content = _csv("SN1,a;b;c", header="serial,card_uuids").encode()

    plan = node_import.preview(pool=pool, content=content)

    assert [(e.code, e.value) for e in plan.errors] == [("card_count_differs", "3")]


def test_a_card_is_in_one_node() -> None:
    pool, other = world.pool(nodes=0, cards_per_node=2), world.pool(nodes=0, cards_per_node=2)
    actor = world.actor(world.provider())

    def rows(*lines: str) -> bytes:
        return _csv(*lines, header="serial,card_uuids").encode()

    node_import.apply(pool=other, content=rows("SN1,a;b"), at=T0, actor=actor)
    plan = node_import.preview(
        pool=pool, content=rows("SN2,c;d", "SN3,b;e", "SN4,d;f", "SN5,g;g", "SN6,h;i")
    )

    assert [(e.line, e.code, e.value) for e in plan.errors] == [
        (3, "card_elsewhere", "b"),
        (4, "card_elsewhere", "d"),
        (5, "card_elsewhere", "g"),
    ]
    assert [row.serial for row in plan.rows] == ["SN2", "SN6"]
    with pytest.raises(capacity.CardElsewhere):
        capacity.put_nodes(
            pool_id=pool.pk, rows=[NodeRow(serial="SN3", card_uuids=("b",))], at=T0, actor=actor
        )
    # The same file again, and a card that moved within it, are no contradiction.
    again = rows("SN1,b;x", "SN7,a;y")
    assert node_import.preview(pool=other, content=again).errors == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hostname,rack\r\nh,r\r\n", "serial_column"),
        (b"serial;rack\r\nSN1;r\r\n", "separator"),
        (b"serial\r\n", "no_rows"),
        (b"PK\x03\x04 a workbook renamed", "workbook"),
        (b"serial\r\nSN\x001\r\n", "binary"),
        (b'serial\r\n"SN1\r\n', "not_csv"),
        (b"\xff\xff\x81\x20\xff", "encoding"),
        (b"x" * (node_import.BYTE_LIMIT + 1), "too_large"),
    ],
)
def test_refuses_what_is_no_list_of_nodes(content: bytes, reason: str) -> None:
    pool = world.pool(nodes=0)

    with pytest.raises(node_import.Unreadable) as refusal:
        node_import.preview(pool=pool, content=content)

    assert refusal.value.fields()["reason"] == reason


def test_a_preview_takes_the_same_statements_for_any_number_of_rows() -> None:
    pool = world.pool(nodes=0)
    counts = []
    for rows in (1, 5_000):
        content = _csv(*(f"SN{n},h,r,l" for n in range(rows))).encode()
        with CaptureQueriesContext(connection) as queries:
            node_import.preview(pool=pool, content=content)
        counts.append(len(queries))

    assert counts == [4, 4]


def test_the_template_reads_back() -> None:
    pool = world.pool(nodes=0, unit_cards=2, cards_per_node=2, chip="a10-24g")

    plan = node_import.preview(pool=pool, content=node_import.template().encode())

    assert plan.errors == []
    assert plan.rows[0].serial == "SN-2026-0001"
