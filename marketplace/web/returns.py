"""Where somebody who has to sign in first comes back to: a page that can be opened."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import Resolver404, resolve, reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect
from django_htmx.middleware import HtmxDetails

SAFE = {"GET", "HEAD"}


def to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Asks to sign in. What was sent is lost, and the next page says so.

    A fragment's request moves the whole page, so that no form of signing in appears inside it.
    """
    htmx: HtmxDetails | None = getattr(request, "htmx", None) or None
    if htmx or request.method not in SAFE:
        text = _("You were signed out, so nothing was changed. Sign in and do it again.")
        messages.warning(request, text)
        page = _current(htmx) if htmx else _referring(request)
    else:
        page = request.get_full_path()
    answer = redirect_to_login(page if page and can_be_opened(page) else reverse("home"))
    return HttpResponseClientRedirect(answer["Location"]) if htmx else answer


def can_be_opened(address: str) -> bool:
    """Whether there is a page under this address of ours; some take forms only."""
    try:
        view = resolve(urlsplit(address).path).func
    except (Resolver404, ValueError):
        return False
    return not getattr(view, "posts_only", False)


def _current(htmx: HtmxDetails) -> str:
    try:
        return htmx.current_url_abs_path or ""
    except ValueError:  # no address at all
        return ""


def _referring(request: HttpRequest) -> str:
    """The page of ours that the form stood on, as the browser tells it."""
    address = request.META.get("HTTP_REFERER", "")
    own = {request.get_host()}
    if not url_has_allowed_host_and_scheme(address, own, require_https=request.is_secure()):
        return ""
    parts = urlsplit(address)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
