from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from inventory import identifiers
from inventory.identifiers import PublicIdField

FIELD = PublicIdField(prefix="lse")


def test_ids_sort_by_creation() -> None:
    ids = [identifiers.new("lse") for _ in range(100)]

    assert ids == sorted(ids)
    assert len(set(ids)) == 100


@given(st.text(max_size=60) | st.none() | st.integers() | st.binary(max_size=8))
def test_nothing_but_an_id_of_its_kind_is_parsed(value: object) -> None:
    with pytest.raises(ValidationError):
        FIELD.parse(value)


def test_another_kinds_id_is_refused() -> None:
    with pytest.raises(ValidationError):
        FIELD.parse(identifiers.new("lst"))


def test_reads_back_what_it_wrote() -> None:
    text = identifiers.new("lse")

    assert FIELD.from_db_value(FIELD.get_db_prep_value(text, None)) == text
