"""What an allocation is on a cluster: a namespace with a quota, a fence and one account."""

from __future__ import annotations

import json
from typing import Any

from inventory.drivers.base import Target

DOMAIN = "cardhour.io"
ACCOUNT = "customer"
QUOTA = "cards"
TOKEN = "customer-token"  # noqa: S105 - the name of a secret
FENCE = "only-this-namespace"

Manifest = dict[str, Any]


def namespace_of(target: Target) -> str:
    """After the allocation that began it, as Kubernetes spells names."""
    return target.name.partition("-")[0].replace("_", "-")


def allocation_of(namespace: str) -> str:
    return namespace.replace("-", "_")


def mark_of(target: Target) -> str:
    """The label of a node by which a target holds its cards, from the first on."""
    return f"{DOMAIN}/c{target.first_card}"


def holder_of(target: Target) -> str:
    """The value of that label: who, and how many cards."""
    return f"{namespace_of(target)}.{target.card_count}"


def member_of(target: Target) -> str:
    """The annotation of the namespace that says that the target is part of it."""
    return f"{DOMAIN}/{target.node.replace('_', '-')}-c{target.first_card}"


def namespace(target: Target, *, whole: bool) -> Manifest:
    """Its first member included. Whole nodes are its own: its pods run on no others, where the
    cluster has the admission plugin PodNodeSelector."""
    annotations = {member_of(target): str(target.card_count)}
    if whole:
        selector = f"{mark_of(target)}={holder_of(target)}"
        annotations["scheduler.alpha.kubernetes.io/node-selector"] = selector
    labels = {f"{DOMAIN}/allocation": namespace_of(target)}
    labels.update(target.options.get("namespace_labels", {}))
    name = namespace_of(target)
    return {"metadata": {"name": name, "labels": labels, "annotations": annotations}}


def quota(target: Target, cards: int) -> Manifest:
    """So many cards and no more, whatever node they are on."""
    resource = str(target.options.get("resource", "nvidia.com/gpu"))
    hard = {f"requests.{resource}": str(cards), **target.options.get("quota", {})}
    return {"metadata": {"name": QUOTA}, "spec": {"hard": hard}}


def fence() -> Manifest:
    """No traffic from other namespaces, where the cluster's network enforces policies."""
    return {
        "metadata": {"name": FENCE},
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [{"podSelector": {}}]}],
        },
    }


def account() -> Manifest:
    return {"metadata": {"name": ACCOUNT}}


def token() -> Manifest:
    """The cluster's controller writes the token into it; it dies with the namespace."""
    return {
        "metadata": {
            "name": TOKEN,
            "annotations": {"kubernetes.io/service-account.name": ACCOUNT},
        },
        "type": "kubernetes.io/service-account-token",
    }


def binding(target: Target) -> Manifest:
    """What lets the customer in: without it the token opens nothing."""
    return {
        "metadata": {"name": ACCOUNT},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": str(target.options.get("cluster_role", "edit")),
        },
        "subjects": [
            {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace_of(target)}
        ],
    }


def kubeconfig(target: Target, *, ca: str, token: str) -> str:
    """As JSON, which kubectl reads as well. `ca` is base64 of PEM."""
    server = str(target.options.get("public_endpoint") or target.options["endpoint"])
    name = namespace_of(target)
    context = {"cluster": "centre", "user": ACCOUNT, "namespace": name}
    authority = {"certificate-authority-data": ca} if ca else {}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": "centre", "cluster": {"server": server, **authority}}],
        "users": [{"name": ACCOUNT, "user": {"token": token}}],
        "contexts": [{"name": name, "context": context}],
    }
    return json.dumps(config, indent=1)
