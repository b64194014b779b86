"""The operations of the API's document, and for each a request that succeeds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import schemathesis
from django.conf import settings
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from marketplace.models import Lease
from tests.api.client import Api
from tests.api.market import Market, next_hour, text
from tests.api.requests import handed_over, prepared, running_trial, waiting
from tests.api.rows import (
    OBJECTS,
    Maker,
    accounting,
    deliveries,
    documents,
    machines,
    rail,
    service,
)
from tests.billing import books

load_all_checks()
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
DOCUMENT = Path(settings.BASE_DIR) / "marketplace/api/openapi.yaml"


def _operations() -> list[Any]:
    schema = schemathesis.openapi.from_path(DOCUMENT)
    schema.app = get_wsgi_application()
    operations = []
    for found in schema.get_all_operations():
        if isinstance(found, Err):
            raise found.err()
        operations.append(found.ok())
    return operations


OPERATIONS = _operations()
IDS = [operation.label for operation in OPERATIONS]
PERIOD = {"from": text(next_hour(-24)), "to": text(next_hour(24))}


def call(case: Any, headers: dict[str, str], checks: list[Any]) -> Any:
    """Sends the case; like a request of Django's test client, which connects the signal again
    after each of its own, it must not close the test's transaction.
    """
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(close_old_connections)
    return case.call_and_validate(headers=headers, checks=checks)


# Who has what its collection's maker made; the others are the provider's.
OWNERS = dict.fromkeys(
    (
        "projects", "api-keys", "quotas", "wallet", "holds",
        "reservations", "baskets", "leases", "charges", "quotes", "amendments", "instalments",
        "bank-accounts", "refunds", "topups", "topup-refunds", "disputes",
        "invoices", "credit-notes", "statements", "contests", "fapiaos", "billing-details",
        "cases", "ssh-keys", "acceptances", "notification-channels", "notification-deliveries",
        "incidents",
    ),
    "as_tenant",
) | dict.fromkeys(
    (
        "bank-receipts", "bank-statements", "bank-lines", "payment-files", "payout-files",
        "audit", "ledger-entries", "ledger-transactions", "gateway-events", "gateway-requests",
        "vouchers", "accounting-periods", "reconciliation-matches",
    ),
    "as_operator",
)  # fmt: skip


def _set_details(market: Market) -> str:
    return str(market.as_tenant.do("/billing-details", documents.details_body(market))["title"])


def _on_sale(market: Market) -> str:
    market.listing()
    return str(market.pool.public_id)


def _in_the_books(market: Market) -> str:
    accounting.long_ago(market)
    return ""


def _moved(market: Market) -> str:
    return str(market.fund()["id"])


def _ruled(market: Market) -> str:
    return str(market.as_provider.do("/approval-rules", {"thresholds": []})["version"])


def _floored(market: Market) -> str:
    api, address, body = prepared(market, "/pools/{public_id}/floors")
    api.do(address, body)
    return address.split("/")[2]


def _rented_out(market: Market) -> str:
    market.listing()
    market.fund()
    return str(market.lease()["listing"])


def _used(market: Market) -> str:
    public_id = OBJECTS["leases"](market)
    books.meter(Lease.objects.get(public_id=public_id), until=next_hour(3))
    return public_id


def _approved(market: Market) -> str:
    public_id = waiting(market)
    body = {"document_number": "HT-2026-17"}
    market.as_provider.do(f"/reservations/{public_id}/approve", body)
    return public_id


def _attached(market: Market) -> str:
    public_id = service.case(market)
    market.as_tenant.do(f"/cases/{public_id}/attach", service.attachment_body(market))
    return public_id


def _faulty(market: Market) -> str:
    body = {"reason": "gone", "expected_back_at": text(next_hour(30))}
    market.as_provider.do(f"/nodes/{machines.node(market)}/fail", body)
    return ""


# What is asked of reads of the books.
BOOKS: dict[str, dict[str, Any]] = {
    "/ledger-entries": {"account": "asset:bank:CNY", "month": "2026-06"},
    "/audit/trial-balance": {"month": "2026-06", "accounts": "true"},
    "/audit/voucher-export": {"month": "2026-06", "layout": "yonyou_u8"},
    "/audit/closing-checklist": {"month": "2026-06"},
    "/audit/equality": {"date": "2026-06-30"},
    "/audit/reconciliation": {},
}
# Where the maker of the collection does not do: what has to be there before it is read.
STAGES: dict[str, Maker] = {
    "/leases/{public_id}/conversion-quote": running_trial,
    "/pools/{public_id}/on-sale": _on_sale,
    "/pools/{public_id}/floors": _floored,
    "/approval-rules": _ruled,
    "/listings/{public_id}/touched-deals": _rented_out,
    "/reservations/{public_id}/approvals": _approved,
    "/leases/{public_id}/credentials": handed_over,
    "/leases/{public_id}/usage": _used,
    "/wallet/transactions": _moved,
    **dict.fromkeys(BOOKS, _in_the_books),
    "/billing-details": _set_details,
    "/credit-notes": documents.credit_note,
    "/credit-notes/{public_id}": documents.credit_note,
    "/credit-notes/{public_id}/lines": documents.credit_note,
    "/credit-notes/{public_id}/paper": documents.credit_note,
    "/fapiaos/{public_id}/file": documents.issued_fapiao,
    "/cases/{public_id}/attachments": _attached,
    "/cases/{public_id}/attachments/{attachment_id}": _attached,
    "/telemetry-sources/{public_id}/unmatched": machines.source_of_strangers,
    "/acceptances/{public_id}/runs": deliveries.passed,
    "/fault-rates": _faulty,
    "/fault-rates/estimate": _faulty,
    "/incidents": service.touching_incident,
    "/incidents/{public_id}": service.touching_incident,
    "/incidents/{public_id}/leases": service.touching_incident,
    "/incidents/{public_id}/timeline": service.touching_incident,
}
ESTIMATE = {"cards": 1024, "hours": 168}
FILES: dict[str, Callable[[Market], tuple[Api, str]]] = {
    "/pools/{public_id}/nodes/import": lambda market: (market.as_provider, "serial\nSN-1\n"),
    "/bank-statements": lambda market: (market.as_operator, rail.STATEMENT.decode()),
}


@dataclass(frozen=True)
class Sent:
    """A request that succeeds."""

    api: Api
    path: dict[str, str]  # the ids in it
    body: Any
    query: dict[str, Any]


def good(market: Market, operation: Any) -> Sent:
    """A request that succeeds, of somebody who has a row of what it is about."""
    path = operation.path.removeprefix("/api/v1")
    collection = path.split("/")[1]
    names = {parameter.name for parameter in operation.query}
    query: dict[str, Any] = PERIOD if "from" in names else {"hours": 24} if "hours" in names else {}
    query = ESTIMATE if path.endswith("/estimate") else BOOKS.get(path, query)
    if operation.method == "post" and path in FILES:
        api, body = FILES[path](market)
        if path == "/bank-statements":
            return Sent(api, {}, body, {"account": rail.operators_account(market)})
        return Sent(api, {"public_id": OBJECTS[collection](market)}, body, query)
    if operation.method == "post":
        api, address, body = prepared(market, path)
        ids = {"public_id": address.split("/")[2]} if "{public_id}" in path else {}
        return Sent(api, ids, body, query)
    make = STAGES.get(path) or OBJECTS.get(collection)
    row = make(market) if make else None
    owner = "as_provider" if path.endswith("/approvals") else OWNERS.get(collection, "as_provider")
    api = getattr(market, owner)
    ids = {"public_id": row} if row and "{public_id}" in path else {}
    if "{attachment_id}" in path:
        ids["attachment_id"] = api.get(f"/cases/{row}/attachments").json[0]["id"]
    return Sent(api, ids, None, query)


def headers(api: Api, operation: Any, key: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {api.key}"}
    if operation.method == "post":
        headers["Idempotency-Key"] = key
    return headers
