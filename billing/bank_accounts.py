"""Accounts at banks: entered, checked by one person, decided on by another; paid to later."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from billing import bank_files, bank_names, statement_files
from billing.models import BankAccount, Payout, Refund, VirtualAccount
from billing.models.bank import BankAccountQuerySet
from billing.payments import SamePerson
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import Organisation, User, Verification
from marketplace import money

State = BankAccount.State
_NUMBER = re.compile(r"[0-9A-Z]{5,40}")
_CODE = re.compile(r"[0-9A-Z]{8,14}")


class AccountTaken(DomainError):
    """The number is verified already, for this organisation or another."""

    code = "account_taken"
    title = "This account number is verified already"


class AccountInUse(DomainError):
    """A payout or a refund is under way to it."""

    code = "account_in_use"
    title = "Money is under way to this account"
    status = 409


class NoBankAccount(DomainError):
    """There is no verified account in that currency, or it is too new to be paid to."""

    code = "no_bank_account"
    title = "There is no verified bank account in this currency"
    status = 409


def number_of(text: str) -> str:
    """An account's number without blanks and hyphens, in capitals. Raises Invalid."""
    plain = re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", text)).upper()
    if not _NUMBER.fullmatch(plain):
        raise Invalid("An account's number has 5 to 40 digits or letters")
    return plain


def propose(
    *,
    owner: Organisation,
    holder_name: str,
    bank_name: str,
    number: str,
    currency: str,
    at: datetime,
    actor: Actor,
    user: User,
    bank_code: str = "",
    statement_layout: str = "",
    file_layout: str = "",
    virtual_prefix: str = "",
    virtual_digits: int = 0,
) -> BankAccount:
    """An account is entered; one person of the operator checks it, a second one decides.

    Who enters it for the operator has seen it. Anybody but the operator enters an account that
    bears its own name. Layouts and a range of
    virtual accounts are the operator's. Not idempotent: the entry's key is. Raises Invalid,
    UnknownCurrency, UnknownLayout, StatementUnreadable.
    """
    money.exponent(currency)
    if not holder_name.strip() or not bank_name.strip():
        raise Invalid("An account has a holder's name and a bank")
    if bank_code and not _CODE.fullmatch(bank_code):
        raise Invalid("A bank's code has 8 to 14 digits or letters")
    if owner.is_operator:
        _check_operators(statement_layout, file_layout, virtual_prefix, virtual_digits)
    else:
        statement_layout = file_layout = virtual_prefix = ""
        virtual_digits = 0
        if not bank_names.is_of(holder_name, owner):
            raise Invalid("The account has to be in the organisation's own name")
    row = BankAccount(
        owner=owner,
        currency=currency,
        holder_name=holder_name.strip(),
        bank_name=bank_name.strip(),
        bank_code=bank_code,
        number=number_of(number),
        statement_layout=statement_layout,
        file_layout=file_layout,
        virtual_prefix=virtual_prefix,
        virtual_digits=virtual_digits,
        proposed_by=user,
        created_at=at,
    )
    if actor.sees_everything:
        row.state, row.checked_by, row.checked_at = State.CHECKED, user, at
    with transaction.atomic():
        row.save(force_insert=True)
        journal.record(
            event="bankaccount.proposed",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=row.state,
            tenant_id=owner.pk,
            data={"currency": currency, "ends_in": row.number[-4:]},
        )
    return row


def _check_operators(statement: str, file: str, prefix: str, digits: int) -> None:
    if statement and statement not in statement_files.layouts():
        raise statement_files.StatementUnreadable(reason="unknown_layout", layout=statement[:40])
    if file and file not in bank_files.layouts():
        raise bank_files.UnknownLayout(layout=file[:40])
    if bool(prefix) != bool(digits):
        raise Invalid("A range of virtual accounts has a prefix and a number of digits")
    if prefix and not (prefix.isascii() and prefix.isdigit() and 2 <= digits <= 10):
        raise Invalid("A prefix is digits, and between 2 and 10 digits follow it")


def check(*, account_public_id: str, at: datetime, actor: Actor, user: User) -> BankAccount:
    """A first person of the operator has seen that it is its owner's. Locks it.

    Raises SamePerson, IllegalTransition, NotFound.
    """
    with transaction.atomic():
        row = lock(account_public_id)
        if row.proposed_by_id == user.pk:
            raise SamePerson
        row.checked_by = user
        transitions.advance(row, to=State.CHECKED, at=at, actor=actor, changed=("checked_by",))
    return row


def decide(
    *,
    account_public_id: str,
    verified: bool,
    at: datetime,
    actor: Actor,
    user: User,
    reason: str = "",
) -> BankAccount:
    """A second person of the operator decides, not who entered or checked it. Locks it.

    Money goes to another's account after it has cooled only; to reject it takes no second
    person. Raises SamePerson, AccountTaken, Invalid without a reason to reject, IllegalTransition,
    NotFound. Not idempotent.
    """
    if not verified and not reason.strip():
        raise Invalid("Say why the account is rejected")
    try:
        with transaction.atomic():
            row = lock(account_public_id)
            if user.pk in {row.proposed_by_id, verified and row.checked_by_id}:
                raise SamePerson
            row.decided_by = user
            if verified:
                cooling = 0 if row.owner.is_operator else settings.BANK_ACCOUNT_COOLING_HOURS
                row.usable_from = at + timedelta(hours=cooling)
            transitions.advance(
                row,
                to=State.VERIFIED if verified else State.REJECTED,
                at=at,
                actor=actor,
                reason=reason,
                changed=("decided_by", "usable_from"),
            )
    except IntegrityError as error:
        if "bank_account_has_one_owner" not in str(error):
            raise
        raise AccountTaken from error
    return row


def close(*, account_public_id: str, at: datetime, actor: Actor, reason: str = "") -> BankAccount:
    """No money goes there any more. Locks it.

    Raises AccountInUse, IllegalTransition, NotFound.
    """
    with transaction.atomic():
        row = lock(account_public_id)
        payouts = row.payouts.filter(state__in=Payout.UNDER_WAY)
        if payouts.exists() or row.refunds.filter(state__in=Refund.OPEN).exists():
            raise AccountInUse
        transitions.advance(row, to=State.CLOSED, at=at, actor=actor, reason=reason)
    return row


def lock(public_id: str) -> BankAccount:
    """The account, locked. Raises NotFound."""
    rows = BankAccount.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("owner"), public_id, "No such bank account")


def of(organisation: Organisation, currency: str) -> BankAccount | None:
    """The organisation's verified account in a currency, the newest; None without one."""
    return _verified(organisation, currency).first()


def usable(organisation: Organisation, currency: str, *, at: datetime) -> BankAccount:
    """The account to pay to now: the newest that has cooled, so that the old one is paid to
    while a new one cools.

    Raises NoBankAccount, with the instant from which on there is one.
    """
    rows = list(_verified(organisation, currency))
    for row in rows:
        if is_usable(row, at=at):
            return row
    if rows:
        raise NoBankAccount("The account is new and cooling", usable_from=rows[-1].usable_from)
    raise NoBankAccount


def is_usable(row: BankAccount, *, at: datetime) -> bool:
    """Whether money may go there at an instant."""
    return row.state == State.VERIFIED and row.usable_from is not None and row.usable_from <= at


def _verified(organisation: Organisation, currency: str) -> BankAccountQuerySet:
    rows = BankAccount.objects.filter(owner=organisation, currency=currency, state=State.VERIFIED)
    return rows.order_by("-pk")


def of_operator(currency: str) -> list[BankAccount]:
    """Where tenants may pay in a currency, the oldest first."""
    return list(BankAccount.objects.of_operator().filter(currency=currency).order_by("pk"))


def assign_virtual_accounts(*, at: datetime, limit: int) -> int:
    """Each verified tenant has a number of its own in each range; returns how many are new.

    In the order of registration, the next number of the range. Locks the account, one
    transaction each. Idempotent. A range that is used up assigns none.
    """
    made = 0
    for account in BankAccount.objects.of_operator().exclude(virtual_prefix=""):
        with transaction.atomic():
            row = lock(account.public_id)
            known = VirtualAccount.objects.filter(account=row)
            lacking = Organisation.objects.filter(
                is_tenant=True, state=Verification.VERIFIED
            ).exclude(pk__in=known.values("tenant_id"))
            serial = known.count()
            room = 10**row.virtual_digits - 1 - serial
            tenants = lacking.order_by("pk")[: max(0, min(limit, room))]
            rows = [
                VirtualAccount(
                    account=row,
                    tenant=tenant,
                    number=f"{row.virtual_prefix}{serial + step:0{row.virtual_digits}d}",
                    created_at=at,
                )
                for step, tenant in enumerate(tenants, start=1)
            ]
            VirtualAccount.objects.bulk_create(rows)
            made += len(rows)
    return made
