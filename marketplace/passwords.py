"""A person's password: changed by who knows it, or by who reads the mail of its account."""

from __future__ import annotations

from datetime import datetime

from django.contrib.auth.tokens import default_token_generator
from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from inventory import journal
from inventory.actors import Actor
from inventory.models import User


def change(*, user: User, password: str, at: datetime, actor: Actor) -> None:
    """From now on the person signs in with this password; every other session of theirs ends.

    Journalled, without the password. Locks the user. Not idempotent.
    """
    with transaction.atomic():
        row = User.objects.select_for_update(of=("self",), no_key=True).get(pk=user.pk)
        row.set_password(password)
        row.save(update_fields=["password"])
        journal.record(
            event="user.password_changed",
            object_id=row.public_id,
            actor=actor,
            at=at,
            provider_id=actor.organisation_id,
        )
    user.password = row.password


def send_reset(*, email: str, base_url: str, language: str) -> bool:
    """Mails a link that sets a new password, where there is such an account; else nothing.

    The link works once, and no longer than PASSWORD_RESET_TIMEOUT. Sends over the network, so
    it is called outside any transaction. Safe to run twice: both mails' links work.
    """
    user = User.objects.filter(email=email, is_active=True).first()
    if user is None:
        return False
    token = default_token_generator.make_token(user)
    path = reverse("password_set", args=[user.public_id, token])
    with translation.override(user.language or language):
        text = render_to_string(
            "console/mail/reset.txt", {"email": email, "link": base_url.rstrip("/") + path}
        )
        subject = _("A new password for Cardhour")
    send_mail(subject, text, None, [email])
    return True
