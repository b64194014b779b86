"""Fapiaos that providers issue to the operator; where terms say so, no payout without them."""

from __future__ import annotations

import hashlib
import unicodedata
from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Sum

from billing.models import InputFapiao, Payout, PayoutLine
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation, User
from marketplace import money

State = InputFapiao.State
LARGEST_FILE = 1024 * 1024
LARGEST_MINOR = 10**15
# By their first bytes: what a browser claims of a file is no evidence.
_KINDS = (
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/vnd.ofd"),  # OFD, the tax bureau's own format, is a ZIP
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"<?xml", "application/xml"),
)


class DuplicateFapiao(DomainError):
    """A fapiao of this number was handed in before."""

    code = "duplicate_fapiao"
    title = "This fapiao was handed in already"


class FapiaoMissing(DomainError):
    """By its terms the provider is paid against its fapiaos; they do not cover the amount."""

    code = "fapiao_missing"
    title = "The provider's fapiaos do not cover this payout"
    status = 409


def hand_in(
    *,
    provider_id: int,
    number: str,
    issued_date: date,
    currency: str,
    amount_minor: int,
    vat_minor: int,
    file_name: str,
    content: bytes,
    at: datetime,
    actor: Actor,
    user: User,
) -> InputFapiao:
    """The operator has the fapiao and looks at it; it covers nothing yet.

    Not idempotent: a number is handed in once, and again only where it was rejected. Raises
    DuplicateFapiao, Invalid, UnknownCurrency.
    """
    money.exponent(currency)
    digits = unicodedata.normalize("NFKC", number).strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (8, 20):
        raise Invalid("A fapiao number has 8 or 20 digits")
    if issued_date > at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
        raise Invalid("A fapiao cannot have been issued in the future")
    if not 0 < amount_minor <= LARGEST_MINOR or not 0 <= vat_minor < amount_minor:
        raise Invalid("The tax is a part of the amount, and the amount is positive")
    if not 0 < len(content) <= LARGEST_FILE:
        raise Invalid("A fapiao's file has at most 1 MiB")
    row = InputFapiao(
        provider_id=provider_id,
        number=digits,
        issued_date=issued_date,
        currency=currency,
        amount_minor=amount_minor,
        vat_minor=vat_minor,
        file_name=file_name.replace("\x00", "").strip()[:200] or digits,
        content_type=_kind(content),
        content=content,
        content_sha256=hashlib.sha256(content).digest(),
        handed_in_by=user,
        created_at=at,
    )
    with transaction.atomic():
        _insert(row)
        journal.record(
            event="inputfapiao.handed_in",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.HANDED_IN,
            provider_id=provider_id,
            data={"number": digits, "amount_minor": amount_minor, "currency": currency},
        )
    return row


def accept(*, fapiao_public_id: str, at: datetime, actor: Actor, user: User) -> InputFapiao:
    """It is genuine and the operator's: it covers payouts up to its amount.

    Locks the fapiao. Raises IllegalTransition, NotFound.
    """
    return _decide(fapiao_public_id, State.ACCEPTED, "", at, actor, user)


def reject(
    *, fapiao_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> InputFapiao:
    """It is not; the provider reads why. Raises Invalid, IllegalTransition, NotFound."""
    if not reason.strip():
        raise Invalid("Say why the fapiao is rejected")
    return _decide(fapiao_public_id, State.REJECTED, reason, at, actor, user)


def uncovered_minor(*, provider: Organisation, currency: str) -> int:
    """How far the provider's payouts against fapiaos go beyond its accepted ones; the caller
    holds the provider's organisation. Negative where fapiaos are left over."""
    accepted = InputFapiao.objects.filter(
        provider=provider, currency=currency, state=State.ACCEPTED
    ).aggregate(minor=Sum("amount_minor", default=0))["minor"]
    paid = PayoutLine.objects.filter(
        payout__provider=provider,
        payout__currency=currency,
        is_live=True,
        settlement__terms__needs_fapiao=True,
    ).aggregate(minor=Sum("amount_minor", default=0))["minor"]
    return int(paid) - int(accepted)


def require_covered(*, payout: Payout) -> None:
    """Raises FapiaoMissing where what is live and needs fapiaos, this payout too, goes beyond
    them. The caller holds the provider's organisation."""
    if not payout.lines.filter(settlement__terms__needs_fapiao=True).exists():
        return
    missing = uncovered_minor(provider=payout.provider, currency=payout.currency)
    if missing > 0:
        raise FapiaoMissing(missing_minor=missing, currency=payout.currency)


def _insert(row: InputFapiao) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        if "input_fapiao_number_once" not in str(error):
            raise
        raise DuplicateFapiao(number=row.number) from error


def _kind(content: bytes) -> str:
    for start, kind in _KINDS:
        if content.startswith(start):
            return kind
    raise Invalid("A fapiao's file is a PDF, an OFD, an XML or a picture")


def _decide(
    public_id: str, to: str, reason: str, at: datetime, actor: Actor, user: User
) -> InputFapiao:
    with transaction.atomic():
        rows = InputFapiao.objects.select_for_update(of=("self",), no_key=True).defer("content")
        row = identifiers.find(rows, public_id, "No such fapiao")
        row.decided_by = user
        transitions.advance(
            row,
            to=to,
            at=at,
            actor=actor,
            reason=reason,
            changed=("decided_by",),
            data={"number": row.number, "amount_minor": row.amount_minor},
        )
    return row
