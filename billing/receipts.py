"""Money that came in by bank: recorded by one person, attributed, decided by another."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from billing import bank_matching, chart, ledger, payments, references, refunds
from billing.bank_matching import Proposal, Transfer
from billing.ledger import Kind, Posting
from billing.models import BankAccount, BankDeal, BankLine, BankReceipt
from billing.payments import SamePerson
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Organisation, User
from marketplace import money
from marketplace.models import Basket, Reservation

State = BankReceipt.State
Match = BankReceipt.Match
LARGEST_RECEIPT_MINOR = 10**15
EARLIEST = date(2000, 1, 1)


class DuplicateReceipt(DomainError):
    """The line of the bank statement was recorded before."""

    code = "duplicate_receipt"
    title = "This bank reference is recorded already"


class Unattributed(DomainError):
    """Nobody has said whose money it is."""

    code = "receipt_unattributed"
    title = "Say first whose money this is"


class OnStatement(DomainError):
    """The bank's statement shows the transfer: it has come, whatever anybody thinks of it."""

    code = "receipt_on_statement"
    title = "It stands on the bank's statement: attribute it or send it back"


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose money it is, and for which deal; said by a person."""

    tenant: Organisation
    reservation: Reservation | None = None
    basket: Basket | None = None


def record(
    *,
    bank_reference: str,
    payer_name: str,
    amount_minor: int,
    currency: str,
    received_date: date,
    at: datetime,
    actor: Actor,
    user: User,
    tenant_id: int | None = None,
    payer_account: str = "",
    text: str = "",
    account: BankAccount | None = None,
    late_reason: str = "",
) -> BankReceipt:
    """A transfer seen on the statement is booked as unmatched: bank → unmatched receipts.

    Nothing is in a wallet yet. Without a tenant it is matched as a line of the statement
    would be, or waits among the exceptions. Not idempotent: a bank reference, however it is
    written, is recorded once for each account, and again only where it was rejected. One from
    longer ago than `RECEIPT_OLD_DAYS` needs a reason. Raises DuplicateReceipt, Invalid,
    UnknownCurrency, NotFound.
    """
    reference = unicodedata.normalize("NFKC", bank_reference).strip().upper()
    if not reference or not payer_name.strip():
        raise Invalid("A receipt needs the bank's reference and the payer's name")
    check_date(received_date, at=at, reason=late_reason)
    if not 0 < amount_minor <= LARGEST_RECEIPT_MINOR:
        raise Invalid(f"The amount must lie between 1 and {LARGEST_RECEIPT_MINOR} minor units")
    money.exponent(currency)
    if account is not None and account.currency != currency:
        raise Invalid("The account is in another currency")
    if tenant_id is None:
        proposal = bank_matching.propose(
            Transfer(
                payer_name.strip(), payer_account.strip(), text, "", currency, account, amount_minor
            )
        )
    else:
        proposal = _by_hand(tenant_id, text)
    receipt = BankReceipt(
        tenant=proposal.tenant,
        account=account,
        bank_reference=reference,
        payer_name=payer_name.strip(),
        payer_account=payer_account.strip(),
        text=text[:500],
        amount_minor=amount_minor,
        currency=currency,
        received_date=received_date,
        late_reason=late_reason[:200],
        recorded_by=user,
        created_at=at,
        **_columns(proposal),
    )
    with transaction.atomic():
        _insert(receipt)
        ledger.post_many([_recorded(receipt)], at=at, actor=actor)
        _journal(receipt, at=at, actor=actor)
    return receipt


def of_line(
    *, line: BankLine, late_reason: str, at: datetime, actor: Actor, user: User
) -> tuple[BankReceipt, bool]:
    """A line of the imported statement is a receipt, with whose it seems to be; and whether it
    is a new one.

    One that somebody recorded by hand before is that one, where the amount agrees. Raises
    DuplicateReceipt where the reference is another receipt's. The caller books the new ones
    together, by `book`.
    """
    reference = line.bank_reference or f"LINE-{line.fact_key[:24].upper()}"
    known = (
        BankReceipt.objects.select_for_update(of=("self",), no_key=True)
        .filter(
            Q(account_id=line.account_id)
            | Q(account__isnull=True, amount_minor=line.amount_minor, currency=line.currency),
            bank_reference=reference,
            line__isnull=True,
        )
        .exclude(state=State.REJECTED)
        .order_by(F("account").asc(nulls_last=True))
        .first()
    )
    if known is not None:
        if (known.amount_minor, known.currency) != (line.amount_minor, line.currency):
            raise DuplicateReceipt(bank_reference=reference)
        known.line = line
        known.save(update_fields=["line"])
        return known, False
    proposal = bank_matching.propose(
        Transfer(
            line.counterparty_name,
            line.counterparty_account,
            line.text,
            line.virtual_number,
            line.currency,
            line.account,
            line.amount_minor,
        )
    )
    if _maybe_recorded(line):
        proposal = Proposal(
            doubt=BankReceipt.Doubt.MAYBE_RECORDED, candidate=proposal.tenant or proposal.candidate
        )
    receipt = BankReceipt(
        tenant=proposal.tenant,
        account=line.account,
        line=line,
        bank_reference=reference,
        payer_name=line.counterparty_name or "–",
        payer_account=line.counterparty_account,
        text=line.text,
        amount_minor=line.amount_minor,
        currency=line.currency,
        received_date=line.booked_date,
        late_reason=late_reason[:200],
        recorded_by=user,
        created_at=at,
        **_columns(proposal),
    )
    _insert(receipt)
    _journal(receipt, at=at, actor=actor)
    return receipt, True


def book(fresh: list[BankReceipt], *, at: datetime, actor: Actor) -> None:
    """What was made of lines is booked: bank → unmatched receipts, each once."""
    if fresh:
        ledger.post_many([_recorded(receipt) for receipt in fresh], at=at, actor=actor)


def check_date(day: date, *, at: datetime, reason: str) -> None:
    """Whether money can have been received on that day. Raises Invalid."""
    today = at.astimezone(ZoneInfo(settings.BILLING_ZONE)).date()
    if day > today:
        raise Invalid("A transfer cannot have been received in the future")
    if day < EARLIEST:
        raise Invalid("No transfer is that old")
    if day < today - timedelta(days=settings.RECEIPT_OLD_DAYS) and not reason.strip():
        raise Invalid(
            f"Say why a transfer of more than {settings.RECEIPT_OLD_DAYS} days ago is recorded now"
        )


def attribute(
    *, receipt_public_id: str, whose: Whose, at: datetime, actor: Actor, user: User, reason: str
) -> BankReceipt:
    """A person says whose money it is; another still has to approve. Locks the receipt.

    Money of a third party needs a reason: why it may stand in this tenant's wallet. Raises
    NotFound, IllegalTransition once it is decided, Invalid. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say how you know whose money it is")
    if whose.reservation is not None and whose.reservation.basket is not None:
        # What lies in a basket is confirmed with it.
        whose = Whose(whose.tenant, basket=whose.reservation.basket)
    if not whose.tenant.is_tenant:
        raise NotFound("No such tenant")
    for deal in (whose.reservation, whose.basket):
        if deal is not None and deal.tenant_id != whose.tenant.pk:
            raise NotFound("No such deal")
    with transaction.atomic():
        receipt = lock(receipt_public_id)
        if receipt.state != State.RECORDED:
            raise transitions.IllegalTransition("It is decided already", state=receipt.state)
        receipt.tenant = whose.tenant
        receipt.reservation, receipt.basket = whose.reservation, whose.basket
        receipt.matched_by = Match.HAND
        receipt.attributed_by, receipt.attributed_at = user, at
        receipt.save(
            update_fields=[
                "tenant", "reservation", "basket", "matched_by", "attributed_by", "attributed_at",
            ]
        )  # fmt: skip
        journal.record(
            event="bankreceipt.attributed",
            object_id=receipt.public_id,
            actor=actor,
            at=at,
            reason=reason,
            tenant_id=whose.tenant.pk,
            data={"doubt": receipt.doubt, "amount_minor": receipt.amount_minor},
        )
    return receipt


def approve(*, receipt_public_id: str, at: datetime, actor: Actor, user: User) -> BankReceipt:
    """The money is in the tenant's wallet, less what the tenant owes, which it pays first.

    Where it names a deal, that deal waits from now on for the sweep that confirms it: the row
    commits with the money, so that nothing is lost in between. Locks the receipt. Raises
    SamePerson, Unattributed, IllegalTransition, NotFound. Not idempotent.
    """
    with transaction.atomic():
        receipt = lock(receipt_public_id)
        if receipt.tenant is None:
            raise Unattributed
        _decide(receipt, to=State.APPROVED, user=user, at=at, actor=actor, reason="")
        tenant, currency = receipt.tenant, receipt.currency
        wallet, owed = chart.wallet(tenant, currency), chart.receivable(tenant, currency)
        if receipt.refund is not None and receipt.matched_by == Match.REFUND:
            refunds.come_back(refund=receipt.refund, at=at, actor=actor)
            return receipt
        ledger.lock([wallet, owed, chart.unmatched_receipts(currency)])
        ledger.post(
            kind=Kind.BANK_RECEIPT_APPROVED,
            key=f"receipt:{receipt.public_id}:approved",
            entries=[
                (chart.unmatched_receipts(currency), receipt.amount_minor),
                (wallet, -receipt.amount_minor),
            ],
            at=at,
            actor=actor,
            external_reference=receipt.bank_reference,
        )
        payments.clear_receivable(
            tenant,
            currency=currency,
            up_to_minor=receipt.amount_minor,
            cause=f"receipt:{receipt.public_id}",
            at=at,
            actor=actor,
        )
        _await_deal(receipt, at)
    return receipt


def reject(
    *, receipt_public_id: str, at: datetime, actor: Actor, user: User, reason: str
) -> BankReceipt:
    """There was no such transfer: what was booked when it was recorded is reversed.

    One of a statement has come: it is rejected only where it turns out to be our own money, of
    which the bank told us before Stripe did. Locks the receipt. Raises OnStatement, SamePerson,
    IllegalTransition, NotFound, Invalid. Not idempotent.
    """
    if not reason.strip():
        raise Invalid("Say why the receipt is rejected")
    with transaction.atomic():
        receipt = lock(receipt_public_id)
        line = receipt.line
        if line and (receipt.tenant or not bank_matching.is_own_money(line)):
            raise OnStatement
        _decide(receipt, to=State.REJECTED, user=user, at=at, actor=actor, reason=reason)
        ledger.post(
            kind=Kind.BANK_RECEIPT_REJECTED,
            key=f"receipt:{receipt.public_id}:rejected",
            entries=[
                (chart.unmatched_receipts(receipt.currency), receipt.amount_minor),
                (chart.bank(receipt.currency), -receipt.amount_minor),
            ],
            at=at,
            actor=actor,
            reason=reason[:500],
            external_reference=receipt.bank_reference,
        )
    return receipt


def aged(*, at: datetime) -> list[BankReceipt]:
    """Exceptions that wait for longer than `UNMATCHED_ALARM_DAYS`, the oldest first."""
    before = at - timedelta(days=settings.UNMATCHED_ALARM_DAYS)
    rows = BankReceipt.objects.exceptions().filter(created_at__lt=before)
    return list(rows.order_by("created_at")[:1000])


def lock(public_id: str) -> BankReceipt:
    """The receipt, locked. Raises NotFound."""
    rows = BankReceipt.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(
        rows.select_related("tenant", "refund", "line"), public_id, "No such receipt"
    )


def _by_hand(tenant_id: int, text: str) -> Proposal:
    """Whose it is was said; the text may still name one of that tenant's deals."""
    tenant = Organisation.objects.filter(pk=tenant_id, is_tenant=True).first()
    if tenant is None:
        raise NotFound("No such tenant")
    deals = [bank_matching.resolve(found) for found in references.read(text).references]
    named = [deal for deal in deals if deal and any(deal)]
    if len(named) == 1:
        reservation, basket = named[0]
        found = reservation or basket
        if found is not None and found.tenant_id == tenant.pk:
            return Proposal(tenant, reservation, basket, matched_by=Match.HAND)
    return Proposal(tenant, matched_by=Match.HAND)


def _columns(proposal: Proposal) -> dict[str, object]:
    return {
        "reservation": proposal.reservation,
        "basket": proposal.basket,
        "refund": proposal.refund,
        "matched_by": proposal.matched_by,
        "doubt": proposal.doubt,
        "candidate": proposal.candidate,
    }


def _maybe_recorded(line: BankLine) -> bool:
    """Somebody recorded the same sum of the same payer by hand, under another reference."""
    around = timedelta(days=3)
    rows = BankReceipt.objects.filter(
        line__isnull=True,
        amount_minor=line.amount_minor,
        currency=line.currency,
        payer_name=line.counterparty_name,
        received_date__range=(line.booked_date - around, line.booked_date + around),
    )
    return rows.exclude(state=State.REJECTED).exists()


def _recorded(receipt: BankReceipt) -> Posting:
    return Posting(
        kind=Kind.BANK_RECEIPT_RECORDED,
        key=f"receipt:{receipt.public_id}:recorded",
        entries=[
            (chart.bank(receipt.currency), receipt.amount_minor),
            (chart.unmatched_receipts(receipt.currency), -receipt.amount_minor),
        ],
        effective_at=receipt.created_at,
        external_reference=receipt.bank_reference,
    )


def _journal(receipt: BankReceipt, *, at: datetime, actor: Actor) -> None:
    journal.record(
        event="bankreceipt.recorded",
        object_id=receipt.public_id,
        actor=actor,
        at=at,
        reason=receipt.late_reason,
        to_state=State.RECORDED,
        tenant_id=receipt.tenant_id,
        data={
            "amount_minor": receipt.amount_minor,
            "currency": receipt.currency,
            "bank_reference": receipt.bank_reference,
            "matched_by": receipt.matched_by,
            "doubt": receipt.doubt,
        },
    )


def _insert(receipt: BankReceipt) -> None:
    try:
        with transaction.atomic():
            receipt.save(force_insert=True)
    except IntegrityError as error:
        if "receipt_reference_once" not in str(error):
            raise
        raise DuplicateReceipt(bank_reference=receipt.bank_reference) from error


def _await_deal(receipt: BankReceipt, at: datetime) -> None:
    """The deal that the receipt names waits for the sweep; a later receipt wakes it up."""
    named = {"reservation": receipt.reservation_id, "basket": receipt.basket_id}
    found = {f"{name}_id": pk for name, pk in named.items() if pk is not None}
    if not found:
        return
    assert receipt.tenant is not None
    row, made = BankDeal.objects.get_or_create(
        **found,
        defaults={"tenant": receipt.tenant, "next_try_at": at, "created_at": at},
    )
    if not made:
        BankDeal.objects.filter(pk=row.pk, state=BankDeal.State.WAITING).update(next_try_at=at)


def _decide(
    receipt: BankReceipt, *, to: str, user: User, at: datetime, actor: Actor, reason: str
) -> None:
    if user.pk in (receipt.recorded_by_id, receipt.attributed_by_id):
        raise SamePerson
    receipt.decided_by = user
    transitions.advance(
        receipt,
        to=to,
        at=at,
        actor=actor,
        reason=reason,
        changed=("decided_by",),
        data={"amount_minor": receipt.amount_minor, "currency": receipt.currency},
    )
