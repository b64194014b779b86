"""The provider's journey by mouse, and every page for every eye."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from inventory.models import Node
from marketplace.models import Listing
from marketplace.utilisation import rollups
from tests import world
from tests.browser.conftest import AXE, Reader
from tests.engines import require
from tests.web.conftest import Market

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_provider_imports_lists_and_is_found(
    market: Market,
    reader: Reader,
    tmp_path: Path,
) -> None:
    page, owner = reader.page, world.member(market.provider)
    nodes = tmp_path / "nodes.csv"
    nodes.write_bytes("序列号,主机名\nSN-1,甲\nSN-2,乙\n".encode("gbk"))
    reader.sign_in(owner.email)

    page.click("nav >> text=Pools")
    page.click(f"tbody >> text={market.pool.name}")
    page.click("text=Import nodes")
    page.set_input_files("#id_file", str(nodes))
    page.click("text=Preview")
    page.click("text=Apply 2 rows")
    page.wait_for_selector("text=2 nodes added")
    assert Node.objects.filter(pool=market.pool).count() == 6

    page.click("text=List idle capacity")
    page.fill("#id_unit_count", "3")
    page.fill("#id_minimum_hours", "1")
    page.fill("#id_amount", "6.80")
    page.wait_for_selector("#outlook .figure")  # 3 × 8 cards × 672 h × 6.80
    assert "¥109,670.40" in page.inner_text("#outlook")
    page.click("text=Review")
    page.click("main button >> text=Publish")
    page.wait_for_selector("text=the market can see it now")
    assert Listing.objects.get().block.unit_count == 3

    page.click("text=Sign out")
    page.wait_for_url("**/sign-in/**")
    reader.sign_in(world.member(market.tenant).email)
    reader.go(reverse("search"))
    page.fill("#id_cards", "24")
    page.click("main >> text=Search")
    page.wait_for_selector("text=The same by API")
    assert market.pool.fabric.centre.name in page.inner_text("main")
    assert reader.complaints == []


PAGES = {
    "provider": [
        "overview", "centres", "centre_create", "pools", "pool_create", "listings",
        "listing_create", "approvals", "approval_rule", "deals", "earnings", "members", "keys",
        "journal", "health", "faults", "incidents", "case_create", "channels", "payouts",
        "payout_terms",
    ],
    "tenant": ["search", "rented", "wallet", "invoices", "refunds", "bank_accounts", "cases"],
    "operator": [
        "audit", "audit_map", "audit_anomalies", "audit_reports", "organisations", "all_leases",
        "receipts", "settlements", "reconciliation",
        "vouchers", "trial_balance", "closing", "meter_disputes",
    ],
}  # fmt: skip
# Every theme with every width, both in each language, in half of the looks.
LOOKS = {
    "en": [("light", 1440), ("dark", 390)],
    "zh-hans": [("dark", 1440), ("light", 390)],
}


@pytest.mark.slow
@pytest.mark.parametrize("party", PAGES)
def test_every_page_reads_well(market: Market, reader: Reader, party: str) -> None:
    """Contrast and structure by theme, language and width; nothing wider than the page."""
    require("npm")
    assert AXE.is_file(), "npm ci --ignore-scripts"
    market.fund()
    listing = market.listing()
    lease = market.lease(listing)
    market.reservation(listing)
    rollups.sweep(at=market.at)
    addresses = [reverse(name) for name in PAGES[party]]
    if party == "provider":
        addresses += [
            reverse(name, args=[market.pool.public_id])
            for name in ("pool", "nodes", "node_import", "external", "outage", "floor")
        ]
        addresses += [
            reverse(name, args=[market.pool.public_id, market.pool.nodes.all()[0].public_id])
            for name in ("node", "node_fail", "node_retire")
        ]
        addresses += [
            reverse("pool_move", args=[market.pool.public_id]) + f"?to={to}"
            for to in ("draining", "retired")
        ]
        addresses += [reverse("lease", args=[lease.public_id])]
        addresses += [
            reverse(name, args=[listing.public_id])
            for name in ("listing", "listing_terms", "listing_size")
        ]
        addresses += [
            reverse("listing_stop", args=[listing.public_id, verb])
            for verb in ("pause", "withdraw")
        ]
    if party == "operator":
        for row in (market.provider, market.tenant):
            addresses += [reverse("organisation", args=[row.public_id])]
        addresses += [
            reverse("organisation_decide", args=[market.tenant.public_id]) + "?verdict=reject",
            reverse("organisation_credit", args=[market.tenant.public_id]),
            reverse("audit_part", args=["pool", market.pool.public_id]),
            reverse("audit_drop", args=["unlisted"]),
        ]
    if party == "tenant":
        addresses += [reverse("lease", args=[lease.public_id])]
        addresses += [reverse("reservation_cancel", args=[lease.reservation.public_id])]
    reader.sign_in(world.member(getattr(market, party)).email)

    wrong: list[str] = []
    for language, looks in LOOKS.items():
        reader.page.context.add_cookies(
            [{"name": "django_language", "value": language, "url": reader.address}]
        )
        for address in addresses:
            reader.go(address)
            # By the driver, outside the page's own policy.
            reader.page.evaluate(AXE.read_text(encoding="utf-8"))
            for theme, width in looks:
                reader.page.set_viewport_size({"width": width, "height": 900})
                reader.page.evaluate(
                    "theme => document.documentElement.setAttribute('data-bs-theme', theme)",
                    theme,
                )
                here = f"{address} {language} {theme} {width}"
                wrong += [f"{here}: {row}" for row in reader.violations()]
                across = reader.page.evaluate("document.documentElement.scrollWidth")
                if across > width:
                    wrong.append(f"{here}: {across} px wide")

    assert wrong == []
    assert reader.complaints == []


def test_a_printed_page_is_light_and_cuts_no_column_off(market: Market, reader: Reader) -> None:
    market.fund()
    market.lease(market.listing())
    reader.sign_in(world.member(market.provider).email)
    reader.page.context.add_cookies([{"name": "theme", "value": "dark", "url": reader.address}])

    reader.page.emulate_media(media="print")
    reader.page.set_viewport_size({"width": 703, "height": 1000})  # A4 within its margins
    for name in ("deals", "earnings"):
        reader.go(reverse(name))
        right = "Math.max(...[...document.querySelectorAll('table')].map(t => t.scrollWidth))"
        assert reader.page.evaluate(right) <= 703, name
        paper = "getComputedStyle(document.body).backgroundColor"
        assert reader.page.evaluate(paper) == "rgb(255, 255, 255)"
    assert reader.complaints == []
