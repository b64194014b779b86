"""A client of the REST API, as a program would write one."""

from __future__ import annotations

import itertools
import json
from typing import Any

from django.test import Client

_numbers = itertools.count(1)


class Reply:
    """A response with its JSON read."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.headers = response.headers
        self.content: bytes = b"".join(response) if response.streaming else response.content

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def data(self) -> Any:
        return self.json["data"]

    def __repr__(self) -> str:
        return f"{self.status} {self.content[:600].decode(errors='replace')}"


class Api:
    """Speaks for the bearer of a key; every POST has an Idempotency-Key of its own."""

    def __init__(self, key: str | None) -> None:
        self.key = key
        self.client = Client(raise_request_exception=False)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        content_type: str = "application/json",
        idempotency_key: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if self.key is not None:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        if method == "POST":
            sent.setdefault("Idempotency-Key", idempotency_key or f"test-{next(_numbers)}")
        if raw is None:
            raw = b"" if body is None else json.dumps(body).encode()
        url = path if path.startswith("/api/") else f"/api/v1{path}"
        return Reply(self.client.generic(method, url, raw, content_type=content_type, headers=sent))

    def get(self, path: str, **kwargs: Any) -> Reply:
        return self.send("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Reply:
        return self.send("POST", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Reply:
        return self.send("DELETE", path, **kwargs)

    def do(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        """A POST that is expected to work: its document."""
        reply = self.post(path, body, **kwargs)
        assert reply.status in (200, 201), reply
        return reply.json
