"""Whatever is lost, found again and corrected: the credits of a month stay within its charges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import invoices, rating, settlement, sla_credits
from billing.models import Charge, SlaMonth
from marketplace import money, sla
from marketplace.asking import TermsInput
from marketplace.money import Amounts
from marketplace.sla import Delivery, Promise
from tests import world
from tests.billing import books
from tests.billing.test_selling import receive
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours

CARDS_HOUR = 8 * 3600
OVER = datetime(2026, 6, 30, 16, tzinfo=UTC)
START, HOURS = 200, 24
BPS = st.integers(1, 10_000)


@st.composite
def promises(draw: st.DrawFn) -> Promise:
    belows = sorted(draw(st.sets(BPS, min_size=1, max_size=6)), reverse=True)
    backs = sorted(draw(st.sets(BPS, min_size=len(belows), max_size=len(belows))))
    promised = draw(st.integers(belows[0], 10_000))
    steps = tuple(zip(belows, backs, strict=True))
    return Promise(promised, steps, draw(BPS))


@st.composite
def amounts(draw: st.DrawFn) -> Amounts:
    gross = draw(st.integers(0, 10**12))
    vat = draw(st.integers(0, gross))
    fee = draw(st.integers(0, gross - vat))
    return Amounts(gross, vat, fee, gross - vat - fee)


@given(promises(), st.integers(0, 10**9), st.integers(0, 10**9), amounts())
def test_a_credit_is_within_its_cap_and_its_charges_part_by_part(
    promise: Promise, delivered: int, missing: int, charged: Amounts
) -> None:
    bps = sla.credit_bps(promise, Delivery(delivered, missing))
    found = sla.credit(charged, bps)

    assert 0 <= bps <= promise.cap_bps
    assert 0 <= found.gross_minor <= charged.gross_minor
    assert found.gross_minor == found.vat_minor + found.fee_minor + found.provider_minor
    assert min(found.vat_minor, found.fee_minor, found.provider_minor) >= 0
    # Half a minor unit at the most beyond the exact share.
    assert abs(2 * (found.gross_minor * 10_000 - charged.gross_minor * bps)) <= 10_000


@given(promises(), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_less_delivered_never_gives_less_back(
    promise: Promise, owed: int, one: int, other: int
) -> None:
    less, more = sorted(min(each, owed) for each in (one, other))
    given_back = [
        sla.credit_bps(promise, Delivery(owed - missing, missing)) for missing in (less, more)
    ]

    assert given_back[0] <= given_back[1]
    if less * 10_000 <= owed * (10_000 - promise.steps[0][0]):
        assert given_back[0] == 0  # exactly at the first step, or above it


LOSSES = st.lists(st.tuples(st.integers(0, HOURS - 1), st.integers(1, CARDS_HOUR)), max_size=HOURS)
ROUNDS = st.lists(
    st.lists(
        st.tuples(st.integers(0, HOURS - 1), st.integers(0, CARDS_HOUR)), min_size=1, max_size=4
    ),
    max_size=3,
)


@pytest.mark.django_db
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["agency", "resale", "direct"]),
    losses=LOSSES,
    rounds=ROUNDS,
    steps=st.sampled_from([((9_999, 10_000),), ((9_900, 1_000), (9_000, 5_000), (1_000, 9_999))]),
    cap=st.sampled_from([1, 3_333, 10_000]),
)
def test_whatever_is_corrected_the_credits_stay_within_the_charges_and_the_books_agree(
    transactional_undo: None,
    mode: str,
    losses: list[tuple[int, int]],
    rounds: list[list[tuple[int, int]]],
    steps: tuple[tuple[int, int], ...],
    cap: int,
) -> None:
    undo = transaction.atomic()
    undo.__enter__()
    try:
        _story(mode, dict(losses), rounds, steps, cap)
    finally:
        transaction.set_rollback(True)
        undo.__exit__(None, None, None)


@pytest.fixture
def transactional_undo(db: None) -> None:
    """The story's own savepoint undoes it."""


def _story(
    mode: str,
    losses: dict[int, int],
    rounds: list[list[tuple[int, int]]],
    steps: tuple[tuple[int, int], ...],
    cap: int,
) -> None:
    world.operator()
    books.top_up(world.tenant(), 10**9)
    terms = TermsInput(sla_availability_bps=steps[0][0], sla_credits=steps, sla_cap_bps=cap)
    held = books.hold(scene.listing(terms=terms, selling=mode), start=START, end=START + HOURS)
    row = books.activate(receive(held) if mode == "direct" else books.confirm(held))
    delivered = {hour: CARDS_HOUR - losses.get(hour, 0) for hour in range(HOURS)}
    gaps = {T0 + hours(START + hour): gap for hour, gap in losses.items()}
    books.meter(row, until=T0 + hours(START + HOURS), gaps=gaps)
    books.end(row)
    at = OVER
    for number, corrections in enumerate([[], *rounds]):
        for hour, seconds in dict(corrections).items():
            if seconds != delivered[hour]:
                books.correct(
                    row, T0 + hours(START + hour), seconds - delivered[hour], revision=number
                )
                delivered[hour] = seconds
        rating.rate_due(at=at, limit=100_000)
        sla_credits.credit_due(at=at, limit=100)
        sla_credits.credit_due(at=at, limit=100)
        invoices.finalise_due(at=at, limit=100)
        _holds(row.pk, sum(delivered.values()), steps, cap)
        at += timedelta(hours=80)
    settlement.settle(
        provider_id=row.provider_id, period=money.month_of(T0, "Asia/Shanghai"),
        currency="CNY", at=OVER + timedelta(days=20), actor=SYSTEM,
    )  # fmt: skip
    assert books.differences() == []


def _holds(lease_id: int, delivered: int, steps: tuple[tuple[int, int], ...], cap: int) -> None:
    sums = {
        kind: int(
            Charge.objects.filter(lease_id=lease_id, kind=kind).aggregate(
                minor=Sum("gross_minor", default=0)
            )["minor"]
        )
        for kind in ("usage", "sla_credit")
    }
    owed = HOURS * CARDS_HOUR
    bps = 0
    for below, back in steps:
        if delivered * 10_000 < below * owed:
            bps = back
    assert -sums["sla_credit"] == money.share(sums["usage"], min(bps, cap))
    assert 0 <= -sums["sla_credit"] <= sums["usage"]
    newest = SlaMonth.objects.filter(lease_id=lease_id, month=date(2026, 6, 1)).latest("revision")
    assert newest.credit_minor == -sums["sla_credit"]
    assert (newest.delivered_card_seconds, newest.missing_card_seconds) == (
        delivered, owed - delivered,
    )  # fmt: skip
