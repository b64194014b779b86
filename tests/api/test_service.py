"""What follows a deal, over the API: its service level, incidents, cases and notifications."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory.models import ApiKey
from marketplace import incidents
from marketplace.models import Delivery, Incident, Lease
from tests.api.market import Market, next_hour, text
from tests.api.rows import deals, machines, service

SLA = {
    "sla_availability_bps": 9_990,
    "sla_replacement_hours": 4,
    "sla_credits": [[9_990, 1_000], [9_900, 2_500]],
    "sla_cap_bps": 5_000,
    "sla_notice_hours": 72,
}


def spent(api: Any, path: str) -> tuple[list[Any], int]:
    ApiKey.objects.update(last_used_at=datetime.now(UTC))
    with CaptureQueriesContext(connection) as statements:
        reply = api.get(path)
    assert reply.status == 200, reply
    rows = reply.json if isinstance(reply.json, list) else reply.data
    return rows, len(statements)


def test_a_promise_stands_on_listing_offer_and_lease(market: Market) -> None:
    listing = market.listing(terms={"cancellation": [], **SLA})
    market.fund()
    offer = market.offer()

    assert {name: listing["terms"][name] for name in SLA} == SLA
    assert offer["sla"] == {name.removeprefix("sla_"): value for name, value in SLA.items()}
    assert offer["terms"] == listing["terms"]["id"]
    market.as_provider.do(f"/listings/{listing['id']}/reterm", {})
    lease = market.as_tenant.do("/reservations", {"offer": offer["token"]})
    lease = market.as_tenant.do(f"/reservations/{lease['id']}/confirm")
    assert lease["terms"] == listing["terms"]["id"]  # the version it was held by
    assert market.offer(start=5)["sla"] is None


@pytest.mark.parametrize(
    "changes", [{"sla_cap_bps": 0}, {"sla_credits": []}, {"sla_credits": [[9_991, 1]]}]
)
def test_half_a_promise_is_refused(market: Market, changes: dict[str, Any]) -> None:
    reply = market.as_provider.post("/listings", market.listing_body(terms={**SLA, **changes}))

    assert (reply.status, reply.code) == (422, "invalid_terms")


def test_a_lease_says_why_it_is_over_and_what_proves_it(market: Market) -> None:
    lease_id = deals.lease(market)
    lease = market.as_tenant.get(f"/leases/{lease_id}").json
    assert (lease["end_reason"], lease["end_evidence"]) == ("", "")

    market.as_tenant.do(f"/reservations/{lease['reservation']}/cancel", {"reason": "no need"})

    over = market.as_provider.get(f"/leases/{lease_id}").json
    assert (over["end_reason"], over["end_evidence"]) == (
        "cancelled_by_tenant", lease["reservation"],
    )  # fmt: skip


def test_a_month_below_its_level_is_seen_by_both_sides(market: Market) -> None:
    public_id = service.sla_month(market)

    for api in (market.as_tenant, market.as_provider, market.as_operator):
        month = api.get(f"/sla-months/{public_id}").json
        assert (month["availability_bps"], month["credit_bps"]) == (9_800, 1_000)
        assert month["credit_minor"] * 10 == month["charged_minor"] == 98 * 8 * 680
    lease = month["lease"]
    assert len(market.as_tenant.get(f"/sla-months?lease={lease}").data) == 1
    (charge,) = market.as_tenant.get("/charges?kind=sla_credit").data
    assert (charge["id"], charge["gross_minor"]) == (month["charge"], -month["credit_minor"])


def test_an_incident_has_a_timeline_and_its_leases(market: Market) -> None:
    public_id = service.incident(market)

    lines = market.as_provider.get(f"/incidents/{public_id}/timeline").json
    assert {"opened", "node_failed", "mitigated"} <= {line["kind"] for line in lines}
    assert market.as_provider.get(f"/incidents/{public_id}/leases").json == []
    assert market.as_provider.get("/incidents?state=open").data == []
    assert len(market.as_operator.get("/incidents?state=mitigated").data) == 1


def test_a_tenant_reads_an_incident_that_touches_it_and_no_node(market: Market) -> None:
    lease_id = deals.lease(market)
    for node in market.pool.nodes.order_by("pk")[:7]:
        body = {"reason": "fire", "expected_back_at": text(next_hour(200))}
        market.as_provider.do(f"/nodes/{node.public_id}/fail", body)
    second = market.as_provider.get("/listings").data[0]["id"]
    market.as_provider.post(f"/listings/{second}/resize", {"unit_count": 2})
    incidents.sweep(at=datetime.now(UTC))
    row = Incident.objects.get()
    lease = Lease.objects.get(public_id=lease_id)
    incidents._touch(row, [lease.pk], datetime.now(UTC))

    seen = market.as_tenant.get(f"/incidents/{row.public_id}").json
    lines = market.as_tenant.get(f"/incidents/{row.public_id}/timeline").json

    assert seen["pool"] == market.pool.public_id
    assert all(line["node"] is None for line in lines)
    assert [line["lease"] for line in lines if line["lease"]] == [lease_id]
    leases = market.as_tenant.get(f"/incidents/{row.public_id}/leases").json
    assert [each["lease"] for each in leases] == [lease_id]


def test_a_case_goes_back_and_forth_with_a_file(market: Market) -> None:
    public_id = service.case(market)
    path = f"/cases/{public_id}"

    asked = market.as_provider.do(f"{path}/reply", {"text": "Which?", "asks_back": True})
    assert (asked["state"], asked["respond_by"]) == ("waiting", None)
    market.as_tenant.do(f"{path}/attach", service.attachment_body(market))
    again = market.as_tenant.do(f"{path}/reply", {"text": "n0001\nand n0002"})
    assert again["state"] == "open"
    (file,) = market.as_provider.get(f"{path}/attachments").json
    content = market.as_provider.get(f"{path}/attachments/{file['id']}").json
    assert base64.b64decode(content["content"]) == b"a line"
    assert [m["text"] for m in market.as_provider.get(f"{path}/messages").data] == [
        "n0001\nand n0002", "Which?", "NCCL says 20 GB/s",
    ]  # fmt: skip
    for api in (market.as_stranger,):
        for below in ("", "/messages", "/attachments", f"/attachments/{file['id']}"):
            assert api.get(f"{path}{below}").status == 404
    assert market.as_provider.post(f"{path}/close", {}).status == 403
    assert market.as_operator.do(f"{path}/close", {})["state"] == "closed"
    late = market.as_provider.post(f"{path}/reply", {"text": "x"})
    assert (late.status, late.code) == (409, "case_closed")


@pytest.mark.parametrize("content", ["!", "", "AAAA"])
def test_a_file_of_no_form_is_refused(market: Market, content: str) -> None:
    public_id = service.case(market)

    reply = market.as_tenant.post(f"/cases/{public_id}/attach", {"name": "a", "content": content})

    assert reply.status in (400, 422)


def test_a_file_may_be_five_megabytes_and_no_larger(market: Market) -> None:
    path = f"/cases/{service.case(market)}/attach"
    whole = base64.b64encode(b"\x1f\x8b\x08" + b"0" * (5 * 1024 * 1024 - 3)).decode()
    more = base64.b64encode(b"\x1f\x8b\x08" + b"0" * (5 * 1024 * 1024 - 2)).decode()

    assert market.as_tenant.post(path, {"name": "a.gz", "content": whole}).status == 201
    assert market.as_tenant.post(path, {"name": "a.gz", "content": more}).status in (400, 413, 422)


def test_a_channel_takes_no_address_but_a_robots(market: Market) -> None:
    body = {**service.channel_body(market), "kind": "wecom", "name": "R"}
    for address in (
        "https://10.0.0.1/cgi-bin/webhook/send?key=12345678",
        "https://qyapi.weixin.qq.com.evil.example/cgi-bin/webhook/send?key=12345678",
        "http://localhost:8000/",
    ):
        reply = market.as_tenant.post("/notification-channels", {**body, "address": address})
        assert (reply.status, reply.code) == (422, "channel_refused")
    good = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1234567890abcdef"

    made = market.as_tenant.do("/notification-channels", {**body, "address": good})

    assert made["hint"] == "qyapi.weixin.qq.com …cdef"
    assert "1234567890" not in str(made)
    taken = market.as_tenant.post("/notification-channels", {**body, "address": good})
    assert (taken.status, taken.code) == (409, "channel_exists")
    assert market.as_tenant.delete(f"/notification-channels/{made['id']}").status == 204
    assert market.as_tenant.post(f"/notification-channels/{made['id']}/test").status == 409


def test_lists_cost_the_same_for_one_row_and_for_many(market: Market) -> None:
    first = service.case(market)
    lease = market.as_tenant.get(f"/cases/{first}").json["lease"]
    channel = service.channel(market)
    for number in range(4):
        market.as_tenant.do("/cases", {**_about(lease), "title": f"C{number}"})
        market.as_tenant.do(f"/notification-channels/{channel}/test")
        market.as_tenant.do(
            "/notification-channels", {**service.channel_body(market), "name": f"N{number}"}
        )
        market.as_tenant.do(f"/cases/{first}/reply", {"text": "…"})
        market.as_tenant.do(f"/cases/{first}/attach", service.attachment_body(market))
    assert Delivery.objects.count() == 4
    service.incident(market)
    node = machines.node(market)

    for path in ("/cases", "/notification-channels", "/notification-deliveries",
                 f"/cases/{first}/messages"):  # fmt: skip
        one, few = spent(market.as_tenant, f"{path}?limit=1")
        rows, statements = spent(market.as_tenant, f"{path}?limit=50")
        assert (len(one), len(rows) >= 4) == (1, True)
        assert statements == few <= 6, path
    assert spent(market.as_tenant, f"/cases/{first}/attachments")[1] <= 6
    assert spent(market.as_provider, "/incidents")[1] <= 6
    assert node


def _about(lease: str) -> dict[str, Any]:
    return {"lease": lease, "text": "x", "category": "other"}
