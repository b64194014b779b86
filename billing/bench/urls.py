"""The product's addresses and the bare view's."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path

from billing.bench.views import Bare
from marketplace import urls

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/bench/bare", Bare.as_view({"post": "create"})),
    *urls.urlpatterns,
]
handler400, handler403 = urls.handler400, urls.handler403
handler404, handler500 = urls.handler404, urls.handler500
