"""Deliveries that went wrong, and what a provider does about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy

from inventory import provisioning
from inventory.models import Allocation, Instance
from marketplace.web.entry import ConsoleRequest, confirmation, done, find, page
from marketplace.web.forms import ConsoleForm, reason_field

State = Instance.State
_REMEMBERED = timedelta(days=7)
_PATIENCE = timedelta(minutes=10)  # a delivery that is this late is worth a look

# Why a delivery was given up, by `Allocation.failure_code`.
FAILURES = {
    "provision_failed": gettext_lazy("machines failed, and no other node could take over in time"),
    "no_node_available": gettext_lazy("too few nodes were free, healthy and clean"),
    "acceptance_failed": gettext_lazy("no test of it passed in time"),
    "deadline_exceeded": gettext_lazy("the machines were not ready in time"),
}


class RemedyForm(ConsoleForm):
    """Why it is done."""

    reason = reason_field()


def machines(rows: QuerySet[Instance]) -> QuerySet[Instance]:
    """Those that failed, or that their engine could not be asked about."""
    failed = Q(state__in=[State.PROVISION_FAILED, State.RELEASE_FAILED])
    retried = Q(state__in=[State.PLANNED, State.PROVISIONING, State.RELEASING], attempt_count__gt=0)
    return (
        rows.filter(failed | retried)
        .select_related("binding__node__pool", "allocation__lease")
        .order_by("pk")
    )


def late(allocations: QuerySet[Allocation], at: datetime) -> QuerySet[Allocation]:
    """Sold, due a while ago, and not usable yet."""
    due = Q(state__in=[Allocation.State.SCHEDULED, Allocation.State.DELIVERING])
    return (
        allocations.filter(due, kind=Allocation.Kind.SALE, period__startswith__lte=at - _PATIENCE)
        .select_related("lease")
        .order_by("period", "pk")
    )


def given_up(allocations: QuerySet[Allocation], at: datetime) -> list[tuple[Allocation, object]]:
    """Deliveries that failed within a week, with the reason."""
    rows = allocations.filter(failed_at__gt=at - _REMEMBERED).select_related("lease")
    return [
        (row, FAILURES.get(row.failure_code, row.failure_code))
        for row in rows.order_by("-failed_at", "-pk")[:50]
    ]


@dataclass(frozen=True, slots=True)
class _Remedy:
    verb: Callable[..., Any]
    title: Any
    line: Any
    done: Any


_REMEDIES = {
    "retry": _Remedy(
        provisioning.retry_release,
        gettext_lazy("Try the release again"),
        gettext_lazy("The machine on %(serial)s is wiped once more; the node stays out meanwhile."),
        gettext_lazy("The release is tried again."),
    ),
    "clean": _Remedy(
        provisioning.mark_clean,
        gettext_lazy("Confirm that it is wiped"),
        gettext_lazy(
            "You confirm that a person has wiped the machine on %(serial)s by hand: nothing of its"
            " tenant is left on it. Say how in the reason."
        ),
        gettext_lazy("Noted as wiped by hand. Bring the node back when it is fit to serve."),
    ),
    "replace": _Remedy(
        provisioning.replace,
        gettext_lazy("Replace the machine"),
        gettext_lazy(
            "The machine on %(serial)s is taken down, its node is out of use, and another takes"
            " its place as soon as one is free. Until then that time is not billed."
        ),
        gettext_lazy("The machine is being replaced."),
    ),
}


@page(scope="inventory:write", party="provider", changes=True)
def remedy(request: ConsoleRequest, instance_id: str, verb: str) -> HttpResponse:
    """Asks once more, then does it; the reason goes into the journal."""
    visit = request.visit
    if verb not in _REMEDIES:
        raise Http404
    chosen = _REMEDIES[verb]
    rows = Instance.objects.visible_to(visit.actor)
    row = find(rows.select_related("binding__node__pool"), instance_id)
    node = row.binding.node
    form = RemedyForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if done(
            form,
            lambda: chosen.verb(
                instance_id=row.pk,
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        ):
            messages.success(request, str(chosen.done))
            return redirect("node", node.pool.public_id, node.public_id)
    return confirmation(
        request,
        form,
        title=str(chosen.title),
        lines=[str(chosen.line) % {"serial": node.serial}],
        submit=str(chosen.title),
        back=reverse("node", args=[node.pool.public_id, node.public_id]),
        about=f"{node.pool.name} · {node.serial}",
    )
