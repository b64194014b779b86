"""The least that a view can do: who asks is known, one row is read, one is written."""

from __future__ import annotations

import json
from typing import ClassVar

from django.db import connection
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from billing.bench.pgbench import SCHEMA

TABLE = (
    f"CREATE TABLE {SCHEMA}.bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " pool_id bigint NOT NULL, asked jsonb NOT NULL)"
)


class Bare(ViewSet):
    """Authenticated as every view of the product, with one SELECT and one INSERT."""

    required_scopes: ClassVar[dict[str, str | None]] = {"create": "reservations:write"}

    def create(self, request: Request) -> Response:
        asked = json.dumps(request.data)
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, name FROM inventory_pool ORDER BY id LIMIT 1")
            pool_id, name = cursor.fetchone()
            cursor.execute(
                f"INSERT INTO {SCHEMA}.bare (pool_id, asked) VALUES (%s, %s) RETURNING id",
                [pool_id, asked],
            )
            number = cursor.fetchone()[0]
        return Response({"id": number, "pool": name}, status=201)
