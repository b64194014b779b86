from __future__ import annotations

import pytest
from pytest_django import Settings

from inventory import chips
from marketplace.http.limits import buckets
from tests.api.market import Market
from tests.billing import online


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


@pytest.fixture
def market(db: None) -> Market:
    """Four organisations with keys, and the chip catalogue."""
    buckets.clear()
    chips.load_catalogue()
    return Market()
