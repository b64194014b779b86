"""Acceptance of deliveries: runs of the test, the signature, and the record on paper."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from billing import acceptance_paper
from billing.api import acceptance_shapes as shapes
from billing.api.invoice_shapes import PaperOut, PaperQuery, file_of
from inventory import acceptance
from inventory.api.requests import actor_of, body, instant_of, nothing, query
from inventory.api.resources import ReadOnlyResource
from inventory.models import Acceptance


class Acceptances(ReadOnlyResource):
    """The gate before a lease's time counts, where its terms ask for a test."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "leases:read",
        "retrieve": "leases:read",
        "runs": "leases:read",
        "paper": "leases:read",
        "report": "leases:write",
        "sign": "leases:write",
    }
    idempotent = frozenset({"report", "sign"})
    body_limit = acceptance.LARGEST_REPORT + acceptance.LARGEST_REPORT // 2
    serializer_class = shapes.AcceptanceOut
    filter_shape = shapes.AcceptanceQuery

    def rows(self) -> QuerySet[Acceptance]:
        rows = Acceptance.objects.visible_to(actor_of(self.request))
        rows = rows.filter(allocation__lease__isnull=False)
        return rows.select_related("provider", "tenant", "allocation__lease")

    @extend_schema(
        responses=shapes.AcceptanceRunOut(many=True),
        operation_id="list_acceptance_runs",
        filters=False,
    )
    @action(detail=True, methods=["get"], pagination_class=None, filter_shape=None)
    def runs(self, request: Request, public_id: str) -> Response:
        """Every run that stands in the record, newest first."""
        rows: QuerySet[Any] = self.row().runs.select_related("posted_by").order_by("-pk")
        return Response(shapes.AcceptanceRunOut(rows, many=True).data)

    @extend_schema(request=shapes.ReportIn, responses=shapes.AcceptanceRunOut)
    @action(detail=True, methods=["post"])
    def report(self, request: Request, public_id: str) -> Response:
        """Hands in what nccl-tests or HCCL Test printed over everything that was delivered.

        A run that fails costs nothing and restarts the clock; one about other machines, or one
        that cannot be read, is no run.
        """
        given = body(request, shapes.ReportIn)
        run = acceptance.report(
            acceptance_public_id=self.row().public_id,
            tool=given["tool"],
            text=given["report"],
            hosts=given.get("hosts", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(shapes.AcceptanceRunOut(run).data)

    @extend_schema(request=None, responses=shapes.AcceptanceOut)
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, public_id: str) -> Response:
        """Accepts what passed: the lease's time counts from now on. For its tenant."""
        nothing(request)
        acceptance.sign(
            acceptance_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(parameters=[PaperQuery], responses=PaperOut, filters=False)
    @action(detail=True, methods=["get"])
    def paper(self, request: Request, public_id: str) -> Response:
        """The record as PDF, in Chinese or English; signed or not, it says which."""
        language = query(request, PaperQuery).get("language", "zh")
        content = acceptance_paper.pdf(self.row(), language=language)
        return Response(
            file_of(
                content,
                media_type="application/pdf",
                sha256=hashlib.sha256(content).hexdigest(),
                created_at=instant_of(request),
            )
        )
