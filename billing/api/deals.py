"""Reservations and leases whole: what marketplace lets read, checkout moves."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from billing import checkout, direct, instructions
from billing.api import serializers as shapes
from billing.api.bank_shapes import InstructionsOut
from billing.api.instalments import InstalmentOut
from billing.models import Instalment
from inventory import credentials, renewals
from inventory.api.machines import RangeTooLarge
from inventory.api.requests import (
    actor_of,
    body,
    find,
    instant_of,
    nothing,
    organisation_of,
    query,
)
from inventory.api.resources import made
from inventory.api.serializers import PeriodQuery, ReasonIn
from inventory.errors import DomainError
from inventory.models import Credential, Project, UsageHour
from inventory.periods import Period
from marketplace import approvals, utilisation
from marketplace.api.serializers import (
    AccessOut,
    ApprovalOut,
    CredentialOut,
    RenewalOut,
    ReservationOut,
)
from marketplace.api.views import ReadOnlyLeases, ReadOnlyReservations
from marketplace.models import Lease, Reservation

HOURS_PER_REPLY = 31 * 24
HOLD = OpenApiExample(
    "Hold what was offered",
    request_only=True,
    value={"offer": "…the offer's token, verbatim…", "ssh_keys": ["ssh-ed25519 AAAA… me"]},
)


class CredentialsNotReady(DomainError):
    """The machines are not handed over yet, or are gone."""

    code = "credentials_not_ready"
    title = "There are no credentials now"


def project_of(request: Request, given: dict[str, Any]) -> int | None:
    """The project a deal is for: the key's own, or one of the caller's that the body names."""
    project_id = actor_of(request).project_id
    if "project" not in given:
        return project_id
    projects = Project.objects.filter(organisation_id=organisation_of(request))
    if project_id is not None:
        projects = projects.filter(pk=project_id)
    return find(projects, given["project"]).pk


class Reservations(ReadOnlyReservations):
    """Deals: held, then confirmed into leases or given back."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        **ReadOnlyReservations.required_scopes,
        "create": "reservations:write",
        "confirm": "reservations:write",
        "received": "reservations:write",
        "cancel": "reservations:write",
        "cancellation_quote": "reservations:read",
        "approve": "reservations:write",
        "reject": "reservations:write",
        "approvals": "reservations:read",
        "transfer": "reservations:read",
    }
    idempotent = frozenset({"create", "confirm", "received", "cancel", "approve", "reject"})
    # A project is its tenant's; what a provider decides is for the whole of it.
    for_projects = frozenset(required_scopes) - {"received", "approve", "reject", "approvals"}

    @extend_schema(request=shapes.HoldIn, responses={201: ReservationOut}, examples=[HOLD])
    def create(self, request: Request) -> Response:
        """Holds what an offer promised until `expires_at`, for a small deposit."""
        given = body(request, shapes.HoldIn)
        row = checkout.hold(
            offer_token=given["offer"],
            project_id=project_of(request, given),
            ssh_keys=given.get("ssh_keys", ()),
            pay_by=given.get("pay_by", Reservation.PayBy.WALLET),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row, status=201)

    @extend_schema(request=None, responses={201: shapes.LeaseOut})
    @action(detail=True, methods=["post"])
    def confirm(self, request: Request, public_id: str) -> Response:
        """Pays what is due from the wallet; the deal is a lease from now on."""
        nothing(request)
        lease = checkout.confirm(
            reservation_public_id=public_id, at=instant_of(request), actor=actor_of(request)
        )
        return made(request, shapes.LeaseOut(lease).data, at=reverse("lease-list"))

    @extend_schema(request=shapes.ReceivedIn, responses={201: shapes.LeaseOut})
    @action(detail=True, methods=["post"])
    def received(self, request: Request, public_id: str) -> Response:
        """The provider says that it has the price of a deal sold directly; it is a lease now."""
        lease = direct.confirm_received(
            reservation_public_id=self.asked_of_me().public_id,
            **body(request, shapes.ReceivedIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return made(request, shapes.LeaseOut(lease).data, at=reverse("lease-list"))

    @extend_schema(request=ReasonIn, responses=ReservationOut)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, public_id: str) -> Response:
        """Gives the deal back: free while held, by its terms while its lease waits to start."""
        row = checkout.cancel(
            reservation_public_id=public_id,
            reason=body(request, ReasonIn).get("reason", ""),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(row)

    @extend_schema(responses=shapes.CancelQuoteOut, extensions={"x-also-refuses": ["409"]})
    @action(detail=True, methods=["get"], url_path="cancellation-quote", pagination_class=None)
    def cancellation_quote(self, request: Request, public_id: str) -> Response:
        """What giving the deal back now would return. Changes nothing."""
        quote = checkout.quote_cancel(
            reservation_public_id=self.row().public_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(shapes.CancelQuoteOut(quote).data)

    @extend_schema(responses=InstructionsOut, operation_id="get_reservation_transfer")
    @action(detail=True, methods=["get"], pagination_class=None)
    def transfer(self, request: Request, public_id: str) -> Response:
        """How to pay the deal by bank: how much, where to, by when, and its reference."""
        rows = self.rows().filter(tenant_id=organisation_of(request)).select_related("tenant")
        found = instructions.for_deal(find(rows, public_id))
        return Response(InstructionsOut(found).data)

    def asked_of_me(self) -> Reservation:
        """The reservation, for its provider: what it decides is nobody else's."""
        rows = self.rows().filter(provider_id=organisation_of(self.request))
        return find(rows, self.kwargs["public_id"])

    @extend_schema(request=shapes.ApproveIn, responses=ReservationOut)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, public_id: str) -> Response:
        """One more member of the provider agrees; with the last one needed the tenant may
        confirm."""
        approvals.approve(
            reservation_public_id=self.asked_of_me().public_id,
            **body(request, shapes.ApproveIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(request=shapes.RejectIn, responses=ReservationOut)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, public_id: str) -> Response:
        """The provider declines: the hold is cancelled and the deposit given back."""
        checkout.reject(
            reservation_public_id=self.asked_of_me().public_id,
            **body(request, shapes.RejectIn),
            at=instant_of(request),
            actor=actor_of(request),
        )
        return self.render(self.row())

    @extend_schema(responses=ApprovalOut(many=True), operation_id="list_reservation_approvals")
    @action(
        detail=True, methods=["get"], url_path="approvals", url_name="approvals",
        pagination_class=None,
    )  # fmt: skip
    def approvals(self, request: Request, public_id: str) -> Response:
        """Who of the provider has agreed, and by which document. For the provider."""
        rows = self.asked_of_me().approvals.select_related("member").order_by("pk")
        return Response(ApprovalOut(rows, many=True).data)


class Leases(ReadOnlyLeases):
    """Confirmed contracts, the access to their machines and what was delivered."""

    required_scopes: ClassVar[dict[str, str | None]] = {
        **ReadOnlyLeases.required_scopes,
        "credentials": "leases:read",
        "reveal": "credentials:reveal",
        "renew": "credentials:reveal",
        "usage": "usage:read",
        "instalments": "leases:read",
        "utilisation": "usage:read",
    }
    for_projects = frozenset(required_scopes)
    serializer_class = shapes.LeaseOut

    def rows(self) -> QuerySet[Lease]:
        return super().rows().select_related("tally")

    def own(self) -> Lease:
        """The lease, for its tenant: access to the machines is nobody else's."""
        return find(
            self.rows().filter(tenant_id=organisation_of(self.request)), self.kwargs["public_id"]
        )

    @extend_schema(responses=CredentialOut(many=True), operation_id="list_lease_credentials")
    @action(detail=True, methods=["get"], pagination_class=None)
    def credentials(self, request: Request, public_id: str) -> Response:
        """What there is to get in with, without the secrets. For the tenant."""
        rows = Credential.objects.filter(
            allocation_id=self.own().allocation_id, revoked_at=None
        ).order_by("id")
        return Response(CredentialOut(rows, many=True).data)

    @extend_schema(request=None, responses=AccessOut, operation_id="reveal_lease_credentials")
    @action(detail=True, methods=["post"], url_path="credentials/reveal", pagination_class=None)
    def reveal(self, request: Request, public_id: str) -> Response:
        """The way into every machine, secrets included. For the tenant; each look is journalled."""
        nothing(request)
        lease = self.own()
        if not Credential.objects.filter(
            allocation_id=lease.allocation_id, revoked_at=None
        ).exists():
            raise CredentialsNotReady(state=lease.state)
        secret = credentials.reveal(
            allocation_id=lease.allocation_id, at=instant_of(request), actor=actor_of(request)
        )
        return Response(AccessOut(secret).data)

    @extend_schema(request=None, responses=RenewalOut, operation_id="renew_lease_credentials")
    @action(detail=True, methods=["post"], url_path="credentials/renew", pagination_class=None)
    def renew(self, request: Request, public_id: str) -> Response:
        """Asks for another way into every machine; the old one closes as it is made.

        For the tenant, while it uses the lease. The new one is read as the first was.
        """
        nothing(request)
        count = renewals.ask(
            allocation_id=self.own().allocation_id,
            at=instant_of(request),
            actor=actor_of(request),
        )
        return Response(RenewalOut({"machine_count": count}).data)

    @extend_schema(responses=InstalmentOut(many=True), operation_id="list_lease_instalments")
    @action(detail=True, methods=["get"], pagination_class=None)
    def instalments(self, request: Request, public_id: str) -> Response:
        """What the lease pays and when, in order of time; those a change took back among them."""
        rows = Instalment.objects.filter(lease=self.row()).select_related("lease")
        return Response(InstalmentOut(rows.order_by("due_at", "pk"), many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("to", OpenApiTypes.DATETIME, required=True),
        ],
        responses=shapes.UsageHourOut(many=True),
        operation_id="list_lease_usage",
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def usage(self, request: Request, public_id: str) -> Response:
        """Delivered card-seconds by hour, at most 31 days of them. The billing base."""
        given = query(request, PeriodQuery)
        period = Period(given["from"], given["to"])
        if period.hours > HOURS_PER_REPLY:
            raise RangeTooLarge()
        rows = UsageHour.objects.filter(
            allocation_id=self.row().allocation_id, hour__gte=period.start, hour__lt=period.end
        ).order_by("hour", "revision")
        return Response(shapes.UsageHourOut(rows, many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("from", OpenApiTypes.DATETIME, required=True),
            OpenApiParameter("to", OpenApiTypes.DATETIME, required=True),
        ],
        responses=shapes.UtilisationOut,
        operation_id="read_lease_utilisation",
    )
    @action(detail=True, methods=["get"], pagination_class=None)
    def utilisation(self, request: Request, public_id: str) -> Response:
        """What telemetry saw of the lease's cards, by hour and in total, at most 31 days.

        Hours of which nothing was seen are left out: they are not known, not idle.
        """
        given = query(request, PeriodQuery)
        period = Period(given["from"], given["to"])
        if period.hours > HOURS_PER_REPLY:
            raise RangeTooLarge()
        hours = utilisation.leases.of_allocation(self.row().allocation_id, period)
        data = {"total": utilisation.leases.total(hours), "hours": hours}
        return Response(shapes.UtilisationOut(data).data)
