"""Every address. URLs do not reveal packages."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from marketplace.http import docs

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include("inventory.api.urls")),
    path("api/v1/", include("marketplace.api.urls")),
    path("api/v1/", include("billing.api.urls")),
    path("api/v1/openapi.yaml", docs.document, name="openapi"),
    path("api/docs/", docs.page, name="api-docs"),
    path("", include("billing.web.urls")),
    path("", include("marketplace.web.urls")),
]
handler400 = "marketplace.http.problems.bad_request"
handler403 = "marketplace.http.problems.permission_denied"
handler404 = "marketplace.http.problems.not_found"
handler500 = "marketplace.http.problems.server_error"
