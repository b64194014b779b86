"""Where Stripe speaks to us: signed, kept, answered at once, applied afterwards."""

from __future__ import annotations

import logging

from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateway.signatures import NotAnEvent, NotSigned
from billing.models import GatewayEvent
from billing.psp import events
from inventory import clock

logger = logging.getLogger(__name__)

LARGEST_BODY = 512 * 1024  # Stripe's are a few KiB
ENDPOINTS = set(GatewayEvent.Endpoint.values)


@csrf_exempt
@require_POST
def receive(request: HttpRequest, endpoint: str) -> HttpResponse:
    """200 once the event is kept, also where it was kept before; 400 for whatever is none.

    Stripe sends what got no 200 again, for days. Nothing is said about what was wrong.
    """
    if endpoint not in ENDPOINTS:
        raise Http404
    try:
        length = int(request.META.get("CONTENT_LENGTH") or -1)
    except ValueError:
        length = -1
    if not 0 < length <= LARGEST_BODY:
        return HttpResponse(status=400)
    header = request.headers.get("Stripe-Signature", "")[:4096]
    try:
        with transaction.atomic():
            events.receive(
                endpoint=endpoint, body=request.read(length), header=header, at=clock.now()
            )
    except (NotSigned, NotAnEvent) as error:
        logger.warning("refused on the %s endpoint: %s", endpoint, error)
        return HttpResponse(status=400)
    return HttpResponse(status=200)
