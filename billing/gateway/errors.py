"""How a call to Stripe may end, other than well."""

from __future__ import annotations

from inventory.errors import DomainError


class GatewayError(Exception):
    """A call that brought no object; `code` and `text` are Stripe's own words."""

    def __init__(self, code: str, text: str = "") -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code[:80]
        self.text = text[:500]


class Refused(GatewayError):
    """Stripe said no, and would say no again."""


class NotTaken(GatewayError):
    """It certainly did nothing: too many requests, or a key that is not ours. Again later."""


class Unanswered(GatewayError):
    """Nobody knows whether it was done: no answer, or a fault on the other side."""


class GatewayOff(DomainError):
    """No Stripe account is set up here."""

    code = "online_payment_off"
    title = "Online payment is not set up here"
    status = 409


class GatewayBusy(DomainError):
    """Stripe gave no answer to a question somebody waits for."""

    code = "gateway_busy"
    title = "The payment service does not answer, try again"
    status = 503
    retry_after_seconds = 5
