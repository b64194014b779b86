"""What is made up is served or refused as documented, as each role."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection

from tests.api.market import Market
from tests.contract.operations import CHECKS, IDS, OPERATIONS, call, good, headers

ROLES = ("as_tenant", "as_provider", "as_operator")
EXAMPLES = 4


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=IDS)
def test_made_up_requests_are_answered_as_documented(market: Market, operation: Any) -> None:
    ids = good(market, operation).path
    roles = [getattr(market, role) for role in ROLES]
    number = iter(range(10**9))

    def send(case: Any, checks: list[Any]) -> None:
        for api in roles:
            # A savepoint, since a request's own transaction must be the outermost.
            before = transaction.savepoint()
            turn = next(number)
            case.headers = headers(api, operation, f"made-up-{turn}")
            if ids and turn % 4:
                case.path_parameters = dict(ids)
            call(case, case.headers, checks)
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
