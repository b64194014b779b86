"""What is put on paper: the same bytes for the same content, text that stays text."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from billing import paper
from billing.paper import Block, Column, Document, Table


def document(language: paper.Language = "zh", rows: int = 3) -> Document:
    return Document(
        language=language,
        title="账单",
        number="CH-1",
        dated=datetime(2026, 11, 4, tzinfo=UTC),
        facts=[("账期", "2026-10")],
        blocks=[Block("销售方", [("名称", "卡时")]), Block("购买方", [("名称", "甲")])],
        tables=[
            Table(
                [Column("租约", 2), Column("金额", 1, "right")],
                [[f"lse_{number}", "1.00"] for number in range(rows)],
                title="明细",
                totals=[["合计", f"{rows}.00"]],
            )
        ],
        sums=[("合计", "3.00 CNY")],
        notes=["注"],
        footer="卡时",
        stamp="草稿",
    )


@pytest.mark.parametrize("language", paper.LANGUAGES)
def test_equal_documents_give_equal_bytes(language: paper.Language) -> None:
    first = paper.render(document(language))

    assert first.startswith(b"%PDF-")
    assert paper.render(document(language)) == first
    assert paper.render(document(language, rows=4)) != first


def test_a_long_table_breaks_over_pages() -> None:
    assert b"/Type/Pages/Count 9/" in paper.render(document(rows=400))


def test_text_is_never_markup() -> None:
    for text in ['#panic("x")', "$", "]", "*a", "`", "\\", "\x01", '"', "<a>", "@b", "", "𠮷😀"]:
        made = paper.render(
            dataclasses.replace(document(), title=text, notes=[text], facts=[(text, text)])
        )
        assert made.startswith(b"%PDF-")


def test_a_paper_without_anything_optional() -> None:
    bare = Document(language="en", title="t", number="n", dated=datetime(2026, 1, 1, tzinfo=UTC))
    assert paper.render(bare).startswith(b"%PDF-")
