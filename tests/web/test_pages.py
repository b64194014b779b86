"""Every page opens for those it is for, and for nobody else."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, reverse

import billing.web.urls
import marketplace.web.urls
from marketplace.utilisation import rollups
from tests.web.conftest import Market

PROVIDER_PAGES = [
    "overview", "centres", "centre_create", "pools", "pools_csv", "pool_create", "node_template",
    "listings", "listing_create", "approvals", "approval_rule", "deals", "earnings", "earnings_csv",
    "payout_account", "payouts", "payouts_csv", "payout_terms", "bank_accounts", "input_fapiaos",
    "direct", "invoices", "contests", "fapiaos", "health", "meter_disputes", "faults",
    "case_create", "manual_tasks",
]  # fmt: skip
TENANT_PAGES = [
    "search", "rented", "wallet", "wallet_csv", "quotas", "topups", "bank_accounts", "refunds",
    "invoices", "contests", "fapiaos", "meter_disputes", "faults", "case_create",
    "ssh_keys",
]  # fmt: skip
OPERATOR_PAGES = [
    "audit", "audit_csv", "organisations", "organisations_csv", "all_leases",
    "all_leases_csv", "receipts", "receipts_csv", "settlements", "settlements_csv",
    "online_payments", "online_payments_csv", "payouts", "payouts_csv", "payout_files",
    "input_fapiaos", "bank_accounts", "bank_lines", "bank_lines_csv", "refunds", "payment_files",
    "statements", "overdue", "invoices", "contests", "fapiaos",
    "reconciliation", "reconciliation_csv", "vouchers", "trial_balance", "trial_balance_csv",
    "closing", "meter_disputes", "faults", "audit_map", "audit_map_csv", "audit_anomalies",
    "audit_anomalies_csv", "audit_reports",
]  # fmt: skip
ANYBODYS_PAGES = [
    "members", "keys", "journal", "journal_csv", "password_change", "incidents", "cases",
    "channels",
]  # fmt: skip
AT_THE_DOOR = {
    "sign_in",
    "sign_out",
    "set_language",
    "password_ask",
    "password_set",
    "stripe_webhook",
}
WRITING = {"centre_create", "pool_create", "listing_create", "approval_rule", "case_create"}


def _patterns() -> list[URLPattern]:
    found: list[URLPattern | URLResolver] = [
        *billing.web.urls.urlpatterns,
        *marketplace.web.urls.urlpatterns,
    ]
    return [row for row in found if isinstance(row, URLPattern)]


def _arguments(pattern: URLPattern, market: Market) -> dict[str, str]:
    """Ids of the provider's and the tenant's own rows for an address."""
    listing = market.provider.listings.first() or market.listing()
    ids = {
        "centre_id": market.pool.fabric.centre.public_id,
        "pool_id": market.pool.public_id,
        "listing_id": listing.public_id,
        "lease_id": market.lease_id,  # type: ignore[attr-defined]
        "reservation_id": market.reservation_id,  # type: ignore[attr-defined]
        "organisation_id": market.stranger.public_id,
        "node_id": market.pool.nodes.all()[0].public_id,
        "allocation_id": "alc_" + "0" * 32,
        "instance_id": "ins_" + "0" * 32,
        "outage_id": "out_" + "0" * 32,
        "user_id": "usr_" + "0" * 32,
        "key_id": "key_" + "0" * 32,
        "source_id": "tms_" + "0" * 32,
        "binding_id": "tsb_" + "0" * 32,
        "quota_id": "quo_" + "0" * 32,
        "basket_id": "bsk_" + "0" * 32,
        "receipt_id": "rcp_" + "0" * 32,
        "instalment_id": "ist_" + "0" * 32,
        "settlement_id": "stl_" + "0" * 32,
        "topup_id": "top_" + "0" * 32,
        "invoice_id": "inv_" + "0" * 32,
        "line_id": "inl_" + "0" * 32,
        "contest_id": "cst_" + "0" * 32,
        "dispute_id": "mdp_" + "0" * 32,
        "report_id": "hrp_" + "0" * 32,
        "task_id": "mtk_" + "0" * 32,
        "fapiao_id": "fap_" + "0" * 32,
        "payout_id": "pay_" + "0" * 32,
        "file_id": "pof_" + "0" * 32,
        "account_id": "bnk_" + "0" * 32,
        "refund_id": "rfd_" + "0" * 32,
        "language": "en",
        "role": "original",
        "endpoint": "platform",
        "quote_id": "cqt_" + "0" * 32,
        "amendment_id": "amd_" + "0" * 32,
        "kind": "extend",
        "verb": "pause",
        "match_id": "rcm_" + "0" * 32,
        "voucher_id": "vch_" + "0" * 32,
        "period_id": "acp_" + "0" * 32,
        "incident_id": "inc_" + "0" * 32,
        "case_id": "case_" + "0" * 32,
        "attachment_id": "att_" + "0" * 32,
        "channel_id": "chn_" + "0" * 32,
        "delivery_id": "ntf_" + "0" * 32,
        "code": "asset:bank:CNY",
        "by": "centre",
        "drop": "unsold",
        "key": market.pool.fabric.centre.public_id,
        "uidb64": "usr_" + "0" * 32,
        "token": "x",
    }
    return {name: ids[name] for name in pattern.pattern.regex.groupindex}


@pytest.fixture
def dealing(market: Market) -> Market:
    """The market with a listing, a hold and a lease."""
    market.fund()
    listing = market.listing()
    lease = market.lease(listing)
    market.lease_id = lease.public_id  # type: ignore[attr-defined]
    market.reservation_id = market.reservation(listing).public_id  # type: ignore[attr-defined]
    return market


@pytest.mark.parametrize("name", PROVIDER_PAGES + ANYBODYS_PAGES)
def test_a_provider_opens_its_pages(market: Market, name: str) -> None:
    market.listing()

    reply = market.client(market.provider).get(reverse(name))

    assert reply.status_code == 200


@pytest.mark.parametrize("name", TENANT_PAGES + ANYBODYS_PAGES)
def test_a_tenant_opens_its_pages(market: Market, name: str) -> None:
    market.fund()

    reply = market.client(market.tenant).get(reverse(name))

    assert reply.status_code == 200


@pytest.mark.parametrize("name", OPERATOR_PAGES + ANYBODYS_PAGES)
def test_the_operator_opens_its_pages(market: Market, name: str) -> None:
    market.listing()
    rollups.sweep(at=market.at)

    reply = market.client(market.operator).get(reverse(name))

    assert reply.status_code == 200


def test_a_viewer_reads_and_changes_nothing(market: Market) -> None:
    viewer = market.client(market.provider, "viewer")

    for name in PROVIDER_PAGES:
        reply = viewer.get(reverse(name))
        assert reply.status_code == (403 if name in WRITING else 200), name
        if reply.status_code == 200 and not reply.streaming and name != "node_template":
            text = reply.content.decode()
            assert "btn-primary" not in text, name
    assert viewer.get(reverse("keys")).status_code == 403


def test_nobody_signed_in_is_asked_to(market: Market) -> None:
    for pattern in _patterns():
        if pattern.name in AT_THE_DOOR:
            continue
        names = pattern.pattern.regex.groupindex
        address = reverse(str(pattern.name), kwargs=dict.fromkeys(names, "x"))
        for reply in (Client().get(address), Client().post(address)):
            asked = reply.status_code == 302 and reply["Location"].startswith("/sign-in/")
            assert asked or reply.status_code == 405, address


def test_another_organisation_sees_nothing(dealing: Market) -> None:
    stranger = dealing.client(dealing.stranger)
    addresses = [
        reverse(str(pattern.name), kwargs=arguments)
        for pattern in _patterns()
        if pattern.name not in AT_THE_DOOR and (arguments := _arguments(pattern, dealing))
    ]
    assert len(addresses) > 15

    for address in addresses:
        assert stranger.get(address).status_code in (404, 405), address
        reply = stranger.post(address, {"idempotency_key": f"k{address}"})
        assert reply.status_code in (404, 405), address


def test_rows_of_a_page_do_not_multiply_its_statements(dealing: Market) -> None:
    client = dealing.client(dealing.provider)
    tenant = dealing.client(dealing.tenant)
    budgets = {"pools": 16, "listings": 12, "deals": 18, "overview": 60, "centres": 12}
    for name, budget in budgets.items():
        with CaptureQueriesContext(
            connection,
        ) as statements:
            assert client.get(reverse(name)).status_code == 200
        assert len(statements) <= budget, (name, len(statements))
    pool, node = dealing.pool.public_id, dealing.pool.nodes.all()[0].public_id
    for name, arguments, budget in (
        ("pool", [pool], 24),
        ("nodes", [pool], 10),
        ("node", [pool, node], 12),
        ("pool_move", [pool], 20),
    ):
        with CaptureQueriesContext(connection) as statements:
            assert client.get(reverse(name, args=arguments), {"to": "draining"}).status_code == 200
        assert len(statements) <= budget, (name, len(statements))
    with CaptureQueriesContext(connection) as statements:
        assert tenant.get(reverse("rented")).status_code == 200
    assert len(statements) <= 16


def test_malformed_ids_are_not_found(market: Market) -> None:
    client = market.client(market.provider)

    for text in ("x", "pool_1", "lst_" + "0" * 32, "%00", "é"):
        assert client.get(f"/pools/{text}/").status_code == 404
        assert client.get(f"/listings/{text}/").status_code == 404
        assert client.get(f"/leases/{text}/").status_code == 404
