"""How the fake says no: in Stripe's own words, as far as this house reads them."""

from __future__ import annotations

from typing import Any


class NoAnswer(Exception):
    """The line went dead, after or before it was done."""


class Refusal(Exception):
    """An error reply. One of a request that was being carried out is kept for its key."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        kept: bool = False,
        param: str = "",
    ) -> None:
        super().__init__(message)
        self.status, self.kept = status, kept
        self.body: dict[str, Any] = {
            "error": {"type": type, "code": code, "message": message, "param": param or None}
        }


def missing(kind: str, object_id: object) -> Refusal:
    return Refusal("resource_missing", f"No such {kind}: '{object_id}'", status=404)


def unknown_parameter(name: str) -> Refusal:
    return Refusal("parameter_unknown", f"Received unknown parameter: {name}", param=name)


def done_wrong(code: str, message: str) -> Refusal:
    """Refused while it was carried out: the same key gets the same refusal."""
    return Refusal(code, message, kept=True)
