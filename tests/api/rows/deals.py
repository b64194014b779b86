"""Rows of deals: what is on sale, held, rented, changed and charged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from billing import chart, collecting, ledger, rating
from billing.models import Instalment
from inventory.periods import HOUR
from tests import world
from tests.api.market import Market, next_hour, text
from tests.billing import books
from tests.marketplace import scene


def reservation(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.reservation()["id"])


def basket(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.as_tenant.do("/baskets", {"offers": [market.offer()["token"]]})["id"])


def trial_terms() -> dict[str, Any]:
    return {"trial_units": 1, "trial_hours": 4, "trial_convertible": True}


def lease(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.lease()["id"])


def quote(market: Market) -> str:
    path = f"/leases/{lease(market)}/quotes"
    return str(market.as_tenant.do(path, {"kind": "cancel"})["id"])


def amendment(market: Market) -> str:
    body = {"end_at": text(next_hour(9))}
    return str(market.as_tenant.do(f"/leases/{lease(market)}/amendments", body)["id"])


def charge(market: Market) -> str:
    """The kept share of a deal cancelled late."""
    market.listing()
    market.fund()
    held = market.reservation(start=3, hours=30)
    market.as_tenant.do(f"/reservations/{held['id']}/confirm")
    market.as_tenant.do(f"/reservations/{held['id']}/cancel", {"reason": "test"})
    return str(market.as_tenant.get("/charges").data[0]["id"])


def instalment(market: Market) -> str:
    lease(market)
    return str(market.as_tenant.get("/instalments").data[0]["id"])


def debt(market: Market) -> str:
    """June was used, it was to be paid in arrears, and the grace is long over."""
    owner = market.tenant
    ledger.set_credit_limit(
        owner, currency="CNY", limit_minor=10**9, at=world.T0, actor=world.SYSTEM
    )
    listing = scene.listing(
        sellable=world.period(0, 24 * 400),
        basis="node_month",
        amount=31_000,
        schedule="arrears",
        net_days=10,
        grace_days=5,
    )
    row = books.activate(books.lease(listing, start=16, end=16 + 24 * 92))
    due = datetime(2026, 7, 10, 16, tzinfo=UTC)
    books.meter(row, until=due)
    rating.rate_due(at=due + HOUR, limit=100_000)
    ledger.place_hold(
        key="elsewhere",
        account=chart.wallet(owner, "CNY"),
        amount_minor=10**9,
        expires_at=None,
        at=world.T0,
    )
    for at in (due, due + timedelta(days=5)):
        collecting.collect_due(at=at, limit=100)
    return Instalment.objects.get(lease=row, state="overdue").public_id


def asked_write_off(market: Market) -> str:
    public_id = debt(market)
    market.as_operator.do(f"/instalments/{public_id}/write-off", {"reason": "insolvent"})
    return public_id
