"""Bodies that are files."""

from __future__ import annotations

from typing import IO, Any

from rest_framework.parsers import BaseParser


class CsvParser(BaseParser):
    """A file of comma-separated values, handed on as bytes."""

    media_type = "text/csv"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Any = None,
    ) -> Any:
        return bytes(stream.read())
