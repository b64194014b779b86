"""The suite speaks to PostgreSQL as the runtime role, and cleans up as the owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings as project
from django.test import TransactionTestCase
from django.utils import translation
from pytest_django import DjangoDbBlocker, Settings

from marketplace import search_map
from tests import database


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests begin first, so that no worker is left alone with them at the end.

    What only prints figures runs where it is asked for.
    """
    if "measured" not in config.option.markexpr:
        items[:] = [item for item in items if not item.get_closest_marker("measured")]
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Replaces Django's own: the runtime role may neither create a database nor empty a table."""
    with django_db_blocker.unblock():
        database.create()
    yield
    with django_db_blocker.unblock():
        database.destroy()


def _flush(self: TransactionTestCase) -> None:
    database.flush()


TransactionTestCase._fixture_teardown = _flush  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def a_search_sees_what_is_committed(settings: Settings) -> None:
    """A test does not wait for the search map to grow old."""
    settings.SEARCH_MAP_SECONDS = 0
    search_map.forget()


@pytest.fixture(autouse=True)
def nobody_left_a_language_behind() -> None:
    """A request turns its thread to its reader's language, and leaves it so."""
    translation.activate(project.LANGUAGE_CODE)
