"""The shape of a resource: its own rows by public id, and lists by cursor."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import StrictSerializer
from inventory.api.requests import find


class Resource(viewsets.GenericViewSet[Any]):
    """A view set that reads rows through `rows()`, which sees what the caller may see.

    `required_scopes` names the scope each action needs (None: any caller), `idempotent` the
    actions whose POST needs an Idempotency-Key, `filter_shape` what a list may be narrowed by
    (each field's source is a look-up), `reading` those whose POST changes nothing
    and so opens no transaction, `for_projects` those that serve a key bound to one project
    (its rows are that project's alone). They are read by the project's middleware and permission,
    named in settings.
    """

    required_scopes: ClassVar[dict[str, str | None]] = {}
    idempotent: ClassVar[frozenset[str]] = frozenset()
    reading: ClassVar[frozenset[str]] = frozenset()
    for_projects: ClassVar[frozenset[str]] = frozenset()
    filter_shape: ClassVar[type[StrictSerializer] | None] = None
    lookup_field = "public_id"
    lookup_url_kwarg = "public_id"
    lookup_value_converter = "str"

    def rows(self) -> models.QuerySet[Any]:
        raise NotImplementedError

    def row(self) -> Any:
        return find(self.rows(), self.kwargs["public_id"])

    def render(self, row: Any, status: int = 200) -> Response:
        shape: type[serializers.BaseSerializer[Any]] = self.get_serializer_class()
        return made(self.request, shape(row).data, status=status)

    def page(self, rows: models.QuerySet[Any]) -> Response:
        """One page of `rows`, newest first."""
        assert self.paginator is not None
        chosen = self.paginator.paginate_queryset(rows, self.request, view=self)
        shape = self.get_serializer_class()
        return self.paginator.get_paginated_response(shape(chosen, many=True).data)


def made(request: Request, data: Any, *, at: str = "", status: int = 201) -> Response:
    """A reply that says where the row it made can be read: below the address, or below `at`."""
    headers = {}
    if status == 201 and "id" in data:
        headers["Location"] = f"{at or request.path}/{data['id']}"
    return Response(data, status=status, headers=headers)


class ReadOnlyResource(Resource):
    """List and detail, for resources whose writes are served elsewhere or not at all."""

    def list(self, request: Request, **_: Any) -> Response:
        return self.page(self.rows())

    def retrieve(self, request: Request, **_: Any) -> Response:
        return self.render(self.row())
