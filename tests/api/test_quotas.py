"""Quotas and the terms of holds over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils.dateparse import parse_datetime

from inventory.models import Organisation, Project, Verification
from marketplace.models import Quota, Reservation
from tests.api.client import Api
from tests.api.market import Market, key, next_hour, text


def month(**facts: Any) -> dict[str, Any]:
    return {"measure": "spend", "window": "month", "currency": "CNY", **facts}


def test_an_owner_caps_itself_and_reads_what_is_used(market: Market) -> None:
    market.listing()
    market.fund()
    made = market.as_tenant.do("/quotas", month(limit_minor=10**9, reason="the year's budget"))
    held = market.reservation()

    read = market.as_tenant.get(f"/quotas/{made['id']}").json

    assert read == market.as_tenant.get("/quotas").data[0]
    assert (read["used_minor"], read["limit_minor"]) == (held["gross_minor"], 10**9)
    assert read["used_card_seconds"] == 8 * 2 * 3600
    assert (read["authority"], read["organisation"]) == ("tenant", market.tenant.public_id)
    assert (read["project"], read["key"], read["limit_card_hours"]) == (None, None, None)


def test_a_refused_hold_names_the_cap_and_changes_nothing(market: Market) -> None:
    market.listing()
    market.fund()
    made = market.as_tenant.do("/quotas", month(limit_minor=1))
    token = market.offer()["token"]

    reply = market.as_tenant.post("/reservations", {"offer": token})

    assert (reply.status, reply.code) == (403, "quota_exceeded")
    assert reply.json["params"]["quota"] == made["id"]
    assert reply.json["params"]["limit_minor"] == 1
    assert market.as_tenant.get("/reservations").data == []
    assert market.as_tenant.get("/wallet").json["held_minor"] == 0


def test_the_hold_of_a_capped_key_is_refused_and_another_s_is_not(market: Market) -> None:
    market.listing()
    market.fund()
    made = market.as_tenant.do(
        "/api-keys", {"name": "ci", "scopes": ["reservations:write", "keys:write"]}
    )
    market.as_tenant.do("/quotas", month(limit_minor=0, key=made["id"]))
    token = market.offer()["token"]
    bound = Api(made["secret"])
    child = Api(bound.do("/api-keys", {"name": "ci-2", "scopes": ["reservations:write"]})["secret"])

    for api in (bound, child):
        assert api.post("/reservations", {"offer": token}).code == "quota_exceeded"

    assert market.as_tenant.post("/reservations", {"offer": token}).status == 201


def test_a_key_of_a_project_reads_its_project_s_caps_alone(market: Market) -> None:
    market.listing()
    market.fund()
    project = market.as_tenant.do("/projects", {"name": "Pre-training"})["id"]
    own = market.as_tenant.do("/quotas", month(limit_minor=0, project=project))["id"]
    whole = market.as_tenant.do("/quotas", month(limit_minor=1))["id"]
    scopes = ["reservations:read", "reservations:write", "offers:read", "quotas:write"]
    made = market.as_tenant.do("/api-keys", {"name": "p", "scopes": scopes, "project": project})
    bound = Api(made["secret"])

    assert [row["id"] for row in bound.get("/quotas").data] == [own]
    assert bound.get(f"/quotas/{whole}").status == 404
    assert bound.post("/quotas", month(limit_minor=10**9)).code == "project_key"
    assert bound.delete(f"/quotas/{own}").code == "project_key"
    refusal = bound.post("/reservations", {"offer": market.offer()["token"]})
    assert refusal.json["params"]["quota"] == whole
    assert "limit_minor" not in refusal.json["params"]
    assert bound.get("/holds/terms").status == 200


def test_the_operator_caps_an_organisation_which_sees_it_and_cannot_lift_it(market: Market) -> None:
    name = market.tenant.public_id
    made = market.as_operator.do("/quotas", month(limit_minor=5, organisation=name))

    assert made["authority"] == "operator"
    assert [row["id"] for row in market.as_tenant.get("/quotas").data] == [made["id"]]
    assert market.as_tenant.delete(f"/quotas/{made['id']}").status == 403
    assert market.as_operator.get(f"/quotas?organisation={name}").data[0]["id"] == made["id"]
    project = market.as_tenant.do("/projects", {"name": "P"})["id"]
    body = month(limit_minor=5, organisation=name, project=project)
    assert market.as_operator.post("/quotas", body).status == 403
    assert market.as_operator.delete(f"/quotas/{made['id']}").status == 204
    assert Quota.objects.count() == 0


def test_another_s_organisation_cannot_be_capped(market: Market) -> None:
    body = month(limit_minor=1, organisation=market.tenant.public_id)

    assert market.as_stranger.post("/quotas", body).status == 404

    assert not Quota.objects.exists()


def test_a_viewer_reads_and_does_not_set(market: Market) -> None:
    viewer = Api(key(market.tenant, "reservations:read"))

    assert viewer.get("/quotas").status == 200
    assert viewer.post("/quotas", month(limit_minor=1)).code == "scope_missing"


@pytest.mark.parametrize(
    "given",
    [
        {"limit_minor": -1},
        {"limit_minor": 10**17 + 1},
        {"limit_minor": "5"},
        {"limit_minor": 1, "window": "week"},
        {"limit_minor": 1, "measure": "nodes"},
        {"limit_minor": 1, "currency": "XXX"},
        {"limit_card_hours": 1},
        {"limit_minor": 1, "used_minor": 1},
        {},
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(market: Market, given: dict[str, Any]) -> None:
    assert market.as_tenant.post("/quotas", month(**given)).status == 422

    assert not Quota.objects.exists()


def test_the_terms_of_a_hold_say_what_it_costs_and_why(market: Market, settings: Any) -> None:
    market.listing()
    market.fund()
    offer = market.offer(start=24 * 20)
    first = market.as_tenant.do("/reservations", {"offer": offer["token"]})
    Reservation.objects.filter(public_id=first["id"])

    terms = market.as_tenant.get("/holds/terms").json

    assert (terms["lapsed_count"], terms["held_card_hours"]) == (0, 16)
    assert terms["held_limit_card_hours"] == settings.HOLD_CARD_HOURS_LIMIT
    wallet, bank = terms["costs"]
    assert wallet["pay_by"] == "wallet"
    assert (wallet["base_bps"], wallet["factor"], wallet["deposit_bps"]) == (100, 1, 100)
    assert bank["pay_by"] == "bank"
    assert bank["deposit_bps"] >= 100 + 3 * 100
    assert bank["expires_at"] > wallet["expires_at"]
    assert first["hold_deposit_minor"] == offer["hold_deposit_minor"]


def test_a_hold_for_a_bank_transfer_lasts_until_the_date_that_the_offer_showed(
    market: Market,
) -> None:
    market.listing()
    market.fund()
    offer = market.offer(start=24 * 19)

    held = market.as_tenant.do("/reservations", {"offer": offer["token"], "pay_by": "bank"})

    assert (held["pay_by"], held["expires_at"]) == ("bank", offer["pay_by_at"])
    assert held["hold_deposit_minor"] == offer["pay_by_deposit_minor"]
    assert held["hold_deposit_minor"] > offer["hold_deposit_minor"]
    until = parse_datetime(held["expires_at"])
    assert until is not None
    assert until > next_hour() + timedelta(days=2)
    assert (until.hour, until.minute) == (9, 0)  # five in the afternoon in Shanghai
    bad = market.as_tenant.post("/reservations", {"offer": offer["token"], "pay_by": "cash"})
    assert bad.status == 422


def test_an_organisation_that_lost_its_verification_confirms_nothing_and_loses_nothing(
    market: Market,
) -> None:
    market.listing()
    market.fund()
    held = market.reservation()
    wallet = market.as_tenant.get("/wallet").json
    Organisation.objects.filter(pk=market.tenant.pk).update(state=Verification.REJECTED)

    reply = market.as_tenant.post(f"/reservations/{held['id']}/confirm")

    assert (reply.status, reply.code) == (403, "organisation_unverified")
    assert market.as_tenant.get("/wallet").json == wallet
    assert market.as_tenant.get(f"/reservations/{held['id']}").json["state"] == "held"
    given_back = market.as_tenant.do(f"/reservations/{held['id']}/cancel")
    assert given_back["state"] == "cancelled"
    assert market.as_tenant.get("/wallet").json["held_minor"] == 0


def test_a_cap_of_a_project_counts_what_its_keys_hold(market: Market) -> None:
    market.listing()
    market.fund()
    project = market.as_tenant.do("/projects", {"name": "Pre-training"})["id"]
    made = market.as_tenant.do("/quotas", month(limit_minor=10**9, project=project))
    market.as_tenant.do("/reservations", {"offer": market.offer()["token"], "project": project})
    market.reservation(start=40)

    read = market.as_tenant.get(f"/quotas/{made['id']}").json

    assert read["used_card_seconds"] == 8 * 2 * 3600
    assert read["project"] == Project.objects.get().public_id
    assert text(next_hour()) > read["created_at"]
