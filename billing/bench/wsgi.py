"""The product with the bare view mounted beside it. Only a bench's server starts from here."""

from django.conf import settings

from marketplace.wsgi import application

__all__ = ["application"]

settings.ROOT_URLCONF = "billing.bench.urls"
