"""Providers paid over Stripe: accounts, transfers from what is available, reversals, payouts."""

from __future__ import annotations

import pytest
from pytest_django import Settings

from billing import chart, ledger
from billing.models import BankWithdrawal, PspBalanceTransaction
from billing.psp import accounts, withdrawals
from billing.psp.rail import StripeRail
from billing.rails import Order, RailBusy, RailRefused, Status
from inventory.errors import Invalid
from tests import world
from tests.billing import online
from tests.billing.online import hands

pytestmark = pytest.mark.django_db
RAIL = StripeRail()


@pytest.fixture(autouse=True)
def _stripe(settings: Settings) -> None:
    online.switch_on(settings)


def order(amount_minor: int = 30_000, key: str = "pay_1", account: str | None = None) -> Order:
    destination = account or RAIL.destination(world.provider(), "CNY")
    return Order(key, amount_minor, "CNY", "Aurora", destination, "June")


def funded() -> None:
    """Something is available at Stripe, and the provider is owed as much."""
    online.paid(200_000)
    hands.mature()
    settling = chart.provider_settling(world.provider(), "CNY")
    ledger.post(
        kind="settled",
        key="owed",
        entries=[(chart.fee("CNY"), 100_000), (settling, -100_000)],
        at=online.now(),
        actor=world.SYSTEM,
    )


def book_sent(amount_minor: int, reference: str) -> None:
    """As whoever made the payout books it."""
    ledger.post(
        kind="paid_out",
        key=f"stripe:{reference}:created",
        entries=[
            (chart.provider_settling(world.provider(), "CNY"), amount_minor),
            (chart.stripe("CNY"), -amount_minor),
        ],
        at=online.now(),
        actor=world.SYSTEM,
        external_reference=reference,
    )


def test_an_account_is_opened_and_completed_on_stripes_page() -> None:
    provider = world.provider()
    row = accounts.open_account(
        provider_id=provider.pk, country="HK", at=online.now(), actor=world.SYSTEM
    )
    with pytest.raises(accounts.AccountNotThere):
        accounts.onboarding_link(row, refresh_url="https://a/", return_url="https://a/")
    online.send()
    row.refresh_from_db()
    assert (row.state, len(row.wanted)) == ("onboarding", 3)
    assert RAIL.destination(provider, "CNY") == ""

    link = accounts.onboarding_link(row, refresh_url="https://a/", return_url="https://b/")
    assert link.startswith("https://b/")
    hands.complete(str(row.account_id))
    online.deliver()

    row.refresh_from_db()
    assert (row.state, row.wanted) == ("enabled", [])
    assert RAIL.destination(provider, "CNY") == row.account_id
    hands.restrict(str(row.account_id))
    online.deliver()
    row.refresh_from_db()
    assert row.state == "restricted"
    with pytest.raises(accounts.PayoutAccountExists):
        online.account()


def test_a_country_stripe_does_not_pay_is_refused_before_any_call(settings: Settings) -> None:
    with pytest.raises(Invalid):
        accounts.open_account(
            provider_id=world.provider().pk, country="CN", at=online.now(), actor=world.SYSTEM
        )
    settings.STRIPE_PAYOUT_COUNTRIES = ["CN"]  # set up wrongly: then Stripe says no
    row = accounts.open_account(
        provider_id=world.provider().pk, country="CN", at=online.now(), actor=world.SYSTEM
    )
    online.send()
    row.refresh_from_db()
    assert (row.state, row.disabled_reason) == ("closed", "country_unsupported")


def test_a_payout_is_a_transfer_of_available_money() -> None:
    funded()
    online.account()

    assert RAIL.look_up("pay_1").status == Status.UNKNOWN
    assert RAIL.send(order()).status == Status.PENDING
    online.send()

    found = RAIL.look_up("pay_1")
    assert (found.status, found.reference[:3]) == (Status.PAID, "tr_")
    assert RAIL.send(order()) == found
    with pytest.raises(RailRefused):
        RAIL.send(order(amount_minor=30_001))
    book_sent(30_000, found.reference)
    online.deliver()
    assert not online.differences()


def test_what_is_not_available_is_not_asked_for() -> None:
    online.paid(200_000)  # pending for two days
    online.account()

    with pytest.raises(RailBusy):
        RAIL.send(order())
    assert RAIL.look_up("pay_1").status == Status.UNKNOWN

    hands.mature()
    assert RAIL.send(order()).status == Status.PENDING


def test_stripes_refusal_is_final_for_the_order() -> None:
    funded()
    account = online.account()
    RAIL.send(order())
    hands.restrict(str(account.account_id))

    online.send()

    found = RAIL.look_up("pay_1")
    assert (found.status, found.reason) == (Status.FAILED, "insufficient_capabilities_for_transfer")
    with pytest.raises(RailRefused):
        RAIL.send(order(account="acct_of_nobody", key="pay_2"))


def test_stripes_own_payouts_are_in_transit_then_at_the_bank_and_may_come_back() -> None:
    funded()
    made = hands.pay_out("cny")
    assert made is not None
    online.deliver()
    amount = made["amount"]
    assert ledger.posted(chart.transit("CNY")) == amount
    assert not online.differences()
    assert PspBalanceTransaction.objects.filter(payout=made["id"]).count() == 1

    hands.arrive(made["id"], ok=True)
    online.deliver()
    assert (ledger.posted(chart.transit("CNY")), ledger.posted(chart.bank("CNY"))) == (0, amount)

    hands.arrive(made["id"], ok=False)
    online.deliver()
    assert BankWithdrawal.objects.get().state == "failed"
    assert ledger.posted(chart.bank("CNY")) == 0
    assert ledger.posted(chart.stripe("CNY")) == amount
    assert not online.differences()


def test_the_operator_asks_for_a_payout() -> None:
    funded()

    withdrawals.ask(
        operator=world.operator(),
        amount_minor=50_000,
        currency="CNY",
        at=online.now(),
        actor=world.SYSTEM,
    )
    online.send()
    online.deliver()

    row = BankWithdrawal.objects.get()
    assert (row.amount_minor, row.is_automatic, row.state) == (50_000, False, "pending")
    assert not online.differences()


def test_a_fee_of_no_payment_is_booked_by_the_import() -> None:
    hands.fee(777, "cny")

    assert not online.differences()
    assert not online.differences()

    assert ledger.posted(chart.psp_fee("CNY")) == 777


def test_a_connected_accounts_failed_payout_is_told_and_booked_nowhere() -> None:
    account = online.account()
    made = hands.connected_payout(str(account.account_id), "cny", 1_000)
    hands.arrive(made["id"], ok=False, account=str(account.account_id))
    online.deliver()

    account.refresh_from_db()
    assert account.payout_failure == "account_closed"
    assert not BankWithdrawal.objects.exists()
    assert not online.differences()
