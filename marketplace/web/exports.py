"""Tables as files: CSV that a spreadsheet opens and never runs, and Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from tempfile import TemporaryFile

from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema
from arro3.io import write_parquet
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

BATCH = 10_000  # rows of a Parquet batch: what of a table is in memory at a time


class _Echo:
    """A file that hands back what is written, so that rows stream."""

    def write(self, value: str) -> str:
        return value


def cell(value: object) -> str:
    """Text that a spreadsheet takes for text.

    A leading =, +, -, @, tab or return would be run as a formula (OWASP, CSV injection); plain
    numbers keep their sign.
    """
    text = "" if value is None else str(value)
    if text[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(text):
        return f"'{text}"
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[1:2].isdigit()


def stream(
    name: str, header: Sequence[object], rows: Iterable[Sequence[object]]
) -> StreamingHttpResponse:
    """The table as a download, with a byte order mark so that Excel reads Chinese."""
    writer = csv.writer(_Echo())

    def lines() -> Iterator[str]:
        yield "\ufeff"
        yield writer.writerow([cell(value) for value in header])
        for row in rows:
            yield writer.writerow([cell(value) for value in row])

    return StreamingHttpResponse(
        lines(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )


def table(
    request: HttpRequest,
    name: str,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numbers: int,
) -> HttpResponseBase:
    """The table in the format asked for. The last `numbers` columns are numbers in Parquet."""
    if request.GET.get("format") == "parquet":
        return parquet(name, header, rows, numbers=numbers)
    return stream(name, header, rows)


def parquet(
    name: str, header: Sequence[object], rows: Iterable[Sequence[object]], *, numbers: int
) -> FileResponse:
    """The table as Parquet. A cell of a number column that is none is null there.

    Written batch by batch into a file without a name: the footer knows where all of it lies.
    """
    texts = len(header) - numbers
    kinds = [DataType.string()] * texts + [DataType.float64()] * numbers
    schema = Schema([Field(str(word), kind) for word, kind in zip(header, kinds, strict=True)])

    def batches() -> Iterator[RecordBatch]:
        for part in _batched(rows):
            columns = list(zip(*part, strict=True))
            arrays = [Array([str(v) for v in column], kinds[0]) for column in columns[:texts]]
            arrays += [Array([_number(v) for v in column], kinds[-1]) for column in columns[texts:]]
            yield RecordBatch.from_arrays(arrays, schema=schema)

    file = TemporaryFile()  # noqa: SIM115  the response closes it
    write_parquet(RecordBatchReader.from_batches(schema, batches()), file)
    file.seek(0)
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"{name}.parquet",
        content_type="application/vnd.apache.parquet",
    )


def _batched(rows: Iterable[Sequence[object]]) -> Iterator[list[Sequence[object]]]:
    part: list[Sequence[object]] = []
    for row in rows:
        part.append(row)
        if len(part) == BATCH:
            yield part
            part = []
    if part:
        yield part


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None
