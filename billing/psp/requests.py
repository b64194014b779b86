"""Requests to Stripe, written down in the transaction of what they are for."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from billing import gateway
from billing.models import PspRequest
from inventory import identifiers
from inventory.models import Organisation

State = PspRequest.State


def plan(
    *,
    operation: str,
    subject: str,
    organisation: Organisation,
    parameters: dict[str, Any],
    at: datetime,
    attempt: int = 1,
) -> PspRequest:
    """The request is there, and will be sent until it is answered.

    One per operation, subject and attempt. Our id goes along as metadata, so that it can be
    found again. Raises UnknownToStripe where the API would not know it.
    """
    public_id = identifiers.new("psp")
    if operation != "payment_intent.cancel":
        metadata = {"psp_request": public_id, "subject": subject}
        parameters = {**parameters, "metadata": metadata}
    gateway.check(operation, parameters)
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"))
    return PspRequest.objects.create(
        public_id=public_id,
        operation=operation,
        subject=subject,
        organisation=organisation,
        idempotency_key=f"{operation}:{subject}:{attempt}",
        parameters=parameters,
        parameters_sha256=hashlib.sha256(text.encode()).digest(),
        api_version=gateway.API_VERSION,
        next_attempt_at=at,
        created_at=at,
    )


def is_as_written(row: PspRequest) -> bool:
    text = json.dumps(row.parameters, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest() == bytes(row.parameters_sha256)
