"""Money given back on a final invoice: asked for by one person, approved by another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet, Sum

from billing import chart, ledger
from billing.invoices.finalising import finalise
from billing.ledger import Kind
from billing.models import BilledCharge, Charge, Contest, Invoice, InvoiceLine
from billing.payments import SamePerson
from inventory import identifiers, journal, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid
from inventory.models import User
from marketplace import money
from marketplace.models import Lease, Listing
from marketplace.money import Amounts

State = Invoice.State


class NotFinal(DomainError):
    """A draft still follows its charges; it is not corrected by a document."""

    code = "invoice_not_final"
    title = "The invoice is not final"


class CreditTooLarge(DomainError):
    """More than is left of the line."""

    code = "credit_too_large"
    title = "The line has less left than that"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a credit moves, all positive; the tenant's parts are none where the fee alone is."""

    amounts: Amounts
    receivable_minor: int
    wallet_minor: int


def request_credit(
    *,
    line_public_id: str,
    gross_minor: int,
    reason: str,
    at: datetime,
    actor: Actor,
    user: User,
) -> Invoice:
    """A credit note over part of a line waits for a second person; nothing is posted yet.

    Locks the invoice, so that two of them together do not exceed the line. Not idempotent.
    Raises NotFound, NotFinal, CreditTooLarge, Invalid.
    """
    if not reason.strip():
        raise Invalid("Say why the credit note is issued")
    line = identifiers.find(
        InvoiceLine.objects.select_related("lease__listing", "price"), line_public_id
    )
    with transaction.atomic():
        invoice = Invoice.objects.select_for_update(no_key=True).get(pk=line.invoice_id)
        if not invoice.is_final or invoice.kind != Invoice.Kind.INVOICE:
            raise NotFinal
        left = left_minor(line)
        if not 0 < gross_minor <= left:
            raise CreditTooLarge(left_minor=left)
        vat_minor = _vat_of(line, gross_minor)
        note = Invoice.objects.create(
            kind=Invoice.Kind.CREDIT_NOTE,
            subject=invoice.subject,
            issuer_id=invoice.issuer_id,
            party_id=invoice.party_id,
            currency=invoice.currency,
            month=invoice.month,
            period=invoice.period,
            net_minor=vat_minor - gross_minor,
            vat_minor=-vat_minor,
            total_minor=-gross_minor,
            reason=reason.strip(),
            requested_by=user,
            created_at=at,
        )
        InvoiceLine.objects.create(
            invoice=note,
            lease_id=line.lease_id,
            price_id=line.price_id,
            kind=Charge.Kind.CREDIT,
            month=line.month,
            corrects=line,
            from_at=line.from_at,
            until_at=line.until_at,
            card_seconds=0,
            vat_code=line.vat_code,
            vat_bps=line.vat_bps,
            net_minor=note.net_minor,
            vat_minor=note.vat_minor,
            gross_minor=note.total_minor,
        )
        _journal(note, "invoice.credit_requested", at=at, actor=actor, reason=reason)
    return note


def approve_credit(*, invoice_public_id: str, at: datetime, actor: Actor, user: User) -> Invoice:
    """The money is given back, and the credit note has its number.

    First what the tenant owes shrinks, then its wallet grows; provider, fee and VAT give it, in
    the proportion they had got it. It becomes a charge of its own, so that the provider's next
    settlement counts it. A contest that waited for it is upheld. Locks the note, balances, the
    series. Not idempotent. Raises SamePerson, IllegalTransition, NotFound.
    """
    with transaction.atomic():
        note = _lock(invoice_public_id)
        if note.requested_by_id == user.pk:
            raise SamePerson
        if note.state != State.DRAFT or note.requested_by_id is None:
            raise transitions.IllegalTransition("It is decided already", state=note.state)
        line = note.lines.select_related(
            "lease__provider", "lease__tenant", "lease__listing", "price", "corrects"
        ).get()
        _give_back(note, line, at, actor)
        note.decided_by = user
        note.save(update_fields=["decided_by"])
        finalise([note.pk], at=at, actor=actor)
        for contest in _contests(note):
            contest.decided_by = user
            transitions.advance(
                contest,
                to=Contest.State.UPHELD,
                at=at,
                actor=actor,
                reason=contest.operator_note,
                changed=("decided_by",),
            )
    note.refresh_from_db()
    return note


def discard_credit(
    *, invoice_public_id: str, reason: str, at: datetime, actor: Actor, user: User
) -> Invoice:
    """The second person does not approve; a contest that waited for it is open again.

    Locks the note. Not idempotent. Raises SamePerson, IllegalTransition, NotFound, Invalid.
    """
    if not reason.strip():
        raise Invalid("Say why the credit note is not approved")
    with transaction.atomic():
        note = _lock(invoice_public_id)
        if note.requested_by_id == user.pk:
            raise SamePerson
        if note.state != State.DRAFT or note.requested_by_id is None:
            raise transitions.IllegalTransition("It is decided already", state=note.state)
        for contest in _contests(note):
            contest.credit_note = None
            contest.operator_note = ""
            contest.save(update_fields=["credit_note", "operator_note"])
        note.decided_by = user
        transitions.advance(
            note, to=State.DISCARDED, at=at, actor=actor, reason=reason, changed=("decided_by",)
        )
    return note


def left_minor(line: InvoiceLine) -> int:
    """Of a line's gross, what no credit note has taken back or is asked to."""
    taken = line.corrections.exclude(invoice__state=State.DISCARDED)
    return line.gross_minor + int(taken.aggregate(sum=Sum("gross_minor", default=0))["sum"])


def _vat_of(line: InvoiceLine, gross_minor: int) -> int:
    """The VAT within so much more of a line, in the line's own proportion.

    Cumulatively over its credits: all of them together take back exactly what the line had,
    whatever its rate was levied on (the price, or the operator's fee).
    """
    taken = line.corrections.exclude(invoice__state=State.DISCARDED).aggregate(
        gross=Sum("gross_minor", default=0), vat=Sum("vat_minor", default=0)
    )
    whole = _portion(line.vat_minor, gross_minor - taken["gross"], line)
    return min(max(0, whole + int(taken["vat"])), gross_minor)


def _split(note: Invoice, line: InvoiceLine) -> Amounts:
    """A note's amounts, positive: its VAT as it was asked for; of the net, fee and share as the
    line had them, the fee cumulatively over the credits that were approved."""
    corrected = line.corrects
    assert corrected is not None
    gross, net = -line.gross_minor, -line.net_minor
    if note.subject == Invoice.Subject.FEE:
        return Amounts(gross, -line.vat_minor, net, 0)
    charged = _sums(Charge.objects.filter(billed__line=corrected))
    approved = _sums(Charge.objects.filter(billed__line__corrects=corrected))
    whole = _portion(charged["fee"], gross - approved["gross"], corrected)
    fee = min(max(0, whole + approved["fee"]), net)
    return Amounts(gross, -line.vat_minor, fee, net - fee)


def _portion(amount_minor: int, gross_minor: int, line: InvoiceLine) -> int:
    """What of an amount within a line belongs to so much of its gross."""
    return money.half_up_of(amount_minor * gross_minor, line.gross_minor)


def _sums(charges: QuerySet[Charge]) -> dict[str, int]:
    return charges.aggregate(gross=Sum("gross_minor", default=0), fee=Sum("fee_minor", default=0))


def _give_back(note: Invoice, line: InvoiceLine, at: datetime, actor: Actor) -> None:
    lease, gross = line.lease, -line.gross_minor
    parts = _parts(note, line, gross)
    amounts, direct = parts.amounts, note.subject == Invoice.Subject.FEE
    transaction_id = ledger.post(
        kind=Kind.CREDIT_NOTE_ISSUED,
        key=f"credit:{note.public_id}",
        entries=[(code, amount) for code, amount in _entries(lease, parts, direct) if amount],
        at=at,
        actor=actor,
        reason=note.reason,
        external_reference=note.public_id,
    )
    charge = Charge.objects.create(
        lease=lease,
        provider_id=lease.provider_id,
        tenant_id=lease.tenant_id,
        price_id=line.price_id,
        kind=Charge.Kind.CREDIT,
        allocation_id=lease.allocation_id,
        hour=at,
        card_seconds=0,
        currency=lease.currency,
        # Of a deal paid directly the provider gets back the fee that it had paid.
        gross_minor=0 if direct else -gross,
        selling=lease.selling,
        vat_minor=0 if direct else -amounts.vat_minor,
        fee_minor=-amounts.fee_minor,
        provider_minor=amounts.fee_minor if direct else -amounts.provider_minor,
        fee_vat_minor=-amounts.vat_minor if direct else 0,
        deposit_minor=0,
        wallet_minor=-parts.wallet_minor,
        receivable_minor=-parts.receivable_minor,
        ledger_transaction_id=transaction_id,
        created_at=at,
    )
    BilledCharge.objects.create(charge=charge, line=line)


def _parts(note: Invoice, line: InvoiceLine, gross: int) -> _Parts:
    lease, currency = line.lease, line.lease.currency
    wallet, owed = chart.wallet(lease.tenant, currency), chart.receivable(lease.tenant, currency)
    accrued = chart.provider_accrued(lease.provider, currency)
    debt = ledger.lock([wallet, owed, accrued])[owed]
    amounts = _split(note, line)
    if note.subject == Invoice.Subject.FEE:
        return _Parts(amounts, 0, 0)
    receivable = min(gross, max(0, debt))
    return _Parts(amounts, receivable, gross - receivable)


def _entries(lease: Lease, parts: _Parts, direct: bool) -> list[ledger.Entry]:
    currency, amounts = lease.currency, parts.amounts
    provider = chart.provider_accrued(lease.provider, currency)
    vat = (chart.vat(currency), amounts.vat_minor)
    if direct:
        return [
            (chart.fee(currency), amounts.fee_minor), vat, (provider, -amounts.gross_minor)
        ]  # fmt: skip
    back = [
        (chart.receivable(lease.tenant, currency), -parts.receivable_minor),
        (chart.wallet(lease.tenant, currency), -parts.wallet_minor),
    ]
    share = (provider, amounts.provider_minor)
    if lease.selling == Listing.Selling.RESALE:
        net = amounts.gross_minor - amounts.vat_minor
        cost = (chart.cost_of_sales(currency), -amounts.provider_minor)
        return [(chart.sales(currency), net), vat, *back, share, cost]
    return [share, (chart.fee(currency), amounts.fee_minor), vat, *back]


def _contests(note: Invoice) -> list[Contest]:
    rows = Contest.objects.select_for_update(of=("self",), no_key=True)
    return list(rows.filter(credit_note=note, state=Contest.State.OPEN).order_by("pk"))


def _lock(public_id: str) -> Invoice:
    rows = Invoice.objects.select_for_update(of=("self",), no_key=True)
    return identifiers.find(
        rows.filter(kind=Invoice.Kind.CREDIT_NOTE), public_id, "No such credit note"
    )


def _journal(note: Invoice, event: str, *, at: datetime, actor: Actor, reason: str) -> None:
    journal.record(
        event=event,
        object_id=note.public_id,
        actor=actor,
        at=at,
        reason=reason,
        to_state=note.state,
        data={"total_minor": note.total_minor, "currency": note.currency},
    )
