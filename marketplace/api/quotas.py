"""Caps on what may be committed, and what a hold costs the caller now."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from inventory.api.fields import Choice, Instant, Integer, PublicId, StrictSerializer, Text
from inventory.api.requests import actor_of, body, find, instant_of, organisation_of
from inventory.api.resources import Resource, made
from inventory.models import ApiKey, Organisation, Project
from marketplace import policy, quotas
from marketplace.api.serializers import CURRENCIES, Shape
from marketplace.models import Quota, Reservation
from marketplace.quotas import Limit, QuotaUse

MOST_MINOR = 10**17
MOST_CARD_HOURS = 10**12


class QuotaOut(Shape):
    id = PublicId("quo", source="quota.public_id")
    organisation = PublicId("org", source="quota.organisation.public_id")
    project = PublicId("prj", source="quota.project.public_id", allow_null=True, default=None)
    key = PublicId("key", source="quota.api_key.public_id", allow_null=True, default=None)
    authority = serializers.ChoiceField(
        Quota.Authority.choices, source="quota.authority", help_text="Which side set it."
    )
    measure = serializers.ChoiceField(Quota.Measure.choices, source="quota.measure")
    window = serializers.ChoiceField(Quota.Window.choices, source="quota.window")
    currency = serializers.CharField(source="quota.currency", help_text="Of spend; else empty.")
    limit_minor = serializers.IntegerField(source="quota.limit_minor", allow_null=True)
    used_minor = serializers.IntegerField(
        help_text="Whole prices of deals held and made in the window, less what was given back."
    )
    limit_card_hours = serializers.IntegerField(source="quota.limit_card_hours", allow_null=True)
    used_card_seconds = serializers.IntegerField(help_text="Of the same deals.")
    created_at = Instant(source="quota.created_at")
    set_at = Instant(source="quota.set_at", help_text="When its limit was last set.")


class QuotaQuery(StrictSerializer):
    organisation = PublicId("org", source="organisation__public_id", required=False)
    project = PublicId("prj", source="project__public_id", required=False)
    key = PublicId("key", source="api_key__public_id", required=False)


class QuotaIn(StrictSerializer):
    organisation = PublicId("org", required=False, help_text="The caller's own, but for operators.")
    project = PublicId("prj", required=False)
    key = PublicId("key", required=False, help_text="Binds the keys it makes as well.")
    measure = Choice(Quota.Measure.choices)
    window = Choice(Quota.Window.choices)
    currency = Choice(CURRENCIES, required=False, help_text="Of spend.")
    limit_minor = Integer(min_value=0, max_value=MOST_MINOR, required=False)
    limit_card_hours = Integer(min_value=0, max_value=MOST_CARD_HOURS, required=False)
    reason = Text(max_length=200, required=False)


class Quotas(Resource):
    """Caps on spend and card-hours of an organisation, its projects and its keys."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        "list": "reservations:read",
        "retrieve": "reservations:read",
        "create": "quotas:write",
        "destroy": "quotas:write",
    }
    idempotent = frozenset({"create"})
    for_projects = frozenset({"list", "retrieve"})
    serializer_class = QuotaOut
    filter_shape = QuotaQuery

    def rows(self) -> QuerySet[Quota]:
        rows = Quota.objects.visible_to(actor_of(self.request))
        return rows.select_related("organisation", "project", "api_key")

    @extend_schema(responses=QuotaOut(many=True))
    def list(self, request: Request, **_: Any) -> Response:
        """Newest first, each with what is used of it now."""
        assert self.paginator is not None
        chosen = self.paginator.paginate_queryset(self.rows(), request, view=self) or []
        used = quotas.used(chosen, at=instant_of(request))
        return self.paginator.get_paginated_response(QuotaOut(used, many=True).data)

    @extend_schema(responses=QuotaOut)
    def retrieve(self, request: Request, **_: Any) -> Response:
        return Response(QuotaOut(self._used(self.row())).data)

    @extend_schema(request=QuotaIn, responses={201: QuotaOut})
    def create(self, request: Request) -> Response:
        """Sets a cap, or gives the one that is there a new limit. It binds the next hold."""
        given = body(request, QuotaIn)
        actor = actor_of(request)
        organisation_id = organisation_of(request)
        if "organisation" in given:
            visible = Organisation.objects.visible_to(actor)
            organisation_id = find(visible, given["organisation"]).pk
        projects = Project.objects.filter(organisation_id=organisation_id)
        keys = ApiKey.objects.filter(organisation_id=organisation_id)
        row = quotas.put(
            organisation_id=organisation_id,
            project_id=find(projects, given["project"]).pk if "project" in given else None,
            api_key_id=find(keys, given["key"]).pk if "key" in given else None,
            limit=Limit(
                measure=given["measure"],
                window=given["window"],
                currency=given.get("currency", ""),
                limit_minor=given.get("limit_minor"),
                limit_card_hours=given.get("limit_card_hours"),
            ),
            reason=given.get("reason", ""),
            at=instant_of(request),
            actor=actor,
        )
        row = find(self.rows(), row.public_id)
        return made(request, QuotaOut(self._used(row)).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, public_id: str) -> Response:
        """Lifts a cap."""
        quotas.remove(
            quota_public_id=self.row().public_id, at=instant_of(request), actor=actor_of(request)
        )
        return Response(status=204)

    def _used(self, row: Quota) -> QuotaUse:
        return quotas.used([row], at=instant_of(self.request))[0]


class HoldCostOut(Shape):
    pay_by = serializers.ChoiceField(Reservation.PayBy.choices)
    expires_at = Instant(help_text="Of a hold made now whose lease starts late enough.")
    base_bps = serializers.IntegerField(help_text="Of the whole price, with no lapse behind it.")
    factor = serializers.IntegerField(help_text="2^(k-1), with k-1 lapsed holds in 30 days.")
    deposit_bps = serializers.IntegerField(source="bps", help_text="Kept aside while held.")


class HoldTermsOut(Shape):
    lapsed_count = serializers.IntegerField(
        help_text="Holds that lapsed, or were given back late, in the last 30 days."
    )
    held_card_hours = serializers.IntegerField(help_text="Held now; alternatives count once.")
    held_limit_card_hours = serializers.IntegerField()
    deposit_most_bps = serializers.IntegerField(help_text="However many lapsed.")
    costs = HoldCostOut(many=True, help_text="By how the deal is to be paid.")


class HoldTerms(Resource):
    """What holding costs the caller's organisation now, and why."""

    required_scopes: ClassVar[dict[str, str | None]] = {"retrieve": "offers:read"}
    for_projects = frozenset({"retrieve"})
    serializer_class = HoldTermsOut
    pagination_class = None

    @extend_schema(operation_id="get_hold_terms", responses=HoldTermsOut)
    def retrieve(self, request: Request, **_: Any) -> Response:
        """How long a hold made now would last and which share is kept aside. Changes nothing."""
        at = instant_of(request)
        standing = policy.standing(tenant_id=organisation_of(request), at=at)
        ways = policy.ways_to_hold(lapsed_count=standing.lapsed_count, at=at)
        terms = {
            "lapsed_count": standing.lapsed_count,
            "held_card_hours": policy.held_card_seconds(standing) // 3600,
            "held_limit_card_hours": standing.held_limit_card_hours,
            "deposit_most_bps": settings.HOLD_DEPOSIT_MOST_BPS,
            "costs": [way for way in ways if way is not None],
        }
        return Response(HoldTermsOut(terms).data)
