"""Signing in and out, and whom one acts for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django.views.i18n import set_language
from django_htmx.http import HttpResponseClientRefresh

from inventory.models import User
from marketplace.http.authentication import SESSION_ORGANISATION, address_of
from marketplace.web import guesses, returns
from marketplace.web.entry import ConsoleRequest, page
from marketplace.web.forms import ConsoleForm


class SignInForm(ConsoleForm, AuthenticationForm):
    """E-mail and password; five failures close an account to an address for 15 minutes."""

    error_messages = {
        "invalid_login": _("The e-mail address or the password is wrong."),
        "inactive": _("The e-mail address or the password is wrong."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("E-mail address")
        self.fields["password"].label = _("Password")

    def clean_username(self) -> str:
        return str(self.cleaned_data["username"]).strip().lower()

    def clean(self) -> dict[str, Any]:
        email, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if email and password and self.request is not None:  # else no try, and no success
            guesses.attempt(sign_in_key(email, self.request), super().clean)
        return self.cleaned_data


def sign_in_key(email: str, request: HttpRequest) -> str:
    """Failures are counted per account and address: nobody can lock out somebody elsewhere."""
    return guesses.key("sign-in", email, address_of(request))


class SignIn(LoginView):
    """The only page for people who are not signed in."""

    template_name = "console/sign_in.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Where one came from, if one can look at it; else the first page."""
        address = super().get_redirect_url()
        return address if address and returns.can_be_opened(address) else ""

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


def stale(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form is older than the last signing in, or stands on another site (CSRF)."""
    if getattr(request, "htmx", False):
        return HttpResponseClientRefresh()
    return render(request, "console/stale.html", status=403)


@require_POST
def choose_language(request: HttpRequest) -> HttpResponseBase:
    """This browser shows that language from now on; a signed-in person's next one does too."""
    language = request.POST.get("language", "")
    if isinstance(request.user, User) and language in dict(settings.LANGUAGES):
        User.objects.filter(pk=request.user.pk).update(language=language)
    response = set_language(request)
    if response.has_header("Location") and not returns.can_be_opened(response["Location"]):
        response["Location"] = reverse("home")  # one chose it on what a form had answered
    return response


@page()
def home(request: ConsoleRequest) -> HttpResponse:
    """Everybody's first page: the one of their organisation's trade and their role."""
    visit = request.visit
    if visit.is_party("operator"):
        return redirect("audit" if visit.actor.may("audit:read") else "members")
    if visit.is_party("provider") and visit.actor.may("listings:read"):
        return redirect("overview")
    return redirect("rented" if visit.is_party("tenant") else "members")


@page(posts_only=True)
def switch(request: ConsoleRequest) -> HttpResponse:
    """From now on the person acts for another of their organisations."""
    chosen = request.POST.get("organisation", "")
    if chosen not in {row.organisation.public_id for row in request.visit.memberships}:
        raise Http404
    request.session[SESSION_ORGANISATION] = chosen
    return redirect("home")
