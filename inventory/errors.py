"""The root of every anticipated failure."""

from __future__ import annotations

from typing import Any, ClassVar


class DomainError(Exception):
    """A request that cannot be granted, said in a way a caller can act on.

    Each failure is a subclass beside the verb that raises it. `code` is stable and part of
    the API; `status` is the HTTP status it becomes; `fields()` are its typed particulars.
    """

    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The request was refused"
    status: ClassVar[int] = 409
    retry_after_seconds: ClassVar[int | None] = None

    def __init__(self, detail: str = "", **fields: Any) -> None:
        super().__init__(detail or str(self.title))
        self.detail = detail or str(self.title)
        self._fields = fields

    def fields(self) -> dict[str, Any]:
        """The particulars a client may read: text, numbers, instants and lists of them."""
        return self._fields

    def add(self, **fields: Any) -> None:
        """Further particulars, from a caller that knows more about what was refused."""
        self._fields = {**self._fields, **fields}


class Invalid(DomainError):
    """A value that no state of the world would make acceptable."""

    code = "validation_failed"
    title = "A value is not acceptable"
    status = 422


class NotFound(DomainError):
    """No such row, or none that the caller may know of: the two must not be told apart."""

    code = "not_found"
    title = "Not found"
    status = 404


class Forbidden(DomainError):
    """The caller is known, sees the row, and may not do this."""

    code = "forbidden"
    title = "Not allowed"
    status = 403


class Busy(DomainError):
    """A lock was not granted in time; nothing happened and the same call may succeed soon."""

    code = "busy"
    title = "Busy, try again"
    status = 503
    retry_after_seconds = 1
