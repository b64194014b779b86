"""Approved payouts as a file for the bank: each in one file, the same bytes whenever it is read."""

from __future__ import annotations

import hashlib
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.utils import translation
from django.utils.translation import gettext as _

from billing import bank_accounts, bank_files, references
from billing.bank_files import OutgoingPayment, Payer
from billing.models import Payout, PayoutFile, PayoutTerms
from billing.payout_terms import lock_providers
from inventory import journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError
from inventory.models import User
from marketplace import money

State = Payout.State


class NothingToSend(DomainError):
    """No approved payout by bank waits for a file."""

    code = "nothing_to_send"
    title = "No approved payout waits for the bank"
    status = 409


def make(*, currency: str, layout: str, at: datetime, actor: Actor, user: User) -> PayoutFile:
    """Every approved payout by bank in the currency is in this file, and so is sent.

    Once in a file a payout is not cancelled: whether it left is known from the statement.
    Locks the providers' organisations, then the payouts, in order. Raises NothingToSend,
    UnknownLayout, PaymentUnwritable (naming the payout: cancel it, and make the file of the
    others), UnknownCurrency. Not idempotent: a second file has the payouts approved since.
    """
    money.exponent(currency)
    waiting = Payout.objects.filter(
        state=State.APPROVED, method=PayoutTerms.Method.BANK, currency=currency
    )
    with transaction.atomic():
        found = dict(
            waiting.order_by("pk").values_list("pk", "provider_id")[: bank_files.MOST_PAYMENTS]
        )
        lock_providers(found.values())
        locked = waiting.select_for_update(of=("self",), no_key=True).filter(pk__in=found)
        rows = list(locked.order_by("pk"))
        if not rows:
            raise NothingToSend()
        file = PayoutFile(
            currency=currency,
            payout_count=len(rows),
            amount_minor=sum(row.amount_minor for row in rows),
            made_by=user,
            created_at=at,
        )
        _render(file, rows, layout)
        file.save(force_insert=True)
        for row in rows:
            row.file, row.next_step_at = file, None
            transitions.advance(
                row,
                to=State.SENT,
                at=at,
                actor=actor,
                changed=("file", "next_step_at"),
                data={"file": file.public_id, "amount_minor": row.amount_minor},
            )
        journal.record(
            event="payoutfile.made",
            object_id=file.public_id,
            actor=actor,
            at=at,
            data={
                "payout_count": file.payout_count,
                "amount_minor": file.amount_minor,
                "currency": currency,
                "sha256": file.content_sha256.hex(),
            },
        )
    return file


def reference_of(payout: Payout) -> str:
    """What names the payout on the bank's statement."""
    return references.of(payout.public_id)


def _render(file: PayoutFile, rows: list[Payout], layout: str) -> None:
    accounts = bank_accounts.of_operator(file.currency)
    if not accounts:
        raise bank_accounts.NoBankAccount
    own = accounts[0]
    payer = Payer(name=own.holder_name, account=own.number, bank=own.bank_name)
    day = file.created_at.astimezone(ZoneInfo(settings.BILLING_ZONE))
    with translation.override("zh-hans"):  # the bank and the payee read it, not who makes it
        payments = [
            OutgoingPayment(
                reference=reference_of(row),
                payee_name=row.payee_name,
                account=row.payee_account,
                bank=row.payee_bank,
                bank_code=row.payee_bank_code,
                amount_minor=row.amount_minor,
                currency=row.currency,
                purpose=_("Compute rental settlement"),
            )
            for row in rows
        ]
    name = f"payouts-{day:%Y%m%d}-{file.public_id[-8:]}"
    made = bank_files.render(payments, layout=layout, payer=payer, name=name)
    file.file_name, file.content = made.file_name, made.content
    file.content_type = f"text/csv; charset={made.encoding.removesuffix('-sig')}"
    file.content_sha256 = hashlib.sha256(made.content).digest()
