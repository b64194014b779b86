"""Money that goes back by bank: asked for, let go by two persons, sent, and seen to have left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from billing import bank_accounts, bank_files, chart, ledger, references
from billing.bank_files import OutgoingPayment, Payer
from billing.ledger import Kind
from billing.models import BankAccount, BankLine, BankReceipt, PaymentFile, Refund
from billing.payments import DebtOpen, SamePerson
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Organisation, User

State = Refund.State
LARGEST_MINOR = 10**15


class RefundOpen(DomainError):
    """The receipt is being sent back, or was."""

    code = "refund_open"
    title = "It is being sent back already"


class RefundMismatch(DomainError):
    """The line of the statement is of another amount, or paid another refund."""

    code = "refund_mismatch"
    title = "This line did not pay this refund"


def ask(
    *,
    tenant: Organisation,
    account_public_id: str,
    amount_minor: int,
    currency: str,
    reason: str,
    at: datetime,
    actor: Actor,
) -> Refund:
    """Unused money of the wallet is kept aside, to go to the tenant's own verified account.

    Never more than is there: a credit limit is no money to give back. Locks the wallet. Not
    idempotent: the entry's key is. Raises NotFound, NoBankAccount, DebtOpen,
    InsufficientFunds, Invalid.
    """
    if not 0 < amount_minor <= LARGEST_MINOR:
        raise Invalid(f"The amount must lie between 1 and {LARGEST_MINOR} minor units")
    with transaction.atomic():
        rows = BankAccount.objects.filter(owner=tenant)
        account = identifiers.find(rows, account_public_id, "No such bank account")
        if account.currency != currency or not bank_accounts.is_usable(account, at=at):
            raise bank_accounts.NoBankAccount(usable_from=account.usable_from)
        wallet, owed = chart.wallet(tenant, currency), chart.receivable(tenant, currency)
        if debt_minor := ledger.lock([wallet, owed])[owed]:
            raise DebtOpen(owed_minor=debt_minor, currency=currency)
        balance = ledger.balance(tenant, currency=currency)
        unused = balance.posted_minor - balance.held_minor
        if amount_minor > unused:
            raise ledger.InsufficientFunds(account=wallet, available=unused, needed=amount_minor)
        row = _make(
            State.ASKED,
            tenant=tenant,
            account=account,
            payee_name=account.holder_name,
            payee_account=account.number,
            payee_bank=account.bank_name,
            payee_bank_code=account.bank_code,
            amount_minor=amount_minor,
            currency=currency,
            reason=reason,
            at=at,
            actor=actor,
        )
        ledger.place_hold(
            key=_key(row), account=wallet, amount_minor=amount_minor, expires_at=None, at=at
        )
    return row


def send_back(
    *,
    receipt_public_id: str,
    payee_bank: str,
    reason: str,
    at: datetime,
    actor: Actor,
    user: User,
    payee_account: str = "",
) -> Refund:
    """A transfer that is nobody's goes back to the account it came from; another approves.

    Locks the receipt. Raises NotFound, IllegalTransition, RefundOpen, Invalid where the
    statement did not say in full from which account it came and nobody says it now.
    """
    with transaction.atomic():
        rows = BankReceipt.objects.select_for_update(of=("self",), no_key=True)
        receipt = identifiers.find(rows, receipt_public_id, "No such receipt")
        transitions.advance(
            receipt, to=BankReceipt.State.RETURNING, at=at, actor=actor, reason=reason
        )
        try:
            number = bank_accounts.number_of(receipt.payer_account)
        except Invalid:  # the statement does not say it, or masks it
            number = bank_accounts.number_of(payee_account)
        if Refund.objects.filter(receipt=receipt, state__in=[*Refund.OPEN, State.DONE]).exists():
            raise RefundOpen
        return _make(
            State.CHECKED,
            receipt=receipt,
            payee_name=receipt.payer_name,
            payee_account=number,
            payee_bank=payee_bank,
            amount_minor=receipt.amount_minor,
            currency=receipt.currency,
            reason=reason,
            checked_by=user,
            checked_at=at,
            at=at,
            actor=actor,
        )


def _make(state: str, *, at: datetime, actor: Actor, reason: str, **facts: object) -> Refund:
    if not reason.strip():
        raise Invalid("Say what the refund is for")
    public_id = identifiers.new("rfd")
    row = Refund(
        public_id=public_id,
        reference=references.of(public_id),
        state=state,
        reason=reason.strip()[:200],
        asked_by=actor.label,
        created_at=at,
        **facts,
    )
    row.save(force_insert=True)
    journal.record(
        event="refund.asked",
        object_id=public_id,
        actor=actor,
        at=at,
        reason=reason,
        to_state=state,
        tenant_id=row.tenant_id,
        data={"amount_minor": row.amount_minor, "currency": row.currency},
    )
    return row


def check(*, refund_public_id: str, at: datetime, actor: Actor, user: User) -> Refund:
    """The first person of the operator has looked. Locks the refund.

    Raises NotFound, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        row = lock(refund_public_id)
        row.checked_by = user
        transitions.advance(row, to=State.CHECKED, at=at, actor=actor, changed=("checked_by",))
    return row


def approve(*, refund_public_id: str, at: datetime, actor: Actor, user: User) -> Refund:
    """The second person lets it go. Locks the refund.

    Raises SamePerson, NotFound, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        row = lock(refund_public_id)
        if row.checked_by_id == user.pk:
            raise SamePerson
        row.approved_by = user
        transitions.advance(row, to=State.APPROVED, at=at, actor=actor, changed=("approved_by",))
    return row


def refuse(*, refund_public_id: str, at: datetime, actor: Actor, reason: str) -> Refund:
    """The operator declines before it is sent: the money is free again. Locks the refund."""
    if not reason.strip():
        raise Invalid("Say why the refund is refused")
    return _give_up(refund_public_id, State.REFUSED, at=at, actor=actor, reason=reason)


def withdraw(*, refund_public_id: str, at: datetime, actor: Actor) -> Refund:
    """The tenant takes its request back before it is approved. Locks the refund.

    Raises NotFound where another tenant acts, IllegalTransition.
    """
    return _give_up(refund_public_id, State.WITHDRAWN, at=at, actor=actor, reason="")


def fail(*, refund_public_id: str, at: datetime, actor: Actor, reason: str) -> Refund:
    """The bank did not carry it out: it never left, and the money is free again.

    Locks the refund. Raises Invalid without a reason, NotFound, IllegalTransition.
    """
    if not reason.strip():
        raise Invalid("Say why the refund failed")
    return _give_up(refund_public_id, State.FAILED, at=at, actor=actor, reason=reason)


def _give_up(public_id: str, to: str, *, at: datetime, actor: Actor, reason: str) -> Refund:
    with transaction.atomic():
        row = lock(public_id)
        if to == State.WITHDRAWN and row.tenant_id != actor.organisation_id:
            raise NotFound("No such refund")
        transitions.advance(row, to=to, at=at, actor=actor, reason=reason)
        if row.receipt_id is None:
            ledger.release_hold(key=_key(row), at=at)
        else:
            _receipt_to(row, BankReceipt.State.RECORDED, at=at, actor=actor, reason=reason)
    return row


def make_file(
    *,
    refund_public_ids: Sequence[str],
    account_public_id: str,
    at: datetime,
    actor: Actor,
    user: User,
) -> PaymentFile:
    """The bank's file of these approved refunds, which count as sent from now on.

    Kept as it was written: a download again is the same bytes. Locks the refunds by number.
    Raises NotFound, IllegalTransition, PaymentUnwritable, UnknownLayout, Invalid.
    """
    with transaction.atomic():
        accounts = BankAccount.objects.of_operator()
        account = identifiers.find(accounts, account_public_id, "No such bank account")
        found = [
            identifiers.find(Refund.objects.all(), public_id, "No such refund").pk
            for public_id in refund_public_ids
        ]
        rows = list(
            Refund.objects.select_for_update(of=("self",), no_key=True)
            .filter(pk__in=found)
            .order_by("pk")
        )
        public_id = identifiers.new("pfl")
        file = bank_files.render(
            [payment_of(row) for row in rows],
            layout=account.file_layout or "plain",
            payer=Payer(account.holder_name, account.number, account.bank_name),
            name=f"CH{at:%Y%m%d}{public_id[-6:].upper()}",
        )
        if file.currency != account.currency:
            raise Invalid("A file has payments of one currency")
        made = PaymentFile(
            public_id=public_id,
            account=account,
            layout=account.file_layout or "plain",
            encoding=file.encoding,
            file_name=file.file_name,
            content=file.content,
            sha256=file.sha256,
            line_count=file.line_count,
            total_minor=file.total_minor,
            currency=file.currency,
            made_by=user,
            created_at=at,
        )
        made.save(force_insert=True)
        for row in rows:
            row.file = made
            transitions.advance(row, to=State.SENT, at=at, actor=actor, changed=("file",))
        journal.record(
            event="paymentfile.made",
            object_id=made.public_id,
            actor=actor,
            at=at,
            data={"sha256": made.sha256, "total_minor": made.total_minor},
        )
    return made


def payment_of(row: Refund) -> OutgoingPayment:
    """The transfer that a refund orders."""
    return OutgoingPayment(
        reference=row.reference,
        payee_name=row.payee_name,
        account=row.payee_account,
        bank=row.payee_bank,
        bank_code=row.payee_bank_code,
        amount_minor=row.amount_minor,
        currency=row.currency,
        purpose="退款",
    )


def send_by_hand(
    *, refund_public_id: str, bank_reference: str, at: datetime, actor: Actor
) -> Refund:
    """Somebody entered it at the bank. Locks the refund. Raises NotFound, IllegalTransition."""
    with transaction.atomic():
        row = lock(refund_public_id)
        row.bank_reference = bank_reference.strip()
        transitions.advance(row, to=State.SENT, at=at, actor=actor, changed=("bank_reference",))
    return row


def complete(
    *, refund_public_id: str, at: datetime, actor: Actor, line: BankLine | None = None
) -> Refund:
    """It has left: the hold becomes the posting. By a line of the statement, or by hand.

    Locks the refund, the wallet. Raises NotFound, IllegalTransition, RefundMismatch.
    """
    with transaction.atomic():
        row = lock(refund_public_id)
        changed: tuple[str, ...] = ()
        if line is not None:
            if (-line.amount_minor, line.currency) != (row.amount_minor, row.currency):
                raise RefundMismatch(refund=row.public_id)
            row.line, changed = line, ("line",)
        transitions.advance(row, to=State.DONE, at=at, actor=actor, changed=changed)
        amount, currency = row.amount_minor, row.currency
        if row.receipt_id is None:
            assert row.tenant is not None
            ledger.capture_hold(
                hold_key=_key(row),
                kind=Kind.WALLET_REFUNDED,
                key=f"{_key(row)}:done",
                entries=[
                    (chart.wallet(row.tenant, currency), amount),
                    (chart.bank(currency), -amount),
                ],
                at=at,
                actor=actor,
                external_reference=row.reference,
            )
        else:
            _receipt_to(row, BankReceipt.State.RETURNED, at=at, actor=actor, reason=row.reason)
            ledger.post(
                kind=Kind.BANK_RECEIPT_RETURNED,
                key=f"{_key(row)}:done",
                entries=[
                    (chart.unmatched_receipts(currency), amount),
                    (chart.bank(currency), -amount),
                ],
                at=at,
                actor=actor,
                external_reference=row.reference,
            )
    return row


def come_back(*, refund: Refund, at: datetime, actor: Actor) -> Refund:
    """The payee's bank returned it: a receipt that two persons have seen puts it back.

    The receipt was booked as unmatched; from there it goes to the wallet. Locks the refund.
    One whose leaving no statement has shown yet has left, since it came back. Raises
    IllegalTransition.
    """
    with transaction.atomic():
        row = lock(refund.public_id)
        if row.state == State.SENT:
            row = complete(refund_public_id=row.public_id, at=at, actor=actor)
        transitions.advance(row, to=State.CAME_BACK, at=at, actor=actor)
        assert row.tenant is not None
        ledger.post(
            kind=Kind.REFUND_FAILED,
            key=f"{_key(row)}:came_back",
            entries=[
                (chart.unmatched_receipts(row.currency), row.amount_minor),
                (chart.wallet(row.tenant, row.currency), -row.amount_minor),
            ],
            at=at,
            actor=actor,
            external_reference=row.reference,
        )
    return row


def lock(public_id: str) -> Refund:
    """The refund, locked. Raises NotFound."""
    rows = Refund.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(rows.select_related("tenant"), public_id, "No such refund")


def _receipt_to(row: Refund, to: str, *, at: datetime, actor: Actor, reason: str) -> None:
    rows = BankReceipt.objects.select_for_update(of=("self",), no_key=True)
    assert row.receipt_id is not None
    receipt = rows.get(pk=row.receipt_id)
    transitions.advance(receipt, to=to, at=at, actor=actor, reason=reason)


def _key(row: Refund) -> str:
    return f"refund:{row.public_id}"
