"""Signing in and out, and whom one acts for."""

from __future__ import annotations

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django.views.i18n import set_language

from inventory.models import User
from marketplace.http.authentication import SESSION_ORGANISATION, address_of
from marketplace.web.entry import ConsoleRequest, page
from marketplace.web.forms import ConsoleForm

FAILURE_LIMIT = 5
FAILURE_MEMORY_SECONDS = 15 * 60


class SignInForm(ConsoleForm, AuthenticationForm):
    """E-mail and password; five failures close an account to an address for 15 minutes."""

    error_messages = {
        "invalid_login": _("The e-mail address or the password is wrong."),
        "inactive": _("The e-mail address or the password is wrong."),
        "throttled": _("Too many failed attempts; try again in 15 minutes."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("E-mail address")
        self.fields["password"].label = _("Password")

    def clean_username(self) -> str:
        return str(self.cleaned_data["username"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        """Attempts on the same pair queue up on an advisory lock, so that a burst of parallel
        guesses is counted like any other."""
        email = self.cleaned_data.get("username")
        if email is None or self.request is None:
            return self.cleaned_data
        key = _throttle_key(email, self.request)
        refusal: ValidationError | None = None
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [key])
            failures = cache.get(key, 0)
            if failures >= FAILURE_LIMIT:
                refusal = ValidationError(self.error_messages["throttled"], code="throttled")
            else:
                try:
                    super().clean()
                except ValidationError as error:
                    cache.set(key, failures + 1, FAILURE_MEMORY_SECONDS)
                    refusal = error
        if refusal is not None:
            raise refusal  # after the commit, which keeps the count
        cache.delete(key)
        return self.cleaned_data


def _throttle_key(email: str, request: HttpRequest) -> str:
    pair = f"{email}|{address_of(request)}"
    return f"sign-in:{hashlib.sha256(pair.encode()).hexdigest()}"


class SignIn(LoginView):
    """The only page for people who are not signed in."""

    template_name = "console/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        response = super().form_valid(form)
        user = form.get_user()
        if "django_language" not in self.request.COOKIES and user.language:
            response.set_cookie("django_language", user.language, samesite="Lax")
        return response


@require_POST
def choose_language(request: HttpRequest) -> HttpResponseBase:
    """This browser shows that language from now on; a signed-in person's next one does too."""
    language = request.POST.get("language", "")
    if isinstance(request.user, User) and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    return set_language(request)


@page()
def home(request: ConsoleRequest) -> HttpResponse:
    """Everybody's first page: the one of their organisation's trade and their role."""
    visit = request.visit
    if visit.is_party("operator"):
        return redirect("audit" if visit.actor.may("audit:read") else "members")
    if visit.is_party("provider") and visit.actor.may("listings:read"):
        return redirect("overview")
    return redirect("rented" if visit.is_party("tenant") else "members")


@require_POST
@page()
def switch(request: ConsoleRequest) -> HttpResponse:
    """From now on the person acts for another of their organisations."""
    chosen = request.POST.get("organisation", "")
    if chosen not in {row.organisation.public_id for row in request.visit.memberships}:
        raise Http404
    request.session[SESSION_ORGANISATION] = chosen
    return redirect("home")
