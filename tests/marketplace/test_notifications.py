"""Who hears what: each event once to each channel that wants it, whatever the other side does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection

from inventory import journal
from inventory.errors import NotFound
from inventory.models import JournalEntry
from inventory.transitions import IllegalTransition
from marketplace import notifications
from marketplace.models import Channel, Delivery
from marketplace.notifications import ChannelRefused, outbox, secrets, senders, sending
from tests import robots, world
from tests.robots import HOOKS, SECRET, Robots
from tests.world import SYSTEM

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
A_MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _committed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test is one transaction, so that its own entries are never below the oldest one."""
    shown = outbox._NEXT.replace("r.xid < pg_snapshot_xmin(pg_current_snapshot())", "true")
    monkeypatch.setattr(outbox, "_NEXT", shown)


@pytest.fixture
def there(settings: Any) -> Iterator[Robots]:
    with robots.running() as found:
        settings.ROBOT_API_BASE = found.base
        yield found


def channel(kind: str = "wecom", *topics: str, **facts: Any) -> Channel:
    address = {"email": "noc@aurora.example", "sms": "+86 138-0000-0000", **HOOKS}[kind]
    secret = SECRET if kind in ("dingtalk", "feishu") else ""
    asked: dict[str, Any] = {
        "organisation_id": world.provider().pk,
        "kind": kind,
        "name": f"{kind} {uuid.uuid4().hex[:6]}",
        "address": address,
        "secret": secret,
        "topics": topics or ("leases",),
        "language": "en",
        "at": NOW - timedelta(days=1),
        "actor": SYSTEM,
        **facts,
    }
    return notifications.add(**asked)


def happen(event: str = "lease.ended", **facts: Any) -> None:
    journal.record(
        event=event,
        object_id="lse_" + "1" * 32,
        actor=SYSTEM,
        at=NOW,
        **{"provider_id": world.provider().pk, **facts},
    )


def send(at: datetime = NOW, limit: int = 100) -> int:
    notifications.fan_out(at=at)
    return notifications.send_due(at=at, limit=limit)


@pytest.mark.parametrize("kind", ["wecom", "dingtalk", "feishu"])
def test_a_robot_hears_of_an_event_once(kind: str, there: Robots) -> None:
    channel(kind)
    happen()

    assert (send(), send()) == (1, 0)

    ((said, text),) = there.taken
    assert said == kind
    assert text.startswith("A lease is over\nlse_1111")
    row = Delivery.objects.get()
    assert (row.state, row.attempt_count, row.sent_at) == ("sent", 1, NOW)


def test_mail_and_text_messages_are_sent_too(settings: Any) -> None:
    settings.SMS_ADAPTER = "tests.robots.sms"
    channel("email")
    channel("sms")
    happen()

    assert send() == 2

    assert [each.to for each in mail.outbox] == [["noc@aurora.example"]]
    assert mail.outbox[0].subject == "A lease is over"
    row = Delivery.objects.get(channel__kind="sms")
    assert robots.BOX.sent[row.public_id][0] == "+8613800000000"


def test_a_channel_hears_of_its_topics_its_own_and_nothing_from_before(there: Robots) -> None:
    channel("wecom", "invoices")
    channel("wecom", organisation_id=world.stranger().pk)
    channel("wecom", at=datetime.now(UTC) + A_MINUTE)
    happen()
    happen("auditor.read")

    assert send() == 0
    assert Delivery.objects.count() == 0


def test_the_operator_hears_of_everybody(there: Robots) -> None:
    channel("wecom", organisation_id=world.operator().pk)
    happen()

    assert send() == 1


def test_the_language_is_the_channels(there: Robots) -> None:
    channel("wecom", language="zh-hans")
    happen()
    send()

    assert "租约" in there.taken[0][1]


@pytest.mark.parametrize(
    ("kind", "secret"), [("dingtalk", "SECwrong12345"), ("feishu", "SECwrong12345")]
)
def test_a_wrong_signature_is_given_up_at_once(kind: str, secret: str, there: Robots) -> None:
    channel(kind, secret=secret)
    happen()

    assert send() == 0

    row = Delivery.objects.get()
    assert (row.state, row.attempt_count) == ("failed", 1)
    assert "sign" in row.last_error
    entry = JournalEntry.objects.get(event="delivery.failed")
    assert (entry.object_id, entry.provider_id) == (row.public_id, world.provider().pk)


def test_what_fails_for_a_while_waits_longer_each_time_and_is_parked(there: Robots) -> None:
    there.faults = [500, 502, 503, 500, 500, 500, 500, 500]
    channel()
    happen()
    at, waits = NOW, []
    for _ in range(8):
        send(at)
        row = Delivery.objects.get()
        if row.next_at is not None:
            waits.append((row.next_at - at).total_seconds())
            at = row.next_at

    assert (row.state, row.attempt_count, row.next_at) == ("failed", 8, None)
    for number, wait in enumerate(waits):
        whole = min(30 * 2**number, 3600)
        assert whole / 2 <= wait <= whole
    notifications.retry(delivery_public_id=row.public_id, at=at, actor=SYSTEM)
    assert send(at) == 1


def test_a_redirect_is_not_followed(there: Robots) -> None:
    there.faults = [f"{there.base}/elsewhere"]
    channel()
    happen()

    assert send() == 0
    assert Delivery.objects.get().state == "failed"
    assert len(there.asked) == 1


def test_no_more_goes_out_than_a_robot_takes_in_a_minute(there: Robots) -> None:
    channel()
    for _ in range(25):
        happen()

    assert send() == 20
    assert send(NOW + timedelta(seconds=30)) == 0
    there.now += 61
    assert send(NOW + timedelta(seconds=61)) == 5
    assert len(there.taken) == 25


def test_too_often_costs_no_attempt(there: Robots) -> None:
    there.taken_at = [("wecom", there.now)] * 20  # somebody else's messages
    channel()
    happen()

    assert send() == 0

    row = Delivery.objects.get()
    assert (row.state, row.attempt_count, row.next_at) == ("queued", 0, NOW + A_MINUTE)


def test_a_long_text_is_cut_to_what_is_taken(there: Robots) -> None:
    channel("wecom", language="zh-hans")
    happen(reason="机" * 500)

    assert send() == 1
    assert len(there.taken[0][1].encode()) <= 2048


@pytest.mark.parametrize(
    ("kind", "address"),
    [
        ("wecom", "http://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com.evil.example/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://evil.example/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com@evil.example/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://u:p@qyapi.weixin.qq.com/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com:8443/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/../x?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=12345678&debug=1"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=12345678#x"),
        ("wecom", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=1234%0d%0aHost:x"),
        ("wecom", "https://[::1]/cgi-bin/webhook/send?key=12345678"),
        ("wecom", "https://qyapi.weixin.qq.com:port/cgi-bin/webhook/send?key=12345678"),
        ("feishu", "https://open.feishu.cn/open-apis/bot/v2/hook/12345678/../../x"),
        ("feishu", "https://oapi.dingtalk.com/robot/send?access_token=12345678"),
        ("dingtalk", "https://127.0.0.1/robot/send?access_token=12345678"),
        ("dingtalk", "file:///etc/passwd"),
        ("email", "nobody"),
        ("email", "a@b.example\nBcc: c@d.example"),
    ],
)
def test_no_other_address_is_ever_called(kind: str, address: str) -> None:
    with pytest.raises(ChannelRefused):
        channel(kind, address=address, secret=SECRET)


def test_addresses_are_kept_encrypted_and_shown_in_part() -> None:
    row = channel("dingtalk")

    row.refresh_from_db()
    assert SECRET.encode() not in bytes(row.target)
    assert secrets.unseal(row.target) == {
        "host": "oapi.dingtalk.com",
        "token": robots.TOKEN,
        "secret": SECRET,
    }
    assert row.hint == f"oapi.dingtalk.com …{robots.TOKEN[-4:]}"


def test_a_sms_needs_a_service() -> None:
    with pytest.raises(ChannelRefused):
        channel("sms")


def test_a_test_message_goes_out_and_a_removed_channel_hears_nothing(there: Robots) -> None:
    row = channel()
    owner = world.actor(world.provider())
    notifications.send_test(channel_public_id=row.public_id, at=NOW, actor=owner)
    assert send() == 1

    happen()
    notifications.fan_out(at=NOW)
    notifications.remove(channel_public_id=row.public_id, at=NOW, actor=owner)

    assert send() == 0
    with pytest.raises(IllegalTransition):
        notifications.send_test(channel_public_id=row.public_id, at=NOW, actor=owner)


def test_a_channel_is_its_organisations_alone() -> None:
    row = channel()
    for other in (world.stranger(), world.operator()):
        with pytest.raises(NotFound):
            notifications.remove(channel_public_id=row.public_id, at=NOW, actor=world.actor(other))


def test_one_that_was_claimed_by_another_is_not_sent_twice(there: Robots) -> None:
    channel()
    happen()
    notifications.fan_out(at=NOW)

    first = sending.claim(at=NOW, limit=10)
    assert sending.claim(at=NOW, limit=10) == []
    # Its sender died: two minutes later another has it, and the first one's word counts no more.
    second = sending.claim(at=NOW + timedelta(minutes=3), limit=10)
    assert len(first) == len(second) == 1
    assert sending._apply(first[0], state="sent", sent_at=NOW, next_at=None) is False
    assert sending._send(second[0], NOW + timedelta(minutes=3)) is True


def test_reading_the_same_entries_again_makes_nothing() -> None:
    channel()
    happen()
    notifications.fan_out(at=NOW)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE marketplace_notifiedmark SET last_xid = '0', last_id = 0")

    notifications.fan_out(at=NOW)

    assert Delivery.objects.count() == 1


def test_signatures_are_those_of_the_documents() -> None:
    assert senders.dingtalk_sign("this is secret", 1) == _by_hand(
        b"this is secret", b"1\nthis is secret"
    )
    assert senders.feishu_sign("demo", 1599360473) == _by_hand(b"1599360473\ndemo", b"")


def _by_hand(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
