"""Bad input in every form: refused in words, nothing changes, never a 500."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from inventory.models import Membership, Pool
from tests.api.test_bad_input import everything
from tests.web.conftest import Market, keyed
from tests.web.good_forms import Good, good_forms
from tests.web.good_money_forms import good_money_forms, good_paper_forms
from tests.web.good_service_forms import good_delivery_forms, good_service_forms
from tests.web.test_pages import _patterns

# What people paste, and what programs send. Lone surrogates arrive as the bytes they are. The
# first are tried in every field, of the others four in each, in turn.
ALWAYS = ["", "a\x00b", "x" * 100_000, "٣", "-1", "9" * 40, "\ud800"]
IN_TURN = [
    "   ", "\x00", "９", "0", "1.5", "1e400", "NaN", "=1+1", "\u202eabc", "2026-02-30",
    "0001-01-01T00:00", "9999-12-31T23:59", "null",
]  # fmt: skip
AT_ONCE = 4


def _bad(good: Good) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "nothing at all", {}
    turn = itertools.cycle(IN_TURN)
    for _ in range(len(good.fields)):  # forms begin at different places of it
        next(turn)
    for name, value in good.fields.items():
        rest = {key: other for key, other in good.fields.items() if key != name}
        yield f"without {name}", rest
        yield f"{name} twice", {**rest, name: [value, value]}
        for bad in [*ALWAYS, *itertools.islice(turn, AT_ONCE)]:
            yield f"{name}: {bad[:20]!r}", {**rest, name: bad}


def _encoded(fields: dict[str, Any]) -> dict[str, Any]:
    """A lone surrogate as the three bytes a broken client sends for it."""
    return {
        name: value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _send(client: Client, good: Good, fields: dict[str, Any]) -> Any:
    if "file" in good.fields and isinstance(fields.get("file"), str):
        content = fields["file"].encode("utf-8", "surrogatepass")
        rest = {
            name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
            for name, value in fields.items()
            if name != "file"
        }
        return client.post(good.address, keyed(**rest, file=io.BytesIO(content)))
    # The client's own encoding would take the bytes for a list of numbers.
    body = urlencode(_encoded(keyed(**fields)), doseq=True)
    return client.post(good.address, body, content_type="application/x-www-form-urlencoded")


def test_every_form_is_here(market: Market) -> None:
    client = Client()
    takes_forms = {
        str(pattern.name)
        for pattern in _patterns()
        if client.post(
            reverse(str(pattern.name), kwargs=dict.fromkeys(pattern.pattern.regex.groupindex, "x"))
        ).status_code
        != 405
    }
    only_read = {
        "home", "overview", "centres", "pools", "pools_csv", "node_template", "pool", "pool_csv",
        "amendment", "nodes", "nodes_csv", "node", "listings", "deals", "rented", "all_leases",
        "all_leases_csv", "lease", "lease_charges_csv", "audit_part", "audit_part_csv",
        "receipts_csv",
        "search", "journal", "journal_csv",
        "organisations", "organisations_csv", "organisation",
        "audit", "audit_csv", "audit_map", "audit_map_csv", "audit_drop", "audit_drop_csv",
        "audit_anomalies", "audit_anomalies_csv", "audit_reports", "audit_report",
        "wallet", "wallet_csv", "earnings", "earnings_csv",
        "settlements_csv", "settlement", "settlement_csv", "settlement_pdf", "approvals",
        "online_payments", "online_payments_csv", "stripe_webhook", "topup",
        "invoices", "invoice_csv", "invoice_pdf", "contests", "fapiao_file", "overdue",
        "health", "faults", "meter_disputes",
        "payouts_csv", "payout_file", "input_fapiao_file", "direct", "bank_lines",
        "bank_lines_csv", "payment_file", "reservation_transfer", "basket_transfer",
        "reconciliation_csv", "voucher_file", "voucher_export", "trial_balance",
        "incidents", "cases", "case_attachment", "manual_tasks", "lease_acceptance_pdf",
        "trial_balance_csv", "ledger_account", "ledger_transaction", "closing", "payout_terms",
    }  # fmt: skip
    named: set[str] = set()
    groups = (
        good_paper_forms, good_forms, good_money_forms, good_service_forms, good_delivery_forms
    )  # fmt: skip
    for group in groups:
        start = transaction.savepoint()  # each in a market of its own
        named |= set(group(market))
        transaction.savepoint_rollback(start)

    assert takes_forms - only_read == named


@pytest.mark.parametrize(
    "name",
    [
        "sign_in", "sign_out", "password_ask", "password_set", "password_change",
        "switch", "set_language", "centre_create", "centre", "pool_create",
        "pool_move", "node_import", "node_import_apply", "external", "external_end", "outage",
        "outage_close", "node_fail", "node_report", "report_withdraw", "node_retire", "remedy",
        "key_revoke", "floor", "telemetry", "telemetry_source", "telemetry_key",
        "telemetry_close", "telemetry_unbind", "lease_keep_idle",
        "listing_create", "listing_preview", "listing",
        "listing_stop", "listing_resume", "listing_size", "listing_terms", "approve",
        "approval_rule", "reservation_reject",
        "lease_change", "lease_propose", "lease_convert", "trial", "basket_hold", "quote",
        "amendment_sign", "amendment_decline", "amendment_withdraw",
        "lease_reveal", "members", "member_remove", "keys", "organisation_decide",
        "organisation_credit", "organisation_quotas", "quotas", "quota_remove",
        "basket_confirm", "basket_cancel", "hold",
        "reservation_confirm", "reservation_cancel", "receipts", "receipt",
        "settlements",
    ],
)  # fmt: skip
def test_one_wrong_field_is_refused_or_taken_as_it_stands(market: Market, name: str) -> None:
    _fill_in_badly(market, good_forms(market)[name])


@pytest.mark.parametrize(
    "name",
    [
        "payouts", "payout", "payout_files", "organisation_payout_terms",
        "input_fapiaos", "input_fapiao", "direct_received", "bank_accounts", "bank_account",
        "refunds", "refund", "payment_files", "receipt_send_back",
    ],
)  # fmt: skip
def test_one_wrong_field_moves_no_money(market: Market, name: str) -> None:
    _fill_in_badly(market, good_money_forms(market)[name])


@pytest.mark.parametrize(
    "name",
    [
        "invoice", "line_contest", "line_credit", "contest", "fapiaos", "fapiao",
        "billing_details", "meter_dispute",
    ],
)  # fmt: skip
def test_one_wrong_field_changes_no_paper(market: Market, name: str) -> None:
    _fill_in_badly(market, good_paper_forms(market)[name])


@pytest.mark.parametrize(
    "name",
    [
        "incident", "case_create", "case", "case_attach", "case_close", "channels", "channel",
        "channel_test", "channel_remove", "delivery_retry",
    ],
)  # fmt: skip
def test_one_wrong_field_leaves_service_as_it_was(market: Market, name: str) -> None:
    _fill_in_badly(market, good_service_forms(market)[name])


@pytest.mark.parametrize(
    "name",
    [
        "manual_task", "manual_task_give_up", "ssh_keys", "ssh_key_remove", "lease_acceptance",
        "lease_acceptance_sign", "lease_renew",
    ],
)  # fmt: skip
def test_one_wrong_field_leaves_deliveries_as_they_were(market: Market, name: str) -> None:
    _fill_in_badly(market, good_delivery_forms(market)[name])


def _fill_in_badly(market: Market, good: Good) -> None:
    client = market.client(getattr(market, good.party), good.role)
    before = _rows(everything())

    for label, fields in _bad(good):
        start = transaction.savepoint()
        reply = _send(client, good, fields)
        assert reply.status_code < 500, (label, reply)
        if reply.status_code < 400:  # taken as it stands; the next one starts afresh
            transaction.savepoint_rollback(start)
        else:
            transaction.savepoint_commit(start)

    assert _rows(everything()) == before


def _rows(counts: dict[str, int]) -> dict[str, int]:
    """Without what counts failed sign-ins."""
    return {name: count for name, count in counts.items() if name != "marketplace_cache"}


@pytest.mark.parametrize("method", ["put", "patch", "delete", "trace"])
def test_other_methods_do_nothing(market: Market, method: str) -> None:
    client = market.client(market.provider)
    send: Callable[..., Any] = getattr(client, method)

    for name in ("pools", "pool_create", "listing_create", "members", "keys"):
        assert send(reverse(name)).status_code < 500, name
    assert Pool.objects.count() == 1


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data", "x" * 300]
)
def test_another_content_type_does_nothing(market: Market, content_type: str) -> None:
    client = market.client(market.provider)
    counts = (Pool.objects.count(), Membership.objects.count())

    for name in ("pool_create", "listing_create", "members", "keys", "sign_in"):
        reply = client.post(reverse(name), data=b'{"a": 1}', content_type=content_type)
        assert reply.status_code < 500, (name, reply)

    assert (Pool.objects.count(), Membership.objects.count()) == counts


def test_ten_megabytes_are_too_large(market: Market) -> None:
    client = market.client(market.provider)

    reply = client.post(reverse("centre_create"), keyed(name="x" * 10_000_000))

    assert reply.status_code in (400, 413)
