"""References of transfers: read however they are written, and every slip noticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing import references
from inventory import identifiers

PREFIXES = st.sampled_from(sorted(references.KINDS.values()))
IDS = st.builds(
    lambda prefix, number: f"{prefix}_{number:032x}", PREFIXES, st.integers(0, 2**128 - 1)
)
SIGNS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@given(IDS)
def test_a_reference_names_the_end_of_its_rows_id(public_id: str) -> None:
    text = references.of(public_id)

    (found,) = references.read(text).references
    assert (found.prefix, found.tail, found.text) == (public_id[:3], public_id[-12:], text)
    assert len(text) == 15


@given(IDS, st.integers(3, 14), st.sampled_from(SIGNS))
def test_one_wrong_character_is_noticed(public_id: str, place: int, sign: str) -> None:
    text = references.of(public_id)
    wrong = text[:place] + sign + text[place + 1 :]

    found = references.read(wrong).references

    assert [each.text for each in found] == ([text] if wrong == text else [])


@given(IDS, st.integers(3, 13))
def test_two_characters_that_changed_places_are_noticed(public_id: str, place: int) -> None:
    text = references.of(public_id)
    wrong = text[:place] + text[place + 1] + text[place] + text[place + 2 :]

    found = references.read(wrong).references

    assert [each.text for each in found] == ([text] if wrong == text else [])


@pytest.mark.parametrize("dress", ["{}", "付款 {} 谢谢", "租金{}。", "ref:{};", "{} {}"])
def test_it_is_found_in_a_remittance_text(dress: str) -> None:
    text = references.of(identifiers.new("rsv"))

    found = references.read(dress.format(text, text))

    assert [each.text for each in found.references] == [text]
    assert not found.has_typo


def test_width_case_blanks_and_letters_that_look_like_digits_do_not_matter() -> None:
    text = references.of("rsv_0000000000000000000000000000010a")
    wide = "".join(chr(ord(c) + 0xFEE0) for c in text)

    for written in (
        wide,
        text.lower(),
        f"{text[:4]} {text[4:9]}-{text[9:]}",
        text.replace("0", "O"),
    ):
        assert [each.text for each in references.read(written).references] == [text], written


def test_a_slip_is_said_and_other_words_are_none() -> None:
    text = references.of("rsv_0000000000000000000000000000010a")

    assert references.read(text[:-1] + str((int(text[-1]) + 1) % 10)).has_typo
    assert references.read(text[:-1]).has_typo
    for innocent in ("CHINA TELECOM", "CHRISTMAS PARTY 2026", "货款", "", "CHR"):
        assert not references.read(innocent).has_typo, innocent


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    references.read(text)
