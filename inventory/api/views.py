"""Organisations, people's keys and the journal."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from inventory import keys, organisations
from inventory.api import opaque
from inventory.api import serializers as shapes
from inventory.api.requests import actor_of, body, find, instant_of, organisation_of
from inventory.api.resources import ReadOnlyResource, Resource, made
from inventory.models import ApiKey, Chip, JournalEntry, Organisation, Project


class Me(Resource):
    """The caller."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": None}
    for_projects = frozenset({"retrieve"})
    serializer_class = shapes.CallerOut

    @extend_schema(operation_id="get_caller", responses=shapes.CallerOut)
    def retrieve(self, request: Request) -> Response:
        """Who the key or the session stands for, and what it may do."""
        actor = actor_of(request)
        organisation = Organisation.objects.get(pk=organisation_of(request))
        project = Project.objects.filter(pk=actor.project_id).first() if actor.project_id else None
        return Response(
            {
                "kind": actor.kind,
                "id": actor.label,
                "role": actor.role,
                "organisation": organisation.public_id,
                "organisation_name": organisation.name,
                "project": project.public_id if project else None,
                "scopes": sorted(actor.scopes),
            }
        )


class Organisations(ReadOnlyResource):
    """Legal entities: the caller's own; for the operator, all."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": None,
        "retrieve": None,
        "create": "organisations:write",
        "verify": "organisations:write",
    }
    serializer_class = shapes.OrganisationOut

    def rows(self) -> QuerySet[Organisation]:
        return Organisation.objects.visible_to(actor_of(self.request))

    @extend_schema(request=shapes.OrganisationIn, responses={201: shapes.OrganisationOut})
    def create(self, request: Request) -> Response:
        """Registers an organisation; it may trade once verified. Operator only."""
        given = body(request, shapes.OrganisationIn)
        row = organisations.register(**given, at=instant_of(request), actor=actor_of(request))
        return self.render(row, status=201)

    @extend_schema(request=shapes.DecisionIn, responses=shapes.OrganisationOut)
    @action(detail=True, methods=["post"])
    def verify(self, request: Request, public_id: str) -> Response:
        """Decides on an organisation's papers. Operator only."""
        given = body(request, shapes.DecisionIn)
        row = organisations.decide(
            organisation_id=self.row().pk,
            verified=given["verified"],
            reason=given.get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)


class Projects(ReadOnlyResource):
    """Divisions of the caller's organisation, by which leases and keys are told apart."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": None,
        "retrieve": None,
        "create": "members:write",
    }
    for_projects = frozenset({"list", "retrieve"})
    serializer_class = shapes.ProjectOut

    def rows(self) -> QuerySet[Project]:
        rows = Project.objects.filter(organisation_id=organisation_of(self.request))
        project_id = actor_of(self.request).project_id
        return rows.filter(pk=project_id) if project_id else rows

    @extend_schema(request=shapes.ProjectIn, responses={201: shapes.ProjectOut})
    def create(self, request: Request) -> Response:
        """Makes a project."""
        row = organisations.create_project(
            organisation_id=organisation_of(request),
            name=body(request, shapes.ProjectIn)["name"],
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)


class ApiKeys(ReadOnlyResource):
    """Keys of the caller's organisation. A reply is never stored: it would keep the secret."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "keys:write",
        "retrieve": "keys:write",
        "create": "keys:write",
        "destroy": "keys:write",
    }
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.ApiKeyOut

    def rows(self) -> QuerySet[ApiKey]:
        return ApiKey.objects.visible_to(actor_of(self.request)).select_related("project")

    @extend_schema(request=shapes.ApiKeyIn, responses={201: shapes.ApiKeySecretOut})
    def create(self, request: Request) -> Response:
        """Makes a key with some of the caller's own scopes. The secret is shown once."""
        given = body(request, shapes.ApiKeyIn)
        actor, organisation_id = actor_of(request), organisation_of(request)
        project = given.pop("project", None)
        projects = Project.objects.filter(organisation_id=organisation_id)
        project_id = find(projects, project).pk if project else actor.project_id
        key, secret = keys.issue(
            organisation_id=organisation_id,
            project_id=project_id,
            created_by_id=request.user.pk,
            at=instant_of(request),
            actor=actor,
            **given,
        )
        key.secret = secret  # type: ignore[attr-defined]
        return made(request, shapes.ApiKeySecretOut(key).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Revokes a key: it opens nothing from now on."""
        keys.revoke(
            key_public_id=self.row().public_id, at=instant_of(request), actor=actor_of(request)
        )
        return Response(status=204)


class Chips(Resource):
    """The catalogue of accelerators, with its sources."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": None}
    for_projects = frozenset({"list"})
    serializer_class = shapes.ChipOut
    pagination_class = None

    def list(self, request: Request) -> Response:
        """Every chip that capacity is sold in. What a vendor does not publish is null."""
        return Response(shapes.ChipOut(Chip.objects.order_by("code"), many=True).data)


class Journal(Resource):
    """What happened to the caller's own rows: who, what, when, why."""

    required_scopes: ClassVar[dict[str, str | None]] = {"list": "journal:read"}
    serializer_class = shapes.JournalOut
    filter_shape = shapes.JournalQuery
    concealed = opaque.JOURNAL

    def rows(self) -> QuerySet[JournalEntry]:
        return JournalEntry.objects.visible_to(actor_of(self.request))

    def list(self, request: Request, **_: Any) -> Response:
        """State changes and recorded facts, newest first."""
        return self.page(self.rows())
