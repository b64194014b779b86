"""What the contract suite asks of an engine to be tried on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import pytest

from inventory import identifiers
from inventory.drivers.base import Driver, DriverError, Engine, Progress, Target
from inventory.drivers.fake import FakeDriver

Verb = Callable[..., Progress]


class Bench(Protocol):
    """A driver on an engine that is at its command."""

    name: str
    at: datetime

    @property
    def driver(self) -> Driver: ...

    def target(self, **facts: Any) -> Target:
        """On a machine that nobody has."""
        ...

    def unfit(self) -> Target:
        """On a machine that the engine will never give."""
        ...

    def unreachable(self, target: Target) -> Target:
        """The same, were the engine gone."""
        ...

    def until_done(self, verb: Verb, target: Target) -> Progress:
        """The last answer. What the verb raises gets through."""
        ...

    def losing_answers(self) -> AbstractContextManager[list[str]]:
        """The first answer to each write is lost, though the engine has done it; which ones."""
        ...


def target(**facts: Any) -> Target:
    """As the reconcile loop makes one: named after the allocation, the node and the card."""
    allocation = facts.pop("allocation", None) or identifiers.new("alc")
    node = facts.pop("node", None) or identifiers.new("nod")
    return Target(
        **{
            "name": f"{allocation}-{node}-c0",
            "allocation": allocation,
            "node": node,
            "serial": "",
            "hostname": "",
            "first_card": 0,
            "card_count": 8,
            "ordinal": 0,
            "attempt": 0,
            "reference": "",
            "ssh_keys": ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5Wx0 someone",),
            **facts,
        }
    )


class RealTime:
    """For engines that work while we wait."""

    at = datetime.fromisoformat("2026-12-01T00:00:00+00:00")
    losable: tuple[tuple[Any, str], ...] = ()

    def until_done(self, verb: Verb, target: Target) -> Progress:
        deadline = time.monotonic() + 180
        while not (progress := self._patiently(verb, target, deadline)).done:
            assert time.monotonic() < deadline, "not done in three minutes"
            time.sleep(min(0.1, progress.check_after_seconds))
        return progress

    def _patiently(self, verb: Verb, target: Target, deadline: float) -> Progress:
        """Again later is what the caller does with an engine that is busy for a moment."""
        while True:
            try:
                return verb(target, at=self.at)
            except DriverError as error:
                if error.permanent or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    @contextmanager
    def losing_answers(self) -> Iterator[list[str]]:
        lost: list[str] = []

        def losing(write: Callable[..., Any]) -> Callable[..., Any]:
            def lose(*words: Any, **more: Any) -> Any:
                answer = write(*words, **more)
                what = " ".join(
                    str(word)[:160] for word in words if isinstance(word, str | list | dict)
                )
                if what not in lost:
                    lost.append(what)
                    raise DriverError("the answer was lost", permanent=False)
                return answer

            return lose

        with pytest.MonkeyPatch.context() as patch:
            for owner, name in self.losable:
                patch.setattr(owner, name, losing(getattr(owner, name)))
            yield lost


class FakeBench:
    """Works by the instants it is told."""

    name = "fake"

    def __init__(self) -> None:
        self.driver: Driver = FakeDriver()
        self.at = datetime.fromisoformat("2026-12-01T00:00:00+00:00")

    def target(self, **facts: Any) -> Target:
        options = {"provision_seconds": 5, "release_seconds": 3, **facts.pop("options", {})}
        return target(options=options, **facts)

    def unfit(self) -> Target:
        return self.target(options={"fail": {"provision": {"permanent": True}}})

    def unreachable(self, target: Target) -> Target:
        steps = ("provision", "poll", "shut", "open", "release")
        return replace(target, options={"fail": {step: {} for step in steps}})

    def until_done(self, verb: Verb, target: Target) -> Progress:
        while not (progress := verb(target, at=self.at)).done:
            self.at += timedelta(seconds=progress.check_after_seconds)
        return progress

    @contextmanager
    def losing_answers(self) -> Iterator[list[str]]:
        yield []


def engine_of(target: Target) -> Engine:
    return Engine(target.options, target.secret)
