"""A request becomes a fapiao; a red note takes it back."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections import defaultdict
from datetime import date, datetime
from io import BytesIO
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction

from billing.fapiaos import adapters, files
from billing.fapiaos.adapters import Adapter, AdapterError, Item, Order
from billing.fapiaos.files import Upload
from billing.fapiaos.requests import NAMES, Buyer
from billing.models import Fapiao, FapiaoFile, InvoiceLine
from inventory import actors, identifiers, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from marketplace import money

logger = logging.getLogger(__name__)
ACTOR = actors.system("fapiaos")
State = Fapiao.State
_NUMBER = re.compile(r"[0-9A-Z-]{8,40}")  # 8 digits of paper, 20 of a digital one (数电票)


class DuplicateFapiao(DomainError):
    """Another fapiao has the number."""

    code = "duplicate_fapiao"
    title = "This number is recorded already"


def issue(
    *,
    fapiao_public_id: str,
    number: str,
    issued_date: date,
    upload: Upload | None,
    at: datetime,
    actor: Actor,
    adapter_reference: str = "",
) -> Fapiao:
    """It has been issued: number, date and file are kept. Locks the fapiao.

    Not idempotent. Raises NotFound, IllegalTransition, DuplicateFapiao, Invalid.
    """
    text = _number(number)
    _check_date(issued_date, at)
    with transaction.atomic():
        row = _lock(fapiao_public_id)
        if issued_date < row.created_at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
            raise Invalid("A fapiao is not issued before it was requested")
        row.number, row.issued_date = text, issued_date
        row.adapter_reference = adapter_reference
        _advance_once(
            row, State.ISSUED, ("number", "issued_date", "adapter_reference"), at=at, actor=actor
        )
        if upload is not None:
            files.keep(row, FapiaoFile.Role.ISSUED, upload, at)
    return row


def refuse(*, fapiao_public_id: str, reason: str, at: datetime, actor: Actor) -> Fapiao:
    """It cannot be issued so; the buyer reads why, and its invoices are free again.

    Locks the fapiao. Raises NotFound, IllegalTransition, Invalid.
    """
    if not reason.strip():
        raise Invalid("Say why the fapiao is refused")
    with transaction.atomic():
        row = _lock(fapiao_public_id)
        row.reason = reason.strip()[:200]
        transitions.advance(
            row, to=State.WITHDRAWN, at=at, actor=actor, reason=row.reason, changed=("reason",)
        )
    return row


def reverse(
    *,
    fapiao_public_id: str,
    number: str,
    red_date: date,
    reason: str,
    upload: Upload | None,
    at: datetime,
    actor: Actor,
) -> Fapiao:
    """A red note (红冲) has taken it back whole; its invoices may be put on another.

    Locks the fapiao. Raises NotFound, IllegalTransition, DuplicateFapiao, Invalid.
    """
    if not reason.strip():
        raise Invalid("Say why the fapiao is taken back")
    text = _number(number)
    _check_date(red_date, at)
    with transaction.atomic():
        row = _lock(fapiao_public_id)
        if row.issued_date is not None and red_date < row.issued_date:
            raise Invalid("A red note is not older than its fapiao")
        row.red_number, row.red_date, row.reason = text, red_date, reason.strip()[:200]
        _advance_once(row, State.REVERSED, ("red_number", "red_date", "reason"), at=at, actor=actor)
        if upload is not None:
            files.keep(row, FapiaoFile.Role.RED, upload, at)
    return row


def submit_due(*, at: datetime, limit: int, adapter: Adapter | None = None) -> int:
    """Requests go to the service that issues, and what it issued is kept; returns how many.

    The call is made outside any transaction and repeated by the next run until it answers.
    With the manual adapter nothing is to be done here. Idempotent by the fapiao's id.
    """
    adapter = adapter or adapters.configured()
    if adapter is None:
        return 0
    rows = Fapiao.objects.filter(state=State.REQUESTED).select_related("issuer").order_by("pk")
    issued = 0
    for row in list(rows[:limit]):
        try:
            issued += _submit(row, adapter, at)
        except DomainError as error:  # withdrawn meanwhile, or an answer that cannot be kept
            logger.error("fapiao %s cannot be kept: %s", row.public_id, error)
    return issued


def _submit(row: Fapiao, adapter: Adapter, at: datetime) -> bool:
    try:
        answer = adapter.issue(order_of(row))
    except AdapterError as error:
        logger.warning("fapiao %s is not issued: %s", row.public_id, error)
        if error.permanent:
            refuse(fapiao_public_id=row.public_id, reason=str(error), at=at, actor=ACTOR)
        return False
    if answer is None:
        return False
    issue(
        fapiao_public_id=row.public_id,
        number=answer.number,
        issued_date=answer.issued_date,
        upload=files.read_upload(BytesIO(answer.content)),
        at=at,
        actor=ACTOR,
        adapter_reference=row.public_id,
    )
    return True


def order_of(row: Fapiao) -> Order:
    """What stands on it, by rate of VAT: each invoice's part in the proportion of its lines."""
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0])
    for part in row.parts.select_related("invoice").order_by("pk"):
        lines = list(InvoiceLine.objects.filter(invoice=part.invoice).order_by("pk"))
        gross = [line.gross_minor for line in lines]
        for line, amount in zip(lines, money.portions(gross, part.amount_minor), strict=True):
            vat = money.vat_within(amount, line.vat_bps)
            sums[line.vat_code, line.vat_bps][0] += amount - vat
            sums[line.vat_code, line.vat_bps][1] += vat
    return Order(
        reference=row.public_id,
        kind=row.kind,
        buyer=Buyer(**{name: getattr(row, name) for name in NAMES}),
        seller_tax_number=row.issuer.credit_code or "",
        currency=row.currency,
        amount_minor=row.amount_minor,
        items=tuple(Item(code, bps, net, vat) for (code, bps), (net, vat) in sorted(sums.items())),
    )


def _advance_once(
    row: Fapiao, to: str, changed: tuple[str, ...], *, at: datetime, actor: Actor
) -> None:
    try:
        with transaction.atomic():
            transitions.advance(row, to=to, at=at, actor=actor, reason=row.reason, changed=changed)
    except IntegrityError as error:
        if "number_once" not in str(error):
            raise
        raise DuplicateFapiao from error


def _number(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).replace(" ", "").upper()
    if not _NUMBER.fullmatch(plain):
        raise Invalid("A fapiao's number has 8 to 40 digits or letters")
    return plain


def _check_date(day: date, at: datetime) -> None:
    if day > at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
        raise Invalid("A fapiao's date does not lie in the future")


def _lock(public_id: str) -> Fapiao:
    rows = Fapiao.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id, "No such fapiao")
