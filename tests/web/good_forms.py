"""Every form of the console, filled in so that it works."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.urls import reverse

from billing import amending, baskets, quotes
from billing.amending import Proposal
from billing.models import AccountingPeriod
from inventory import capacity, health, keys, telemetry
from inventory.models import Instance, Node
from inventory.periods import Period, ceil_hour
from marketplace import quotas
from marketplace.asking import TermsInput
from marketplace.models import IdleNotice, Lease
from tests import world
from tests.billing import online, test_vouchers
from tests.web.conftest import Market
from tests.web.money import last_month
from tests.web.test_changes import SHANGHAI, listing_fields


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


def _report(market: Market, node: Node) -> str:
    return health.report(
        node_id=node.pk, state="down", reason="fan", at=market.at, actor=world.SYSTEM
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


def _telemetry(market: Market, lease: Lease) -> dict[str, Good]:
    """The forms of a centre's feeds, and what a tenant answers to idle cards."""
    centre, actor = market.pool.fabric.centre, world.actor(market.provider)
    node = market.pool.nodes.order_by("pk")[0]
    source, _text = telemetry.open_source(
        centre_id=centre.pk, name="prometheus", at=market.at, actor=actor
    )
    binding = telemetry.bind(
        source_id=source.pk, identity="hostname", value="h1", node_id=node.pk, at=market.at,
        actor=actor,
    )  # fmt: skip
    IdleNotice.objects.create(
        lease=lease, provider=market.provider, tenant=market.tenant, since=market.at,
        hour_count=24, card_count=1, measured_count=8, busy_permille=10, created_at=market.at,
    )  # fmt: skip
    own = [source.public_id]
    return {
        "telemetry": Good(
            "provider", reverse("telemetry", args=[centre.public_id]),
            {"name": "second", "replica_label": "replica", "query_url": "https://store.example",
             "query_secret": "x"},
        ),
        "telemetry_source": Good(
            "provider", reverse("telemetry_source", args=own),
            {"identity": "card_uuid", "value": "GPU-1", "node": node.serial, "card_index": "3"},
        ),
        "telemetry_key": Good("provider", reverse("telemetry_key", args=own), {"old": "rotate"}),
        "telemetry_close": Good("provider", reverse("telemetry_close", args=own)),
        "telemetry_unbind": Good(
            "provider", reverse("telemetry_unbind", args=[binding.public_id])
        ),
        "lease_keep_idle": Good("tenant", reverse("lease_keep_idle", args=[lease.public_id])),
    }  # fmt: skip


def _books(market: Market) -> dict[str, Good]:
    """The forms of the operator's accountants."""
    period = AccountingPeriod.objects.create(
        issuer=market.operator, month=date(2026, 1, 1), zone="Asia/Shanghai", created_at=market.at,
        starts_at=market.at, ends_at=market.at + timedelta(days=1),
    ).public_id  # fmt: skip
    return {
        "reconciliation": Good(
            "operator", reverse("reconciliation"),
            {"line": "txn_1", "transaction": "k", "reason": "seen"},
        ),
        "reconciliation_undo": Good(
            "operator", reverse("reconciliation_undo", args=["rcm_" + "0" * 32]), {"reason": "r"}
        ),
        "vouchers": Good(
            "operator", reverse("vouchers"),
            {"entries": "expense:bank_fee:CNY 3.00\nasset:bank:CNY -3.00",
             "effective_date": "2026-01-02", "reason": "fee", "evidence": "statement",
             "external_reference": ""},
        ),
        "voucher": Good(
            "operator", reverse("voucher", args=[test_vouchers.propose().public_id]),
            {"verdict": "reject", "reason": "r"},
        ),
        "closing_ask": Good("operator", reverse("closing_ask"), {"month": last_month(market)}),
        "closing_close": Good("operator", reverse("closing_close", args=[period])),
        "closing_put_off": Good(
            "operator", reverse("closing_put_off", args=[period]), {"reason": "r"}
        ),
    }  # fmt: skip


def good_forms(market: Market) -> dict[str, Good]:
    """Every address that takes a form, by name."""
    market.fund()
    listing = market.listing(units=3, terms=TermsInput(trial_units=1, trial_hours=24))
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
    token = market.offer(listing).token
    basket = baskets.hold(
        offer_tokens=[token], project_id=None, at=market.at, actor=world.actor(market.tenant)
    ).public_id
    quota = quotas.put(
        organisation_id=market.tenant.pk,
        limit=quotas.Limit(measure="spend", window="month", currency="CNY", limit_minor=10**9),
        at=market.at,
        actor=world.actor(market.tenant),
    ).public_id
    cap = {"subject": "", "kind": "spend month", "currency": "CNY", "limit": "5", "reason": "r"}
    paid, unpaid = online.paid(), online.start()
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
        "node_report": Good(
            "provider", reverse("node_report", args=[pool, node.public_id]),
            {"state": "degraded", "card_index": "3", "reason": "r"},
        ),
        "report_withdraw": Good(
            "provider",
            reverse("report_withdraw", args=[pool, node.public_id, _report(market, node)]),
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
        **_telemetry(market, lease),
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
             "leaving": "168: 50, 0: 10", "withdrawal": "168: 20",
             "trial_units": "1", "trial_hours": "24", "trial_amount": "0",
             "trial_convertible": "on", "version": "1", "sla_availability": "99.9",
             "sla_replacement_hours": "4", "sla_credits": "99.9: 10", "sla_cap": "50",
             "sla_notice_hours": "72", "acceptance_mb_per_second": "300000",
             "acceptance_hours": "24"},
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
        # This lease is no trial; one that runs goes on in test_trials.py.
        "lease_convert": Good(
            "tenant", reverse("lease_convert", args=[lease.public_id]),
            {"hours": "24", "start": ""},
        ),
        "trial": Good(
            "tenant", reverse("trial", args=[listing.public_id]),
            {"units": "1", "hours": "24", "start": _window(market)["start"]},
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
        "organisation_quotas": Good(
            "operator", reverse("organisation_quotas", args=[market.tenant.public_id]), cap
        ),
        "quotas": Good("tenant", reverse("quotas"), cap),
        "quota_remove": Good("tenant", reverse("quota_remove", args=[quota])),
        "basket_hold": Good("tenant", reverse("basket_hold"), {"offers": token}),
        "basket_confirm": Good("tenant", reverse("basket_confirm", args=[basket])),
        "basket_cancel": Good(
            "tenant", reverse("basket_cancel", args=[basket]), {"reason": "r"}
        ),
        "hold": Good("tenant", reverse("hold"), {"offer_token": "x.y"}),
        "reservation_confirm": Good(
            "tenant", reverse("reservation_confirm", args=[held.public_id])
        ),
        "reservation_cancel": Good(
            "tenant", reverse("reservation_cancel", args=[held.public_id]), {"reason": "r"}
        ),
        "overdue_write_off": Good(
            "operator",
            reverse("overdue_write_off", args=[lease.instalments.get().public_id]),
            {"reason": "r"},
        ),
        "overdue_approve": Good(
            "operator", reverse("overdue_approve", args=[lease.instalments.get().public_id])
        ),
        "topups": Good("tenant", reverse("topups"), {"amount": "1000"}),
        "topup_cancel": Good("tenant", reverse("topup_cancel", args=[unpaid.public_id])),
        "topup_pretend": Good(
            "tenant", reverse("topup_pretend", args=[unpaid.public_id]), {"deed": "card"}
        ),
        "topup_refund": Good(
            "tenant", reverse("topup_refund", args=[paid.public_id]), {"amount": "10"}
        ),
        "payout_account": Good("provider", reverse("payout_account"), {"country": "HK"}),
        "payout_account_link": Good("provider", reverse("payout_account_link")),
        "online_payments_retry": Good(
            "operator", reverse("online_payments_retry"), {"event": "evt_1"}
        ),
        "receipts": Good(
            "operator", reverse("receipts"),
            {"tenant": market.tenant.public_id, "amount": "10", "received_date": "2026-01-02",
             "bank_reference": "R", "payer_name": "P", "payer_account": "1",
             "text": "", "late_reason": "found late"},
        ),
        "settlements": Good(
            "operator", reverse("settlements"),
            {"provider": market.provider.public_id, "month": last_month(market),
             "currency": "CNY"},
        ),
        "receipt_attribute": Good(
            "operator", reverse("receipt_attribute", args=[market.receipt().public_id]),
            {"tenant": market.tenant.public_id, "reason": "a letter"},
        ),
        "statements": Good("operator", reverse("statements"), {"account": "x", "file": "a"}),
        "statement_import": Good(
            "operator", reverse("statement_import"),
            {"account": "bnk_0", "content": "AAAA", "file_name": "a", "late_reason": ""},
        ),
        **_books(market),
        "receipt": Good(
            "operator", reverse("receipt", args=[market.receipt().public_id]),
            {"verdict": "reject", "reason": "r"},
        ),
    }  # fmt: skip
