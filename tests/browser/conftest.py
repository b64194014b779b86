"""A real browser against a live server: what a person sees, and what the browser complains of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.engines import require
from tests.web import conftest as web

market = web.market

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 60_000
PASSWORD = "correct horse battery"
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = require("chromium")
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # The driver runs an event loop in this thread from now on, which Django would take
        # amiss, as early as where the next test's database is set up.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        chromium = playwright.chromium.launch(
            executable_path=str(program), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def live_server() -> Iterator[LiveServer]:
    """Serves static files from where they lie.

    The plugin's own fixture does so only where the application goes by Django's name.
    """
    server = LiveServer("localhost", start=False)
    server.thread.static_handler = StaticFilesHandler
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _console(settings: LazySettings) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@dataclass
class Reader:
    """A person at a browser, and everything the browser complained of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        reply = self.page.goto(self.address + path, timeout=PATIENCE_MS)
        assert reply is not None, path
        assert reply.status == 200, (path, reply.status)

    def sign_in(self, email: str) -> None:
        self.go("/sign-in/")
        self.page.fill("#id_username", email)
        self.page.fill("#id_password", PASSWORD)
        self.page.click(".sign-in-card button")
        self.page.wait_for_url(lambda url: "/sign-in/" not in url, timeout=PATIENCE_MS)

    def violations(self) -> list[str]:
        """What axe finds on the page as it is shown now."""
        found: dict[str, Any] = self.page.evaluate(
            "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", _TAGS
        )
        return [
            f"{row['id']}: {node['target']} {node['failureSummary'][:160]}"
            for row in found["violations"]
            for node in row["nodes"][:3]
        ]


def open_reader(context: BrowserContext, address: str) -> Reader:
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    reader = Reader(page, address)
    host = urlsplit(address).netloc

    def note_request(request: Any) -> None:
        if urlsplit(request.url).netloc not in (host, "") and request.url[:5] != "data:":
            reader.complaints.append(f"left the host: {request.url}")

    # Violations of the content security policy are console errors as well.
    page.on(
        "console",
        lambda message: (
            reader.complaints.append(f"{page.url}: {message.text}")
            if message.type == "error"
            else None
        ),
    )
    page.on("pageerror", lambda error: reader.complaints.append(f"{page.url}: {error}"))
    page.on("request", note_request)
    return reader


@pytest.fixture
def reader(browser: Browser, live_server: Any) -> Iterator[Reader]:
    context = browser.new_context(
        locale="en-US",
        viewport={"width": 1440, "height": 900},
        reduced_motion="reduce",  # a colour half-way between two themes is nobody's
    )
    yield open_reader(context, live_server.url)
    context.close()
