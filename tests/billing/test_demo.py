"""The demo world: the same seed makes the same one, and its log-ins find something."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from billing import demo, earnings
from billing.demo import catalogue, history, places
from billing.models import BankReceipt, Charge
from inventory.models import Node, Organisation, UsageHour
from inventory.periods import Period
from marketplace.models import Lease, Listing, Reservation
from tests import database

NOW = datetime(2026, 6, 10, 7, 30, tzinfo=UTC)
DAYS = 12
OWN = (
    catalogue.OwnDeal(start=-9, days=3, units=1),
    catalogue.OwnDeal(start=-4, days=3, units=1, outcome="cancelled"),
    catalogue.OwnDeal(start=-2, days=6, units=2),
    catalogue.OwnDeal(start=4, days=2, units=1),
    catalogue.OwnDeal(start=14, days=2, units=1, outcome="lapsed"),
    catalogue.OwnDeal(start=18, days=2, units=1, outcome="held"),
)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _small_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """One centre, one pool of sixteen nodes, twelve days."""
    whole = catalogue.CENTRES[0]
    small = (replace(whole, pools=(replace(whole.pools[0], nodes=16),)),)
    monkeypatch.setattr(demo, "CENTRES", small)
    monkeypatch.setattr(places, "CENTRES", small)
    monkeypatch.setattr(demo, "DAYS", DAYS)
    monkeypatch.setattr(history, "DAYS", DAYS)
    monkeypatch.setattr(history, "OWN_DEALS", {small[0].pools[0].name: OWN})


def seed(number: int) -> None:
    demo.lay_ground(seed=number, now=NOW, progress=lambda _text: None)


def rows() -> dict[str, list[Any]]:
    """Everything that tells one world from another; ids are fresh in each."""
    leases = Lease.objects.order_by("period", "tenant__name", "unit_count", "created_at")
    order = list(leases.values_list("allocation_id", flat=True))
    deal = {number: place for place, number in enumerate(order)}
    facts: dict[str, list[Any]] = {
        "organisations": sorted(
            Organisation.objects.values_list("name", "state", "credit_code", "created_at")
        ),
        "nodes": sorted(Node.objects.values_list("serial", "hostname", "rack", "leaf")),
        "listings": list(
            Listing.objects.values_list(
                "block__unit_count", "block__sellable", "prices__amount_micro"
            )
        ),
        "reservations": sorted(
            map(
                str,
                Reservation.objects.values_list(
                    "created_at", "tenant__name", "state", "unit_count", "period", "gross_minor"
                ),
            )
        ),
        "leases": list(
            leases.values_list(
                "tenant__name", "state", "unit_count", "period", "gross_minor", "active_at",
                "ended_at", "cancelled_at", "end_reason",
            )
        ),
        "usage": sorted(
            (deal[number], *fact)
            for number, *fact in UsageHour.objects.values_list(
                "allocation_id", "hour", "revision", "card_seconds"
            )
        ),
        "charges": sorted(
            (deal[number], *fact)
            for number, *fact in Charge.objects.values_list(
                "allocation_id", "hour", "kind", "gross_minor", "fee_minor", "vat_minor"
            )
        ),
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.purpose, o.name, sum(e.amount_minor) FROM billing_ledgerentry e"
            " JOIN billing_ledgeraccount a ON a.id = e.account_id"
            " LEFT JOIN inventory_organisation o ON o.id = a.owner_id GROUP BY 1, 2 ORDER BY 1, 2"
        )
        facts["ledger"] = cursor.fetchall()
        cursor.execute("SELECT event, count(*) FROM inventory_journalentry GROUP BY 1 ORDER BY 1")
        facts["journal"] = cursor.fetchall()
    return facts


def test_the_same_seed_makes_the_same_world() -> None:
    seed(7)
    first = rows()
    database.flush()
    seed(7)

    again = rows()
    for name, facts in first.items():
        assert facts, name
        assert again[name] == facts, name


def test_another_seed_makes_another_world() -> None:
    seed(7)
    first = rows()
    database.flush()
    seed(8)

    again = rows()
    assert again["organisations"] == first["organisations"]
    assert again["nodes"] != first["nodes"]
    assert again["reservations"] != first["reservations"]


def test_each_log_in_finds_something_to_look_at() -> None:
    seed(1)

    tenant = Organisation.objects.get(name=catalogue.TENANT)
    own = Lease.objects.filter(tenant=tenant).order_by("period")
    assert [lease.state for lease in own] == ["ended", "cancelled", "active", "scheduled"]
    states = Reservation.objects.filter(tenant=tenant, lease=None).order_by("period")
    assert [row.state for row in states] == ["expired", "held"]
    charged = {lease.charges.count() for lease in own if lease.state in ("ended", "active")}
    assert charged == {3 * 24, 2 * 24 + 7}
    provider = Organisation.objects.get(name=catalogue.PROVIDER)
    found = earnings.earnings(provider_id=provider.pk, period=Period(NOW - timedelta(days=90), NOW))
    assert sum(month.net_minor for month in found.months) > 0
    assert Organisation.objects.filter(state="unverified").count() == 1
    assert BankReceipt.objects.filter(state="recorded").count() == 1


def test_prices_are_those_of_the_catalogue_to_the_micro_unit() -> None:
    seed(1)

    assert Listing.objects.get().prices.get().amount_micro == 11_200_000


def test_a_second_run_adds_nothing() -> None:
    seed(1)
    first = rows()

    seed(1)

    assert rows() == first
