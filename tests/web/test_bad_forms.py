"""Bad input in every form: refused in words, nothing changes, never a 500."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from billing import amending, quotes
from billing.amending import Proposal
from inventory import capacity, keys
from inventory.models import Instance, Membership, Pool
from inventory.periods import Period, ceil_hour
from marketplace.models import Lease
from tests import world
from tests.api.test_bad_input import everything
from tests.web.conftest import Market, keyed
from tests.web.test_changes import SHANGHAI, listing_fields
from tests.web.test_pages import _patterns
from tests.web.test_settlements import last_month

# What people paste, and what programs send. Lone surrogates arrive as the bytes they are.
BAD = [
    "", "   ", "\x00", "a\x00b", "x" * 100_000, "９", "٣", "-1", "0", "1.5", "1e400", "NaN",
    "9" * 40, "=1+1", "\u202eabc", "2026-02-30", "0001-01-01T00:00", "9999-12-31T23:59",
    "null", "\ud800",
]  # fmt: skip


@dataclass
class Good:
    """A form that works: who fills it in, where, with what."""

    party: str
    address: str
    fields: dict[str, Any] = field(default_factory=dict)
    role: str = "owner"


def _window(market: Market) -> dict[str, str]:
    start = (ceil_hour(market.at) + timedelta(days=3)).astimezone(SHANGHAI)
    form = "%Y-%m-%dT%H:%M"
    return {"start": start.strftime(form), "end": (start + timedelta(days=2)).strftime(form)}


def _later(lease: Lease, hours: int) -> str:
    """The lease's end and some hours, on the centre's clock."""
    end: datetime = lease.period.upper + timedelta(hours=hours)
    return end.astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M")


def _quote(market: Market, lease: Lease) -> str:
    return quotes.ask(
        lease_public_id=lease.public_id,
        kind="extend",
        end=lease.period.upper + timedelta(hours=1),
        at=market.at,
        actor=world.actor(market.tenant),
    ).public_id


def _amendment(market: Market, lease: Lease) -> str:
    """The tenant's proposal that waits for the provider."""
    found = lease.amendments.filter(state="proposed").first()
    return (
        found
        or amending.propose(
            lease_public_id=lease.public_id,
            proposal=Proposal(end=lease.period.upper + timedelta(hours=1)),
            at=market.at,
            actor=world.actor(market.tenant),
        )
    ).public_id


def _stuck(market: Market) -> str:
    """A machine that could not be wiped."""
    node = market.pool.nodes.order_by("pk")[0]
    external = capacity.claim_external(
        pool_id=market.pool.pk, kind="own_use", unit_count=1, note="own", node_ids=[node.pk],
        period=Period(market.at, market.at + timedelta(hours=1)), at=market.at, actor=world.SYSTEM,
    )  # fmt: skip
    return Instance.objects.create(
        allocation=external,
        binding=external.bindings.get(),
        driver="fake",
        state=Instance.State.RELEASE_FAILED,
        card_count=8,
        created_at=market.at,
    ).public_id


def _key(market: Market) -> str:
    key, _text = keys.issue(
        organisation_id=market.provider.pk,
        name="k",
        scopes=["inventory:read"],
        at=market.at,
        actor=world.SYSTEM,
    )
    return key.public_id


def _forms(market: Market) -> dict[str, Good]:
    """Every address that takes a form, by name."""
    market.fund()
    listing = market.listing()
    lease = market.lease(listing)
    held = market.reservation(listing)
    pool, centre = market.pool.public_id, market.pool.fabric.centre
    own = [pool]
    someone = world.member(market.provider, "viewer")
    node = market.pool.nodes.order_by("-pk")[0]
    start = ceil_hour(market.at) + timedelta(days=30)
    external = capacity.claim_external(
        pool_id=market.pool.pk, kind="own_use", unit_count=1, note="own",
        period=Period(start, start + timedelta(days=1)), at=market.at, actor=world.SYSTEM,
    )  # fmt: skip
    outage = capacity.set_outage(
        pool_id=market.pool.pk, kind="planned", reason="r",
        period=Period(start, start + timedelta(days=1)), at=market.at, actor=world.SYSTEM,
    )  # fmt: skip
    price = {
        "basis": "card_hour",
        "amount": "7",
        "schedule": "prepaid",
        "deposit_percent": "30",
        "version": "1",
    }
    return {
        "sign_in": Good(
            "provider", reverse("sign_in"), {"username": "a@b.example", "password": "x"}
        ),
        "sign_out": Good("provider", reverse("sign_out")),
        "password_ask": Good("provider", reverse("password_ask"), {"email": "a@b.example"}),
        "password_set": Good(
            "provider", reverse("password_set", args=["usr_" + "0" * 32, "set-password"]),
            {"new_password1": "blue whale song 7", "new_password2": "blue whale song 7"},
        ),
        "password_change": Good(
            "provider", reverse("password_change"),
            {"old_password": "correct horse battery", "new_password1": "blue whale song 7",
             "new_password2": "blue whale song 7"},
        ),
        "switch": Good("provider", reverse("switch"), {"organisation": market.provider.public_id}),
        "set_language": Good("provider", reverse("set_language"), {"language": "en", "next": "/"}),
        "centre_create": Good(
            "provider", reverse("centre_create"),
            {"name": "C", "name_en": "C", "region": "甘肃", "hub": "gan", "owner_kind": "cloud",
             "pue": "1.2", "energy_approval": "1", "built_racks": "5", "occupied_racks": "4"},
        ),
        "centre": Good(
            "provider", reverse("centre", args=[centre.public_id]),
            {"name": "F", "technology": "IB", "site_count": "1", "oversubscription": "2"},
        ),
        "pool_create": Good(
            "provider", reverse("pool_create"),
            {"fabric": market.pool.fabric.public_id, "chip_code": "h100-80g", "name": "P",
             "unit_cards": "", "spare_count": "0", "lead_hours": "1", "turnaround_hours": "2"},
        ),
        "pool_move": Good(
            "provider", reverse("pool_move", args=own), {"to": "draining", "reason": "r"}
        ),
        "node_import": Good("provider", reverse("node_import", args=own), {"file": "serial\nA\n"}),
        "node_import_apply": Good(
            "provider", reverse("node_import_apply", args=own), {"content": "AAAA"}
        ),
        "external": Good(
            "provider", reverse("external", args=own),
            {"kind": "own_use", "unit_count": "1", "nodes": "", "note": "n", **_window(market)},
        ),
        "outage": Good(
            "provider", reverse("outage", args=own),
            {"node_count": "1", "reason": "r", **_window(market)},
        ),
        "external_end": Good(
            "provider", reverse("external_end", args=[pool, external.public_id]), {"reason": "r"}
        ),
        "node_fail": Good(
            "provider", reverse("node_fail", args=[pool, node.public_id]),
            {"expected_back_at": _window(market)["end"], "reason": "r"},
        ),
        "node_retire": Good(
            "provider", reverse("node_retire", args=[pool, node.public_id]), {"reason": "r"}
        ),
        "outage_close": Good(
            "provider", reverse("outage_close", args=[pool, outage.public_id]), {"node": "1"}
        ),
        "remedy": Good(
            "provider", reverse("remedy", args=[_stuck(market), "retry"]), {"reason": "r"}
        ),
        "key_revoke": Good("provider", reverse("key_revoke", args=[_key(market)])),
        "floor": Good(
            "provider", reverse("floor", args=own),
            {"power": "1", "depreciation": "1", "network": "1", "operations": "1"},
        ),
        "listing_create": Good(
            "provider", reverse("listing_create"),
            {"step": "publish", **listing_fields(market, unit_count="1")},
        ),
        "listing_preview": Good("provider", reverse("listing_preview"), listing_fields(market)),
        "listing": Good("provider", reverse("listing", args=[listing.public_id]), price),
        "listing_stop": Good(
            "provider", reverse("listing_stop", args=[listing.public_id, "withdraw"]),
            {"reason": "r"},
        ),
        "listing_resume": Good("provider", reverse("listing_resume", args=[listing.public_id])),
        "listing_size": Good(
            "provider", reverse("listing_size", args=[listing.public_id]), {"unit_count": "3"}
        ),
        "listing_terms": Good(
            "provider", reverse("listing_terms", args=[listing.public_id]),
            {"minimum_hours": "2", "minimum_units": "1", "cancellation": "free", "hour_step": "2",
             "maximum_hours": "100", "unit_step": "1", "maximum_units": "2", "decide_hours": "5",
             "trial_units": "1", "trial_hours": "24", "trial_amount": "0",
             "trial_convertible": "on", "version": "1"},
        ),
        "approve": Good(
            "provider", reverse("approve", args=[held.public_id]), {"document_number": "D"}
        ),
        "approval_rule": Good(
            "provider", reverse("approval_rule"), {"amount_1": "100", "members_1": "2"}
        ),
        "reservation_reject": Good(
            "provider", reverse("reservation_reject", args=[held.public_id]), {"reason": "r"}
        ),
        "lease_change": Good(
            "tenant", reverse("lease_change", args=[lease.public_id, "extend"]),
            {"end": _later(lease, 2), "reason": "r"},
        ),
        "lease_propose": Good(
            "provider", reverse("lease_propose", args=[market.lease(listing).public_id]),
            {"end": _later(lease, 2), "refund_percent": "50", "added_units": "", "added_from": "",
             "reason": "r"},
        ),
        "quote": Good("tenant", reverse("quote", args=[_quote(market, lease)])),
        "amendment_sign": Good(
            "provider", reverse("amendment_sign", args=[_amendment(market, lease)])
        ),
        "amendment_decline": Good(
            "provider", reverse("amendment_decline", args=[_amendment(market, lease)])
        ),
        "amendment_withdraw": Good(
            "tenant", reverse("amendment_withdraw", args=[_amendment(market, lease)])
        ),
        "lease_reveal": Good("tenant", reverse("lease_reveal", args=[lease.public_id])),
        "members": Good(
            "provider", reverse("members"),
            {"email": "new@b.example", "name": "N", "role": "viewer", "expires_on": ""},
        ),
        "member_remove": Good("provider", reverse("member_remove", args=[someone.public_id])),
        "keys": Good(
            "provider", reverse("keys"),
            {"name": "k", "project": "", "expires_on": "", "ip_allow": "10.0.0.1",
             "scopes": "inventory:read"},
        ),
        "organisation_decide": Good(
            "operator", reverse("organisation_decide", args=[market.stranger.public_id]),
            {"verdict": "reject", "reason": "r"},
        ),
        "organisation_credit": Good(
            "operator", reverse("organisation_credit", args=[market.stranger.public_id]),
            {"currency": "CNY", "limit": "5", "reason": "r"},
        ),
        "hold": Good("tenant", reverse("hold"), {"offer_token": "x.y"}),
        "reservation_confirm": Good(
            "tenant", reverse("reservation_confirm", args=[held.public_id])
        ),
        "reservation_cancel": Good(
            "tenant", reverse("reservation_cancel", args=[held.public_id]), {"reason": "r"}
        ),
        "receipts": Good(
            "operator", reverse("receipts"),
            {"tenant": market.tenant.public_id, "amount": "10", "received_date": "2026-01-02",
             "bank_reference": "R", "payer_name": "P", "payer_account": "1"},
        ),
        "settlements": Good(
            "operator", reverse("settlements"),
            {"provider": market.provider.public_id, "month": last_month(market),
             "currency": "CNY"},
        ),
        "receipt": Good(
            "operator", reverse("receipt", args=[market.receipt().public_id]),
            {"verdict": "reject", "reason": "r"},
        ),
    }  # fmt: skip


def _bad(good: Good) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "nothing at all", {}
    for name, value in good.fields.items():
        rest = {key: other for key, other in good.fields.items() if key != name}
        yield f"without {name}", rest
        yield f"{name} twice", {**rest, name: [value, value]}
        for bad in BAD:
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
        return client.post(good.address, keyed(file=io.BytesIO(content)))
    return client.post(good.address, keyed(**_encoded(fields)))


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
        "audit", "audit_csv", "wallet", "wallet_csv", "earnings", "earnings_csv",
        "settlements_csv", "settlement", "settlement_csv", "approvals",
    }  # fmt: skip

    assert takes_forms - only_read == set(_forms(market))


@pytest.mark.parametrize(
    "name",
    [
        "sign_in", "sign_out", "password_ask", "password_set", "password_change",
        "switch", "set_language", "centre_create", "centre", "pool_create",
        "pool_move", "node_import", "node_import_apply", "external", "external_end", "outage",
        "outage_close", "node_fail", "node_retire", "remedy", "key_revoke", "floor",
        "listing_create", "listing_preview", "listing",
        "listing_stop", "listing_resume", "listing_size", "listing_terms", "approve",
        "approval_rule", "reservation_reject",
        "lease_change", "lease_propose", "quote",
        "amendment_sign", "amendment_decline", "amendment_withdraw",
        "lease_reveal", "members", "member_remove", "keys", "organisation_decide",
        "organisation_credit", "hold",
        "reservation_confirm", "reservation_cancel", "receipts", "receipt",
        "settlements",
    ],
)  # fmt: skip
def test_one_wrong_field_is_refused_or_taken_as_it_stands(market: Market, name: str) -> None:
    good = _forms(market)[name]
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
