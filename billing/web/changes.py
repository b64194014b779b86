"""A lease changed from the console: by a quote of its terms, or as both sides agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import amending, quotes
from billing.amending import Proposal
from billing.models import Quote
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from marketplace import amendments, extensions, trials
from marketplace.amendments import Side
from marketplace.models import Amendment, Lease, PriceVersion, Reservation
from marketplace.repricings import NewPrice
from marketplace.web import deals, figures
from marketplace.web.entry import ConsoleRequest, Visit, attempt, find, page, render
from marketplace.web.forms import ConsoleForm, ZonedDateTimeField, count_field, reason_field
from marketplace.web.money_fields import PriceField

Kind = Quote.Kind
TITLES = {
    Kind.EXTEND: gettext_lazy("Extend the lease"),
    Kind.LEAVE: gettext_lazy("Leave early"),
    Kind.WITHDRAW: gettext_lazy("Withdraw the lease"),
}


@dataclass(frozen=True, slots=True)
class Possible:
    """A change that the visitor could ask for now."""

    label: str
    url: str


class EndForm(ConsoleForm):
    """When the lease ends instead, on the centre's clock, and why."""

    end = ZonedDateTimeField(label=gettext_lazy("New end"))
    reason = reason_field(required=False)

    def __init__(self, *args: Any, zone: str, needs_reason: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["end"]
        assert isinstance(field, ZonedDateTimeField)
        field.zone = zone
        self.fields["reason"].required = needs_reason


class ProposalForm(ConsoleForm):
    """Another end, more units, or another price: one of the three."""

    end = ZonedDateTimeField(
        label=gettext_lazy("New end"),
        required=False,
        help_text=gettext_lazy("Later or earlier; leave it empty to propose something else."),
    )
    refund_percent = forms.IntegerField(
        label=gettext_lazy("Share of the rest that comes back, in percent"),
        min_value=0,
        max_value=100,
        initial=100,
        help_text=gettext_lazy("With an earlier end: of what was paid for the time taken away."),
    )
    added_units = count_field(label=gettext_lazy("Units added"), required=False)
    added_from = ZonedDateTimeField(label=gettext_lazy("Added from"), required=False)
    amount = PriceField(
        label=gettext_lazy("Another price"),
        required=False,
        help_text=gettext_lazy("In the lease's currency; tax and payment stay as agreed."),
    )
    basis = forms.ChoiceField(
        label=gettext_lazy("Priced by"), choices=PriceVersion.Basis.choices, required=False
    )
    price_from = ZonedDateTimeField(
        label=gettext_lazy("At that price from"),
        required=False,
        help_text=gettext_lazy("A full hour to come; a later price agreed before stays."),
    )
    reason = reason_field()

    def __init__(self, *args: Any, lease: Lease, **kwargs: Any) -> None:
        super().__init__(*args, initial={"basis": lease.price.basis}, **kwargs)
        self.basis_now, zone = lease.price.basis, _zone(lease)
        for field in self.fields.values():
            if isinstance(field, ZonedDateTimeField):
                field.zone = zone

    def proposal(self) -> Proposal:
        data = self.cleaned_data
        return Proposal(
            end=data["end"],
            refund_bps=data["refund_percent"] * 100,
            added_units=data["added_units"],
            added_from=data["added_from"],
            price=(
                NewPrice(data["basis"] or self.basis_now, data["amount"])
                if data["amount"]
                else None
            ),
            price_from=data["price_from"],
        )


def possible(lease: Lease, visit: Visit) -> list[Possible]:
    """The changes whose pages the visitor's side may open while the lease runs."""
    if not visit.actor.may("leases:write") or not lease.is_running:
        return []
    if visit.at >= lease.period.upper:
        return []
    started = lease.state != Lease.State.SCHEDULED or visit.at >= lease.period.lower
    first: list[Possible] = []
    if visit.organisation.pk == lease.tenant_id:
        if trials.may_go_on(lease) and visit.actor.may("reservations:write"):
            url = reverse("lease_convert", args=[lease.public_id])
            first = [Possible(_("Go on as a lease"), url)]
        extends = lease.kind != Reservation.Kind.TRIAL  # a trial is converted
        kinds = [*([Kind.EXTEND] if extends else []), *([Kind.LEAVE] if started else [])]
    elif visit.organisation.pk == lease.provider_id:
        kinds = [Kind.WITHDRAW]
    else:
        return []
    found = [
        Possible(str(TITLES[kind]), reverse("lease_change", args=[lease.public_id, kind.value]))
        for kind in kinds
    ]
    proposal = reverse("lease_propose", args=[lease.public_id])
    return [*first, *found, Possible(_("Propose a change"), proposal)]


@page(scope="leases:write", party="trader", changes=True)
def ask(request: ConsoleRequest, lease_id: str, kind: str) -> HttpResponse:
    """Asks for a quote; the answer is the quote's page."""
    visit = request.visit
    lease = _lease(request, lease_id)
    if kind not in (Kind.EXTEND, Kind.LEAVE, Kind.WITHDRAW):
        raise Http404
    wanted = Kind(kind)
    if amendments.side_of(lease, visit.actor) != quotes.SIDES[wanted]:
        raise Http404
    form = EndForm(
        request.POST if request.method == "POST" else None,
        zone=_zone(lease),
        needs_reason=wanted == Kind.WITHDRAW,
        initial={"end": lease.period.upper},
    )
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: quotes.ask(
                lease_public_id=lease.public_id,
                kind=wanted,
                end=form.cleaned_data["end"],
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            return redirect("quote", made.public_id)
    context = {
        **_about(lease),
        "title": TITLES[wanted],
        "lines": _lines(lease, wanted, visit.at),
        "steps": _steps(lease, wanted),
        "steps_of_notice": wanted == Kind.WITHDRAW,
    }
    return render(request, "console/lease_change.html", context, form=form)


@page(scope="leases:write", party="trader", changes=True)
def quote(request: ConsoleRequest, quote_id: str) -> HttpResponse:
    """The figures, and the button that does exactly them."""
    visit = request.visit
    rows = Quote.objects.filter(asked_by=visit.organisation)
    row = find(rows.select_related("amendment_before"), quote_id)
    lease = _lease(request, row.lease.public_id)
    form = ConsoleForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        done = attempt(
            form,
            lambda: quotes.accept(quote_public_id=row.public_id, at=visit.at, actor=visit.actor),
        )
        if done is not None:
            messages.success(request, _("The lease is changed."))
            return redirect("lease", lease.public_id)
    context = {
        **_about(lease),
        "row": row,
        "is_over": visit.at >= row.expires_at,
        "before_end": lease.period.upper,
        "before_gross_minor": lease.gross_minor,
    }
    return render(request, "console/quote.html", context, form=form)


@page(scope="leases:write", party="trader", changes=True)
def propose(request: ConsoleRequest, lease_id: str) -> HttpResponse:
    """A change to be agreed upon: the other side finds it at the lease."""
    visit = request.visit
    lease = _lease(request, lease_id)
    amendments.side_of(lease, visit.actor)
    form = ProposalForm(request.POST if request.method == "POST" else None, lease=lease)
    if request.method == "POST" and form.is_valid():
        made = attempt(
            form,
            lambda: amending.propose(
                lease_public_id=lease.public_id,
                proposal=form.proposal(),
                reason=form.cleaned_data["reason"],
                at=visit.at,
                actor=visit.actor,
            ),
        )
        if made is not None:
            messages.success(request, _("Proposed. The lease changes when the other side signs."))
            return redirect("amendment", made.public_id)
    context = {
        **_about(lease),
        "title": _("Propose a change"),
        "lines": [
            _("Both sides sign a change that the terms do not foresee. Until then nothing changes.")
        ],
    }
    return render(request, "console/lease_change.html", context, form=form)


@page(scope="leases:read")
def amendment(request: ConsoleRequest, amendment_id: str) -> HttpResponse:
    return _amendment(request, amendment_id, None)


@page(scope="leases:write", party="trader", changes=True, posts_only=True)
def sign(request: ConsoleRequest, amendment_id: str) -> HttpResponse:
    return _answer(
        request,
        amendment_id,
        lambda row: amending.sign(
            amendment_public_id=row.public_id, at=request.visit.at, actor=request.visit.actor
        ),
        _("Signed: the lease is changed."),
    )


@page(scope="leases:write", party="trader", changes=True, posts_only=True)
def decline(request: ConsoleRequest, amendment_id: str) -> HttpResponse:
    return _answer(
        request,
        amendment_id,
        lambda row: amendments.decline(
            amendment_public_id=row.public_id,
            reason="",
            at=request.visit.at,
            actor=request.visit.actor,
        ),
        _("Declined: the lease stays as it is."),
    )


@page(scope="leases:write", party="trader", changes=True, posts_only=True)
def withdraw(request: ConsoleRequest, amendment_id: str) -> HttpResponse:
    return _answer(
        request,
        amendment_id,
        lambda row: amendments.withdraw(
            amendment_public_id=row.public_id,
            reason="",
            at=request.visit.at,
            actor=request.visit.actor,
        ),
        _("Taken back: the lease stays as it is."),
    )


def _answer(
    request: ConsoleRequest,
    amendment_id: str,
    act: Callable[[Amendment], Amendment],
    said: str,
) -> HttpResponse:
    row = find(Amendment.objects.visible_to(request.visit.actor), amendment_id)
    form = ConsoleForm(request.POST)
    if form.is_valid() and attempt(form, lambda: act(row)) is not None:
        messages.success(request, said)
        return redirect("amendment", row.public_id)
    return _amendment(request, amendment_id, form)


def _amendment(
    request: ConsoleRequest, amendment_id: str, form: ConsoleForm | None
) -> HttpResponse:
    visit = request.visit
    rows = Amendment.objects.visible_to(visit.actor).select_related("child", "replaces__price")
    row = find(rows, amendment_id)
    lease = _lease(request, row.lease.public_id)
    own = Side.TENANT if visit.organisation.pk == lease.tenant_id else Side.PROVIDER
    context = {
        **_about(lease),
        "row": row,
        "before_end": row.before_period.upper,
        "before_gross_minor": row.before_gross_minor,
        "is_open": row.state == Amendment.State.PROPOSED and visit.at < row.expires_at,
        "is_mine": own == row.proposed_by,
        "may_change": visit.actor.may("leases:write") and not visit.organisation.is_operator,
    }
    return render(request, "console/amendment.html", context, form=form)


def _lease(request: ConsoleRequest, lease_id: str) -> Lease:
    rows = deals.leases_of(request).select_related("price", "terms", "tenant", "provider")
    return find(rows, lease_id)


def _about(lease: Lease) -> dict[str, Any]:
    return {"lease": lease, "pool": lease.allocation.pool, "zone": _zone(lease)}


def _zone(lease: Lease) -> str:
    return str(lease.allocation.pool.fabric.centre.timezone)


def _lines(lease: Lease, kind: Kind, at: datetime) -> list[str]:
    zone = _zone(lease)
    end = {"end": figures.instant(lease.period.upper, zone)}
    if kind == Kind.EXTEND:
        longest = Period.of(lease.period).start + extensions.longest(lease)
        try:
            found = extensions.reach(lease=lease, end=longest, at=at, by_terms=True)
        except IllegalTransition:
            latest = lease.period.upper
        else:
            latest = min(found.latest_end, longest)
        if latest <= lease.period.upper:
            return [_("It ends %(end)s, and cannot be extended as things stand.") % end]
        return [
            _("It ends %(end)s. As things stand it could last until %(latest)s, at its own price.")
            % {**end, "latest": figures.instant(latest, zone)}
        ]
    if kind == Kind.LEAVE:
        return [
            _(
                "It ends %(end)s. Hours until the new end are charged by use; of what was paid for"
                " the rest a share comes back, as agreed with the lease:"
            )
            % end
        ]
    return [
        _(
            "It ends %(end)s. The tenant gets back all that was paid for the rest, and from you a"
            " compensation of its price, as agreed with the lease:"
        )
        % end
    ]


def _steps(lease: Lease, kind: Kind) -> list[list[int]]:
    steps = {Kind.LEAVE: lease.terms.leaving, Kind.WITHDRAW: lease.terms.withdrawal}
    found: list[list[int]] = steps.get(kind, [])
    return found
