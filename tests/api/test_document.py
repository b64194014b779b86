"""The API's own description: complete, committed, and readable without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.core.management import call_command
from django.test import Client

from tests.api.routes import routes

DOCUMENT = Path(settings.BASE_DIR) / "marketplace/api/openapi.yaml"
SCHEMA: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
OPERATIONS = [
    (method, path, operation)
    for path, operations in SCHEMA["paths"].items()
    for method, operation in operations.items()
]


def test_the_committed_document_is_what_the_code_says(tmp_path: Path) -> None:
    """After a change: python3 dev manage spectacular --file marketplace/api/openapi.yaml"""
    fresh = tmp_path / "openapi.yaml"

    call_command("spectacular", file=str(fresh), validate=True, fail_on_warn=True)

    assert fresh.read_text(encoding="utf-8") == DOCUMENT.read_text(encoding="utf-8")


def test_it_is_openapi_3_1_with_a_bearer_key() -> None:
    assert SCHEMA["openapi"].startswith("3.1")
    assert SCHEMA["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_every_route_is_described() -> None:
    described = {f"{m.upper()} {p.removeprefix('/api/v1')}" for m, p, _ in OPERATIONS}

    assert described == {str(route) for route in routes()}


def test_each_operation_says_what_it_does_and_how_it_refuses() -> None:
    for method, path, operation in OPERATIONS:
        answers = set(operation["responses"])
        assert operation["summary"].endswith("."), path
        assert {"400", "401", "403", "422", "429"} <= answers, path
        assert any(status.startswith("2") for status in answers), path
        if method == "post":
            assert {"409", "413", "415", "503"} <= answers, path
        if "{" in path:
            assert "404" in answers, path


def test_every_path_says_which_kind_of_id_it_takes() -> None:
    untold = [
        path
        for _, path, operation in OPERATIONS
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path" and "pattern" not in parameter["schema"]
    ]

    assert untold == []


def test_the_three_main_calls_have_examples() -> None:
    for path in ("/offers/search", "/reservations", "/listings"):
        content = SCHEMA["paths"][f"/api/v1{path}"]["post"]["requestBody"]["content"]
        assert content["application/json"]["examples"], path


def test_the_page_shows_every_operation_without_a_script_of_its_own() -> None:
    page = Client().get("/api/docs/").content.decode()

    for _, path, operation in OPERATIONS:
        assert f'id="{operation["operationId"]}"' in page, path
    assert not re.search(r"<script>|style=|onclick|https?://(?!testserver)", page)
    assert 'id="error-capacity_taken"' in page


def test_the_document_is_served_as_committed() -> None:
    reply = Client().get("/api/v1/openapi.yaml")

    assert b"".join(reply) == DOCUMENT.read_bytes()
