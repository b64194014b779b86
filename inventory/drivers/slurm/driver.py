"""The verbs of a driver on Slurm's reservations.

A pool's `driver_options`::

    {"conf": "/etc/slurm/slurm.conf", "accounting": true, "cluster": "…",
     "users": ["tenant1"], "login": {"host": "login.centre.example", "port": 22}}

The worker's machine has Slurm's commands and the cluster's munge key. `users` are the customer's
accounts on the login node, which the centre makes. Slurm knows a node by our hostname, else by
our serial. With `accounting` each allocation is an account of its own in slurmdbd; without it the
reservation is the users'.

One reservation serves an allocation, since a job runs in one: the machines of an allocation join
it and leave it. Slurm adds no node to a reservation, it only takes a whole list. Therefore a step
writes all of `Target.peers`: whoever writes says the same, and a list that came late is put right
by the next step of a machine that misses itself. Slurm grants a mere count short without a word;
so nodes are named, and what it granted is read back.

A reservation ends when it is deleted, not by its own clock: ten years are asked for, so that an
extended lease needs no word to Slurm and is never cut short while we are away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from inventory.drivers.base import Access, DriverError, Engine, Isolation, Machine, Progress, Target
from inventory.drivers.slurm.commands import Refused, Slurm

DURATION = "3650-00:00:00"
# Whom a reservation is for while its customer is shut out; jobs that run go on.
NOBODY = "root"
_SICK = {"DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "ERROR", "INVAL", "UNKNOWN"}
_SOON = 1.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A node and the reservation of its allocation as they were read in a step."""

    slurm: Slurm
    name: str  # of the reservation
    node: str
    states: frozenset[str]
    gpus: int  # 0 where Slurm counts none
    reason: str
    exists: bool
    nodes: tuple[str, ...]  # of the reservation
    is_whole: bool  # Slurm counts as many nodes as it names, and they are reserved now
    users: str

    def ask(self, *words: str) -> None:
        """No refusal says that the node is to blame: that is read from the node itself."""
        try:
            self.slurm.write(*words)
        except Refused as error:
            raise DriverError(f"Slurm refuses: {error}", permanent=False) from error


class SlurmDriver:
    """Nodes reserved for the jobs of one customer."""

    def provision(self, target: Target, *, at: datetime) -> Progress:
        """One of: account made, user added, reservation made or its nodes put right."""
        sight = _look(target)
        if trouble := _trouble(sight, target):
            raise DriverError(f"{sight.node} {trouble}", permanent=True)
        if not sight.exists:
            if not _accounted(sight, target):
                _create(sight, target)
            return Progress(done=False, check_after_seconds=_SOON)
        return _join(sight, target)

    def poll(self, target: Target, *, at: datetime) -> Progress:
        sight = _look(target)
        if not sight.exists:
            raise DriverError("Slurm does not know this reservation", permanent=True)
        if trouble := _trouble(sight, target):
            raise DriverError(f"{sight.node} {trouble}", permanent=True)
        return _join(sight, target)

    def access(self, target: Target, *, at: datetime) -> Access:
        """The login node; the secret is what every `sbatch` and `srun` needs to say."""
        sight = _look(target)
        if sight.node not in sight.nodes:
            raise DriverError("the node is not reserved", permanent=False)
        if _is_shut(sight, target):
            raise DriverError("the reservation is shut", permanent=False)
        login = target.options.get("login", {})
        account = f" --account={sight.name}" if _has_accounts(target) else ""
        return Access(
            kind="slurm",
            hostname=target.hostname or target.serial,
            address=str(login.get("host", "")),
            port=int(login.get("port", 22)),
            user=_users(target)[0],
            secret=f"--reservation={sight.name}{account}",
        )

    def shut(self, target: Target, *, at: datetime) -> Progress:
        """No job of the customer begins; what runs goes on."""
        sight = _look(target)
        if not sight.exists or _is_shut(sight, target):
            return Progress(done=True, reference=sight.name)
        sight.ask(*_update(sight), f"Users={NOBODY}", "Accounts=")
        return Progress(done=False, reference=sight.name, check_after_seconds=_SOON)

    def open(self, target: Target, *, at: datetime) -> Progress:
        sight = _look(target)
        if not sight.exists or not _is_shut(sight, target):
            return Progress(done=True, reference=sight.name)
        sight.ask(*_update(sight), *_whose(sight, target))
        return Progress(done=False, reference=sight.name, check_after_seconds=_SOON)

    def release(self, target: Target, *, at: datetime) -> Progress:
        """Jobs cancelled, node out of the reservation, which goes with its last node.

        Slurm wipes with the centre's Epilog; a node whose Epilog failed is drained, and that is
        a permanent error until a person resumed it.
        """
        sight = _look(target)
        if sight.exists and sight.node in sight.nodes:
            _leave(sight, target)
            return Progress(done=False, check_after_seconds=_SOON)
        if "COMPLETING" in sight.states:
            return Progress(done=False, check_after_seconds=_SOON)
        if sight.states & _SICK:
            raise DriverError(f"{sight.node} {_trouble(sight, target)}", permanent=True)
        if not sight.exists and _has_accounts(target) and _account_exists(sight):
            sight.ask("sacctmgr", "--immediate", "delete", "account", sight.name)
            return Progress(done=False, check_after_seconds=_SOON)
        return Progress(done=True)

    def check(self, engine: Engine, *, at: datetime) -> Sequence[str]:
        try:
            return _missing(Slurm(engine), engine)
        except (DriverError, Refused) as error:
            return [str(error)]

    def isolation(self, engine: Engine, *, at: datetime) -> Isolation:
        """Slurm gives nodes, not networks."""
        return Isolation(
            is_proved=False, evidence="Slurm leaves all nodes of the cluster on one network"
        )

    def survey(self, engine: Engine, *, at: datetime) -> Sequence[Machine]:
        """Nodes serve by the name of a reservation, which names of targets begin with."""
        slurm = Slurm(engine)
        serving: dict[str, list[str]] = {}
        for row in slurm.rows("reservation"):
            for host in slurm.hosts(row.get("Nodes", "")):
                serving.setdefault(host, []).append(row["ReservationName"])
        return [
            Machine(
                hostname=row["NodeName"],
                serving=tuple(serving.get(row["NodeName"], ())),
                trouble=_words(row) if _states(row) & _SICK else "",
            )
            for row in slurm.rows("node")
        ]


def _look(target: Target) -> Sight:
    slurm = Slurm(Engine(target.options, target.secret))
    name, node = target.name.partition("-")[0], target.hostname or target.serial
    found = slurm.rows("node", node)
    if not found:
        raise DriverError(f"Slurm knows no node {node}", permanent=True)
    row = found[0]
    kept = next(iter(slurm.rows("reservation", name)), {})
    nodes = tuple(slurm.hosts(kept.get("Nodes", "")))
    whole = kept.get("NodeCnt") == str(len(nodes)) and kept.get("State") == "ACTIVE"
    gres = row.get("Gres", "").partition("(")[0]
    return Sight(
        slurm=slurm,
        name=name,
        node=node,
        states=frozenset(_states(row)),
        gpus=int(gres.rpartition(":")[2]) if gres.startswith("gpu:") else 0,
        reason=row.get("Reason", ""),
        exists=bool(kept),
        nodes=nodes,
        is_whole=whole,
        users=kept.get("Users", ""),
    )


def _states(row: Mapping[str, str]) -> set[str]:
    """`IDLE+CLOUD+RESERVED`, and a star where the node does not answer."""
    text = row.get("State", "")
    return {*text.replace("*", "").split("+"), *(["DOWN"] if text.startswith("DOWN") else [])}


def _words(row: Mapping[str, str]) -> str:
    return f"is {row.get('State', '')}: {row.get('Reason', 'no reason given')}"


def _trouble(sight: Sight, target: Target) -> str:
    """Why the node cannot serve; empty where it can."""
    if sick := sight.states & _SICK:
        return f"is {'+'.join(sorted(sick))}: {sight.reason or 'no reason given'}"
    if target.first_card or 0 < target.card_count < sight.gpus:
        return "is reserved whole or not at all: Slurm's reservations hold no slices"
    return ""


def _join(sight: Sight, target: Target) -> Progress:
    wanted = _wanted(sight, target)
    if set(sight.nodes) != set(wanted):
        sight.ask(*_update(sight), f"Nodes={','.join(wanted)}")
        return Progress(done=False, reference=sight.name, check_after_seconds=_SOON)
    return Progress(done=sight.is_whole, reference=sight.name, check_after_seconds=_SOON)


def _wanted(sight: Sight, target: Target) -> list[str]:
    return sorted({*target.peers, sight.node})


def _create(sight: Sight, target: Target) -> None:
    sight.ask(
        *("scontrol", "create", "reservation", f"ReservationName={sight.name}"),
        *("StartTime=now", f"Duration={DURATION}"),
        f"Nodes={','.join(_wanted(sight, target))}",
        # A new one takes no empty value; an update needs it to forget the other.
        *(word for word in _whose(sight, target) if not word.endswith("=")),
    )


def _leave(sight: Sight, target: Target) -> None:
    """First its jobs, then the node, then with the last node the reservation."""
    stay = sorted((set(sight.nodes) & set(target.peers)) - {sight.node})
    jobs = ["--reservation", sight.name, *(["--nodelist", sight.node] if stay else [])]
    if sight.slurm.read("squeue", "--noheader", "--format=%i", *jobs).strip():
        sight.ask("scancel", *jobs)
    elif stay:
        sight.ask(*_update(sight), f"Nodes={','.join(stay)}")
    else:
        sight.ask("scontrol", "delete", f"ReservationName={sight.name}")


def _update(sight: Sight) -> tuple[str, ...]:
    return ("scontrol", "update", f"ReservationName={sight.name}")


def _users(target: Target) -> list[str]:
    users = [str(each) for each in target.options.get("users", ())]
    if not users:
        raise DriverError("the pool's options name no users of the cluster", permanent=False)
    return users


def _has_accounts(target: Target) -> bool:
    return bool(target.options.get("accounting"))


def _whose(sight: Sight, target: Target) -> tuple[str, ...]:
    if _has_accounts(target):
        return (f"Accounts={sight.name}", "Users=")
    return (f"Users={','.join(_users(target))}", "Accounts=")


def _is_shut(sight: Sight, target: Target) -> bool:
    its_own = not _has_accounts(target) and _users(target) == [NOBODY]
    return sight.users == NOBODY and not its_own


def _account_exists(sight: Sight) -> bool:
    words = ("sacctmgr", "--noheader", "--parsable2", "show", "account", sight.name)
    return bool(sight.slurm.read(*words).strip())


def _accounted(sight: Sight, target: Target) -> bool:
    """Whether a write was needed so that the allocation has its account and users."""
    if not _has_accounts(target):
        return False
    cluster = [f"Cluster={target.options['cluster']}"] if "cluster" in target.options else []
    if not _account_exists(sight):
        words = ["Description=Cardhour", "Organization=cardhour", *cluster]
        sight.ask("sacctmgr", "--immediate", "add", "account", sight.name, *words)
        return True
    words = ["--noheader", "--parsable2", "show", "association", f"account={sight.name}"]
    known = sight.slurm.read("sacctmgr", *words, "format=user").split()
    for user in _users(target):
        if user not in known:
            words = [user, f"Account={sight.name}", *cluster]
            sight.ask("sacctmgr", "--immediate", "add", "user", *words)
            return True
    return False


def _missing(slurm: Slurm, engine: Engine) -> list[str]:
    """Asks for what a delivery will need, without touching anything."""
    found = []
    if not engine.options.get("users"):
        found.append("the options name no `users`: nobody could be let in")
    if not engine.options.get("login", {}).get("host"):
        found.append("the options name no `login` host: nobody would know where to go")
    settings = {}
    for line in slurm.read("scontrol", "show", "config").splitlines():
        name, _, value = line.partition("=")
        settings[name.strip()] = value.strip()
    if engine.options.get("accounting"):
        if settings.get("AccountingStorageType") != "accounting_storage/slurmdbd":
            found.append("`accounting` is asked for, and the cluster has no slurmdbd")
        elif "associations" not in settings.get("AccountingStorageEnforce", ""):
            found.append("AccountingStorageEnforce lacks `associations`: anybody may use accounts")
    if settings.get("Epilog", "(null)") in ("(null)", ""):
        found.append("the cluster has no Epilog: nothing wipes a node between customers")
    nodes = slurm.rows("node")
    if not nodes:
        found.append("Slurm shows no node (cloud nodes need PrivateData=cloud)")
    found += [f"node {n['NodeName']} {_words(n)}" for n in nodes if _states(n) & _SICK]
    return found
