"""Who trades, as the operator sees it: the list, one organisation, the verdict, the credit."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from billing import ledger
from inventory import organisations
from inventory.models import JournalEntry, Organisation
from tests import database, world
from tests.billing import books
from tests.web.conftest import Market, keyed
from tests.web.money import in_last_month
from tests.web.test_leases import plain
from tests.web.test_settlements import settled

CODE = "914403001922038216"


def at(row: Organisation, name: str = "organisation") -> str:
    return reverse(name, args=[row.public_id])


@pytest.fixture
def newcomer(market: Market) -> Organisation:
    return organisations.register(
        name="昆仑算力", name_en="Kunlun Compute", credit_code=CODE, is_provider=True,
        at=market.at, actor=world.SYSTEM,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"昆仑算力", "Aurora", "Borealis", "Cirrus"}),
        ("text=kunlun", {"昆仑算力"}),
        ("text=算力", {"昆仑算力"}),
        ("text=1922038", {"昆仑算力"}),
        ("text=100%25", set()),
        ("state=verified", {"Aurora", "Borealis", "Cirrus"}),
        ("state=unverified&role=provider", {"昆仑算力"}),
        ("role=tenant", {"Borealis", "Cirrus"}),
        ("role=reseller", set()),
        ("state=lost", set()),
    ],
)
def test_the_list_is_narrowed(
    market: Market, newcomer: Organisation, query: str, found: set[str]
) -> None:
    reply = market.client(market.operator, "viewer").get(f"{reverse('organisations')}?{query}")

    assert {row.name for row, _roles in reply.context["rows"]} == found
    assert ("No organisation is like this" in plain(reply)) == (not found)


def test_one_is_found_by_its_id(market: Market) -> None:
    query = {"text": market.tenant.public_id}
    reply = market.client(market.operator).get(reverse("organisations"), query)

    assert [row for row, _roles in reply.context["rows"]] == [market.tenant]


def test_the_file_has_what_the_page_shows(market: Market, newcomer: Organisation) -> None:
    client = market.client(market.operator, "viewer")

    lines = client.get(reverse("organisations_csv"), {"role": "provider"}).getvalue().decode()

    rows = lines.splitlines()
    assert [row.split(",")[1] for row in rows[1:]] == ["昆仑算力", "Cirrus", "Aurora"]
    assert f",Kunlun Compute,{CODE},provider,unverified," in rows[1]
    assert ',"provider, tenant",verified,' in rows[2]
    odd = client.get(reverse("organisations_csv"), {"state": "lost"})
    assert odd["Location"] == f"{reverse('organisations')}?state=lost"


def test_rows_do_not_multiply_statements(
    market: Market, newcomer: Organisation, django_assert_max_num_queries: Any
) -> None:
    client = market.client(market.operator)
    client.get(reverse("organisations"))

    with django_assert_max_num_queries(8):
        client.get(reverse("organisations"))


def test_one_page_says_all_of_an_organisation(
    market: Market, django_assert_max_num_queries: Any
) -> None:
    now = market.at
    in_last_month(market)
    market.fund()
    lease = market.lease(market.listing())
    market.at = now
    person = world.member(market.provider, "viewer")
    client = market.client(market.operator)
    client.get(at(market.provider))

    with django_assert_max_num_queries(20):
        provider = client.get(at(market.provider))
    tenant = client.get(at(market.tenant))

    text = plain(provider)
    assert market.pool.name in text
    assert market.pool.fabric.centre.name in text
    assert f"{person.email} viewer" in text
    narrowed = f"{reverse('all_leases')}?provider={market.provider.public_id}"
    assert f'href="{narrowed}"' in provider.content.decode()
    assert plain(client.get(narrowed)).count(lease.public_id[-8:]) == 1
    balance = ledger.balance(market.tenant)
    assert tenant.context["wallets"] == [balance]
    assert f"tenant={market.tenant.public_id}" in tenant.content.decode()
    assert "As provider" not in plain(tenant)


def test_a_rejected_organisation_reads_why(market: Market) -> None:
    page = reverse("members")
    why = "The licence <expired> in May"
    organisations.decide(
        organisation_id=market.tenant.pk, verified=False, reason=why, at=market.at,
        actor=world.actor(market.operator),
    )  # fmt: skip

    told = market.client(market.tenant).get(page).content.decode()
    others = market.client(market.provider).get(page).content.decode()

    assert "“The licence &lt;expired&gt; in May”" in told
    assert "expired" not in others


def test_settlements_and_what_is_owed_are_the_providers(market: Market) -> None:
    now = market.at
    in_last_month(market)
    market.fund()
    books.live(market.lease(market.listing()))
    market.at = now
    row = settled(market)

    reply = market.client(market.operator).get(at(market.provider))

    assert reverse("settlement", args=[row.public_id]) in reply.content.decode()
    assert "payable now" in plain(reply)
    assert reply.context["payable"][0].settling_minor == row.net_minor


def test_who_works_there_is_not_for_everybody(market: Market) -> None:
    person = world.member(market.tenant, "viewer")

    for role, sees in (("owner", True), ("operator", True), ("finance", False), ("auditor", False)):
        text = plain(market.client(market.operator, role).get(at(market.tenant)))
        assert (person.email in text) is sees, role
        assert "1 person" in text


def test_nobody_else_looks(market: Market) -> None:
    for own in (market.provider, market.tenant, market.stranger):
        client = market.client(own)
        for name in ("organisation", "organisation_decide", "organisation_credit"):
            assert client.get(at(own, name)).status_code == 404, name
    client = market.client(market.operator)
    assert client.get(at(market.operator)).status_code == 404
    assert client.get(reverse("organisation", args=["org_" + "0" * 32])).status_code == 404
    assert client.get(reverse("organisation", args=["org_1"])).status_code == 404


def test_the_operators_pages_lead_to_it_and_others_do_not(market: Market) -> None:
    market.fund()
    lease = market.lease(market.listing())
    link = f'href="{at(market.tenant)}"'
    lease_page = reverse("lease", args=[lease.public_id])

    operator = market.client(market.operator, "viewer")
    for address in (lease_page, reverse("all_leases"), reverse("receipts")):
        assert link in operator.get(address).content.decode(), address
    assert link not in market.client(market.tenant).get(lease_page).content.decode()


def test_a_verdict_says_what_it_changes_and_then_does(
    market: Market, newcomer: Organisation
) -> None:
    client = market.client(market.operator)
    address = at(newcomer, "organisation_decide")
    page = client.get(at(newcomer)).content.decode()
    assert f"{address}?verdict=verify" in page
    assert f"{address}?verdict=reject" in page

    asked = plain(client.get(address, {"verdict": "verify"}))
    assert f"昆仑算力 ({CODE}) is “unverified” now and will be “verified”." in asked
    assert "It can list capacity" in asked
    assert "hold" not in asked
    newcomer.refresh_from_db()
    assert newcomer.state == "unverified"
    done = client.post(address, keyed(verdict="verify", reason="papers seen"), follow=True)

    newcomer.refresh_from_db()
    assert newcomer.state == "verified"
    text = plain(done)
    assert "Decided: Kunlun Compute." in text
    assert "papers seen" in text
    assert f"{address}?verdict=verify" not in done.content.decode()
    again = client.post(address, keyed(verdict="verify", reason=""), follow=True)
    assert "This was decided meanwhile" in plain(again)


def test_a_rejection_counts_what_goes_on_and_needs_a_reason(market: Market) -> None:
    market.fund()
    listing = market.listing()
    market.lease(listing)
    market.reservation(listing)
    client = market.client(market.operator)

    provider = plain(client.get(at(market.provider, "organisation_decide"), {"verdict": "reject"}))
    assert "1 of its listings sells nothing from then on" in provider
    assert "1 of its leases is not over" in provider
    address = at(market.tenant, "organisation_decide")
    tenant = plain(client.get(address, {"verdict": "reject"}))
    assert "1 of its holds can no longer be confirmed" in tenant
    silent = client.post(address, keyed(verdict="reject", reason=" "))
    assert silent.status_code == 422
    market.tenant.refresh_from_db()
    assert market.tenant.state == "verified"
    client.post(address, keyed(verdict="reject", reason="licence expired"))

    market.tenant.refresh_from_db()
    assert market.tenant.state == "rejected"
    entry = JournalEntry.objects.get(object_id=market.tenant.public_id)
    assert (entry.event, entry.reason) == ("organisation.rejected", "licence expired")
    assert "licence expired" in plain(client.get(at(market.tenant)))
    client.post(address, keyed(verdict="verify", reason="renewed"))
    market.tenant.refresh_from_db()
    assert market.tenant.state == "verified"


@pytest.mark.parametrize("verdict", ["", "verify", "close", "x" * 300])
def test_no_other_verdict_is_asked_for(market: Market, verdict: str) -> None:
    address = at(market.tenant, "organisation_decide")  # verified already

    reply = market.client(market.operator).get(address, {"verdict": verdict})

    assert reply.status_code == 404


def test_who_only_reads_decides_nothing(market: Market, newcomer: Organisation) -> None:
    for role in ("viewer", "auditor", "finance"):
        client = market.client(market.operator, role)
        assert "?verdict=" not in client.get(at(newcomer)).content.decode(), role
        address = at(newcomer, "organisation_decide")
        assert client.get(address, {"verdict": "verify"}).status_code == 403
        assert client.post(address, keyed(verdict="verify", reason="")).status_code == 403
    newcomer.refresh_from_db()
    assert newcomer.state == "unverified"


def test_credit_is_given_with_a_reason(market: Market) -> None:
    client = market.client(market.operator, "finance")
    address = at(market.tenant, "organisation_credit")
    assert f"{address}?currency=CNY" in client.get(at(market.tenant)).content.decode()
    assert client.get(address).context["form"]["limit"].value() == "0.00"

    fields = {"currency": "CNY", "limit": "¥50,000.00", "reason": "audited accounts"}
    done = client.post(address, keyed(**fields), follow=True)

    text = plain(done)
    assert "The credit limit of Borealis is ¥50,000.00 now; ¥50,000.00 is available." in text
    assert ledger.balance(market.tenant).credit_minor == 5_000_000
    assert client.get(address).context["form"]["limit"].value() == "50000.00"
    entry = JournalEntry.objects.get(event="wallet.credit_limit_set")
    assert (entry.reason, entry.data) == (
        "audited accounts", {"currency": "CNY", "limit_minor": 5_000_000}
    )  # fmt: skip


def test_credit_is_of_one_currency(market: Market) -> None:
    client = market.client(market.operator)
    address = at(market.tenant, "organisation_credit")

    client.post(address, keyed(currency="USD", limit="7", reason="r"))

    reply = client.get(at(market.tenant))
    assert [(row.currency, row.credit_minor) for row in reply.context["wallets"]] == [
        ("CNY", 0),
        ("USD", 700),
    ]
    assert client.get(address, {"currency": "USD"}).context["form"]["limit"].value() == "7.00"


def test_credit_in_use_is_not_taken_back(market: Market) -> None:
    client = market.client(market.operator)
    address = at(market.tenant, "organisation_credit")
    client.post(address, keyed(currency="CNY", limit="100000", reason="r"))
    lease = market.lease(market.listing())

    reply = client.post(address, keyed(currency="CNY", limit="1", reason="r"))

    assert reply.status_code == 422
    used = f"¥{lease.due_minor / 100:,.2f}"
    assert f"{used} of credit is in use already" in plain(reply)
    assert ledger.balance(market.tenant).credit_minor == 10_000_000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"limit": "-5"}, "cannot be negative"),
        ({"limit": ""}, "required"),
        ({"limit": "1.234"}, "At most 2 decimals"),
        ({"limit": "10000000000000.01"}, "The amount is too large"),
        ({"currency": "XXX"}, "Select a valid choice"),
        ({"reason": " "}, "required"),
    ],
)
def test_each_mistake_is_named(market: Market, changes: dict[str, str], says: str) -> None:
    fields = {"currency": "CNY", "limit": "5", "reason": "r", **changes}

    reply = market.client(market.operator).post(
        at(market.tenant, "organisation_credit"), keyed(**fields)
    )

    assert reply.status_code == 422
    assert says in plain(reply)
    assert ledger.balance(market.tenant).credit_minor == 0


def test_credit_is_for_tenants_and_given_by_finance(market: Market) -> None:
    address = at(market.tenant, "organisation_credit")
    for role in ("viewer", "operator", "auditor"):
        client = market.client(market.operator, role)
        assert client.get(address).status_code == 403, role
        assert client.post(address, keyed(currency="CNY", limit="5", reason="r")).status_code == 403
        assert address not in client.get(at(market.tenant)).content.decode()
    owner = market.client(market.operator)
    assert owner.get(at(market.provider, "organisation_credit")).status_code == 404
    assert ledger.balance(market.tenant).credit_minor == 0


def test_a_hostile_name_is_text(market: Market) -> None:
    database.as_owner("UPDATE inventory_organisation SET name = '=1+<b>' WHERE name = 'Borealis'")
    client = market.client(market.operator)

    assert "=1+&lt;b&gt;" in client.get(at(market.tenant)).content.decode()
    assert ",'=1+<b>," in client.get(reverse("organisations_csv")).getvalue().decode()
