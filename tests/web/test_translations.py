"""Nothing in the console is left in English for a Chinese reader, and nothing is fuzzy."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_python
from babel.messages.pofile import read_po
from django.template import engines
from django.utils.translation.template import templatize

from inventory.errors import DomainError

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("inventory", "marketplace", "billing")
CATALOGUE = ROOT / "marketplace" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
_CALLS = dict.fromkeys(["_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"])
_PLACE = re.compile(r"%\(\w+\)[sd]")


def _sources() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if not {"migrations", "demo", "management"} & set(path.parts):
                yield str(path), path.read_bytes()
        for path in sorted((ROOT / package).rglob("templates/**/*.*")):
            calls = templatize(path.read_text(encoding="utf-8"))
            # It is read as Python, to which the indentation of HTML would mean something.
            yield str(path), re.sub(r"^[ \t]+", "", calls, flags=re.MULTILINE).encode()


def _wanted() -> set[str]:
    found: set[str] = set()
    for _name, source in _sources():
        for _line, _call, messages, _comments in extract_python(io.BytesIO(source), _CALLS, [], {}):
            if first := _first(messages):
                found.add(first)
    return found | {str(kind.title) for kind in _refusals(DomainError)}


def _refusals(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.split(".")[0] in PACKAGES:
            yield from _refusals(child)


def _first(text: Any) -> str:
    """The text, or the first of its plural forms."""
    return text if isinstance(text, str) else str((text or [""])[0])


@pytest.fixture(scope="module")
def catalogue() -> dict[str, str]:
    with CATALOGUE.open("rb") as file:
        messages = [message for message in read_po(file, locale="zh_Hans") if message.id]
    assert not [message.id for message in messages if message.fuzzy]
    return {_first(message.id): _first(message.string) for message in messages}


def test_every_text_is_translated(catalogue: dict[str, str]) -> None:
    missing = sorted(text for text in _wanted() if not catalogue.get(text))

    assert not missing


def test_no_text_is_translated_twice() -> None:
    """A reader of catalogues keeps the last silently, and two meanings of a word collide."""
    texts = re.findall(
        r'^msgid "(.+)"\nmsgstr', CATALOGUE.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert sorted(texts) == sorted(set(texts))


def test_a_translation_names_the_same_particulars(catalogue: dict[str, str]) -> None:
    for text, translation in catalogue.items():
        assert set(_PLACE.findall(text)) == set(_PLACE.findall(translation)), text


def test_templates_have_no_inline_style_or_script() -> None:
    for name, _source in _sources():
        if name.endswith(".html"):
            text = Path(name).read_text(encoding="utf-8")
            assert " style=" not in text, name
            assert not re.search(r"<script(?![^>]*\bsrc=)", text), name
            assert not re.search(r"\son\w+=", text), name
    assert engines["django"]
