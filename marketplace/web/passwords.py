"""Passwords: changed by who is signed in, set anew by who reads the account's mail."""

from __future__ import annotations

import logging
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.forms import PasswordChangeForm, SetPasswordForm
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.shortcuts import render as render_template
from django.urls import reverse_lazy
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from kombu.exceptions import OperationalError

from inventory.actors import Actor
from inventory.models import User
from marketplace import passwords
from marketplace.celery import app
from marketplace.http.authentication import instant
from marketplace.web import guesses, session
from marketplace.web.entry import ConsoleRequest, page, render
from marketplace.web.forms import ConsoleForm

logger = logging.getLogger(__name__)
RULES = gettext_lazy("At least 10 characters, not digits alone, and none of the common ones.")


class _NewPassword(ConsoleForm):
    """Two fields that have to agree."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["new_password1"].help_text = RULES


class ChangeForm(_NewPassword, PasswordChangeForm):
    """The present password, and a new one twice."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self.fields["old_password"].label = gettext_lazy("Present password")

    def clean_old_password(self) -> str:
        """Guesses at an open desk are counted like those at the door."""
        text: str = self.cleaned_data["old_password"]
        guesses.attempt(guesses.key("password", self.user.email), super().clean_old_password)
        return text


class SetForm(_NewPassword, SetPasswordForm):  # type: ignore[type-arg]
    """A new password twice, by a link from a mail."""

    def save(self, commit: bool = True) -> User:
        """By the verb; the form itself saves nothing."""
        user: User = self.user
        return user


class AskForm(ConsoleForm):
    """Whose password is forgotten."""

    email = forms.EmailField(
        label=gettext_lazy("E-mail address"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )


@sensitive_post_parameters()
@never_cache
@page()
def change(request: ConsoleRequest) -> HttpResponse:
    """A new password for who is signed in; other browsers of theirs are signed out."""
    visit = request.visit
    form = ChangeForm(visit.user, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        with transaction.atomic():
            passwords.change(
                user=visit.user,
                password=form.cleaned_data["new_password1"],
                at=visit.at,
                actor=visit.actor,
            )
            update_session_auth_hash(request, visit.user)
        messages.success(request, _("Your password is changed; other browsers are signed out."))
        return redirect("home")
    return render(request, "console/password_change.html", {}, form=form)


def ask(request: HttpRequest) -> HttpResponse:
    """Sends a link to an address; says the same whether somebody has an account there or not."""
    form = AskForm(request.POST if request.method == "POST" else None)
    context: dict[str, Any] = {"form": form}
    if request.method == "POST" and form.is_valid():
        if _send(request, form.cleaned_data["email"].strip().lower()):
            context["sent_to"] = form.cleaned_data["email"]
            context["hours"] = settings.PASSWORD_RESET_TIMEOUT // 3600
        else:
            form.add_error(None, _("No mail can be sent just now; try again in a few minutes."))
    refused = form.is_bound and bool(form.errors)
    return render_template(
        request, "console/password_ask.html", context, status=422 if refused else 200
    )


def _send(request: HttpRequest, email: str) -> bool:
    """By a worker, so that an account which exists takes no longer to answer for."""
    if not guesses.may_ask(guesses.key("reset", email)):
        return True
    try:
        app.send_task(
            "marketplace.send_reset",
            kwargs={
                "email": email,
                "base_url": request.build_absolute_uri("/"),
                "language": get_language() or settings.LANGUAGE_CODE,
            },
        )
    except OperationalError:
        logger.exception("the broker takes no mail to send")
        return False
    return True


class SetNew(PasswordResetConfirmView):
    """Behind the link: sets the password, and leads to the door."""

    template_name = "console/password_set.html"
    form_class = SetForm
    success_url = reverse_lazy("sign_in")

    def get_user(self, uidb64: str) -> User | None:
        """By public id: no bare number leaves the house."""
        try:
            return User.objects.filter(public_id=uidb64, is_active=True).first()
        except ValidationError:
            return None

    def form_valid(self, form: Any) -> HttpResponse:
        user = form.user
        passwords.change(
            user=user,
            password=form.cleaned_data["new_password1"],
            at=instant(self.request),
            actor=Actor(kind="user", label=user.public_id),
        )
        guesses.forget(session.sign_in_key(user.email, self.request))
        messages.success(self.request, _("Your password is set. Sign in with it."))
        return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        response = super().form_invalid(form)
        response.status_code = 422
        return response

    def dispatch(self, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = super().dispatch(*args, **kwargs)
        if response.status_code == 200 and not self.validlink:
            response.status_code = 410
        return response
