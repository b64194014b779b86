"""The verbs of a driver on namespaces and quotas.

A pool's `driver_options`::

    {"endpoint": "https://10.0.0.1:6443", "ca_file": "/etc/cardhour/centre.pem",
     "public_endpoint": "https://k8s.centre.example", "resource": "nvidia.com/gpu",
     "cluster_role": "edit", "quota": {"pods": "200"}, "namespace_labels": {…}}

The secret is the bearer token of an account that may label nodes and make namespaces. Kubernetes
knows a node by our hostname, else by our serial.

One namespace serves an allocation. Its members are written into it one by one, each into an
annotation of its own, so that two workers never overwrite each other; the quota is their sum. A
label of the node says who has its cards: set against the version that was read, so that it is
taken once.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inventory.drivers.base import Access, DriverError, Engine, Isolation, Machine, Progress, Target
from inventory.drivers.kubernetes import manifests
from inventory.drivers.kubernetes.client import Cluster

_SOON = 1.0


@dataclass(frozen=True, slots=True)
class Sight:
    """A node and the namespace of its allocation as they were read in a step."""

    cluster: Cluster
    target: Target
    name: str  # of the namespace
    node: Any  # None where the cluster has no such node
    namespace: Any

    @property
    def has_node(self) -> bool:
        labels = self.node.metadata.labels or {} if self.node else {}
        return bool(labels.get(manifests.mark_of(self.target)) == manifests.holder_of(self.target))

    @property
    def members(self) -> dict[str, int]:
        """Cards by member."""
        found = self.namespace.metadata.annotations or {} if self.namespace else {}
        prefix = f"{manifests.DOMAIN}/nod-"
        return {key: int(cards) for key, cards in found.items() if key.startswith(prefix)}

    @property
    def is_member(self) -> bool:
        return manifests.member_of(self.target) in self.members

    @property
    def is_going(self) -> bool:
        return bool(self.namespace and self.namespace.metadata.deletion_timestamp)


class KubernetesDriver:
    """A namespace with as many cards as were sold, and one account that may use it."""

    def provision(self, target: Target, *, at: datetime) -> Progress:
        """One of: cards marked, namespace, membership, quota, fence, account, token, rights."""
        sight = _look(target)
        _refuse(sight)
        if sight.is_going:
            raise DriverError("the namespace is being removed", permanent=False)
        if not sight.has_node:
            _mark(sight, manifests.holder_of(target))
            return Progress(done=False, check_after_seconds=0.2)
        if sight.namespace is None:
            body = manifests.namespace(target, whole=_is_whole(sight))
            sight.cluster.write("create_namespace", body)
            return Progress(done=False, check_after_seconds=0.2)
        return _go_on(sight)

    def poll(self, target: Target, *, at: datetime) -> Progress:
        sight = _look(target)
        if sight.namespace is None or sight.is_going or not sight.has_node:
            raise DriverError("Kubernetes does not know this machine", permanent=True)
        return _go_on(sight)

    def access(self, target: Target, *, at: datetime) -> Access:
        """A kubeconfig; the same for all machines of the allocation."""
        sight = _look(target)
        secret = sight.cluster.read("read_namespaced_secret", manifests.TOKEN, sight.name)
        if not sight.is_member or secret is None or not (secret.data or {}).get("token"):
            raise DriverError("the namespace is not up", permanent=False)
        if not _binding(sight):
            raise DriverError("the namespace is shut", permanent=False)
        token = base64.b64decode(secret.data["token"]).decode()
        config = manifests.kubeconfig(target, ca=secret.data.get("ca.crt", ""), token=token)
        return Access(
            kind="kubeconfig",
            hostname=target.hostname or target.serial,
            address=str(target.options.get("public_endpoint") or target.options["endpoint"]),
            port=443,
            user=manifests.ACCOUNT,
            secret=config,
        )

    def shut(self, target: Target, *, at: datetime) -> Progress:
        """The account may nothing; pods go on."""
        sight = _look(target)
        if sight.namespace is None or not _binding(sight):
            return Progress(done=True, reference=sight.name)
        sight.cluster.write("delete_namespaced_role_binding", manifests.ACCOUNT, sight.name)
        return Progress(done=False, reference=sight.name, check_after_seconds=0.2)

    def open(self, target: Target, *, at: datetime) -> Progress:
        sight = _look(target)
        if sight.namespace is None or sight.is_going or _binding(sight):
            return Progress(done=True, reference=sight.name)
        _bind(sight)
        return Progress(done=False, reference=sight.name, check_after_seconds=0.2)

    def release(self, target: Target, *, at: datetime) -> Progress:
        """Out of the namespace, which goes with its last member; then the cards are free.

        The rights go first, at once; the namespace is waited for. Without the cluster's
        controllers it never goes, and the caller's deadline ends the wait in a quarantine.
        """
        sight = _look(target)
        if sight.namespace is not None and (sight.is_member or not sight.members):
            _leave(sight)
            return Progress(done=False, check_after_seconds=_SOON)
        if sight.namespace is not None and _pods(sight):
            return Progress(done=False, check_after_seconds=_SOON)
        if sight.has_node:
            _mark(sight, None)
            return Progress(done=False, check_after_seconds=0.2)
        if sight.node is None:
            raise DriverError(f"Kubernetes knows no node {_node_of(target)}", permanent=True)
        return Progress(done=True)

    def check(self, engine: Engine, *, at: datetime) -> Sequence[str]:
        try:
            return _missing(Cluster(engine), engine)
        except DriverError as error:
            return [str(error)]

    def isolation(self, engine: Engine, *, at: datetime) -> Isolation:
        """Each namespace has its policy; whether the network heeds it, no API server knows."""
        words = "each namespace lets in its own pods only, if the cluster's network plugin enforces"
        return Isolation(is_proved=False, evidence=f"{words} policies, which only a probe shows")

    def survey(self, engine: Engine, *, at: datetime) -> Sequence[Machine]:
        """Nodes serve by the allocation, which names of targets begin with."""
        nodes = Cluster(engine).read("list_node")
        return [_machine(node) for node in nodes.items]


def _node_of(target: Target) -> str:
    return target.hostname or target.serial


def _look(target: Target) -> Sight:
    cluster = Cluster(Engine(target.options, target.secret))
    name = manifests.namespace_of(target)
    return Sight(
        cluster=cluster,
        target=target,
        name=name,
        node=cluster.read("read_node", _node_of(target)),
        namespace=cluster.read("read_namespace", name),
    )


def _refuse(sight: Sight) -> None:
    """Raises DriverError where the node cannot serve, or serves others with these cards."""
    target, node = sight.target, sight.node
    if node is None:
        raise DriverError(f"Kubernetes knows no node {_node_of(target)}", permanent=True)
    if trouble := _trouble(node):
        raise DriverError(f"{_node_of(target)} {trouble}", permanent=True)
    if target.card_count > (capacity := _capacity(sight)):
        raise DriverError(f"{_node_of(target)} has {capacity} cards only", permanent=True)
    for first, count, holder in _holders(node):
        overlaps = first < target.first_card + target.card_count and target.first_card < (
            first + count
        )
        if overlaps and holder != sight.name:
            raise DriverError(f"{_node_of(target)} serves {holder}", permanent=False)


def _trouble(node: Any) -> str:
    if node.spec.unschedulable:
        return "is cordoned"
    ready = [each for each in node.status.conditions or () if each.type == "Ready"]
    if not ready or ready[0].status != "True":
        return f"is not ready: {ready[0].message if ready else 'it never reported'}"
    return ""


def _holders(node: Any) -> list[tuple[int, int, str]]:
    """First card, number of cards and namespace of everybody on the node."""
    prefix = f"{manifests.DOMAIN}/c"
    found = []
    for key, value in (node.metadata.labels or {}).items():
        holder, _, count = value.rpartition(".")
        first = key.removeprefix(prefix)
        if key.startswith(prefix) and first.isdigit() and count.isdigit():
            found.append((int(first), int(count), holder))
    return sorted(found)


def _capacity(sight: Sight) -> int:
    resource = str(sight.target.options.get("resource", "nvidia.com/gpu"))
    return int((sight.node.status.allocatable or {}).get(resource, 0))


def _is_whole(sight: Sight) -> bool:
    return sight.target.card_count == _capacity(sight)


def _mark(sight: Sight, value: str | None) -> None:
    """Against the version that was read: somebody else's mark in between is a conflict."""
    version = sight.node.metadata.resource_version
    labels = {manifests.mark_of(sight.target): value}
    body = {"metadata": {"resourceVersion": version, "labels": labels}}
    sight.cluster.write("patch_node", _node_of(sight.target), body)


def _go_on(sight: Sight) -> Progress:
    """The namespace is completed by one step; done when the cluster enforces its quota and has
    made the token."""
    soon = Progress(done=False, reference=sight.name, check_after_seconds=0.2)
    cluster, name, target = sight.cluster, sight.name, sight.target
    if not sight.is_member:
        member = {manifests.member_of(target): str(target.card_count)}
        cluster.write("patch_namespace", name, {"metadata": {"annotations": member}})
        return soon
    if _settle_quota(sight):
        return soon
    for kind, body in (
        ("network_policy", manifests.fence()),
        ("service_account", manifests.account()),
        ("secret", manifests.token()),
        ("role_binding", manifests.binding(target)),
    ):
        found = cluster.read(f"read_namespaced_{kind}", body["metadata"]["name"], name)
        if found is None:
            cluster.write(f"create_namespaced_{kind}", name, body)
            return soon
        if kind == "secret" and not (found.data or {}).get("token"):
            return soon
    return Progress(done=True, reference=name)


def _settle_quota(sight: Sight) -> bool:
    """Whether the quota is not yet enforced as the sum of the members; written if it differs."""
    wanted = manifests.quota(sight.target, sum(sight.members.values()))
    hard = wanted["spec"]["hard"]
    found = sight.cluster.read("read_namespaced_resource_quota", manifests.QUOTA, sight.name)
    if found is None:
        sight.cluster.write("create_namespaced_resource_quota", sight.name, wanted)
    elif found.spec.hard != hard:
        words = (manifests.QUOTA, sight.name, {"spec": {"hard": hard}})
        sight.cluster.write("patch_namespaced_resource_quota", *words)
    elif (found.status.hard or {}) == hard:
        return False
    return True


def _binding(sight: Sight) -> bool:
    words = ("read_namespaced_role_binding", manifests.ACCOUNT, sight.name)
    return sight.cluster.read(*words) is not None


def _bind(sight: Sight) -> None:
    body = manifests.binding(sight.target)
    sight.cluster.write("create_namespaced_role_binding", sight.name, body)


def _leave(sight: Sight) -> None:
    """One write towards a namespace without this member."""
    cluster, name = sight.cluster, sight.name
    if sight.is_going:
        return
    others = {key for key in sight.members if key != manifests.member_of(sight.target)}
    if others:
        if _pods(sight):
            node = f"spec.nodeName={_node_of(sight.target)}"
            cluster.write("delete_collection_namespaced_pod", name, field_selector=node)
            return
        gone = {manifests.member_of(sight.target): None}
        cluster.write("patch_namespace", name, {"metadata": {"annotations": gone}})
    elif _binding(sight):
        cluster.write("delete_namespaced_role_binding", manifests.ACCOUNT, name)
    else:
        cluster.write("delete_namespace", name)


def _pods(sight: Sight) -> bool:
    """Whether pods of the namespace are left on the node."""
    node = f"spec.nodeName={_node_of(sight.target)}"
    found = sight.cluster.read("list_namespaced_pod", sight.name, field_selector=node, limit=1)
    return bool(found and found.items)


def _machine(node: Any) -> Machine:
    labels = node.metadata.labels or {}
    holders = sorted({holder for _, _, holder in _holders(node)})
    return Machine(
        hostname=str(node.metadata.name),
        rack=str(labels.get("topology.kubernetes.io/rack", "")),
        leaf=str(labels.get("topology.kubernetes.io/leaf", "")),
        serving=tuple(manifests.allocation_of(holder) for holder in holders),
        trouble=_trouble(node),
    )


def _missing(cluster: Cluster, engine: Engine) -> list[str]:
    """Asks for what a delivery will need, without touching anything."""
    found = []
    version = cluster.read("get_code")
    if version is None:
        return ["what answers at the endpoint is no Kubernetes"]
    role = str(engine.options.get("cluster_role", "edit"))
    row = cluster.read("read_cluster_role", role)
    if row is None:
        found.append(f"the cluster has no ClusterRole {role}")
    elif not row.rules:
        found.append(f"ClusterRole {role} is empty: the controllers do not run")
    resource = str(engine.options.get("resource", "nvidia.com/gpu"))
    nodes = cluster.read("list_node").items
    if not nodes:
        found.append("the cluster has no nodes")
    for node in nodes:
        if resource not in (node.status.allocatable or {}):
            found.append(f"node {node.metadata.name} offers no {resource}")
        if trouble := _trouble(node):
            found.append(f"node {node.metadata.name} {trouble}")
    return found
