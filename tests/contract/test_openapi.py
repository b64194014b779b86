"""The API against its own document, as each role: what is made up is served or refused as
documented, and every operation has a request that succeeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.conf import settings
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.core.result import Err
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from inventory import chips
from marketplace.http.limits import buckets
from tests.api.client import Api
from tests.api.market import Market, next_hour, text
from tests.api.requests import prepared, running_trial
from tests.api.test_other_organisations import OBJECTS

load_all_checks()
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ROLES = ("as_tenant", "as_provider", "as_operator")
EXAMPLES = 4
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


@pytest.fixture
def market(db: None) -> Market:
    buckets.clear()
    chips.load_catalogue()
    return Market()


def _call(case: Any, headers: dict[str, str], checks: list[Any]) -> Any:
    """Sends the case; like a request of Django's test client, which connects the signal again
    after each of its own, it must not close the test's transaction.
    """
    for signal in (signals.request_started, signals.request_finished):
        signal.disconnect(close_old_connections)
    return case.call_and_validate(headers=headers, checks=checks)


OWNERS = {"projects": "as_tenant", "api-keys": "as_tenant", "wallet": "as_tenant"}
OWNERS |= dict.fromkeys(
    ("reservations", "baskets", "leases", "charges", "quotas", "holds", "quotes", "amendments"),
    "as_tenant",
)
OWNERS |= dict.fromkeys(("bank-receipts", "audit"), "as_operator")


def _good(market: Market, operation: Any) -> tuple[Api, str | None, Any]:
    """Who may send it, the id in its path, its body."""
    path = operation.path.removeprefix("/api/v1")
    collection = path.split("/")[1]
    if operation.method == "post" and not path.endswith(("/nodes/import", "/bank-statements")):
        api, address, body = prepared(market, path)
        row = address.split("/")[2] if "{public_id}" in path else None
        return api, row, body
    owner = OWNERS.get(collection, "as_provider")
    api = getattr(market, "as_provider" if path.endswith("/approvals") else owner)
    row = OBJECTS[collection](market) if "{public_id}" in path else None
    if path.endswith("/conversion-quote"):
        row = running_trial(market)
    if path.endswith("/on-sale"):
        market.listing()
    return api, row, "serial\nSN-1\n" if operation.method == "post" else None


def _headers(api: Api, operation: Any, key: str) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {api.key}"}
    if operation.method == "post":
        headers["Idempotency-Key"] = key
    return headers


@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_a_good_request_succeeds_as_documented(market: Market, operation: Any) -> None:
    api, row, body = _good(market, operation)
    names = {parameter.name for parameter in operation.query}
    optional = {"media_type": "application/json"} if isinstance(body, dict) else {}
    if isinstance(body, str):
        optional = {"media_type": "text/csv"}
    if body is not None:
        optional["body"] = body
    case = operation.Case(
        method=operation.method.upper(),
        path_parameters={"public_id": row} if row else {},
        query=PERIOD if "from" in names else {"hours": 24} if "hours" in names else {},
        **optional,
    )

    response = _call(case, _headers(api, operation, "good"), CHECKS)

    assert 200 <= response.status_code < 300, response.text


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_made_up_requests_are_answered_as_documented(market: Market, operation: Any) -> None:
    _, row, _ = _good(market, operation)
    roles = [getattr(market, role) for role in ROLES]
    number = iter(range(10**9))

    def send(case: Any, checks: list[Any]) -> None:
        for api in roles:
            # A savepoint, since a request's own transaction must be the outermost.
            before = transaction.savepoint()
            case.headers = _headers(api, operation, f"made-up-{next(number)}")
            if row is not None and next(number) % 2:
                case.path_parameters = {"public_id": row}
            _call(case, case.headers, checks)
            transaction.savepoint_rollback(before)

    def play(mode: GenerationMode, checks: list[Any]) -> None:
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            send(case, checks)

        run()

    play(GenerationMode.POSITIVE, CHECKS)
    if operation.body:
        play(GenerationMode.NEGATIVE, [*CHECKS, negative_data_rejection])
