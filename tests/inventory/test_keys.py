from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import key_texts, keys
from inventory.errors import NotFound
from inventory.models import ApiKey
from tests import world
from tests.world import T0

pytestmark = pytest.mark.django_db


def _issue(**facts: Any) -> tuple[ApiKey, str]:
    return keys.issue(
        organisation_id=world.tenant().pk,
        name="ci",
        scopes=["offers:read"],
        at=T0,
        actor=world.SYSTEM,
        **facts,
    )


def test_a_key_opens_what_its_scopes_say() -> None:
    row, text = _issue()

    key, actor = keys.authenticate(text=text, ip="10.0.0.1", at=T0)

    assert key.pk == row.pk
    assert actor.label == row.public_id
    assert actor.organisation_id == world.tenant().pk
    assert actor.may("offers:read")
    assert not actor.may("reservations:write")
    assert not actor.sees_everything


def test_the_secret_is_kept_nowhere() -> None:
    _, text = _issue()

    secret = text.split("_")[3]
    row = ApiKey.objects.get()

    assert secret not in str(row.__dict__)
    assert len(bytes(row.secret_sha256)) == 32


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("0" if text[-1] != "0" else "1"),
        lambda text: text.replace("ck_live_", "ck_test_"),
        lambda text: text[:16],
        lambda text: "",
        lambda text: text + "x",
        lambda text: text.replace("_", "-"),
        lambda text: text[:20] + "密" + text[21:],
        lambda text: "\x00" + text,
    ],
)
def test_anything_else_opens_nothing(spoil: object) -> None:
    _, text = _issue()

    with pytest.raises(keys.BadKey):
        keys.authenticate(text=spoil(text), ip=None, at=T0)  # type: ignore[operator]


def test_a_right_checksum_over_a_wrong_secret_opens_nothing() -> None:
    _, text = _issue()
    lookup = text.split("_")[2]
    forged = "A" * 43
    checksum = key_texts._checksum(lookup + forged)

    with pytest.raises(keys.BadKey):
        keys.authenticate(text=f"ck_live_{lookup}_{forged}{checksum}", ip=None, at=T0)


def test_a_revoked_key_opens_nothing() -> None:
    row, text = _issue()
    owner = world.actor(world.tenant())

    keys.revoke(key_public_id=row.public_id, at=T0, actor=owner)
    keys.revoke(key_public_id=row.public_id, at=T0, actor=owner)

    with pytest.raises(keys.BadKey):
        keys.authenticate(text=text, ip=None, at=T0)


def test_nobody_revokes_another_organisations_key() -> None:
    row, text = _issue()

    with pytest.raises(NotFound):
        keys.revoke(key_public_id=row.public_id, at=T0, actor=world.actor(world.stranger()))

    keys.authenticate(text=text, ip=None, at=T0)


def test_a_key_ends_at_its_instant() -> None:
    _, text = _issue(expires_at=T0 + timedelta(hours=1))

    keys.authenticate(text=text, ip=None, at=T0 + timedelta(minutes=59))
    with pytest.raises(keys.BadKey):
        keys.authenticate(text=text, ip=None, at=T0 + timedelta(hours=1))


def test_a_key_opens_from_its_networks_only() -> None:
    _, text = _issue(ip_allow=["10.1.0.0/16", "2001:db8::/32"])

    keys.authenticate(text=text, ip="10.1.2.3", at=T0)
    keys.authenticate(text=text, ip="2001:db8::9", at=T0)
    for elsewhere in ("10.2.0.1", None, "not an address"):
        with pytest.raises(keys.BadKey):
            keys.authenticate(text=text, ip=elsewhere, at=T0)


def test_a_maker_gives_no_scope_it_lacks() -> None:
    viewer = world.actor(world.tenant(), "viewer")

    with pytest.raises(keys.ScopeEscalation):
        keys.issue(
            organisation_id=world.tenant().pk,
            name="wide",
            scopes=["reservations:write"],
            at=T0,
            actor=viewer,
        )

    assert not ApiKey.objects.exists()


def test_last_use_is_written_at_most_once_a_minute() -> None:
    _, text = _issue()
    keys.authenticate(text=text, ip=None, at=T0)

    with CaptureQueriesContext(connection) as soon:
        keys.authenticate(text=text, ip=None, at=T0 + timedelta(seconds=30))
    with CaptureQueriesContext(connection) as later:
        keys.authenticate(text=text, ip=None, at=T0 + timedelta(seconds=90))

    assert len(soon) == 1
    assert len(later) == 2
