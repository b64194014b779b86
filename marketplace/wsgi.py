"""The WSGI application: the web server starts from here."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings")

_application = get_wsgi_application()

from marketplace.http import telemetry  # noqa: E402  settings come first

application = telemetry.beside(_application)
