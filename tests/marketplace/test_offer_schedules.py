"""What an offer says of payments, cancellation and maintenance, in dates and money."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from inventory import capacity
from inventory.models import Fabric
from marketplace import money, prospects
from marketplace.asking import TermsInput
from marketplace.money import Price
from marketplace.offers import CancellationStep, Maintenance, Payment, read_token
from tests import world
from tests.marketplace import scene
from tests.world import SYSTEM, T0, hours, period

pytestmark = pytest.mark.django_db
START, END = T0 + hours(10), T0 + hours(20)


def test_a_prepaid_offer_is_paid_when_it_is_confirmed() -> None:
    scene.listing()

    (found,) = scene.search().offers

    until = T0 + timedelta(minutes=15)
    assert found.payments == (Payment("at_confirmation", until, until, 1, 54_400),)


def test_a_deposit_is_paid_first_then_each_hour_and_the_deposit_comes_back() -> None:
    scene.listing(schedule="deposit_hourly", deposit_bps=3000)

    (found,) = scene.search().offers

    until = T0 + timedelta(minutes=15)
    assert found.payments == (
        Payment("at_confirmation", until, until, 1, 16_320),
        Payment("hourly", START + hours(1), END, 10, 54_400),
        Payment("deposit_back", END, END, 1, -16_320),
    )
    assert sum(payment.amount_minor for payment in found.payments) == found.gross_minor


def test_a_cancellation_is_dated_and_gives_back_what_the_quote_of_it_will_say() -> None:
    terms = TermsInput(cancellation=((9, 10_000), (4, 3_333), (2, 2_000)))
    listing = scene.listing(amount=6.81, terms=terms)

    (found,) = scene.search().offers
    claim = read_token(found.token, T0)
    price = Price.of(prospects.of(claim, at=T0).price)

    assert [step.until_at for step in found.cancellation_steps] == [
        T0 + hours(1),
        T0 + hours(6),
        T0 + hours(8),
        START,
    ]
    assert found.cancellation_steps[1] == CancellationStep(T0 + hours(6), 3_333, 18_158, 36_322)
    for step in found.cancellation_steps:
        quote = money.cancellation(
            price=price,
            schedule=found.cancellation,
            due_minor=found.due_minor,
            start=found.start_at,
            at=step.until_at - (timedelta(seconds=1) if step.until_at == START else timedelta(0)),
        )
        assert (step.refund_minor, step.refund_bps) == (quote.refund_minor, quote.share_bps)
        assert step.kept_minor == quote.kept.gross_minor
    assert found.listing_id == listing.public_id


def test_a_schedule_up_to_the_start_has_no_step_beyond_it_and_none_in_the_past() -> None:
    scene.listing(terms=TermsInput(cancellation=((24, 8_000), (9, 7_000), (0, 5_000))))

    (found,) = scene.search().offers

    assert [(step.until_at, step.refund_bps) for step in found.cancellation_steps] == [
        (START - hours(9), 7_000),
        (START, 5_000),
    ]
    assert found.cancellation == ((24, 8_000), (9, 7_000), (0, 5_000))


def test_planned_outages_of_the_pool_are_announced_in_the_offers_they_touch() -> None:
    pool = world.pool(nodes=6)
    scene.listing(pool, units=3)
    for nodes, window in ((2, (15, 25)), (1, (30, 40))):
        capacity.set_outage(
            pool_id=pool.pk,
            kind="planned",
            period=period(*window),
            node_count=nodes,
            node_id=None,
            reason="secret",
            at=T0,
            actor=SYSTEM,
        )

    (early,) = scene.search().offers
    (late,) = scene.search(earliest_start=T0 + hours(25), hours=20).offers
    (clear,) = scene.search(earliest_start=T0 + hours(40)).offers

    assert early.maintenance == (Maintenance(T0 + hours(15), T0 + hours(25), 2),)
    assert late.maintenance == (Maintenance(T0 + hours(30), T0 + hours(40), 1),)
    assert clear.maintenance == ()
    assert "secret" not in repr(early)


def test_what_was_proved_of_the_fabric_is_shown_with_its_date() -> None:
    listing = scene.listing()
    Fabric.objects.filter(pk=listing.pool.fabric_id).update(
        proved_node_count=96, proved_on_date=date(2026, 5, 1)
    )

    (found,) = scene.search().offers

    assert found.facts == {
        "fabric": listing.pool.fabric.public_id,
        "proved_node_count": 96,
        "proved_on_date": "2026-05-01",
    }
    assert (found.pool_name, found.centre_name) == (
        listing.pool.name,
        listing.pool.fabric.centre.name,
    )
