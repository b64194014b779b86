"""Cursor pages: newest first, no offset, no total."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api import opaque
from inventory.api.fields import QueryInteger, StrictSerializer, Text
from inventory.api.requests import query
from inventory.errors import Invalid

LIMIT = 100
DEFAULT_LIMIT = 20


class BadCursor(Invalid):
    """The cursor names no row of this list."""

    code = "cursor_invalid"
    title = "The cursor names no row of this list"


class CursorQuery(StrictSerializer):
    limit = QueryInteger(min_value=1, max_value=LIMIT, required=False)
    starting_after = Text(max_length=60, required=False)
    ending_before = Text(max_length=60, required=False)


class CursorPage(BasePagination):
    """At most two statements: one finds the cursor's row, one reads the page.

    Cursors are public ids. A view whose rows have none names a prefix as `concealed`, and
    its cursors are their numbers, concealed. A view that may be asked for some rows only names
    their shape as `filter_shape`: its fields' sources are look-ups. Parameters that a view reads
    itself have their shape in `query_shape`.
    """

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        given = query(request, page_shape(view))
        limit = given.get("limit", DEFAULT_LIMIT)
        after, before = given.get("starting_after"), given.get("ending_before")
        if after and before:
            raise Invalid("Give starting_after or ending_before, not both")
        self._concealed: str | None = getattr(view, "concealed", None)
        rows: QuerySet[Any] = queryset.filter(**_filters(view, given))
        if after:
            rows = rows.filter(id__lt=self._key(queryset, after)).order_by("-id")
        elif before:
            rows = rows.filter(id__gt=self._key(queryset, before)).order_by("id")
        else:
            rows = rows.order_by("-id")
        found = list(rows[: limit + 1])
        self.has_more = len(found) > limit
        found = found[:limit]
        self.next_cursor = self._cursor(found[-1]) if self.has_more else None
        if before:
            found.reverse()
        return found

    def _key(self, queryset: QuerySet[Any], cursor: str) -> int:
        key: int | None
        if self._concealed:
            key = opaque.reveal(self._concealed, cursor)
        else:
            try:
                key = queryset.filter(public_id=cursor).values_list("id", flat=True).first()
            except DjangoValidationError:
                key = None
        if key is None:
            raise BadCursor()
        return key

    def _cursor(self, row: Any) -> str:
        return opaque.conceal(self._concealed, row.id) if self._concealed else str(row.public_id)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "has_more": self.has_more, "next_cursor": self.next_cursor})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["data", "has_more", "next_cursor"],
            "properties": {
                "data": schema,
                "has_more": {"type": "boolean"},
                "next_cursor": {"type": ["string", "null"]},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            _parameter("limit", {"type": "integer", "minimum": 1, "maximum": LIMIT}),
            _parameter("starting_after", {"type": "string"}),
            _parameter("ending_before", {"type": "string"}),
        ]


def page_shape(view: Any) -> type[StrictSerializer]:
    """The cursor's parameters and the view's own filters."""
    shapes = [getattr(view, name, None) for name in ("query_shape", "filter_shape")]
    own = tuple(shape for shape in shapes if shape is not None)
    return type("ListQuery", (*own, CursorQuery), {})


def _filters(view: Any, given: dict[str, Any]) -> dict[str, Any]:
    shape: type[StrictSerializer] | None = getattr(view, "filter_shape", None)
    if shape is None:
        return {}
    sources = [str(field.source or name) for name, field in shape().fields.items()]
    return {source: given[source] for source in sources if source in given}


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}
