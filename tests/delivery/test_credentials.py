from __future__ import annotations

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from inventory import credentials
from inventory.drivers.base import Access
from inventory.errors import NotFound
from inventory.models import Allocation, Credential, JournalEntry
from inventory.wrapping import CredentialUnreadable
from tests import world
from tests.metering import timeline
from tests.world import T0

pytestmark = pytest.mark.django_db

LATER = T0 + timedelta(minutes=5)


def _allocation() -> Allocation:
    return timeline.allocation(
        world.pool(), period=world.period(0, 5), active_at=T0, state="active"
    )


def _issue(row: Allocation, secret: str = "s3cret") -> Credential:
    return credentials.issue(allocation_id=row.pk, kind="ssh", machines=[way_in(secret)], at=T0)


def way_in(secret: str) -> Access:
    return Access("ssh", "n1", "10.0.0.1", 22, "cardhour", secret)


def test_its_tenant_reads_what_was_issued() -> None:
    row = _allocation()
    issued = _issue(row)

    secret = credentials.reveal(allocation_id=row.pk, at=LATER, actor=world.actor(world.tenant()))
    issued.refresh_from_db()

    assert (secret.kind, secret.machines) == ("ssh", (way_in("s3cret"),))
    assert issued.revealed_at == LATER
    assert b"s3cret" not in bytes(issued.ciphertext)
    assert "s3cret" not in repr(secret)


def test_every_look_is_journalled_with_who_looked() -> None:
    row = _allocation()
    issued = _issue(row)
    actor = world.actor(world.tenant())

    for _ in range(2):
        credentials.reveal(allocation_id=row.pk, at=LATER, actor=actor)

    looks = JournalEntry.objects.filter(object_id=issued.public_id, event="credential.revealed")
    assert list(looks.values_list("actor", "tenant_id")) == [(actor.label, row.tenant_id)] * 2


@pytest.mark.parametrize("who", [world.provider, world.stranger, world.operator])
def test_nobody_else_learns_even_that_there_is_one(who: Any) -> None:
    row = _allocation()
    _issue(row)

    with pytest.raises(NotFound):
        credentials.reveal(allocation_id=row.pk, at=LATER, actor=world.actor(who()))

    assert not JournalEntry.objects.filter(event="credential.revealed").exists()


def test_the_same_secret_is_issued_once_and_another_replaces_it() -> None:
    row = _allocation()

    first, again, other = _issue(row), _issue(row), _issue(row, "changed")
    first.refresh_from_db()

    assert again.pk == first.pk
    assert first.revoked_at == T0
    assert (bytes(first.ciphertext), other.revoked_at) == (b"", None)


def test_a_ciphertext_moved_to_another_row_is_refused() -> None:
    mine, yours = _allocation(), _allocation()
    victim, thief = _issue(yours, "yours"), _issue(mine, "mine")
    Credential.objects.filter(pk=thief.pk).update(ciphertext=victim.ciphertext)

    with pytest.raises(CredentialUnreadable):
        credentials.reveal(allocation_id=mine.pk, at=LATER, actor=world.actor(world.tenant()))


def test_a_tampered_ciphertext_is_refused() -> None:
    row = _allocation()
    issued = _issue(row)
    sealed = bytearray(issued.ciphertext)
    sealed[40] ^= 1
    Credential.objects.filter(pk=issued.pk).update(ciphertext=bytes(sealed))

    with pytest.raises(CredentialUnreadable):
        credentials.reveal(allocation_id=row.pk, at=LATER, actor=world.actor(world.tenant()))


def test_without_keys_it_fails_loudly_and_stores_nothing(settings: Any) -> None:
    row = _allocation()
    settings.CREDENTIAL_KEYS = []

    with pytest.raises(ImproperlyConfigured):
        _issue(row)

    assert Credential.objects.count() == 0


def test_rotation_makes_the_old_key_unnecessary(settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.CREDENTIAL_KEYS = [old]
    row = _allocation()
    _issue(row)

    settings.CREDENTIAL_KEYS = [new, old]
    out = StringIO()
    call_command("rotate_credentials", stdout=out)
    settings.CREDENTIAL_KEYS = [new]
    secret = credentials.reveal(allocation_id=row.pk, at=LATER, actor=world.actor(world.tenant()))

    assert secret.machines == (way_in("s3cret"),)
    assert out.getvalue().strip() == "1 credentials re-encrypted"


def test_rotation_stops_at_a_row_no_key_opens(settings: Any) -> None:
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]
    _issue(_allocation())
    settings.CREDENTIAL_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(CredentialUnreadable):
        credentials.rotate()


def test_revoking_destroys_the_secret_and_may_be_repeated() -> None:
    row = _allocation()
    _issue(row)

    counts = [credentials.revoke_all(allocation_id=row.pk, at=LATER) for _ in range(2)]

    assert counts == [1, 0]
    assert bytes(Credential.objects.get().ciphertext) == b""
    with pytest.raises(NotFound):
        credentials.reveal(allocation_id=row.pk, at=LATER, actor=world.actor(world.tenant()))
