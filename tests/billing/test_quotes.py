"""Changes by the frozen terms: quoted, then done to the fen or refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from billing import changes, chart, closing, ledger, quotes, rating
from billing.models import Charge, LedgerTransaction, Quote
from inventory import capacity
from inventory.errors import Invalid, NotFound
from inventory.models import Allocation, JournalEntry
from inventory.periods import Period
from inventory.transitions import IllegalTransition
from marketplace import amendments, extensions, policy, quotas
from marketplace.asking import TermsInput
from marketplace.models import Amendment, Lease, Reservation
from marketplace.quotas import Limit
from tests import world
from tests.billing import books
from tests.marketplace import scene
from tests.marketplace.scene import refused
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db

HOUR = 680 * 8  # one node of 8 cards for an hour at 6.80, in fen
MONEY = 10**7


def ask(lease: Lease, kind: str, end: float | None = None, **changes: Any) -> Quote:
    org = lease.provider if kind == "withdraw" else lease.tenant
    wanted = {"at": T0, "actor": world.actor(org), "reason": "plans changed", **changes}
    return quotes.ask(
        lease_public_id=lease.public_id,
        kind=kind,
        end=None if end is None else T0 + hours(end),
        **wanted,
    )


def accept(quote: Quote, at: datetime | None = None, **changes: Any) -> Quote:
    wanted = {"at": at or quote.created_at, "actor": world.actor(quote.asked_by), **changes}
    return quotes.accept(quote_public_id=quote.public_id, **wanted)


def row_of(lease: Lease) -> Any:
    """The lease as the database keeps it, byte by byte."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT l::text FROM marketplace_lease l WHERE id = %s", [lease.pk])
        return cursor.fetchone()[0]


def figures(quote: Quote) -> tuple[int, int, int, int]:
    return (
        quote.pay_minor, quote.refund_minor, quote.kept_gross_minor, quote.compensation_minor
    )  # fmt: skip


def running(listing: Any = None, *, money: int = MONEY, until: float = 20, **shape: Any) -> Lease:
    """Ten hours from hour 10 on, paid for and handed over."""
    books.top_up(world.tenant(), money)
    return books.activate(books.lease(listing or scene.listing(), start=10, end=until, **shape))


def test_an_extension_costs_what_it_was_quoted_at_and_keeps_id_price_and_nodes() -> None:
    lease = running()
    before = books.available()

    quote = ask(lease, "extend", 25, at=T0 + hours(12))
    unchanged = row_of(lease)
    accept(quote)

    lease.refresh_from_db()
    assert figures(quote) == (5 * HOUR, 0, 0, 0)
    assert unchanged != row_of(lease)
    assert (lease.gross_minor, lease.due_minor) == (15 * HOUR, 15 * HOUR)
    assert Period.of(lease.period) == period(10, 25)
    assert Period.of(Allocation.objects.get().period) == period(10, 25)
    assert books.available() == before - 5 * HOUR
    assert lease.tally.deposit_left_minor == 15 * HOUR
    assert lease.amendment == Amendment.objects.get()
    assert (lease.amendment.kind, lease.amendment.state) == ("extend", "signed")
    assert lease.amendment.provider_signed_by == lease.terms.public_id
    assert not books.differences()


def test_an_extension_is_lived_charged_and_closed_to_the_fen() -> None:
    lease = running()
    accept(ask(lease, "extend", 25, at=T0 + hours(12)))
    lease.refresh_from_db()

    books.meter(lease, until=T0 + hours(25))
    books.end(lease)
    rating.rate_due(at=T0 + hours(26), limit=1000)
    closing.close_leases(at=T0 + hours(26), limit=10)

    assert books.available() == MONEY - 15 * HOUR
    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("ended", "completed")
    assert not books.differences()


def test_an_hourly_lease_pays_the_deposits_difference() -> None:
    lease = running(scene.listing(schedule="deposit_hourly", deposit_bps=3000))

    quote = accept(ask(lease, "extend", 30, at=T0 + hours(12)))

    assert quote.pay_minor == 10 * HOUR * 3 // 10
    lease.refresh_from_db()
    assert (lease.gross_minor, lease.due_minor) == (20 * HOUR, 20 * HOUR * 3 // 10)
    assert not books.differences()


def test_an_extension_stops_where_another_has_the_capacity_and_says_where() -> None:
    listing = scene.listing(world.pool(turnaround_seconds=1800, lead_seconds=900), units=1)
    lease = running(listing)
    books.lease(listing, start=40, end=50)
    unchanged = row_of(lease)

    with refused(capacity.CapacityTaken) as refusal:
        ask(lease, "extend", 40, at=T0 + hours(12))

    # The other's lead begins a quarter of an hour before it, and the wipe takes half an hour.
    assert refusal.value.fields()["latest_end"] == T0 + hours(39)  # type: ignore[attr-defined]
    assert row_of(lease) == unchanged
    assert not Quote.objects.exists()
    accept(ask(lease, "extend", 39, at=T0 + hours(12)))
    assert not books.differences()


def test_what_was_sold_after_the_quote_refuses_the_extension_whole() -> None:
    listing = scene.listing(units=1)
    lease = running(listing)
    quote = ask(lease, "extend", 40, at=T0)
    books.lease(listing, start=30, end=35)
    unchanged, left = row_of(lease), books.available()

    with refused(capacity.CapacityTaken):
        accept(quote)

    assert (row_of(lease), books.available()) == (unchanged, left)
    quote.refresh_from_db()
    assert quote.accepted_at is None
    assert not Amendment.objects.exists()


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (20, capacity.InvalidEnd), (19, capacity.InvalidEnd), (20.5, capacity.InvalidEnd),
        (111, extensions.LeaseTooLong),
    ],
)  # fmt: skip
def test_an_extension_keeps_to_the_grid_and_to_the_terms(end, error) -> None:
    lease = running(scene.listing(terms=TermsInput(maximum_hours=100)))

    with refused(error):
        ask(lease, "extend", end, at=T0 + hours(12))


def test_an_extension_beyond_what_is_listed_is_not_offered() -> None:
    lease = running(scene.listing(sellable=period(0, 50)))

    with refused(capacity.NotOffered) as refusal:
        ask(lease, "extend", 60, at=T0 + hours(12))

    assert refusal.value.fields()["latest_end"] == T0 + hours(50)  # type: ignore[attr-defined]


def test_an_extension_without_money_or_with_a_debt_changes_nothing() -> None:
    lease = running(money=10 * HOUR)
    quote = ask(lease, "extend", 25, at=T0 + hours(12))
    unchanged = row_of(lease)

    with refused(ledger.InsufficientFunds):
        accept(quote)

    assert row_of(lease) == unchanged
    assert Period.of(Allocation.objects.get().period) == period(10, 20)


def test_an_extension_beyond_a_quota_is_refused_and_one_within_it_is_counted() -> None:
    lease = running()
    limit = Limit(measure="spend", window="total", currency="CNY", limit_minor=16 * HOUR)
    owner = world.actor(lease.tenant)
    quotas.put(organisation_id=lease.tenant_id, limit=limit, at=T0, actor=owner)
    unchanged = row_of(lease)

    with refused(policy.QuotaExceeded):
        accept(ask(lease, "extend", 27, at=T0 + hours(12)))
    assert row_of(lease) == unchanged
    accept(ask(lease, "extend", 26, at=T0 + hours(12)))
    accept(ask(lease, "leave", 14, at=T0 + hours(12)))

    committed = Reservation.objects.get()
    assert committed.committed_minor == 4 * HOUR + 12 * HOUR * 7 // 10
    assert committed.committed_card_seconds == 4 * 3600 * 8
    assert not books.differences()


def test_where_nodes_fail_beyond_the_spares_nothing_is_extended() -> None:
    pool = world.pool(nodes=2)
    lease = running(scene.listing(pool, units=2))
    books.lease(lease.listing, start=10, end=40)
    quote = ask(lease, "extend", 30, at=T0 + hours(12))
    node = pool.nodes.order_by("-pk")[0]
    capacity.set_outage(
        pool_id=pool.pk,
        period=period(12, 500),
        node_id=node.pk,
        at=T0 + hours(12),
        actor=SYSTEM,
        kind="failed",
        reason="dead",
    )
    unchanged = row_of(lease)

    with refused(capacity.CapacityTaken):
        accept(quote)

    assert row_of(lease) == unchanged


@pytest.mark.parametrize(("end", "share"), [(13, 3_000), (40, 5_000), (181, 7_000), (740, 9_000)])
def test_leaving_early_gives_back_the_share_of_the_rest_that_the_terms_say(end, share) -> None:
    lease = running(until=1000)
    before = books.available()
    rest = (1000 - end) * HOUR

    quote = accept(ask(lease, "leave", end, at=T0 + hours(12)))

    back = rest * share // 10_000
    assert (quote.share_bps, quote.refund_minor) == (share, back)
    assert quote.kept_gross_minor == rest - back
    assert books.available() == before + back
    lease.refresh_from_db()
    assert (lease.gross_minor, lease.due_minor) == ((end - 10) * HOUR, 990 * HOUR - back)
    charge = Charge.objects.get()
    assert (charge.kind, charge.gross_minor) == ("leaving", rest - back)
    assert Period.of(Allocation.objects.get().period) == period(10, end)
    assert not books.differences()


def test_a_lease_left_early_is_charged_by_use_until_its_end_and_closed() -> None:
    lease = running()
    accept(ask(lease, "leave", 15, at=T0 + hours(12)))
    lease.refresh_from_db()

    books.meter(lease, until=T0 + hours(15), gaps={T0 + hours(13): 3600})
    books.end(lease)
    rating.rate_due(at=T0 + hours(16), limit=1000)
    closing.close_leases(at=T0 + hours(16), limit=10)

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("ended", "left_early")
    assert lease.amendment is not None
    assert lease.end_evidence == lease.amendment.public_id
    kept = 5 * HOUR * 7 // 10
    assert books.available() == MONEY - kept - (5 * HOUR - 680)
    assert not books.differences()


def test_an_hourly_lease_that_is_left_shares_its_deposit() -> None:
    lease = running(scene.listing(schedule="deposit_hourly", deposit_bps=3000))
    before = books.available()

    quote = accept(ask(lease, "leave", 15, at=T0 + hours(12)))

    rest = 5 * HOUR * 3 // 10
    assert (quote.refund_minor, quote.kept_gross_minor) == (rest * 3 // 10, rest * 7 // 10)
    lease.refresh_from_db()
    assert lease.tally.deposit_left_minor == rest
    assert books.available() == before + rest * 3 // 10
    assert not books.differences()


@pytest.mark.parametrize("end", [12, 12.5, 20, 10, 9])
def test_a_lease_is_left_at_a_full_hour_to_come(end) -> None:
    lease = running()
    unchanged = row_of(lease)

    with refused(capacity.InvalidEnd):
        ask(lease, "leave", end, at=T0 + hours(12))

    assert row_of(lease) == unchanged


def test_a_lease_is_not_left_before_its_start_nor_after_its_end() -> None:
    books.top_up(world.tenant(), MONEY)
    lease = books.lease(scene.listing())

    with refused(quotes.NotStarted):
        ask(lease, "leave", 15)
    books.live(lease)
    for kind in ("leave", "extend", "withdraw"):
        with refused(IllegalTransition):
            ask(lease, kind, 40 if kind == "extend" else 15, at=T0 + hours(30))


@pytest.mark.parametrize(("end", "bps"), [(200, 3_000), (800, 1_000)])
def test_a_withdrawal_refunds_the_rest_whole_and_pays_compensation(end, bps) -> None:
    lease = running(until=1000)
    before, rest = books.available(), (1000 - end) * HOUR

    quote = accept(ask(lease, "withdraw", end, at=T0 + hours(12)))

    compensation = rest * bps // 10_000
    assert figures(quote) == (0, rest, 0, compensation)
    assert books.available() == before + rest + compensation
    accrued = ledger.posted(chart.provider_accrued(lease.provider, "CNY"))
    assert accrued == -compensation
    charge = Charge.objects.get()
    assert (charge.kind, charge.gross_minor) == ("compensation", -compensation)
    lease.refresh_from_db()
    assert Period.of(lease.period) == period(10, end)
    entry = JournalEntry.objects.get(event="amendment.signed")
    assert (entry.provider_id, entry.tenant_id) == (lease.provider_id, lease.tenant_id)
    assert entry.reason == "plans changed"
    assert not books.differences()


def test_a_compensation_that_the_provider_cannot_owe_is_not_paid_in_its_place(settings) -> None:
    lease = running(until=1000)
    quote = ask(lease, "withdraw", 200, at=T0 + hours(12))
    compensation = 800 * HOUR * 3 // 10
    settings.PROVIDER_DEBT_MINOR = compensation - 7
    unchanged, left = row_of(lease), books.available()

    with pytest.raises(changes.CompensationUncovered) as refusal, transaction.atomic():
        accept(quote)

    assert refusal.value.fields()["missing_minor"] == 7
    assert (row_of(lease), books.available()) == (unchanged, left)
    settings.PROVIDER_DEBT_MINOR = compensation
    accept(quote)
    assert ledger.posted(chart.provider_accrued(lease.provider, "CNY")) == -compensation
    assert not books.differences()


def test_a_withdrawal_needs_the_notice_and_a_reason() -> None:
    lease = running(until=1000)

    with refused(amendments.NoticeTooShort) as refusal:
        ask(lease, "withdraw", 100, at=T0 + hours(12))
    with refused(Invalid):
        ask(lease, "withdraw", 900, at=T0 + hours(12), reason="")

    assert refusal.value.fields()["least_hours"] == 168  # type: ignore[attr-defined]


def test_a_lease_that_has_not_started_is_withdrawn_whole() -> None:
    books.top_up(world.tenant(), MONEY)
    lease = books.lease(scene.listing(units=1), start=200, end=300)

    accept(ask(lease, "withdraw", 200))
    closing.close_leases(at=T0 + hours(1), limit=10)

    lease.refresh_from_db()
    assert (lease.state, lease.end_reason) == ("cancelled", "withdrawn_by_provider")
    assert lease.amendment is not None
    assert lease.end_evidence == lease.amendment.public_id
    assert Reservation.objects.get().state == "cancelled"
    assert Allocation.objects.get().state == "cancelled"
    assert books.available() == MONEY + 100 * HOUR * 3 // 10
    assert (lease.gross_minor, lease.due_minor, lease.tally.deposit_left_minor) == (0, 0, 0)
    assert not books.differences()


def test_a_cancellation_is_quoted_and_holds_although_a_step_has_passed() -> None:
    books.top_up(world.tenant(), MONEY)
    lease = books.lease(scene.listing(), start=72, end=82)

    quote = ask(lease, "cancel", at=T0)
    accept(quote, at=T0 + timedelta(minutes=9))

    assert (quote.share_bps, quote.refund_minor) == (5_000, 5 * HOUR)
    assert books.available() == MONEY - 5 * HOUR
    lease.refresh_from_db()
    assert lease.state == "cancelled"
    assert not books.differences()


def test_a_quote_is_accepted_once_and_in_time_and_by_the_side_that_asked() -> None:
    lease = running()
    first, second = (ask(lease, "extend", end, at=T0 + hours(12)) for end in (22, 23))

    for other in (world.provider(), world.stranger(), world.operator()):
        with refused(NotFound):
            accept(first, actor=world.actor(other))
    with refused(quotes.QuoteExpired):
        accept(first, at=first.expires_at)
    accept(first)
    with refused(quotes.QuoteAccepted):
        accept(first)
    with refused(quotes.QuoteStale):
        accept(second)

    assert LedgerTransaction.objects.filter(kind="deal_extended").count() == 1


def test_the_wrong_side_and_strangers_get_no_quote() -> None:
    lease = running(until=1000)

    for kind, org in (("withdraw", world.tenant()), ("leave", world.provider())):
        with refused(amendments.WrongSide):
            ask(lease, kind, 900, actor=world.actor(org))
    for org in (world.stranger(), world.operator()):
        with refused(NotFound):
            ask(lease, "leave", 900, actor=world.actor(org), at=T0 + hours(12))


def test_deposit_drawn_on_after_the_quote_makes_it_stale() -> None:
    lease = running(
        scene.listing(schedule="deposit_hourly", deposit_bps=3000), money=3 * HOUR, until=20
    )
    quote = ask(lease, "leave", 15, at=T0 + hours(12))
    books.meter(lease, until=T0 + hours(12))
    rating.rate_due(at=T0 + hours(12), limit=100)
    unchanged = row_of(lease)

    with refused(quotes.QuoteStale):
        accept(quote)

    assert row_of(lease) == unchanged
    again = accept(ask(lease, "leave", 15, at=T0 + hours(12)))
    assert (again.refund_minor, again.kept_gross_minor) == (0, HOUR)
    assert not books.differences()
