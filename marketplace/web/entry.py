"""How a console page is reached: who asks, for which organisation, and when."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar, cast

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import render as render_template
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.http import urlencode

from inventory import identifiers, journal, organisations
from inventory.actors import Actor
from inventory.errors import DomainError, NotFound
from inventory.models import Membership, Organisation, User
from marketplace.http import authentication
from marketplace.http.authentication import SESSION_ORGANISATION
from marketplace.web import refusals, returns

Party = Literal["provider", "tenant", "operator", "trader", "any"]

P = ParamSpec("P")
M = TypeVar("M", bound=Model)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Visit:
    """A signed-in person acting for one organisation at one instant."""

    user: User
    actor: Actor
    organisation: Organisation
    memberships: tuple[Membership, ...]
    at: datetime

    def is_party(self, party: Party) -> bool:
        own = self.organisation
        return {
            "provider": own.is_provider,
            "tenant": own.is_tenant,
            "operator": own.is_operator,
            "trader": own.is_provider or own.is_tenant,
            "any": True,
        }[party]


class ConsoleRequest(HttpRequest):
    """A request of a signed-in person; `page` puts the visit on it."""

    visit: Visit


View = Callable[Concatenate[ConsoleRequest, P], HttpResponseBase]


class Changing:
    """What the entry middleware reads from a view: POSTs run in a transaction, once per key."""

    idempotent = True


def page(
    *, scope: str = "", party: Party = "any", changes: bool = False, posts_only: bool = False
) -> Callable[[View[P]], Callable[..., HttpResponseBase]]:
    """Serves the view to members of such an organisation who have the scope.

    Others are asked to sign in, told that there is no such page (wrong kind of
    organisation) or that they may not use it (wrong role). A page that `changes` something
    names an idempotency key in each of its forms. With `posts_only` there is nothing to look
    at under the address: it takes forms, and nobody is sent back to it.
    """

    def decorate(view: View[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def serve(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return returns.to_sign_in(request)
            visit = visit_of(request)
            if visit is None:
                return render_template(request, "console/no_membership.html", status=403)
            console_request = cast(ConsoleRequest, request)
            console_request.visit = visit
            if not visit.is_party(party):
                raise Http404
            if scope and not visit.actor.may(scope):
                raise PermissionDenied
            if posts_only and request.method != "POST":
                return _posts_only(console_request)
            if visit.actor.role == Membership.Role.AUDITOR:
                _journal_reading(console_request)
            return view(console_request, *args, **kwargs)

        # Read by the tests that visit every route as every role.
        serve.console_scope = scope  # type: ignore[attr-defined]
        serve.console_party = party  # type: ignore[attr-defined]
        serve.posts_only = posts_only  # type: ignore[attr-defined]
        if changes:
            serve.view_class = Changing  # type: ignore[attr-defined]
        return serve

    return decorate


def _journal_reading(request: ConsoleRequest) -> None:
    """Who may read everything of everyone leaves a trace of what was read, as over the API."""
    journal.record(
        event="auditor.read",
        object_id=request.visit.actor.label,
        actor=request.visit.actor,
        at=request.visit.at,
        data={"path": request.get_full_path()[:500]},
    )


def _posts_only(request: ConsoleRequest) -> HttpResponse:
    """To somebody who typed the address, or reloaded what a form had answered."""
    response = render_template(request, "405.html", status=405)
    response["Allow"] = "POST"
    return response


def visit_of(request: HttpRequest) -> Visit | None:
    """Whom the signed-in person acts for: the organisation chosen, else the first by name."""
    user, at = cast(User, request.user), authentication.instant(request)
    memberships = organisations.memberships_of(user=user, at=at)
    if not memberships or not user.is_active:
        return None
    chosen = request.session.get(SESSION_ORGANISATION)
    membership = next((m for m in memberships if m.organisation.public_id == chosen), None)
    if membership is None:  # nothing chosen yet, or a membership that has ended
        membership = memberships[0]
        request.session[SESSION_ORGANISATION] = membership.organisation.public_id
    return Visit(
        user=user,
        actor=organisations.actor_of_membership(user=user, membership=membership),
        organisation=membership.organisation,
        memberships=tuple(memberships),
        at=at,
    )


def need(request: ConsoleRequest, scope: str) -> None:
    """Raises PermissionDenied unless the visitor has the scope; for pages that read and write."""
    if not request.visit.actor.may(scope):
        raise PermissionDenied


def find(rows: QuerySet[M], public_id: str) -> M:
    """The row of that public id among those visible; no such row and no such id are the same."""
    try:
        return identifiers.find(rows, public_id)
    except NotFound as error:
        raise Http404 from error


def attempt(
    form: Form,
    act: Callable[[], T],
    *,
    instead: Mapping[str, object] | None = None,
    refused: Callable[[DomainError], object] | None = None,
) -> T | None:
    """What the verb returned, or None: then nothing happened and the form says why.

    `instead` has the page's own words for some codes of refusals; `refused` is told of one
    whose particulars the page shows.
    """
    try:
        with transaction.atomic():
            return act()
    except (NotFound, ValidationError) as error:  # the latter: a malformed id
        raise Http404 from error
    except DomainError as error:
        form.add_error(None, str((instead or {}).get(error.code) or refusals.explain(error)))
        if refused is not None:
            refused(error)
    return None


def done(
    form: Form, act: Callable[[], object], *, instead: Mapping[str, object] | None = None
) -> bool:
    """Whether a verb that returns nothing did it; else the form says why not."""
    return attempt(form, lambda: (act(),), instead=instead) is not None


def render(
    request: ConsoleRequest, template: str, context: dict[str, Any], *, form: Form | None = None
) -> HttpResponse:
    """The page; 422 where its form was refused, so that no middleware stores it as done."""
    refused = form is not None and form.is_bound and bool(form.errors)
    if form is not None:
        context = {"form": form, **context}
    return render_template(request, template, context, status=422 if refused else 200)


def confirmation(
    request: ConsoleRequest,
    form: Form,
    *,
    title: str,
    lines: Sequence[object],
    submit: str,
    back: str,
    **context: Any,
) -> HttpResponse:
    """A page that says what is about to happen and asks once more.

    `back` is a URL name or a path.
    """
    words = {"title": title, "lines": lines, "submit": submit, "back": resolve_url(back)}
    return render(request, "console/confirm.html", {**words, **context}, form=form)


def back_to(name: str, **query: str) -> HttpResponse:
    """A redirect to a page of the console, with a query."""
    return HttpResponseRedirect(f"{reverse(name)}?{urlencode(query)}")


def fresh_key() -> str:
    """An idempotency key for one rendered form: sending it twice does the thing once."""
    return uuid.uuid4().hex
