"""Documents on paper: A4, Chinese or English, the same bytes for the same content.

Set by Typst, whose wheel needs nothing of the system, in Noto Sans SC from its own wheel, so
that a page looks the same wherever it is made. What a document says is decided elsewhere; here
it only becomes a PDF. Text is data and never markup.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

import typst

Language = Literal["zh", "en"]
Align = Literal["left", "right", "center"]

LANGUAGES: tuple[Language, ...] = ("zh", "en")
# What Django calls them.
LOCALES: dict[Language, str] = {"zh": "zh-hans", "en": "en"}
TEMPLATE = Path(__file__).resolve().parent / "document.typ"
FONTS = "pylopdf_fonts_zh_cn"  # a package that holds nothing but the font files

# A compiler caches what it has laid out and is not made for two threads at once.
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Column:
    """`width` is a share of the page's width, compared with the other columns'."""

    title: str
    width: float = 1.0
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class Table:
    """Breaks over pages, its titles repeated; `totals` are rows that stand out below it."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    title: str = ""
    totals: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A titled list of facts: one of the parties, or where to pay."""

    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Document:
    """What one paper says, in one language."""

    language: Language
    title: str
    number: str
    dated: datetime  # stands in the file's metadata instead of the time of making it
    facts: Sequence[tuple[str, str]] = ()
    blocks: Sequence[Block] = ()  # side by side, two in a row
    tables: Sequence[Table] = ()
    sums: Sequence[tuple[str, str]] = ()  # at the right, the last one large
    notes: Sequence[str] = ()
    footer: str = ""
    stamp: str = field(default="")  # across the page, such as DRAFT


def render(document: Document) -> bytes:
    """The PDF. Equal documents give equal bytes."""
    inputs = {"document": json.dumps(asdict(document), default=str, ensure_ascii=False)}
    with _LOCK:
        made = _compiler().compile(
            format="pdf",
            sys_inputs=inputs,
            timestamp=int(document.dated.timestamp()),
        )
    assert isinstance(made, bytes)
    return made


@lru_cache(maxsize=1)
def _compiler() -> typst.Compiler:
    """Reads the fonts once for the process: twenty megabytes of them."""
    return typst.Compiler(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        font_paths=[str(files(FONTS))],
        ignore_system_fonts=True,
    )
