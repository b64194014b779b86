"""The journal names people, says states and events in words, and tells nobody about others."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from inventory import keys, organisations
from inventory.models import JournalEntry, User
from marketplace.web import journal_words
from tests import world
from tests.web.conftest import Market, keyed
from tests.web.test_translations import PACKAGES, ROOT

_EVENT = re.compile(r"""(?:event=|_record\(\s*|capacity_journal\(\s*)["']([a-z_]+\.[a-z_]+)["']""")


def test_every_event_has_words() -> None:
    found = {
        event
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.*")
        if path.suffix in {".py", ".sql"} and "demo" not in path.parts
        for event in _EVENT.findall(Path(path).read_text(encoding="utf-8"))
    }
    states = {
        "allocation.scheduled",
        "bankreceipt.rejected",
        "block.open",
        "lease.scheduled",
        "reservation.cancelled",
        "reservation.confirmed",
        "reservation.held",
    }

    assert len(found) > 30
    assert found - states - set(journal_words.EVENTS) - {"settlement.settled"} == set()


def test_a_colleague_is_named_and_others_are_not(market: Market) -> None:
    market.fund()
    client, tenant = market.client(market.provider), market.client(market.tenant)
    User.objects.filter(memberships__organisation=market.provider).update(name="李工")
    User.objects.filter(memberships__organisation=market.tenant).update(name="王总")
    client.post(reverse("outage", args=[market.pool.public_id]), keyed())  # refused
    floor = {"power": "1", "depreciation": "1", "network": "1", "operations": "1"}
    client.post(reverse("floor", args=[market.pool.public_id]), keyed(**floor))
    held = market.reservation(market.listing())
    tenant.post(reverse("reservation_confirm", args=[held.public_id]), keyed())

    page = client.get(reverse("journal"))
    lines = {line.entry.event: line for line in page.context["lines"]}

    assert lines["pool.floor_set"].who == "李工"
    assert lines["pool.floor_set"].event == "floor price set"
    assert lines["lease.scheduled"].who == "A person of another organisation"
    assert "王总" not in page.content.decode()
    assert "王总" in tenant.get(reverse("journal")).content.decode()


def test_the_operator_sees_who_everybody_is(market: Market) -> None:
    client = market.client(market.provider)
    User.objects.filter(memberships__organisation=market.provider).update(name="李工")
    floor = {"power": "1", "depreciation": "1", "network": "1", "operations": "1"}
    client.post(reverse("floor", args=[market.pool.public_id]), keyed(**floor))

    page = market.client(market.operator).get(reverse("journal")).content.decode()

    assert "李工" in page


def test_one_who_left_is_still_named(market: Market) -> None:
    owner = world.actor(market.provider)
    client = market.client(market.provider)
    added, _password = organisations.add_member(
        organisation_id=market.provider.pk, email="a@aurora.example", name="赵工", role="owner",
        at=market.at, actor=owner,
    )  # fmt: skip
    actor = organisations.actor_of_membership(user=added.user, membership=added)
    organisations.remove_member(
        organisation_id=market.provider.pk, user_public_id=added.user.public_id,
        at=market.at, actor=actor,
    )  # fmt: skip

    page = client.get(reverse("journal"))

    (line,) = [r for r in page.context["lines"] if r.entry.event == "membership.removed"]
    assert line.who == "赵工"


def test_keys_and_sweeps_are_named(market: Market) -> None:
    key, _text = keys.issue(
        organisation_id=market.provider.pk, name="ci", scopes=["inventory:read"],
        at=market.at, actor=world.actor(market.provider),
    )  # fmt: skip
    for kind, actor in (("key", key.public_id), ("system", "provisioning")):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO inventory_journalentry (at, event, object_id, from_state, to_state,"
                " actor_kind, actor, reason, data, provider_id) VALUES"
                " (now(), 'node.broken', %s, 'serviceable', 'broken', %s, %s,"
                " 'release failed: deadline exceeded', '{}', %s)",
                [market.pool.nodes.all()[0].public_id, kind, actor, market.provider.pk],
            )

    client = market.client(market.provider)
    client.cookies["django_language"] = "zh-hans"
    lines = client.get(reverse("journal")).context["lines"][:2]

    assert {line.who for line in lines} == {"密钥“ci”", "系统（交付）"}
    assert lines[0].event == "状态变更"
    assert lines[0].kind == "节点"
    assert lines[0].states == "可用 → 故障"
    assert lines[0].reason == "未能清理：未能按时就绪"


def test_the_file_has_names_beside_the_ids(market: Market) -> None:
    client = market.client(market.provider)
    User.objects.filter(memberships__organisation=market.provider).update(name="李工")
    floor = {"power": "1", "depreciation": "1", "network": "1", "operations": "1"}
    client.post(reverse("floor", args=[market.pool.public_id]), keyed(**floor))

    reply = client.get(reverse("journal_csv"))
    rows = list(csv.DictReader(reply.getvalue().decode("utf-8-sig").splitlines()))

    (row,) = [row for row in rows if row["Event"] == "pool.floor_set"]
    assert row["Who"] == "李工"
    assert row["Who (id)"].startswith("usr_")


def test_more_lines_cost_no_more_statements(market: Market) -> None:
    client = market.client(market.provider)
    client.get(reverse("members"))
    counts = []
    for nodes in (1, 20):
        for _time in range(nodes):
            world.add_nodes(market.pool, 1, at=market.at)
        with CaptureQueriesContext(connection) as statements:
            assert client.get(reverse("journal")).status_code == 200
        counts.append(len(statements))

    assert JournalEntry.objects.count() > 20
    assert counts[0] == counts[1]


def test_reasons_of_people_stay_as_they_wrote_them() -> None:
    with translation.override("zh-hans"):
        assert journal_words.reason("fan replaced") == "fan replaced"
        assert journal_words.reason("note: over") == "note: over"
        assert journal_words.reason("") == ""
