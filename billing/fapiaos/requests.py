"""What a tenant asks for: whose fapiao, of which kind, over which parts of which invoices."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from billing.models import BillingDetails, Fapiao, FapiaoPart, Invoice, InvoiceLine
from inventory import identifiers, journal, organisations, transitions
from inventory.actors import Actor
from inventory.errors import DomainError, Invalid, NotFound
from inventory.models import Organisation, User

State = Fapiao.State
LIVE = (State.REQUESTED, State.ISSUED)
MOST_PARTS = 100
# 15 digits of before 2015, 18 of today, or 20 with a branch; a person's are no business here.
_OLD_TAX_NUMBER = re.compile(r"[0-9A-Z]{15}|[0-9A-Z]{20}")


class AmountNotLeft(DomainError):
    """Other fapiaos, and credit notes, leave less of the invoice than that."""

    code = "amount_not_left"
    title = "The invoice has less left for a fapiao"


@dataclass(frozen=True, slots=True)
class Buyer:
    """What stands on a fapiao about who gets it."""

    title: str
    tax_number: str = ""
    address: str = ""
    phone: str = ""
    bank_name: str = ""
    bank_account: str = ""

    def checked(self, *, kind: str | None) -> Buyer:
        """In one width of characters, complete for the kind. Raises Invalid."""
        texts = {name: _tidy(value) for name, value in asdict(self).items()}
        if not texts["title"]:
            raise Invalid("A fapiao needs the buyer's title")
        number = texts["tax_number"] = texts["tax_number"].upper()
        if number:
            check_tax_number(number)
        if kind == Fapiao.Kind.SPECIAL and not number:
            raise Invalid("A special VAT fapiao needs the buyer's tax number")
        return Buyer(**texts)


@dataclass(frozen=True, slots=True)
class Part:
    """How much of which invoice; all that is left of it where no amount is said."""

    invoice: str
    amount_minor: int | None = None


def check_tax_number(number: str) -> None:
    """Raises Invalid unless it is a unified social credit code, or an older tax number."""
    if len(number) == 18:
        organisations.check_credit_code(number)
    elif not _OLD_TAX_NUMBER.fullmatch(number):
        raise Invalid("A tax number has 15, 18 or 20 letters and digits")


def put_details(
    *, organisation_id: int, details: Buyer, at: datetime, actor: Actor
) -> BillingDetails:
    """From now on the organisation stands so on its documents; final ones keep theirs.

    Idempotent. Raises Invalid, NotFound.
    """
    texts = asdict(details.checked(kind=None))
    with transaction.atomic():
        rows = Organisation.objects.select_for_update(of=("self",), no_key=True)
        organisation = rows.filter(pk=organisation_id).first()
        if organisation is None:
            raise NotFound("No such organisation")
        row, _ = BillingDetails.objects.update_or_create(
            organisation=organisation, defaults={**texts, "updated_at": at}
        )
        journal.record(
            event="organisation.billing_details_set",
            object_id=organisation.public_id,
            actor=actor,
            at=at,
            tenant_id=organisation.pk,
            data={"title": row.title, "tax_number": row.tax_number},
        )
    return row


def request(
    *,
    kind: str,
    buyer: Buyer,
    parts: Sequence[Part],
    at: datetime,
    actor: Actor,
    user: User,
    replaces: str | None = None,
) -> Fapiao:
    """A fapiao over these parts waits for its issuing; they are kept for it.

    All of one issuer and currency. Locks the invoices, ids ascending. Not idempotent. Raises
    NotFound, AmountNotLeft, Invalid.
    """
    if kind not in Fapiao.Kind.values:
        raise Invalid("A fapiao is general or special")
    named = [part.invoice for part in parts]
    if not 0 < len(named) <= MOST_PARTS or len(set(named)) != len(named):
        raise Invalid("Name at least one invoice, and each once")
    checked = buyer.checked(kind=kind)
    with transaction.atomic():
        invoices = {row.public_id: row for row in _lock_invoices(named, actor)}
        if len({(row.issuer_id, row.currency) for row in invoices.values()}) != 1:
            raise Invalid("The invoices of a fapiao are of one issuer and one currency")
        amounts = {part.invoice: _amount(part, invoices[part.invoice]) for part in parts}
        first = invoices[named[0]]
        row = Fapiao.objects.create(
            buyer_id=first.party_id,
            issuer_id=first.issuer_id,
            kind=kind,
            currency=first.currency,
            amount_minor=sum(amounts.values()),
            replaces=_replaced(replaces, first) if replaces else None,
            requested_by=user,
            created_at=at,
            **asdict(checked),
        )
        FapiaoPart.objects.bulk_create(
            FapiaoPart(fapiao=row, invoice=invoices[key], amount_minor=amount)
            for key, amount in amounts.items()
        )
        journal.record(
            event="fapiao.requested",
            object_id=row.public_id,
            actor=actor,
            at=at,
            to_state=State.REQUESTED,
            tenant_id=row.buyer_id,
            data={"amount_minor": row.amount_minor, "currency": row.currency, "kind": kind},
        )
    return row


def withdraw(*, fapiao_public_id: str, at: datetime, actor: Actor) -> Fapiao:
    """The buyer no longer wants it; its invoices are free for another. Locks the fapiao.

    Raises NotFound, IllegalTransition. Not idempotent.
    """
    with transaction.atomic():
        rows = Fapiao.objects.select_for_update(of=("self",), no_key=True)
        own = rows.filter(buyer_id=actor.organisation_id)
        row = identifiers.find(own, fapiao_public_id, "No such fapiao")
        transitions.advance(row, to=State.WITHDRAWN, at=at, actor=actor)
    return row


def left_minor(invoice: Invoice) -> int:
    """Of an invoice, what neither a live fapiao nor a credit note has taken."""
    parts = FapiaoPart.objects.filter(invoice=invoice, fapiao__state__in=LIVE)
    taken = parts.aggregate(sum=Sum("amount_minor", default=0))["sum"]
    credits = InvoiceLine.objects.filter(corrects__invoice=invoice).exclude(
        invoice__state=Invoice.State.DISCARDED
    )
    credited = credits.aggregate(sum=Sum("gross_minor", default=0))["sum"]
    return max(0, int(invoice.total_minor + credited - taken))


def _lock_invoices(named: Sequence[str], actor: Actor) -> list[Invoice]:
    """The buyer's own final invoices. Raises NotFound."""
    rows = Invoice.objects.filter(
        party_id=actor.organisation_id,
        kind=Invoice.Kind.INVOICE,
        state=Invoice.State.FINALISED,
    )
    keys = sorted(identifiers.find(rows, public_id, "No such invoice").pk for public_id in named)
    return list(Invoice.objects.select_for_update(no_key=True).filter(pk__in=keys).order_by("pk"))


def _amount(part: Part, invoice: Invoice) -> int:
    left = left_minor(invoice)
    amount = left if part.amount_minor is None else part.amount_minor
    if not 0 < amount <= left:
        raise AmountNotLeft(invoice=invoice.public_id, left_minor=left)
    return amount


def _replaced(public_id: str, invoice: Invoice) -> Fapiao:
    """The one that a red note took back. Raises NotFound, Invalid."""
    rows = Fapiao.objects.filter(buyer_id=invoice.party_id)
    row = identifiers.find(rows, public_id, "No such fapiao")
    if row.state != State.REVERSED or hasattr(row, "replaced_by"):
        raise Invalid("Only a fapiao that a red note took back is replaced, and once")
    return row


def _tidy(text: str) -> str:
    """NFKC makes full-width digits and letters plain; what prints nothing is left out."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(c for c in plain if unicodedata.category(c)[0] != "C").strip()


NAMES = tuple(field.name for field in fields(Buyer))
