"""The bank account a provider is paid to: named by the provider, checked by two persons."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from billing.models import PayeeAccount, Payout
from billing.payments import SamePerson
from billing.payout_terms import lock_provider
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation, User
from marketplace import money

State = PayeeAccount.State
_ACCOUNT = re.compile(r"[0-9A-Z]{6,34}")
_CODE = re.compile(r"[0-9]{12}|[A-Z0-9]{8}|[A-Z0-9]{11}")


class AccountInQuestion(DomainError):
    """Another account of the provider waits for the operator's decision."""

    code = "account_in_question"
    title = "Another account waits to be decided on"


class PayoutUnderWay(DomainError):
    """A payout is planned or on its way; the account it goes to does not change under it."""

    code = "payout_under_way"
    title = "A payout is under way"
    status = 409


class NoPayee(DomainError):
    """There is no verified account to pay to, or it is too new."""

    code = "no_payee"
    title = "There is no account that can be paid to yet"
    status = 409


def propose(
    *,
    provider_id: int,
    currency: str,
    bank_name: str,
    account_number: str,
    at: datetime,
    actor: Actor,
    bank_code: str = "",
) -> PayeeAccount:
    """The provider names an account in its own name; the one in use stays until it is verified.

    Locks the provider's organisation. Raises AccountInQuestion, Invalid, UnknownCurrency,
    NotFound. Not idempotent: a second one is refused while the first is open.
    """
    money.exponent(currency)
    number = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", account_number)).upper()
    code = unicodedata.normalize("NFKC", bank_code).strip().upper()
    if not _ACCOUNT.fullmatch(number):
        raise Invalid("An account number has 6 to 34 digits or letters")
    if code and not _CODE.fullmatch(code):
        raise Invalid("A bank code has 12 digits, or is a BIC of 8 or 11 characters")
    if not bank_name.strip():
        raise Invalid("Name the bank")
    with transaction.atomic():
        provider = lock_provider(provider_id)
        if not provider.is_provider:
            raise Invalid("Only a provider is paid")
        open_ones = PayeeAccount.objects.filter(
            provider=provider, currency=currency, state__in=[State.PROPOSED, State.CHECKED]
        )
        if open_ones.exists():
            raise AccountInQuestion()
        row = PayeeAccount(
            provider=provider,
            currency=currency,
            holder_name=provider.name,
            bank_name=bank_name.strip(),
            bank_code=code,
            account_number=number,
            created_at=at,
        )
        row.save(force_insert=True)
        journal.record(
            event="payeeaccount.proposed",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.PROPOSED,
            provider_id=provider_id,
            # The journal is read by many: the last digits tell one account from another.
            data={"currency": currency, "bank": row.bank_name, "ends_in": number[-4:]},
        )
    return row


def check(*, payee_public_id: str, at: datetime, actor: Actor, user: User) -> PayeeAccount:
    """A first person of the operator has seen that the account is the provider's.

    Locks the account. Raises IllegalTransition, NotFound.
    """
    with transaction.atomic():
        row = _lock(payee_public_id)
        row.checked_by = user
        transitions.advance(row, to=State.CHECKED, at=at, actor=actor, changed=("checked_by",))
    return row


def verify(*, payee_public_id: str, at: datetime, actor: Actor, user: User) -> PayeeAccount:
    """A second person agrees: it replaces the one in use, and is paid to after a while.

    Locks the provider's organisation, then its accounts. Raises SamePerson, PayoutUnderWay,
    IllegalTransition, NotFound.
    """
    with transaction.atomic():
        found = identifiers.find(PayeeAccount.objects.all(), payee_public_id, "No such account")
        provider = lock_provider(found.provider_id)
        row = _lock(payee_public_id)
        if row.checked_by_id == user.pk:
            raise SamePerson()
        if _under_way(provider, row.currency):
            raise PayoutUnderWay()
        old = PayeeAccount.objects.select_for_update(of=("self",), no_key=True).filter(
            provider=provider, currency=row.currency, state=State.VERIFIED
        )
        for used in old:
            transitions.advance(used, to=State.REPLACED, at=at, actor=actor)
        row.decided_by = user
        row.usable_from = at + timedelta(hours=settings.PAYEE_COOLING_HOURS)
        transitions.advance(
            row,
            to=State.VERIFIED,
            at=at,
            actor=actor,
            changed=("decided_by", "usable_from"),
            data={"usable_from": row.usable_from.isoformat()},
        )
    return row


def reject(
    *, payee_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> PayeeAccount:
    """It is not the provider's account, or there is none such. Either person may say so.

    Locks the account. Raises Invalid, IllegalTransition, NotFound.
    """
    if not reason.strip():
        raise Invalid("Say why the account is rejected")
    with transaction.atomic():
        row = _lock(payee_public_id)
        row.decided_by = user
        transitions.advance(
            row, to=State.REJECTED, at=at, actor=actor, reason=reason, changed=("decided_by",)
        )
    return row


def usable(*, provider: Organisation, currency: str, at: datetime) -> PayeeAccount:
    """The account to pay to now. Raises NoPayee, with the instant from which on there is one."""
    row = PayeeAccount.objects.filter(
        provider=provider, currency=currency, state=State.VERIFIED
    ).first()
    if row is None:
        raise NoPayee("The provider has no verified bank account in this currency")
    assert row.usable_from is not None
    if row.usable_from > at:
        raise NoPayee("The account is new and cooling", usable_from=row.usable_from)
    return row


def _under_way(provider: Organisation, currency: str) -> bool:
    return Payout.objects.filter(
        provider=provider, currency=currency, state__in=Payout.UNDER_WAY
    ).exists()


def _lock(public_id: str) -> PayeeAccount:
    rows = PayeeAccount.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows, public_id, "No such account")
