"""Clients that make deals over HTTP, and ask again with the same key when they hear nothing."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

PATIENCE = 60  # seconds of asking again before a request is given up


class Refused(Exception):
    """The answer is no: its problem document says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Unanswered(Exception):
    """Nothing came back, however often the request was repeated."""


@dataclass
class Clients:
    """One connection for each thread that asks."""

    port: int
    timeout_seconds: float = 10

    def __post_init__(self) -> None:
        self._local = threading.local()

    def post(self, path: str, body: object, *, key: str) -> dict[str, Any]:
        """The answer to one request, sent under one Idempotency-Key until it is answered.

        A lost connection, a time-out, a server that is busy or at fault and a first try still
        being served are no answers. Raises Refused, Unanswered.
        """
        headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(uuid.uuid4()),
        }
        until, last = time.monotonic() + PATIENCE, "no time"
        while time.monotonic() < until:
            try:
                status, answer = self._once(path, json.dumps(body), headers)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._local.connection, last = None, str(error)
                time.sleep(0.05)
                continue
            if status < 300:
                return answer
            code = str(answer.get("code", status))
            if status < 500 and code != "idempotency_in_progress":
                raise Refused(code)
            last = f"{status} {code}"
            time.sleep(0.05)
        raise Unanswered(f"{path}: {last}")

    def _once(self, path: str, body: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=self.timeout_seconds
            )
            self._local.connection = connection
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, dict(json.loads(answer.read()))
