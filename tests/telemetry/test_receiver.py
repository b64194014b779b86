"""What a sender is told: what to send again, and what to drop for good."""

from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inventory import telemetry
from inventory.models import TelemetryHour, TelemetrySource
from inventory.telemetry import reception, remote_write
from marketplace.http import limits
from marketplace.http import telemetry as receiver
from marketplace.wsgi import application
from tests import database, world
from tests.telemetry import bodies
from tests.telemetry.scene import dcgm, post, scene
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db
# The feed is the same for every example: that is what a feed is.
fuzz = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def fresh_buckets() -> None:
    limits.buckets.clear()


def now_body(node, value: float = 50.0) -> bytes:
    """One sample of the present, since the receiver reads the clock."""
    labels, _ = dcgm(node, 0, 0, value)
    instant = int(datetime.now(UTC).timestamp() * 1000)
    return bodies.body([(labels, [(instant, value)])])


def test_a_body_is_stored_and_answered_with_nothing() -> None:
    s = scene()

    response = post(s.key, now_body(s.nodes[0]))

    assert (response.status_code, response.content) == (204, b"")
    assert TelemetryHour.objects.get().seen_slots[0] == 1


def test_a_body_takes_few_statements(django_assert_num_queries) -> None:
    s = scene()
    body = now_body(s.nodes[0])
    post(s.key, body)

    # The key; savepoint, lock_timeout, rows locked, the source's counts, release.
    with django_assert_num_queries(6):
        post(s.key, body)


def test_it_stands_beside_the_middleware() -> None:
    s = scene()
    body = now_body(s.nodes[0])
    heard: list[tuple[str, dict[str, str]]] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": receiver.PATH,
        "CONTENT_TYPE": "application/x-protobuf",
        "HTTP_CONTENT_ENCODING": "snappy",
        "HTTP_AUTHORIZATION": f"Bearer {s.key}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }

    b"".join(application(environ, lambda status, headers: heard.append((status, dict(headers)))))

    ((status, headers),) = heard
    assert status == "204 No Content"
    assert "Set-Cookie" not in headers
    assert "Content-Security-Policy" not in headers


@pytest.mark.parametrize(
    ("environ", "status"),
    [
        ({"REQUEST_METHOD": "GET"}, 405),
        ({"CONTENT_TYPE": "application/json"}, 415),
        ({"CONTENT_TYPE": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}, 415),
        ({"CONTENT_TYPE": "application/x-protobuf;proto=prometheus.WriteRequest"}, 204),
        ({"CONTENT_TYPE": ""}, 415),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, 415),
        ({"HTTP_X_PROMETHEUS_REMOTE_WRITE_VERSION": "2.0.0"}, 415),
        ({"HTTP_AUTHORIZATION": ""}, 401),
        ({"HTTP_AUTHORIZATION": "Bearer ct_live_nonsense_x"}, 401),
        ({"HTTP_AUTHORIZATION": "Basic Og=="}, 401),
        ({"CONTENT_LENGTH": str(remote_write.COMPRESSED_LIMIT + 1)}, 413),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"CONTENT_LENGTH": "-1"}, 411),
    ],
)
def test_what_a_sender_may_get_wrong(environ: dict[str, str], status: int) -> None:
    s = scene()

    response = post(s.key, now_body(s.nodes[0]), **environ)

    assert response.status_code == status
    assert TelemetryHour.objects.exists() is (status == 204)
    if status == 401:
        assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff" * 50,
        gzip.compress(b"hello"),
        bodies.packed(b"\xff\xff"),
        bodies.packed(b"\x0a\x7f"),
        bodies.body([])[:-1] + b"\x05",
    ],
    ids=["empty", "noise", "gzip", "no tag", "cut short", "another length"],
)
def test_what_never_decodes_is_dropped_for_good(body: bytes) -> None:
    assert post(scene().key, body).status_code in (204, 400)
    assert not TelemetryHour.objects.exists()


def test_a_decompression_bomb_is_too_large() -> None:
    bomb = bodies.packed(bytes(remote_write.RAW_LIMIT + 1))

    assert post(scene().key, bomb).status_code == 413


def test_ten_megabytes_are_read() -> None:
    s = scene()
    noise = [({"__name__": "x", "n": f"{n:0200x}"}, [(1, float(n))]) for n in range(20_000)]
    body = bodies.body(noise)

    assert post(s.key, body).status_code == 204
    assert TelemetrySource.objects.get(pk=s.source.pk).unused_count == 20_000


@pytest.mark.parametrize("change", ["revoked", "rotated", "closed"])
def test_a_key_ends(change: str) -> None:
    s = scene()
    actor = world.actor(s.source.provider)
    long_ago = datetime.now(UTC) - timedelta(days=3)
    if change == "revoked":
        new = telemetry.revoke_keys(source_id=s.source.public_id, at=long_ago, actor=actor)
    elif change == "rotated":
        new = telemetry.rotate_key(source_id=s.source.public_id, at=long_ago, actor=actor)
    else:
        telemetry.close_source(source_id=s.source.public_id, at=long_ago, actor=actor)
        new = ""

    assert post(s.key, now_body(s.nodes[0])).status_code == 401
    if new:
        assert post(new, now_body(s.nodes[0])).status_code == 204


def test_a_rotated_key_goes_on_for_a_day() -> None:
    s = scene()
    at = datetime.now(UTC)

    new = telemetry.rotate_key(source_id=s.source.pk, at=at, actor=SYSTEM)

    assert post(s.key, now_body(s.nodes[0])).status_code == 204
    assert post(new, now_body(s.nodes[0])).status_code == 204


def test_an_api_key_is_no_key_of_a_feed() -> None:
    s = scene()

    assert post(world.key(s.source.provider), now_body(s.nodes[0])).status_code == 401


def test_another_organisations_nodes_are_out_of_reach() -> None:
    s = scene()
    stranger = world.pool(nodes=1, owner=world.stranger())
    source, key = telemetry.open_source(
        centre_id=stranger.fabric.centre_id, name="theirs", at=T0, actor=SYSTEM
    )

    response = post(key, now_body(s.nodes[0]))

    assert response.status_code == 204  # stored is what can be, and the rest is counted
    hours = TelemetryHour.objects.filter(node_id=s.nodes[0].pk)
    twin = stranger.nodes.get().hostname == s.nodes[0].hostname
    assert not hours.exists()
    assert twin or TelemetrySource.objects.get(pk=source.pk).unknown_count == 1


def test_a_feed_that_is_too_fast_waits() -> None:
    s = scene()
    TelemetrySource.objects.filter(pk=s.source.pk).update(samples_per_second=1)
    labels, _ = dcgm(s.nodes[0], 0, 0, 1)
    many = bodies.body([(labels, [(n, 1.0) for n in range(100)])])

    assert post(s.key, many).status_code == 204
    refused = post(s.key, many)

    assert refused.status_code == 429
    assert 30 <= int(refused["Retry-After"]) <= 60


def test_without_a_database_it_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    s = scene()

    def gone(**_: object) -> None:
        raise OperationalError("the server is gone")

    monkeypatch.setattr(telemetry, "authenticate", gone)

    response = post(s.key, now_body(s.nodes[0]))
    assert (response.status_code, response["Retry-After"]) == (503, "1")


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_holds_is_waited_for_and_then_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s = scene()
    body = now_body(s.nodes[0])
    assert post(s.key, body).status_code == 204
    monkeypatch.setattr(reception, "LOCK_TIMEOUT", "50ms")
    with database.owner_connection(database.test_database_name()) as other, other.transaction():
        other.execute("SELECT 1 FROM inventory_telemetryhour FOR UPDATE")
        response = post(s.key, body)

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert post(s.key, body).status_code == 204


@settings(fuzz, max_examples=100)
@given(st.binary(max_size=300))
def test_garbage_is_never_our_fault(fuzzed_key: str, garbage: bytes) -> None:
    for body in (garbage, bodies.packed(garbage)):
        assert post(fuzzed_key, body).status_code in (204, 400, 413, 429)


@pytest.fixture
def fuzzed_key() -> str:
    return scene().key


texts = st.text(max_size=10) | st.sampled_from(["0", "7", "99999", "-1", "\x00"])


@settings(fuzz, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(telemetry.METRICS)),
            st.dictionaries(
                st.sampled_from(["gpu", "UUID", "hostname", "instance", "id", "prometheus_replica"])
                | st.text(max_size=4),
                texts,
                max_size=4,
            ),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(),
        ),
        max_size=6,
    )
)
def test_nor_is_whatever_series_say(fuzzed_key: str, drawn) -> None:
    series = [
        ({**labels, "__name__": name}, [(instant, value)]) for name, labels, instant, value in drawn
    ]

    assert post(fuzzed_key, bodies.body(series)).status_code in (204, 429)
