"""Instants of these tests are their own; the database's clock does not limit them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inventory import capacity


@pytest.fixture(autouse=True)
def _own_instants() -> Iterator[None]:
    with capacity.replaying():
        yield
