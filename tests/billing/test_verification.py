"""`manage verify_ledger` over every way of selling: it agrees, and finds what somebody changed."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from billing import checkout, closing, invoices, rating, verification
from billing.models import Charge, InvoiceLine, Settlement
from inventory.periods import Period
from marketplace.models import Lease
from tests import database, world
from tests.billing import books, paying
from tests.billing.test_invoices import FINAL, credit, decide
from tests.billing.test_quotes import accept, ask
from tests.billing.test_selling import receive
from tests.marketplace import scene
from tests.world import T0, hours

pytestmark = pytest.mark.django_db(transaction=True)

MODES = ("agency", "resale", "direct")
START = 200
LATER = T0 + hours(400)


def lease(mode: str, number: int, end: float = START + 20) -> Lease:
    row = books.hold(scene.listing(selling=mode), start=START, end=end)
    return receive(row, f"D-{mode}-{number}") if mode == "direct" else books.confirm(row)


def a_month_of(mode: str) -> None:
    """Delivered with a gap and corrected, left early, cancelled: one lease of each."""
    kept, left, cancelled = (lease(mode, number) for number in range(3))
    checkout.cancel(
        reservation_public_id=cancelled.reservation.public_id,
        at=T0 + hours(START - 80),
        actor=world.actor(cancelled.tenant),
        reason="plans changed",
    )
    for row in (kept, left):
        books.activate(row)
    books.meter(kept, until=T0 + hours(START + 20), gaps={T0 + hours(START + 3): 12_345})
    books.meter(left, until=T0 + hours(START + 2))
    rating.rate_due(at=T0 + hours(START + 2), limit=1000)
    accept(ask(left, "leave", START + 10, at=T0 + hours(START + 2)))
    left.refresh_from_db()
    books.meter(left, until=Period.of(left.period).end)
    for row in (kept, left):
        books.end(row)
    rating.rate_due(at=LATER, limit=1000)
    books.correct(kept, T0 + hours(START + 1), -7_777)
    rating.rate_due(at=LATER, limit=1000)
    closing.close_leases(at=LATER, limit=10)


@pytest.fixture
def market() -> None:
    """Invoiced, partly credited, settled and paid out."""
    world.operator()
    books.top_up(world.tenant(), 10**8)
    for mode in MODES:
        a_month_of(mode)
    paying.terms(reserve_bps=1000)
    row = books.settle()
    assert row is not None
    paying.payee()
    payout = paying.approve(paying.plan())
    paying.send()
    paying.paid(payout)
    invoices.finalise_due(at=FINAL, limit=100)
    for subject in ("compute", "fee"):
        line = InvoiceLine.objects.filter(invoice__subject=subject, kind="usage").first()
        assert line is not None
        decide(credit(line, 777))
    last = books.settle(1)
    assert last is not None


def verified() -> str:
    told = StringIO()
    call_command("verify_ledger", stdout=told)
    return told.getvalue()


def test_a_market_of_every_way_of_selling_agrees(market: None) -> None:
    assert {row.selling for row in Charge.objects.all()} == set(MODES)
    assert {row.kind for row in Charge.objects.all()} >= {
        "usage", "cancellation", "leaving", "credit",
    }  # fmt: skip
    assert Settlement.objects.filter(direct_minor__gt=0).exists()

    assert verified().endswith("The books agree.\n")
    assert "DIFFERENT" not in verified()


def _first(mode: str) -> str:
    """A lease's first charge, whatever it says of how it was sold."""
    return (
        "(SELECT min(c.id) FROM billing_charge c JOIN marketplace_lease l ON l.id = c.lease_id"
        f" WHERE l.selling = '{mode}' AND c.kind = 'usage')"
    )


def _in_every_mode(what: str, statement: str, title: str) -> list[tuple[str, str, str]]:
    return [
        (
            f"{mode}: {what}",
            statement.replace("<mode>", mode).replace("<first>", _first(mode)),
            title,
        )
        for mode in MODES
    ]


# What is changed, by {by}; changed back by its opposite; and the check that says so.
PLANTED = [
    *_in_every_mode(
        "a fee that is the provider's",
        "UPDATE billing_charge SET fee_minor = fee_minor + {by},"
        " provider_minor = provider_minor - {by} WHERE id = <first>",
        "the ledger's legs are the sums of the charges",
    ),
    *_in_every_mode(
        "a minute too many",
        "UPDATE billing_charge SET card_seconds = card_seconds + 60 * {by} WHERE id = <first>",
        "a charge is of a usage hour",
    ),
    *_in_every_mode(
        "an invoice with more tax",
        "UPDATE billing_invoiceline SET net_minor = net_minor - {by}, vat_minor = vat_minor + {by}"
        " WHERE id = (SELECT line_id FROM billing_billedcharge WHERE charge_id = <first>)",
        "a line is the sum of its charges",
    ),
    *_in_every_mode(
        "a total beside its charges",
        "UPDATE billing_leasetally SET gross_minor = gross_minor + {by}"
        " WHERE lease_id = (SELECT lease_id FROM billing_charge WHERE id = <first>)",
        "a lease's tally is the sum",
    ),
    *_in_every_mode(
        "another provider's settlement",
        "UPDATE billing_settlement SET net_minor = net_minor + {by}, fee_minor = fee_minor - {by}"
        " WHERE id = (SELECT settlement_id FROM billing_settlementline WHERE charge_id = <first>)",
        "a settlement is the sum of its lines",
    ),
    *_in_every_mode(
        "a deal that was left at another price",
        "UPDATE marketplace_amendment SET kept_fee_minor = kept_fee_minor + {by},"
        " kept_provider_minor = kept_provider_minor - {by} WHERE id = (SELECT min(a.id)"
        " FROM marketplace_amendment a JOIN marketplace_lease l ON l.id = a.lease_id"
        " WHERE l.selling = '<mode>' AND a.kept_gross_minor > 0)",
        "what a lease's changes kept and paid back is charged",
    ),
    (
        "resale: a sale at another cost",
        "UPDATE billing_ledgerentry e SET amount_minor = amount_minor"
        " + {by} * CASE a.purpose WHEN 'sales' THEN 1 ELSE -1 END FROM billing_ledgeraccount a"
        " WHERE a.id = e.account_id AND a.purpose IN ('sales', 'cost_of_sales')"
        f" AND e.transaction_id = (SELECT ledger_transaction_id FROM billing_charge"
        f" WHERE id = {_first('resale')})",
        "the ledger's legs are the sums of the charges",
    ),
    (
        "direct: no tax on the fee",
        "UPDATE billing_charge SET fee_vat_minor = fee_vat_minor + 9 * {by}"
        f" WHERE id = {_first('direct')}",
        "the VAT on a direct fee",
    ),
    (
        "direct: another sum received",
        "UPDATE billing_directreceipt SET amount_minor = amount_minor + {by}"
        " WHERE id = (SELECT min(id) FROM billing_directreceipt)",
        "a lease sold directly was confirmed by its centre",
    ),
    (
        "direct: what is paid to the centre, in our wallet",
        "UPDATE billing_leasetally SET deposit_left_minor = deposit_left_minor + 1 * {by}"
        f" WHERE lease_id = (SELECT lease_id FROM billing_charge WHERE id = {_first('direct')})",
        "a lease's tally is the sum",
    ),
]


def test_an_error_planted_in_any_of_them_is_found(market: None) -> None:
    for name, statement, title in PLANTED:
        database.plant(statement.format(by="1"))
        found = [finding.title for finding in verification.verify() if not finding.holds]
        assert any(one.startswith(title) for one in found), f"{name}: {found}"
        database.plant(statement.format(by="(-1)"))
    assert verified().endswith("The books agree.\n")


def test_a_lease_sold_as_another_is_found_and_stops_the_command(market: None) -> None:
    database.plant(f"UPDATE billing_charge SET selling = 'resale' WHERE id = {_first('agency')}")

    told = StringIO()
    with pytest.raises(CommandError, match="found differences"):
        call_command("verify_ledger", stdout=told)

    assert "DIFFERENT  a charge is sold as its lease is" in told.getvalue()


def test_a_report_of_a_difference_is_journalled(market: None) -> None:
    assert verification.report(at=LATER + timedelta(days=60)) == 0
    database.plant("UPDATE billing_leasetally SET gross_minor = gross_minor + 1")
    assert verification.report(at=LATER + timedelta(days=60)) >= 1
