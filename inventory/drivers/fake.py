"""An engine without machines: for demonstrations, rehearsals and tests, failing on command.

A pool's `driver_options` command it, for example::

    {"provision_seconds": 30, "release_seconds": 10,
     "fail": {"provision": {"serials": ["A-0003"], "times": 2, "permanent": true}},
     "random_failure_bps": 50, "seed": 7}

`fail` knows the steps provision, poll, shut, open and release; `serials` or `nth` (ordinals
within the allocation, from 0) choose the machines, all without them; `times` ends the failing
after so many tries, for ever without it. `random_failure_bps` fails that many of 10,000 steps, the
same ones of the same serials for the same `seed`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from inventory.drivers import ssh
from inventory.drivers.base import Access, DriverError, Progress, Target
from inventory.models import FakeMachine


@dataclass(frozen=True, slots=True)
class Options:
    """What a pool's driver options command."""

    provision_seconds: float = 5
    release_seconds: float = 3
    fail: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    random_failure_bps: int = 0
    seed: int = 0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Options:
        names = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in options.items() if name in names})


class FakeDriver:
    """Believes what `FakeMachine` rows say; as strict as a real engine about who is on what."""

    def provision(self, target: Target, *, at: datetime) -> Progress:
        options = Options.of(target.options)
        _fail_on_command("provision", target, options)
        with transaction.atomic():
            _lock_node(target.node)
            machine = FakeMachine.objects.filter(name=target.name).first()
            if machine is not None and machine.wipe_started_at is None:
                return _progress(machine.ready_at, at, machine.name)
            _refuse_if_taken(target, at)
            ready_at = at + timedelta(seconds=options.provision_seconds)
            FakeMachine.objects.update_or_create(
                name=target.name,
                defaults={
                    "node": target.node,
                    "first_card": target.first_card,
                    "card_count": target.card_count,
                    "started_at": at,
                    "ready_at": ready_at,
                    "shut_at": None,
                    "wipe_started_at": None,
                    "clean_at": None,
                    "boot_count": machine.boot_count + 1 if machine else 1,
                },
            )
        return _progress(ready_at, at, target.name)

    def poll(self, target: Target, *, at: datetime) -> Progress:
        _fail_on_command("poll", target, Options.of(target.options))
        machine = FakeMachine.objects.filter(name=target.name).first()
        if machine is None or machine.wipe_started_at is not None:
            raise DriverError("the engine does not know this machine", permanent=True)
        return _progress(machine.ready_at, at, machine.name)

    def shut(self, target: Target, *, at: datetime) -> Progress:
        return self._let_in(target, "shut", at)

    def open(self, target: Target, *, at: datetime) -> Progress:
        return self._let_in(target, "open", None)

    def _let_in(self, target: Target, step: str, shut_at: datetime | None) -> Progress:
        _fail_on_command(step, target, Options.of(target.options))
        FakeMachine.objects.filter(name=target.name).update(shut_at=shut_at)
        return Progress(done=True, reference=f"fake:{target.name}")

    def access(self, target: Target, *, at: datetime) -> Access:
        if FakeMachine.objects.filter(name=target.name, shut_at__isnull=False).exists():
            raise DriverError("the machine is shut", permanent=False)
        user, host = (ssh.derived("fake", target.name, use) for use in ("user", "host"))
        address = hashlib.sha256(target.node.encode()).digest()
        return Access(
            kind="ssh",
            hostname=target.hostname or target.serial,
            address=f"10.{address[0]}.{address[1]}.{address[2] % 254 + 1}",
            port=22,
            user="cardhour",
            secret="" if target.ssh_keys else ssh.private_text(user),
            host_fingerprints=(ssh.fingerprint(ssh.public_text(host)),),
        )

    def release(self, target: Target, *, at: datetime) -> Progress:
        options = Options.of(target.options)
        _fail_on_command("release", target, options)
        with transaction.atomic():
            _lock_node(target.node)
            machine = FakeMachine.objects.filter(name=target.name).first()
            if machine is None:
                return Progress(done=True)
            if machine.clean_at is None:
                machine.wipe_started_at = at
                machine.clean_at = at + timedelta(seconds=options.release_seconds)
                machine.wipe_count += 1
                machine.save(update_fields=["wipe_started_at", "clean_at", "wipe_count"])
        return _progress(machine.clean_at, at, machine.name)


def _progress(done_at: datetime, at: datetime, name: str) -> Progress:
    left = (done_at - at).total_seconds()
    return Progress(done=left <= 0, reference=f"fake:{name}", check_after_seconds=max(left, 0))


def _lock_node(node: str) -> None:
    """One step at a time per machine, as an engine's own lock would see to."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", [node])


def _refuse_if_taken(target: Target, at: datetime) -> None:
    last = target.first_card + target.card_count
    for other in FakeMachine.objects.filter(node=target.node, first_card__lt=last):
        if other.first_card + other.card_count <= target.first_card:
            continue
        if other.clean_at is None or other.clean_at > at:
            raise DriverError(f"{target.serial} still serves {other.name}", permanent=False)


def _fail_on_command(step: str, target: Target, options: Options) -> None:
    """Raises DriverError where the options say that this step shall fail."""
    command = options.fail.get(step)
    if command is not None and _is_meant(command, target):
        raise DriverError(
            str(command.get("detail", f"{step} fails on command")),
            permanent=bool(command.get("permanent", False)),
        )
    if options.random_failure_bps:
        what = (options.seed, step, target.serial, target.first_card, target.attempt)
        text = ":".join(map(str, what))
        draw = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 10_000
        if draw < options.random_failure_bps:
            raise DriverError(f"{step} failed at random", permanent=False)


def _is_meant(command: Mapping[str, Any], target: Target) -> bool:
    if "serials" in command and target.serial not in command["serials"]:
        return False
    if "nth" in command and target.ordinal not in command["nth"]:
        return False
    times = command.get("times")
    return times is None or target.attempt < times
