"""Extending, leaving early, withdrawing and repricing, by each way of selling."""

from __future__ import annotations

from typing import Any

import pytest

from billing import changes, chart, checkout, closing, invoices, ledger, quotes, rating
from billing.models import Charge, Invoice, LedgerTransaction
from inventory.periods import HOUR as ONE_HOUR
from inventory.periods import Period
from marketplace.models import Lease
from marketplace.money import share, vat_within
from marketplace.repricings import NewPrice
from tests import world
from tests.billing import books
from tests.billing.test_amending import propose, sign
from tests.billing.test_quotes import HOUR, accept, ask
from tests.billing.test_selling import posted, receive
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import T0, hours, period

pytestmark = pytest.mark.django_db

MODES = pytest.mark.parametrize("mode", ["agency", "resale", "direct"])
MONEY = 10**8
# A hundred hours from the two hundredth on: far enough ahead to be paid by bank.
START, END = 200, 300
GROSS = (END - START) * HOUR
NOW = T0 + hours(START + 2)


def running(mode: str, end: float = END) -> Lease:
    """Paid for and handed over, and its first two hours charged."""
    world.operator()
    books.top_up(world.tenant(), MONEY)
    row = books.hold(scene.listing(selling=mode), start=START, end=end)
    lease = books.activate(receive(row) if mode == "direct" else books.confirm(row))
    books.meter(lease, until=NOW)
    rating.rate_due(at=NOW, limit=1000)
    return lease


def live_on(lease: Lease, until: float) -> Lease:
    """Delivered, charged and closed to the end that it has now."""
    lease.refresh_from_db()
    assert Period.of(lease.period).end == T0 + hours(until)
    at = T0 + hours(until + 1)
    books.meter(lease, until=T0 + hours(until))
    books.end(lease)
    rating.rate_due(at=at, limit=100_000)
    closing.close_leases(at=at, limit=10)
    lease.refresh_from_db()
    assert lease.closed_at == at
    return lease


def charged(lease: Lease, kind: str, part: str = "gross") -> int:
    rows = lease.charges.filter(kind=kind)
    return sum(rows.values_list(f"{part}_minor", flat=True))


def check_market(lease: Lease, mode: str, paid: int, compensation: int = 0) -> None:
    """Tenant, provider and market have what the mode gives them of `paid`, to the fen."""
    vat = sum(lease.charges.values_list("vat_minor", flat=True))
    assert abs(vat - vat_within(paid, 600)) <= 1  # hours and what is kept are rounded each
    fee = charged(lease, "usage", "fee") + charged(lease, "leaving", "fee")
    own = MONEY - paid + compensation if mode != "direct" else MONEY
    assert posted("wallet", "deposit", "receivable") == [own, 0, 0]
    provider = paid - vat - fee
    if mode == "direct":
        fee_vat = sum(lease.charges.values_list("fee_vat_minor", flat=True))
        assert abs(fee_vat - share(fee, 600)) <= 1
        want = [-fee - fee_vat, fee, fee_vat, 0, 0]
    elif mode == "resale":
        want = [
            provider - compensation, 0, vat, paid - vat - compensation, provider - compensation
        ]  # fmt: skip
    else:
        want = [provider - compensation, fee, vat, 0, 0]
    assert posted("provider_accrued", "fee", "vat", "sales", "cost_of_sales") == want
    assert not books.differences()


@MODES
def test_left_early_the_kept_share_is_earned_as_every_hour_is(mode: str) -> None:
    lease = running(mode)

    quote = accept(ask(lease, "leave", 230, at=NOW))

    rest = 70 * HOUR
    back = rest // 2  # a day's notice and more
    assert (quote.refund_minor, quote.kept_gross_minor) == (back, rest - back)
    lease.refresh_from_db()
    assert lease.tally.deposit_left_minor == 28 * HOUR
    assert not books.differences()
    live_on(lease, 230)
    assert charged(lease, "leaving", "direct") == (rest - back if mode == "direct" else 0)
    check_market(lease, mode, 30 * HOUR + rest - back)


@pytest.mark.parametrize("mode", ["agency", "resale"])
def test_extended_by_terms_where_the_market_is_paid(mode: str) -> None:
    lease = running(mode)

    quote = accept(ask(lease, "extend", 310, at=NOW))

    assert quote.pay_minor == 10 * HOUR
    assert not books.differences()
    live_on(lease, 310)
    check_market(lease, mode, 110 * HOUR)


def test_a_lease_paid_to_the_centre_is_extended_with_its_word_only() -> None:
    lease = running("direct")
    before = LedgerTransaction.objects.count()

    with refused(checkout.PaidToTheCentre):
        ask(lease, "extend", 310, at=NOW)
    amendment = propose(lease, at=NOW, end=T0 + hours(310))
    lease.refresh_from_db()
    assert Period.of(lease.period) == period(START, END)
    sign(amendment, at=NOW)

    assert LedgerTransaction.objects.count() == before
    assert amendment.pay_minor == 10 * HOUR
    lease.refresh_from_db()
    assert (lease.gross_minor, lease.due_minor) == (110 * HOUR, 110 * HOUR)
    assert lease.tally.deposit_left_minor == 108 * HOUR
    assert not lease.instalments.exists()
    assert not books.differences()
    live_on(lease, 310)
    check_market(lease, "direct", 110 * HOUR)


@MODES
def test_withdrawn_the_rest_comes_back_with_compensation_from_who_owes_it(mode: str) -> None:
    lease = running(mode, end=1000)
    end = 500

    quote = accept(ask(lease, "withdraw", end, at=NOW))

    rest = (1000 - end) * HOUR
    compensation = rest * 3 // 10
    assert (quote.refund_minor, quote.compensation_minor) == (rest, compensation)
    row = Charge.objects.get(kind="compensation")
    assert (row.gross_minor, row.provider_minor, row.vat_minor) == (-compensation,) * 2 + (0,)
    assert row.accrued_minor == (0 if mode == "direct" else -compensation)
    assert (row.ledger_transaction is None) == (mode == "direct")
    assert not books.differences()
    live_on(lease, end)
    check_market(lease, mode, (end - START) * HOUR, compensation)


@pytest.mark.parametrize("mode", ["resale", "direct"])
def test_only_what_the_market_would_pay_has_to_be_covered(mode: str, settings: Any) -> None:
    lease = running(mode, end=1000)
    settings.PROVIDER_DEBT_MINOR = 0
    quote = ask(lease, "withdraw", 500, at=NOW)

    if mode == "direct":
        accept(quote)
        assert posted("wallet") == [MONEY]
    else:
        with refused(changes.CompensationUncovered):
            accept(quote)
    assert not books.differences()


@MODES
def test_withdrawn_before_its_start_nothing_was_sold(mode: str) -> None:
    books.top_up(world.tenant(), MONEY)
    row = books.hold(scene.listing(selling=mode), start=START, end=END)
    lease = receive(row) if mode == "direct" else books.confirm(row)

    accept(ask(lease, "withdraw", START, at=T0 + hours(2)))
    closing.close_leases(at=T0 + hours(3), limit=10)

    lease.refresh_from_db()
    assert (lease.state, lease.tally.deposit_left_minor) == ("cancelled", 0)
    compensation = GROSS * 3 // 10
    gone = 0 if mode == "direct" else compensation
    assert posted("wallet", "deposit", "provider_accrued") == [MONEY + gone, 0, -gone]
    assert not books.differences()


@MODES
@pytest.mark.parametrize("amount", [3.40, 13.60])
def test_another_price_is_agreed_on_and_what_is_paid_ahead_moves_with_it(
    mode: str, amount: float
) -> None:
    lease = running(mode)
    new = NewPrice(basis="card_hour", amount_micro=round(amount * 10**6), tax_inclusive=True)

    amendment = propose(lease, by="provider", at=NOW, price=new, price_from=T0 + hours(250))
    sign(amendment, by="tenant", at=NOW)

    gross = 50 * HOUR + 50 * round(amount * 800)
    lease.refresh_from_db()
    assert (lease.gross_minor, lease.tally.deposit_left_minor) == (gross, gross - 2 * HOUR)
    assert not books.differences()
    live_on(lease, END)
    check_market(lease, mode, gross)


@MODES
def test_a_lease_that_failed_gives_back_what_was_not_delivered(mode: str) -> None:
    lease = running(mode)
    books.meter(lease, until=T0 + hours(260), gaps={T0 + hours(210 + n): 28_800 for n in range(9)})
    books.meter(lease, until=T0 + hours(END))
    books.end(lease)
    rating.rate_due(at=T0 + hours(END + 1), limit=1000)

    closing.close_leases(at=T0 + hours(END + 1), limit=10)

    lease.refresh_from_db()
    assert lease.tally.deposit_left_minor == 0
    check_market(lease, mode, GROSS - 9 * HOUR)


@MODES
def test_changes_are_invoiced_to_who_pays_for_them(mode: str) -> None:
    lease = running(mode, end=1000)
    accept(ask(lease, "leave", 230, at=NOW))
    live_on(lease, 230)
    at = T0 + hours(24 * 40)

    invoices.finalise_due(at=at, limit=10)

    row = Invoice.objects.get(kind="invoice")
    charges = list(lease.charges.all())
    if mode == "direct":
        assert (row.subject, row.party) == ("fee", lease.provider)
        assert row.net_minor == sum(c.fee_minor for c in charges)
        assert row.vat_minor == sum(c.fee_vat_minor for c in charges)
    else:
        assert (row.subject, row.party) == ("compute", lease.tenant)
        assert row.total_minor == sum(c.gross_minor for c in charges)
    assert not books.differences()


def test_more_units_are_not_added_to_what_the_centre_is_paid_for() -> None:
    lease = running("direct")

    with refused(checkout.SellingModeUnavailable):
        propose(lease, at=NOW, added_units=1, added_from=NOW + 2 * ONE_HOUR)


def test_a_quote_of_what_is_sold_directly_says_who_pays_back() -> None:
    lease = running("direct")
    before = LedgerTransaction.objects.filter(kind="deal_shortened").count()

    quote = ask(lease, "leave", 230, at=NOW)
    quotes.accept(quote_public_id=quote.public_id, at=NOW, actor=world.actor(lease.tenant))

    made = LedgerTransaction.objects.filter(kind="deal_shortened")
    assert made.count() == before + 1  # the fee on what is kept
    fee = lease.charges.get(kind="leaving")
    assert ledger.posted(chart.fee("CNY")) >= fee.fee_minor > 0
    assert fee.fee_vat_minor == share(fee.fee_minor, 600)
