"""What every view reads off its request: who asks, when, and what for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import models
from rest_framework import serializers
from rest_framework.request import Request

from inventory import identifiers
from inventory.actors import Actor
from inventory.api.fields import StrictSerializer

M = TypeVar("M", bound=models.Model)


def actor_of(request: Request) -> Actor:
    """Who asks. Authentication has put it there before any view runs."""
    actor = request.auth
    assert isinstance(actor, Actor)
    return actor


def organisation_of(request: Request) -> int:
    """The organisation the caller acts for."""
    organisation_id = actor_of(request).organisation_id
    assert organisation_id is not None
    return organisation_id


def instant_of(request: Request) -> datetime:
    """The instant of the request: the database's where it changes something."""
    at = getattr(request._request, "at", None)
    return at if isinstance(at, datetime) else datetime.now(UTC)


def body(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The request's body in that shape. Raises ValidationError."""
    serializer = shape(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def nothing(request: Request) -> None:
    """The request has no body, or an empty object. Raises ValidationError."""
    body(request, StrictSerializer)


def query(request: Request, shape: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """The query string in that shape; a parameter given twice is refused by its shape.

    Raises ValidationError.
    """
    multiple = {
        name for name, field in shape().fields.items() if isinstance(field, serializers.ListField)
    }
    given = {
        name: values if name in multiple or len(values) > 1 else values[0]
        for name, values in request.query_params.lists()
    }
    serializer = shape(data=given)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def find(rows: models.QuerySet[M], public_id: str) -> M:
    """The row of that public id among those the caller may see. Raises NotFound."""
    return identifiers.find(rows, public_id)
