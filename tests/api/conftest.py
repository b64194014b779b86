from __future__ import annotations

import pytest

from inventory import chips
from marketplace.http.limits import buckets
from tests.api.market import Market


@pytest.fixture
def market(db: None) -> Market:
    """Four organisations with keys, and the chip catalogue."""
    buckets.clear()
    chips.load_catalogue()
    return Market()
