from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.races.crowd import CLIENTS


@pytest.fixture
def many_connections() -> Iterator[None]:
    """The runtime's pool is smaller than a crowd, and a barrier would wait for ever."""
    options = connection.settings_dict["OPTIONS"]["pool"]
    before = options["max_size"]
    _resize(options, 2 * CLIENTS)
    yield
    _resize(options, before)


def _resize(options: dict[str, int], size: int) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]
    options["max_size"] = size
