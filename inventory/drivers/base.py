"""What a driver promises: the one seam between the market and the engines of a centre."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

# A step that needs longer makes the engine work in the background and is polled.
STEP_LIMIT_SECONDS = 15


class DriverError(Exception):
    """The engine said no, or did not answer.

    `permanent=False` means again later: unreachable, locked, still busy with something else.
    `permanent=True` means never on this machine: the caller gives it up.
    """

    def __init__(self, detail: str, *, permanent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class Target:
    """One machine, or the cards of one, that an allocation shall run on.

    `name` is the engine-side name: made of the allocation, the node and the first card, so
    that a repeat after a crash finds what the first try made.
    """

    name: str
    allocation: str  # public id
    node: str  # public id
    serial: str
    hostname: str
    first_card: int
    card_count: int
    ordinal: int  # of this instance within its allocation, from 0
    attempt: int  # failed tries of the present step so far
    reference: str  # what the engine called it, once it has said so
    ssh_keys: Sequence[str] = ()
    # Hostnames, else serials, of all machines that are to serve the allocation now, this one
    # among them until it is released: an engine that grants sets of machines is always told the
    # whole set, so that two workers never overwrite each other's half of it.
    peers: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # the pool's driver options
    secret: str = field(default="", repr=False)  # opens the pool's engine


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the engine is. Not done: ask again after `check_after_seconds`."""

    done: bool
    reference: str = ""
    check_after_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Engine:
    """Where the engine of a pool is, and what opens it."""

    options: Mapping[str, Any] = field(default_factory=dict)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Machine:
    """What an engine says of one of its machines."""

    hostname: str  # what the engine calls it
    serial: str = ""  # empty where it knows none
    rack: str = ""
    leaf: str = ""
    serving: Sequence[str] = ()  # names of targets, or what they begin with
    trouble: str = ""  # why it can serve nobody, in the engine's words


@dataclass(frozen=True, slots=True)
class Isolation:
    """Whether two allocations on this engine cannot reach each other, and how that is known."""

    is_proved: bool
    evidence: str  # in plain words; also why not


@dataclass(frozen=True, slots=True)
class Access:
    """How the customer gets into one machine. `secret` is empty where its own keys let it in."""

    kind: str  # ssh, kubeconfig, slurm
    hostname: str
    address: str
    port: int
    user: str
    secret: str
    host_fingerprints: Sequence[str] = ()


class Driver(Protocol):
    """An engine's six verbs. Each is one step: it may block STEP_LIMIT_SECONDS, never sleeps.

    Every verb is idempotent and reads before it writes: it is repeated after a kill, after
    a lost answer, and now and then by two workers at once. It runs outside any database
    transaction. It raises DriverError and nothing else; what else escapes it is logged as a
    fault of the driver and counts as "again later".
    """

    def provision(self, target: Target, *, at: datetime) -> Progress:
        """Makes the engine begin, or finds that it has begun. Usually not done at once.

        A machine that still serves another name is refused with DriverError(permanent=False):
        its wipe may be under way.
        """
        ...

    def poll(self, target: Target, *, at: datetime) -> Progress:
        """How far the provisioning is. Permanent errors end the attempt.

        May go on with what it finds begun, and begins nothing: where another worker has
        released the name meanwhile, a DriverError(permanent=True) says that it is unknown.
        """
        ...

    def access(self, target: Target, *, at: datetime) -> Access:
        """How to get in. Only asked of a machine that is done; says the same every time."""
        ...

    def shut(self, target: Target, *, at: datetime) -> Progress:
        """Lets the customer in no more; what runs on the machine goes on.

        Called until done. A name that the engine does not know is done.
        """
        ...

    def open(self, target: Target, *, at: datetime) -> Progress:
        """Lets the customer in again, by the same access as before. Called until done."""
        ...

    def release(self, target: Target, *, at: datetime) -> Progress:
        """Takes it down and wipes it; done only when the engine says that it is clean.

        Called until done. A name that the engine does not know is done.
        """
        ...


@runtime_checkable
class Surveyable(Protocol):
    """What a driver can do besides, whose engine can be asked about itself as a whole.

    No verb changes anything; each may block STEP_LIMIT_SECONDS.
    """

    def check(self, engine: Engine, *, at: datetime) -> Sequence[str]:
        """What is missing before the engine can serve, in plain words; empty when nothing is.

        Also what would otherwise be a DriverError: an address that does not answer.
        """
        ...

    def survey(self, engine: Engine, *, at: datetime) -> Sequence[Machine]:
        """Every machine the engine knows. Raises DriverError."""
        ...

    def isolation(self, engine: Engine, *, at: datetime) -> Isolation:
        """What the engine itself can show. What only its people say proves nothing.

        Attaching a machine to its customer's network and detaching it is part of `provision`
        and `release`. Raises DriverError.
        """
        ...


@runtime_checkable
class Renewing(Protocol):
    """What a driver can do besides, whose machines can get another way in while they run."""

    def renew(self, target: Target, *, since: datetime, at: datetime) -> Progress:
        """The way in is another one from now on: `access` says it, and the old one opens nothing.

        A step like those of `Driver`: idempotent, and called until done. `since` is when it was
        asked for, so that a repeat finds what was made for this asking.
        """
        ...
