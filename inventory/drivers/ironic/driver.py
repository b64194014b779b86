"""The verbs of a driver on Ironic's state machine.

A pool's `driver_options`::

    {"endpoint": "https://ironic.example:6385", "auth": "none" | "http_basic" | "keystone",
     "username": …, "auth_url": …, "project_name": …, "application_credential_id": …,
     "ca_file": …, "instance_info": {"image_source": …, "image_checksum": …},
     "user": "root", "port": 22, "user_data": …, "network_data": …,
     "redeploys": 2, "poll_seconds": 5}

The password, or the application credential's secret, is the pool's engine secret. Ironic knows a
node by our hostname, else by our serial; `extra.address` of it says where the customer finds it.

Ironic's own allocation is the fence: with the chosen node as its only candidate it takes the
node or fails, atomically, and its name, which is the target's, exists once. Which node serves
when is decided by our calendar; Ironic knows only now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from inventory.drivers import ssh
from inventory.drivers.base import Access, DriverError, Engine, Isolation, Machine, Progress, Target
from inventory.drivers.ironic import configdrive
from inventory.drivers.ironic.client import Client, WrongState

DEPLOYING = ("deploying", "wait call-back", "deploy hold")
WIPING = ("deleting", "cleaning", "clean wait", "clean hold")
UNDEPLOYABLE = ("active", "deploy failed", "wait call-back", "deploy hold", "error", "rescue")
# Where a node got stuck after it was somebody's: it may hold data, and a person has to look.
STUCK = ("clean failed", "error")
FORGOTTEN = timedelta(minutes=1)
_FIELDS = (
    "uuid,name,provision_state,power_state,target_power_state,instance_uuid,instance_info,extra,"
    "resource_class,maintenance,maintenance_reason,retired,last_error"
)
_SURVEY = (
    "uuid,name,provision_state,instance_uuid,extra,properties,last_error,maintenance,"
    "maintenance_reason,retired"
)


@dataclass(frozen=True, slots=True)
class Sight:
    """A node and our fence as they were read at the beginning of a step."""

    client: Client
    node: dict[str, Any]
    fence: dict[str, Any] | None  # Ironic's allocation of the target's name

    @property
    def state(self) -> str:
        return str(self.node["provision_state"])

    @property
    def is_ours(self) -> bool:
        return self.fence is not None and self.node["instance_uuid"] == self.fence["uuid"]

    @property
    def path(self) -> str:
        return f"/v1/nodes/{self.node['uuid']}"

    def ask(self, method: str, path: str, body: object = None) -> None:
        """Ironic answers 400 also to what another worker has done since we read."""
        try:
            self.client.write(method, path, body)
        except WrongState as error:
            now = self.client.get(f"{self.path}?fields=provision_state") or {}
            raise DriverError(
                f"Ironic refuses: {error}", permanent=now.get("provision_state") == self.state
            ) from error

    def move(self, target: str, **more: object) -> None:
        self.ask("PUT", f"{self.path}/states/provision", {"target": target, **more})


class IronicDriver:
    """Bare metal: fenced, deployed with a configdrive, undeployed and cleaned by Ironic."""

    def provision(self, target: Target, *, at: datetime) -> Progress:
        """One of: power state made known, fence set, image named, deployment begun, looked at."""
        sight = look(target)
        if sight.fence is None:
            return _fence(sight, target)
        return _go_on(sight, target)

    def poll(self, target: Target, *, at: datetime) -> Progress:
        """A failed deployment is begun again, up to `redeploys` failed tries."""
        sight = look(target)
        if sight.fence is None:
            raise DriverError("Ironic does not know this machine", permanent=True)
        return _go_on(sight, target)

    def access(self, target: Target, *, at: datetime) -> Access:
        """The host key is the one that the configdrive brought."""
        sight = look(target)
        if sight.fence is None or not sight.is_ours or sight.state != "active":
            raise DriverError("the machine is not up", permanent=False)
        if sight.node["power_state"] == "power off":
            raise DriverError("the machine is shut", permanent=False)
        hostname = target.hostname or target.serial
        return Access(
            kind="ssh",
            hostname=hostname,
            address=str(sight.node["extra"].get("address") or hostname),
            port=int(target.options.get("port", 22)),
            user=str(target.options.get("user", "root")),
            secret="" if target.ssh_keys else configdrive.user_key(target),
            host_fingerprints=(ssh.fingerprint(sight.fence["extra"]["host_key"]),),
        )

    def shut(self, target: Target, *, at: datetime) -> Progress:
        """Switched off: Ironic cannot close a machine and leave it running. Its disks stay."""
        return _power(target, "power off", look(target))

    def open(self, target: Target, *, at: datetime) -> Progress:
        """Switched on."""
        return _power(target, "power on", look(target))

    def release(self, target: Target, *, at: datetime) -> Progress:
        """Undeployed; done when Ironic has cleaned the node and it belongs to nobody.

        A node that stuck in its cleaning is a permanent error until a person brought it back
        to `available`.
        """
        sight = look(target)
        if sight.fence is not None:
            return _take_down(sight, target)
        if sight.node["instance_uuid"]:  # somebody else's: it was cleaned before it became so
            return Progress(done=True)
        if sight.state in STUCK:
            raise DriverError(_why(sight), permanent=True)
        return Progress(done=sight.state not in WIPING, check_after_seconds=_pace(target))

    def check(self, engine: Engine, *, at: datetime) -> Sequence[str]:
        try:
            return _missing(Client(engine))
        except (DriverError, WrongState) as error:
            return [str(error)]

    def isolation(self, engine: Engine, *, at: datetime) -> Isolation:
        """By Neutron, which puts each deployed node on its customer's network, and no other way."""
        path = "/v1/nodes?fields=name,uuid,network_interface&limit=1000"
        nodes = list(Client(engine).list(path, "nodes"))
        loose = [n for n in nodes if n["network_interface"] != "neutron"]
        if not nodes or loose:
            kinds = ", ".join(sorted({str(n["network_interface"]) for n in loose})) or "no node"
            evidence = f"{len(loose)} of {len(nodes)} nodes stay on one network ({kinds})"
            return Isolation(is_proved=False, evidence=evidence)
        evidence = f"Neutron switches the ports of all {len(nodes)} nodes"
        return Isolation(is_proved=True, evidence=evidence)

    def survey(self, engine: Engine, *, at: datetime) -> Sequence[Machine]:
        client = Client(engine)
        names = {
            each["uuid"]: str(each["name"] or each["uuid"])
            for each in client.list("/v1/allocations?fields=uuid,name", "allocations")
        }
        path = f"/v1/nodes?fields={_SURVEY}&limit=1000"
        return [_machine(node, names) for node in client.list(path, "nodes")]


def look(target: Target) -> Sight:
    """The node and the fence, with two requests. A node that Ironic lacks is a permanent error."""
    client = Client(Engine(target.options, target.secret))
    name = target.hostname or target.serial
    node = client.get(f"/v1/nodes/{name}?fields={_FIELDS}")
    if node is None:
        raise DriverError(f"Ironic knows no node {name}", permanent=True)
    return Sight(client, node, client.get(f"/v1/allocations/{target.name}"))


def _fence(sight: Sight, target: Target) -> Progress:
    node = sight.node
    if node["instance_uuid"]:
        raise DriverError(f"{target.serial} serves {node['instance_uuid']}", permanent=False)
    if sight.state in WIPING:
        raise DriverError(f"{target.serial} is being wiped", permanent=False)
    if why := _unfit(node):
        raise DriverError(f"{target.serial} {why}", permanent=True)
    soon = Progress(done=False, check_after_seconds=min(1.0, _pace(target)))
    if node["power_state"] is None:  # an allocation passes over such a node without a word
        if node["target_power_state"] is None:
            sight.ask("PUT", f"{sight.path}/states/power", {"target": "power off"})
        return soon
    fence = {
        "name": target.name,
        "resource_class": node["resource_class"],
        "candidate_nodes": [node["uuid"]],
        "extra": {"allocation": target.allocation, "host_key": configdrive.host_key(target)},
    }
    sight.ask("POST", "/v1/allocations", fence)
    return soon


def _unfit(node: dict[str, Any]) -> str:
    """Why Ironic would not deploy on it, though nobody has it; empty where it would."""
    if node["maintenance"]:
        return f"is in maintenance: {node['maintenance_reason'] or 'no reason given'}"
    if node["retired"]:
        return "is retired"
    if node["provision_state"] != "available":
        return f"is {node['provision_state']}, not available: {node['last_error'] or 'no error'}"
    return "" if node["resource_class"] else "has no resource class"


def _go_on(sight: Sight, target: Target) -> Progress:
    """What is fenced goes towards `active` by one step."""
    assert sight.fence is not None
    begun = Progress(done=False, reference=sight.node["uuid"], check_after_seconds=_pace(target))
    if sight.fence["state"] == "error":
        # It stays until deleted, and keeps the name.
        sight.client.write("DELETE", f"/v1/allocations/{target.name}")
        raise DriverError(f"not allocated: {sight.fence['last_error']}", permanent=False)
    if not sight.is_ours:
        if _is_forgotten(sight):
            sight.client.write("DELETE", f"/v1/allocations/{target.name}")
            raise DriverError("Ironic forgot the allocation; begun again", permanent=False)
        return Progress(done=False, check_after_seconds=min(1.0, _pace(target)))
    if sight.state == "active":  # usable means switched on, too
        return _power(target, "power on", sight)
    if sight.state in DEPLOYING:
        return begun
    if sight.state in WIPING:
        raise DriverError(f"{target.serial} is being wiped", permanent=False)
    if sight.node["maintenance"] or sight.state not in ("available", "deploy failed"):
        raise DriverError(f"{target.serial} is {_why(sight)}", permanent=True)
    if sight.state == "available":
        return begun if _deploy(sight, target) else Progress(done=False, check_after_seconds=0.5)
    if target.attempt >= int(target.options.get("redeploys", 2)):
        raise DriverError(_why(sight), permanent=True)
    sight.move("active", configdrive=configdrive.build(target))
    raise DriverError(f"{_why(sight)}; begun again", permanent=False)


def _is_forgotten(sight: Sight) -> bool:
    """Allocating takes Ironic a second; one that its conductor lost stays so for ever."""
    assert sight.fence is not None
    if sight.fence["state"] != "allocating" or sight.client.now is None:
        return False
    age = sight.client.now - datetime.fromisoformat(sight.fence["created_at"])
    return age > FORGOTTEN


def _deploy(sight: Sight, target: Target) -> bool:
    """Begins the deployment once the node says of what; False where it had to be told first."""
    wanted = dict(target.options.get("instance_info", {}))
    known = sight.node["instance_info"]
    if missing := {name: value for name, value in wanted.items() if known.get(name) != value}:
        told = [
            {"op": "add", "path": f"/instance_info/{name}", "value": value}
            for name, value in missing.items()
        ]
        sight.ask("PATCH", sight.path, told)
        return False
    sight.move("active", configdrive=configdrive.build(target))
    return True


def _take_down(sight: Sight, target: Target) -> Progress:
    """What is ours, or was about to be, goes towards `available` by one step."""
    if sight.state in WIPING:
        return Progress(done=False, check_after_seconds=_pace(target))
    if not sight.is_ours or sight.state == "available":  # nothing was ever deployed
        sight.ask("DELETE", f"/v1/allocations/{target.name}")
        return Progress(done=False, check_after_seconds=min(1.0, _pace(target)))
    if sight.state == "clean failed":
        raise DriverError(_why(sight), permanent=True)
    if sight.state in UNDEPLOYABLE:
        sight.move("deleted")
    return Progress(done=False, check_after_seconds=_pace(target))


def _power(target: Target, wanted: str, sight: Sight) -> Progress:
    node = sight.node
    if not sight.is_ours or sight.state != "active" or node["power_state"] == wanted:
        return Progress(done=True, reference=node["uuid"])
    if node["target_power_state"] is None:
        sight.ask("PUT", f"{sight.path}/states/power", {"target": wanted})
    return Progress(done=False, reference=node["uuid"], check_after_seconds=_pace(target))


def _pace(target: Target) -> float:
    return float(target.options.get("poll_seconds", 5))


def _why(sight: Sight) -> str:
    """Ironic now and then leaves the reason to its log."""
    if sight.node["maintenance"] and not sight.node["last_error"]:
        return f"{sight.state}, {_unfit(sight.node).removeprefix('is ')}"
    return f"{sight.state}: {sight.node['last_error'] or 'its log knows why'}"


def _machine(node: dict[str, Any], names: dict[str, str]) -> Machine:
    extra, properties = node["extra"], node["properties"]
    instance = node["instance_uuid"]
    fit = node["provision_state"] in ("available", "active", *DEPLOYING)
    trouble = "" if fit else f"{node['provision_state']}: {node['last_error'] or 'no error'}"
    if node["maintenance"] or node["retired"]:
        word = "in maintenance" if node["maintenance"] else "retired"
        trouble = f"{word}: {node['maintenance_reason'] or 'no reason given'}"
    return Machine(
        hostname=str(node["name"] or node["uuid"]),
        serial=str(extra.get("serial") or properties.get("serial_number") or ""),
        rack=str(extra.get("rack", "")),
        leaf=str(extra.get("leaf", "")),
        serving=(names.get(instance, instance),) if instance else (),
        trouble=trouble,
    )


def _missing(client: Client) -> Sequence[str]:
    """Asks for what a delivery will need, without touching anything."""
    found = []
    root = client.get("/v1")
    if root is None or "nodes" not in root:
        return ["what answers at the endpoint is no Ironic"]
    nodes = list(client.list(f"/v1/nodes?fields={_SURVEY},resource_class&limit=1000", "nodes"))
    if client.get("/v1/allocations?fields=uuid") is None:
        found.append("this Ironic has no allocations: 13.0 (2019) or later is needed")
    conductors = list(client.list("/v1/conductors", "conductors"))
    if not any(each.get("alive") for each in conductors):
        found.append("no conductor is alive: nothing would be deployed")
    if not nodes:
        found.append("no node is enrolled")
    for node in nodes:
        name = node["name"] or node["uuid"]
        if not node["name"]:
            found.append(f"node {name} has no name: it is found by our hostname or serial")
        if not node["resource_class"]:
            found.append(f"node {name} has no resource class")
        if trouble := _machine(node, {}).trouble:
            found.append(f"node {name} is {trouble}")
    free = [n for n in nodes if n["provision_state"] == "available" and not n["maintenance"]]
    if free:
        result = client.get(f"/v1/nodes/{free[0]['uuid']}/validate") or {}
        for part in ("power", "management", "boot", "deploy"):
            verdict = result.get(part, {})
            if verdict.get("result") is False:
                found.append(f"node {free[0]['name']}, {part}: {verdict.get('reason')}")
    return found
