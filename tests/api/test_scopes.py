"""What a key may do: each action by its scope, nothing without one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from inventory import keys, organisations
from inventory.models import ApiKey, JournalEntry, User
from tests import world
from tests.api.client import Api
from tests.api.market import Market, key, person
from tests.api.routes import routes

ROUTES = routes()


def test_a_key_without_the_scope_is_refused(market: Market) -> None:
    """Every route: nothing changes, so one world serves them all."""
    scoped = [route for route in ROUTES if route.scope]
    assert len(scoped) > 200
    without: dict[str, Api] = {}

    for route in scoped:
        assert route.scope is not None
        if route.scope not in without:
            others = organisations.ROLE_SCOPES["owner"] - {route.scope}
            without[route.scope] = Api(key(market.tenant, *others))
        reply = without[route.scope].send(route.method, route.path.replace("{public_id}", "x"), {})

        assert (reply.status, reply.code) == (403, "scope_missing"), route
        assert reply.json["params"] == {"scope": route.scope}, route


def test_nobody_is_served_without_a_key(market: Market) -> None:
    for route in ROUTES:
        reply = Api(None).send(route.method, route.path.replace("{public_id}", "x"), {})

        assert (reply.status, reply.code) == (401, "unauthenticated"), route
        assert reply.headers["WWW-Authenticate"].startswith("Bearer"), route


def test_a_key_of_another_kind_of_organisation_gets_no_operators_scope(market: Market) -> None:
    reply = market.as_tenant.post("/api-keys", {"name": "x", "scopes": ["receipts:approve"]})

    assert (reply.status, reply.code) == (403, "scope_escalation")


def test_a_key_mints_no_wider_key(market: Market) -> None:
    narrow = Api(key(market.tenant, "keys:write", "leases:read"))
    before = ApiKey.objects.count()

    wider = narrow.post("/api-keys", {"name": "x", "scopes": ["reservations:write"]})

    assert (wider.status, wider.code) == (403, "scope_escalation")
    assert ApiKey.objects.count() == before
    assert narrow.post("/api-keys", {"name": "x", "scopes": ["leases:read"]}).status == 201


def test_a_keys_secret_is_shown_once_and_opens_until_revoked(market: Market) -> None:
    made = market.as_tenant.do("/api-keys", {"name": "ci", "scopes": ["leases:read"]})
    mine = Api(made["secret"])

    assert mine.get("/leases").status == 200
    assert "secret" not in market.as_tenant.get(f"/api-keys/{made['id']}").json
    assert market.as_tenant.delete(f"/api-keys/{made['id']}").status == 204
    assert (mine.get("/leases").status, mine.get("/leases").code) == (401, "unauthenticated")


@pytest.mark.parametrize(
    "text", ["", "ck_live_", "ck_live_aaaaaaaa_b", "sk_test_1", "ck_live_é_é", "ck_live_\x00_a"]
)
def test_what_is_no_key_is_refused(market: Market, text: str) -> None:
    reply = Api(text).get("/me")

    assert (reply.status, reply.code) == (401, "unauthenticated")


def test_another_scheme_is_refused(market: Market) -> None:
    reply = Api(None).get("/me", headers={"Authorization": "Basic dXNlcjpwYXNz"})

    assert (reply.status, reply.code) == (401, "unauthenticated")


def test_a_key_in_the_address_is_refused_even_beside_a_good_header(market: Market) -> None:
    reply = market.as_tenant.get(f"/me?key={market.as_tenant.key}")

    assert (reply.status, reply.code) == (400, "key_in_query")
    assert str(market.as_tenant.key) not in reply.content.decode()


def test_a_key_bound_to_a_project_sees_its_leases_only(market: Market) -> None:
    market.listing()
    market.fund()
    lease = market.lease()
    project = organisations.create_project(
        organisation_id=market.tenant.pk, name="A", at=datetime.now(UTC), actor=world.SYSTEM
    )
    _, secret = keys.issue(
        organisation_id=market.tenant.pk,
        name="bound",
        scopes=organisations.ROLE_SCOPES["owner"],
        project_id=project.pk,
        at=datetime.now(UTC),
        actor=world.SYSTEM,
    )
    bound = Api(secret)

    assert bound.get(f"/leases/{lease['id']}").status == 404
    held = bound.do("/reservations", {"offer": market.offer()["token"]})
    assert held["project"] == project.public_id
    assert bound.get("/me").json["project"] == project.public_id


def test_money_needs_a_second_person(market: Market) -> None:
    receipt = market.as_operator.do("/bank-receipts", market.receipt_body())

    own = market.as_operator.post(f"/bank-receipts/{receipt['id']}/approve")
    assert (own.status, own.code) == (403, "same_person")
    assert market.as_tenant.get("/wallet").json["posted_minor"] == 0

    unattended = Api(world.key(market.operator))
    nobody = unattended.post(f"/bank-receipts/{receipt['id']}/approve")
    assert (nobody.status, nobody.code) == (403, "person_needed")

    assert market.as_second_operator.post(f"/bank-receipts/{receipt['id']}/approve").status == 200


def test_an_auditors_reads_are_journalled(market: Market) -> None:
    user = person(market.operator, "auditor")
    api = Api(None)
    api.client.force_login(user)

    assert api.get("/leases").status == 200

    entry = JournalEntry.objects.get(event="auditor.read")
    assert (entry.actor, entry.data) == (user.public_id, {"path": "/api/v1/leases"})


def test_a_session_needs_its_csrf_token(market: Market) -> None:
    api = Api(None)
    api.client.handler.enforce_csrf_checks = True
    api.client.force_login(_owner(market))

    assert api.get("/me").json["kind"] == "user"
    refused = api.post("/projects", {"name": "A"})
    assert (refused.status, refused.code) == (403, "forbidden")
    api.client.cookies["csrftoken"] = "a" * 32
    allowed = api.post("/projects", {"name": "A"}, headers={"X-CSRFToken": "a" * 32})
    assert allowed.status == 201


def _owner(market: Market) -> User:
    return User.objects.filter(memberships__organisation=market.tenant)[0]
