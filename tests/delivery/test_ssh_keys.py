"""Public keys: taken as OpenSSH writes them, used by later deals; another way in on request."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from inventory import credentials, renewals, ssh_keys, suspensions
from inventory.errors import NotFound
from inventory.models import ManualTask, SshKey
from inventory.renewals import NothingToRenew, RenewalUnsupported
from inventory.ssh_keys import (
    PrivateKeyGiven,
    SshKeyExists,
    SshKeyInvalid,
    TooManySshKeys,
)
from tests import world
from tests.delivery import scene as delivery
from tests.delivery.scene import events, run, seconds
from tests.delivery.test_manual import delivered, hand_over, open_tasks
from tests.marketplace import scene
from tests.world import SYSTEM, T0

pytestmark = pytest.mark.django_db


def line(key: Any) -> str:
    text: bytes = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return text.decode()


def fresh() -> str:
    return line(ed25519.Ed25519PrivateKey.generate())


def add(text: str, name: str = "laptop", org: Any = None) -> SshKey:
    org = org or world.tenant()
    return ssh_keys.add(organisation_id=org.pk, name=name, text=text, at=T0, actor=world.actor(org))


def test_a_key_reads_as_openssh_writes_it() -> None:
    known = ssh_keys.parse(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEBGo2wQcm4XsjyrQhnbnxQTD4FPgJCBJYDNPb2ZNSYJ me@x"
    )

    assert known.comment == "me@x"
    # `ssh-keygen -lf` of that line
    assert known.fingerprint == "SHA256:D/2ZkUkJB538V9rAfbGFnz+i8WhIBkzMbzosYaEwz3M"
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        assert ssh_keys.parse(line(key)).line == line(key)


def test_what_nobody_could_log_in_with_is_refused() -> None:
    good = fresh()
    other = line(ec.generate_private_key(ec.SECP256R1()))
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()
    )
    weak = line(rsa.generate_private_key(65537, 1024))

    for text in (
        "", "ssh-ed25519", good[:-8], good.replace("ssh-ed25519", "ssh-rsa"),
        "ssh-ed25519 " + other.split()[1], weak, f'command="sh" {good}', f"{good}\n{good}",
        f"{good} a\u202eb", good + " " + "x" * 1000, "ssh-dss AAAAB3NzaC1kc3MAAACB", "ключ AAAA",
    ):  # fmt: skip
        with pytest.raises(SshKeyInvalid):
            ssh_keys.parse(text)
    with pytest.raises(PrivateKeyGiven):
        add(private.decode())
    assert SshKey.objects.count() == 0


def test_a_key_is_there_once_and_twenty_at_the_most() -> None:
    text = fresh()
    row = add(text)

    with pytest.raises(SshKeyExists):
        add(text + " other-comment")
    for _ in range(19):
        add(fresh())
    with pytest.raises(TooManySshKeys):
        add(fresh())
    with pytest.raises(NotFound):
        ssh_keys.remove(key_public_id=row.public_id, at=T0, actor=world.actor(world.stranger()))
    ssh_keys.remove(key_public_id=row.public_id, at=T0, actor=world.actor(world.tenant()))
    add(text)

    assert events(row.public_id) == ["sshkey.added", "sshkey.removed"]


def test_a_deal_freezes_the_keys_that_are_there() -> None:
    first, named = fresh(), fresh()
    listing = scene.listing()
    kept = add(first)
    bare = scene.hold(listing)
    own = scene.hold(listing, start=30, end=40, ssh_keys=(named,))
    ssh_keys.remove(key_public_id=kept.public_id, at=T0, actor=world.actor(world.tenant()))
    later = scene.hold(listing, start=50, end=60)

    assert bare.allocation.ssh_keys == [kept.line]
    assert own.allocation.ssh_keys == [named]
    assert later.allocation.ssh_keys == []


def test_another_way_in_replaces_the_old_one() -> None:
    row = delivered(keys=(), way={"secret": "first"})
    tenant = world.actor(world.tenant())

    asked = [renewals.ask(allocation_id=row.pk, at=seconds(100), actor=tenant) for _ in range(2)]
    run(seconds(100), seconds(130), every=10)
    during = credentials.reveal(allocation_id=row.pk, at=seconds(130), actor=tenant)
    (task,) = open_tasks(ManualTask.Kind.RENEW)
    hand_over(task, seconds(200), secret="second")
    run(seconds(200), seconds(260), every=10)
    after = credentials.reveal(allocation_id=row.pk, at=seconds(260), actor=tenant)

    assert asked == [1, 1]
    assert [each.machines[0].secret for each in (during, after)] == ["first", "second"]
    assert row.credentials.filter(revoked_at=None).count() == 1
    assert bytes(row.credentials.order_by("pk")[0].ciphertext) == b""
    assert open_tasks() == []
    row.refresh_from_db()
    assert row.next_step_at == row.period.upper  # nothing is left to be looked at


def test_only_a_running_lease_of_the_tenants_own_has_another_way_in() -> None:
    row = delivered()
    fake = delivery.sold(delivery.pool())
    run(T0, seconds(30))
    tenant = world.actor(world.tenant())

    with pytest.raises(NotFound):
        renewals.ask(allocation_id=row.pk, at=seconds(99), actor=world.actor(world.provider()))
    with pytest.raises(RenewalUnsupported):
        renewals.ask(allocation_id=fake.pk, at=seconds(99), actor=tenant)
    suspensions.suspend(allocation_id=row.pk, at=seconds(99), actor=SYSTEM, reason="unpaid")
    with pytest.raises(NothingToRenew):
        renewals.ask(allocation_id=row.pk, at=seconds(99) + timedelta(1), actor=tenant)
