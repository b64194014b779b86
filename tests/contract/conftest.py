from __future__ import annotations

import pytest
from pytest_django import Settings

from inventory import chips
from marketplace.http.limits import buckets
from tests.api.market import Market
from tests.billing import online


@pytest.fixture
def market(db: None, settings: Settings) -> Market:
    buckets.clear()
    online.switch_on(settings)
    chips.load_catalogue()
    return Market()
