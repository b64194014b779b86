"""Vouchers (凭证): an accountant's correction, proposed by one person, posted by another.

Most accounts say what documents say, and `verify_ledger` holds them to it: those are corrected
by a document (a credit note, a write-off, a refund), never by a voucher.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from billing import ledger
from billing.ledger import Entry, Kind
from billing.ledger_calls import PeriodClosed
from billing.models import AccountingPeriod, Voucher, VoucherEntry
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Forbidden, Invalid, NotFound
from inventory.models import Organisation, User
from marketplace import money

State = Voucher.State
MOST_ENTRIES = 200
LARGEST_FILE = 2 * 1024 * 1024
EARLIEST = date(2000, 1, 1)
# The accounts that no document answers for.
BY_HAND = (
    "asset:bank",
    "asset:stripe",
    "asset:transit",
    "asset:dispute_receivable",
    "asset:fx",
    "asset:input_vat",
    "liability:wallet",
    "liability:vat",
    "equity:adjustment",
    "revenue:fee",
    "revenue:sales",
    "revenue:forfeit",
    "expense:cost_of_sales",
    "expense:psp_fee",
    "expense:bank_fee",
    "expense:sla_credit",
    "expense:bad_debt",
    "expense:fx_difference",
)
OWNED = ("liability:wallet",)
_CODE = re.compile(
    r"(?P<name>[a-z]+:[a-z_]+)(:(?P<owner>org_[0-9a-f]{32}))?:(?P<currency>[A-Z]{3})"
)
# By their first bytes: what a browser claims of a file is no evidence.
_KINDS = (
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),  # OFD and office files too
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
)


class AccountNotByHand(Invalid):
    """Documents say what lies on that account, or there is none such; `account` names it."""

    code = "account_not_by_hand"
    title = "No voucher is posted on this account"


class SamePersonPosts(Forbidden):
    """Two persons post a voucher: whoever proposed it does not decide."""

    code = "same_person"
    title = "Another person has to decide"


class VoucherDecided(DomainError):
    """It is posted or rejected already."""

    code = "voucher_decided"
    title = "The voucher is decided already"
    status = 409


@dataclass(frozen=True, slots=True)
class Evidence:
    """What shows that a voucher is right: a document's name and number, and perhaps its file."""

    text: str
    file_name: str = ""
    content: bytes = b""


def propose(
    *,
    entries: Sequence[Entry],
    effective_date: date,
    reason: str,
    evidence: Evidence,
    at: datetime,
    actor: Actor,
    user: User,
    external_reference: str = "",
) -> Voucher:
    """A voucher waits for a second person; nothing is posted.

    `effective_date` is a day of an open month, today at the latest. Not idempotent: the entry's
    key is. Raises Unbalanced, AmountOutOfRange, AccountNotByHand, PeriodClosed, Invalid.
    """
    if not reason.strip() or not evidence.text.strip():
        raise Invalid("A voucher has a reason and evidence")
    if len(entries) > MOST_ENTRIES:
        raise Invalid(f"A voucher has at most {MOST_ENTRIES} entries")
    for code, _amount in entries:
        require_by_hand(code)
    ledger.check(entries)
    _check_day(effective_date, at)
    row = Voucher(
        effective_date=effective_date,
        reason=reason.strip()[:500],
        evidence=evidence.text.strip()[:200],
        external_reference=external_reference.strip()[:120],
        proposed_by=user,
        created_at=at,
        **_file(evidence),
    )
    with transaction.atomic():
        row.save(force_insert=True)
        VoucherEntry.objects.bulk_create(
            VoucherEntry(voucher=row, number=number, account_code=code, amount_minor=amount)
            for number, (code, amount) in enumerate(entries, start=1)
        )
        journal.record(
            event="voucher.proposed",
            object_id=row.public_id,
            actor=actor,
            at=at,
            reason=reason,
            to_state=State.PROPOSED,
            data=_data(row, entries),
        )
    return row


def post(*, voucher_public_id: str, at: datetime, actor: Actor, user: User) -> Voucher:
    """A second person agrees: the voucher is in the ledger, on its day.

    Locks the voucher, then balances. Raises SamePersonPosts, VoucherDecided, PeriodClosed where
    the month has closed meanwhile, InsufficientFunds, NotFound. Not idempotent.
    """
    with transaction.atomic():
        row = _open(voucher_public_id, user)
        entries = entries_of(row)
        number = ledger.post(
            kind=Kind.ADJUSTED,
            key=f"voucher:{row.public_id}",
            entries=entries,
            effective_at=min(_end_of(row.effective_date), at),
            at=at,
            actor=actor,
            reason=row.reason,
            external_reference=row.external_reference or row.public_id,
            by_hand=True,
        )
        row.decided_by = user
        row.ledger_transaction_id = number
        transitions.advance(
            row,
            to=State.POSTED,
            at=at,
            actor=actor,
            reason=row.reason,
            changed=("decided_by", "ledger_transaction"),
            data=_data(row, entries),
        )
    return row


def reject(
    *, voucher_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> Voucher:
    """A second person does not agree. Locks the voucher.

    Raises Invalid without a reason, SamePersonPosts, VoucherDecided, NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the voucher is rejected")
    with transaction.atomic():
        row = _open(voucher_public_id, user)
        row.decided_by = user
        transitions.advance(
            row,
            to=State.REJECTED,
            at=at,
            actor=actor,
            reason=reason,
            changed=("decided_by",),
            data=_data(row, entries_of(row)),
        )
    return row


def entries_of(row: Voucher) -> list[Entry]:
    """Its legs, in their order."""
    rows = row.entries.order_by("number").values_list("account_code", "amount_minor")
    return list(rows)


def require_by_hand(code: str) -> None:
    """Vouchers may be posted there. Raises AccountNotByHand."""
    found = _CODE.fullmatch(code)
    if found is None or found["name"] not in BY_HAND:
        raise AccountNotByHand(account=code[:120])
    if (found["owner"] is not None) != (found["name"] in OWNED):
        raise AccountNotByHand(account=code[:120])
    try:
        money.exponent(found["currency"])
    except DomainError as error:
        raise AccountNotByHand(account=code[:120]) from error
    if found["owner"] is not None:
        try:
            identifiers.find(Organisation.objects.all(), found["owner"])
        except NotFound as error:
            raise AccountNotByHand(account=code[:120]) from error


def _check_day(day: date, at: datetime) -> None:
    if not EARLIEST <= day <= at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date():
        raise Invalid("A voucher is of a day that has begun")
    closed = AccountingPeriod.objects.filter(
        state=AccountingPeriod.State.CLOSED, ends_at__gt=_end_of(day)
    )
    if closed.exists():  # what counts is the posting; this tells the person at once
        raise PeriodClosed


def _end_of(day: date) -> datetime:
    """The last instant of the day in the billing zone."""
    following = datetime.combine(
        day + timedelta(days=1), time(), tzinfo=ZoneInfo(settings.BILLING_ZONE)
    )
    return following.astimezone(UTC) - timedelta(microseconds=1)


def _file(evidence: Evidence) -> dict[str, object]:
    if not evidence.content:
        return {}
    if len(evidence.content) > LARGEST_FILE:
        raise Invalid("A voucher's file has at most 2 MiB")
    kinds = [kind for start, kind in _KINDS if evidence.content.startswith(start)]
    if not kinds:
        raise Invalid("A voucher's file is a PDF, a picture or an office document")
    return {
        "file_name": evidence.file_name.replace("\x00", "").strip()[-200:] or "evidence",
        "content_type": kinds[0],
        "content": evidence.content,
        "content_sha256": hashlib.sha256(evidence.content).digest(),
    }


def _open(public_id: str, user: User) -> Voucher:
    rows = Voucher.objects.select_for_update(of=("self",), no_key=True).defer("content")
    row = identifiers.find(rows, public_id, "No such voucher")
    if row.state != State.PROPOSED:
        raise VoucherDecided(state=row.state)
    if row.proposed_by_id == user.pk:
        raise SamePersonPosts
    return row


def _data(row: Voucher, entries: Sequence[Entry]) -> dict[str, object]:
    return {
        "effective_date": row.effective_date.isoformat(),
        "entries": [[code, amount] for code, amount in entries],
    }
