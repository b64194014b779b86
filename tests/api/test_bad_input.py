"""Bad input on every POST: refused with a problem document, nothing changes, never a 500.

The control, that unspoilt each of these requests is taken, is in tests/contract.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.db import connection

from marketplace.http.parsing import StrictJSONParser
from tests.api.client import Reply
from tests.api.good import no_body
from tests.api.market import Market
from tests.api.requests import FILES, GOOD, prepared
from tests.api.routes import routes

SCHEMA = yaml.safe_load(
    (Path(settings.BASE_DIR) / "marketplace/api/openapi.yaml").read_text(encoding="utf-8")
)
POSTS = sorted({route.path for route in routes() if route.method == "POST"} - FILES)
WITH_BODY = [path for path in POSTS if path in GOOD and GOOD[path].body is not no_body]

NOT_DOCUMENTS = {
    "empty": b"",
    "open": b"{",
    "list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "number": b"1",
    "not utf-8": b'{"name": "\xff"}',
    "utf-16": '{"name": "x"}'.encode("utf-16"),
    "bom": b"\xef\xbb\xbf{}",
    "not a number": b'{"hours": NaN}',
    "infinity": b'{"hours": Infinity}',
    "too large a number": b'{"hours": 1e400}',
    "too many digits": b'{"hours": ' + b"9" * 5000 + b"}",
    "deep list": b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep object": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "twice": b'{"name": "a", "name": "b"}',
    "nul": b'{"name": "a\\u0000b"}',
    "half a character": b'{"name": "\\ud800"}',
    "nul in a name": b'{"a\\u0000": 1}',
}


OTHER_KINDS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")


def everything() -> dict[str, int]:
    """How many rows each table has."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND c.relnamespace = 'public'::regnamespace"
            " AND c.relname NOT LIKE 'django_%' AND c.relname NOT LIKE 'auth_%'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        cursor.execute(" UNION ALL ".join(f"SELECT '{t}', count(*) FROM {t}" for t in tables))
        return dict(cursor.fetchall())


def shape_of(path: str) -> dict[str, Any]:
    operation = SCHEMA["paths"][f"/api/v1{path}"]["post"]
    content = operation["requestBody"]["content"]["application/json"]["schema"]
    return resolved(content)


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    for whole in (part, *part.get("allOf", []), *part.get("oneOf", [])):
        if "$ref" in whole:
            found = SCHEMA["components"]["schemas"][whole["$ref"].rsplit("/", 1)[1]]
            return resolved(found)
    return part


def bad_bodies(shape: dict[str, Any], good: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The good body with one thing wrong."""
    yield "unknown field", {**good, "is_staff": True}
    yield "field of the reply", {**good, "created_at": "2026-01-01T00:00:00Z"}
    for name in shape.get("required", []):
        yield f"without {name}", {key: value for key, value in good.items() if key != name}
    for name, part in shape["properties"].items():
        for label, value in bad_values(resolved(part)):
            yield f"{name}: {label}", {**good, name: value}
        if "properties" in resolved(part) and isinstance(good.get(name), dict):
            for label, inner in bad_bodies(resolved(part), good[name]):
                yield f"{name}.{label}", {**good, name: inner}


def bad_values(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    kind = part.get("type")
    yield "null", None
    if kind != "object":
        yield "an object", {"a": 1}
    if kind != "array":
        yield "a list", [1]
    if kind == "integer":
        yield "a string", "5"
        yield "true", True
        yield "a fraction", 8.5
        yield "a float", 8.0
        yield "too small", part["minimum"] - 1
        yield "too large", part["maximum"] + 1
        yield "huge", 10**38
        yield "full-width digits", "１２"
    if kind == "boolean":
        yield "a number", 1
        yield "a string", "true"
    if kind == "string":
        yield "a number", 5
        yield "true", True
        yield "blank", "   "
        yield "turned around", "a\u202eb"
        if part.get("format") != "lines":
            yield "a line break", "a\nb"
        yield "very long", "x" * 100_000
        if part.get("minLength", 1) and "enum" not in part:
            yield "empty", ""
    if part.get("format") == "date-time":
        yield "no zone", "2026-12-01T00:00:00"
        yield "a day", "2026-12-01"
        yield "far away", "9999-12-31T23:59:59Z"
        yield "long ago", "0001-01-01T00:00:00+23:59"
        yield "no such day", "2026-02-30T00:00:00Z"
        yield "no such zone", "2026-12-01T00:00:00+99:99"
        yield "a week", "2026-W49-1"
    if kind == "array":
        yield "too many", ["x"] * 20_000
        yield "nested", [[["x"]]]
        yield "numbers", [1, 2]


EDGES_OF_TIME = (
    "2000-01-01T00:00:00Z", "2199-12-31T23:00:00Z", "2200-01-01T00:00:00Z",
    "2199-12-31T23:59:59.999999Z", "2027-03-01T07:59:59.999999+23:59",
)  # fmt: skip


# Eighteen letters once its form is made plain (NFKC), and two once it is a capital.
GROWING = ("\ufdfa", "ß")


def edge_bodies(shape: dict[str, Any], good: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The good body with one value at an edge of what its field takes, and with all there."""
    found: dict[str, list[Any]] = {}
    for name, part in shape["properties"].items():
        within = resolved(part)
        if within.get("type") == "integer":
            found[name] = [within["minimum"], within["maximum"]]
        elif within.get("format") == "date-time":
            found[name] = list(EDGES_OF_TIME)
        elif "properties" in within and isinstance(good.get(name), dict):
            found[name] = [body for _, body in edge_bodies(within, good[name])]
    for name, values in found.items():
        for value in values:
            yield f"{name}: {value}", {**good, name: value}
    for pick in (0, -1):
        together = {name: values[pick] for name, values in found.items() if name in good}
        yield f"all at edge {pick}", {**good, **together}
    for name, part in shape["properties"].items():
        within = resolved(part)
        if within.get("type") == "string" and within.get("maxLength", 9_999) <= 1_000:
            for letter in GROWING:
                yield f"{name}: {letter}", {**good, name: letter * within["maxLength"]}


def check(reply: Reply, label: str) -> None:
    assert 400 <= reply.status < 500, (label, reply)
    assert reply.headers["Content-Type"] == "application/problem+json", label
    problem = reply.json
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "code", "errors"}
    assert problem["status"] == reply.status
    assert problem["request_id"] == reply.headers["X-Request-Id"]


def test_every_post_has_a_good_request() -> None:
    assert set(POSTS) == set(GOOD)


@pytest.mark.parametrize("path", WITH_BODY)
def test_what_is_wrong_is_refused_and_changes_nothing(market: Market, path: str) -> None:
    """One thing wrong with a good body, what is no document at all, and another kind of it."""
    api, address, good = prepared(market, path)
    shape = shape_of(path)
    before = everything()

    for label, body in bad_bodies(shape, good):
        reply = api.post(address, body)
        check(reply, label)
        assert reply.status == 422, (label, reply)
    turn = WITH_BODY.index(path)
    for label in list(NOT_DOCUMENTS)[turn % 4 :: 4]:  # one reader reads them for all routes
        if label not in ("empty", "null") or shape.get("required"):
            check(api.send("POST", address, raw=NOT_DOCUMENTS[label]), label)
    content_type = OTHER_KINDS[turn % len(OTHER_KINDS)]
    other = api.send("POST", address, raw=b"a=1", content_type=content_type)
    assert (other.status, other.code) == (415, "unsupported_media_type"), content_type
    assert everything() == before

    for label, body in edge_bodies(shape, good):  # some are taken: last, and only never a 500
        reply = api.post(address, body)
        assert reply.status < 500, (label, reply)


@pytest.mark.parametrize("path", WITH_BODY[::25])
def test_what_is_too_large_is_refused(market: Market, path: str) -> None:
    api, address, _good = prepared(market, path)

    large = api.send("POST", address, raw=b'{"name": "' + b"x" * 10_000_000 + b'"}')

    assert (large.status, large.code) == (413, "too_large")


def test_one_reader_reads_every_document() -> None:
    """Which is why not every route is sent every kind of rubbish."""
    for route in routes():
        if route.method == "POST" and route.path not in FILES:
            assert route.view.parser_classes == [StrictJSONParser], route


def test_a_body_in_chunks_is_refused_rather_than_read_as_none(market: Market) -> None:
    reply = market.as_tenant.client.generic(
        "POST",
        "/api/v1/projects",
        headers={
            "Authorization": f"Bearer {market.as_tenant.key}",
            "Transfer-Encoding": "chunked",
        },
    )

    assert (reply.status_code, reply.json()["code"]) == (411, "length_required")


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x00", b"hostname\nx\n", b"serial\n\xff\xfe\xfd", b"PK\x03\x04zip", b'serial\n"open'],
)
def test_a_bad_file_is_refused(market: Market, raw: bytes) -> None:
    path = f"/pools/{market.pool.public_id}/nodes/import?apply=true"
    before = everything()

    reply = market.as_provider.send("POST", path, raw=raw, content_type="text/csv")

    check(reply, "file")
    assert everything() == before


def test_bad_rows_are_named_and_nothing_is_taken(market: Market) -> None:
    path = f"/pools/{market.pool.public_id}/nodes/import"
    raw = "serial,rack\nA-1,R1\nA-1,R2\n=cmd(),R3\nA-\u200b2,R4\n".encode()
    before = everything()

    preview = market.as_provider.send("POST", path, raw=raw, content_type="text/csv")
    assert [(e["line"], e["code"]) for e in preview.json["errors"]] == [
        (3, "duplicate_serial"),
        (4, "formula"),
        (5, "invisible_character"),
    ]
    assert preview.json["errors"][2]["value"] == "A-[U+200B ZERO WIDTH SPACE]2"
    applied = market.as_provider.send(
        "POST", f"{path}?apply=true", raw=raw, content_type="text/csv"
    )
    assert (applied.status, applied.code) == (422, "import_row_invalid")
    assert [error["pointer"] for error in applied.json["errors"]] == [
        "/lines/3/serial",
        "/lines/4/serial",
        "/lines/5/serial",
    ]
    now = everything()
    del before["marketplace_idempotencyrecord"], now["marketplace_idempotencyrecord"]
    assert now == before


def test_a_good_file_is_imported_once(market: Market) -> None:
    path = f"/pools/{market.pool.public_id}/nodes/import?apply=true"
    raw = "\ufeff序列号,机柜\r\nA-1,R1\r\nA-2,R2\r\n".encode()

    first = market.as_provider.send("POST", path, raw=raw, content_type="text/csv")
    again = market.as_provider.send("POST", path, raw=raw, content_type="text/csv")

    assert (first.json["new_count"], first.json["applied"]) == (2, True)
    assert (again.json["new_count"], again.json["known_count"]) == (0, 2)
    rows = market.as_provider.get(f"/nodes?pool={market.pool.public_id}&limit=2").data
    assert [row["serial"] for row in rows] == ["A-2", "A-1"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(market: Market, method: str) -> None:
    reply = market.as_tenant.send(method, "/leases")

    assert (reply.status, reply.code) == (405, "method_not_allowed")


def test_another_representation_is_refused(market: Market) -> None:
    reply = market.as_tenant.get("/leases", headers={"Accept": "text/html"})

    assert (reply.status, reply.code) == (406, "not_acceptable")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/", "/api/v1/leases/%00", "/api/v1/%FF"])
def test_an_unknown_address_is_a_problem_document(market: Market, path: str) -> None:
    reply = market.as_tenant.get(path)

    assert reply.status == 404
    assert reply.headers["Content-Type"] == "application/problem+json"


def test_a_forged_or_stale_offer_is_refused(market: Market) -> None:
    market.listing()
    market.fund()
    token = market.offer()["token"]
    before = everything()

    for forged in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", token + "x"):
        reply = market.as_tenant.post("/reservations", {"offer": forged})
        assert (reply.status, reply.code) == (422, "offer_invalid")

    assert everything() == before


def test_refusals_speak_the_callers_language(market: Market) -> None:
    asked = {"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}
    chinese = market.as_tenant.get("/leases/x", headers=asked)
    english = market.as_tenant.get("/leases/x")

    assert chinese.headers["Content-Language"] == "zh-hans"
    assert english.headers["Content-Language"] == "en"
    assert (chinese.json["title"], english.json["title"]) == ("未找到", "Not found")
    assert chinese.code == english.code == "not_found"


def test_the_instants_come_back_in_utc(market: Market) -> None:
    body = market.listing_body()
    shifted = body["start_at"].replace("Z", "+00:00")

    listing = market.as_provider.do("/listings", {**body, "start_at": shifted})

    assert listing["start_at"] == body["start_at"]
    assert json.dumps(listing).count("+00:00") == 0
