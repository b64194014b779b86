"""Webhooks: which of them Stripe signed, and what they are about."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import stripe

SKEW = timedelta(seconds=300)
_ID = re.compile(r"[A-Za-z0-9_]{1,80}")
_TYPE = re.compile(r"[a-z0-9_.]{1,80}")


class NotSigned(Exception):
    """Not Stripe's, not now, or not for this endpoint."""


class NotAnEvent(Exception):
    """Signed, and still nothing that could be kept."""


@dataclass(frozen=True, slots=True)
class Message:
    """What an event says about itself; what it says about its object is not believed."""

    event_id: str
    type: str
    account_id: str
    object_id: str
    api_version: str
    sent_at: datetime


def read(body: bytes, header: str, secrets: Sequence[str], *, at: datetime) -> Message:
    """The event in a signed body. Raises NotSigned, NotAnEvent.

    Any of the secrets will do: while one is rolled the old one signs too. The SDK refuses what
    is too old only; a time ahead of ours is refused here as well.
    """
    if not any(_is_signed(body, header, secret) for secret in secrets):
        raise NotSigned("no secret of this endpoint signed it")
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    signed_at = int(parts["t"])  # the SDK has read it as a number already
    if abs(signed_at - at.timestamp()) >= SKEW.total_seconds():
        raise NotSigned("its time is too far from ours")
    return _message(body)


def _is_signed(body: bytes, header: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, header, secret)
    except (stripe.SignatureVerificationError, UnicodeError):
        return False
    return True


def sign(body: str, secret: str, *, at: datetime) -> str:
    """The header Stripe would send with it: for the fake, and for tests."""
    header: str = stripe.WebhookSignature.generate_signature_header(
        body, secret, int(at.timestamp())
    )
    return header


def _message(body: bytes) -> Message:
    try:
        event = json.loads(body)
        if event["object"] != "event":
            raise NotAnEvent("no event of the first API")
        thing = event["data"]["object"]
        message = Message(
            event_id=_word(event["id"], _ID),
            type=_word(event["type"], _TYPE),
            account_id=_word(event.get("account") or "", _ID, optional=True),
            object_id=_word(thing.get("id") or "", _ID, optional=True),
            api_version=str(event.get("api_version") or "")[:40].replace("\0", ""),
            sent_at=datetime.fromtimestamp(int(event["created"]), UTC),
        )
    except NotAnEvent:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise NotAnEvent(str(error)[:200]) from error
    if not 2000 <= message.sent_at.year < 2200:
        raise NotAnEvent("made in no year of ours")
    return message


def _word(text: object, shape: re.Pattern[str], *, optional: bool = False) -> str:
    if optional and text == "":
        return ""
    if not isinstance(text, str) or not shape.fullmatch(text):
        raise NotAnEvent("a name that Stripe would not give")
    return text
