"""Nodes, and slices of nodes, of a Kubernetes cluster."""

from inventory.drivers.kubernetes.driver import KubernetesDriver

__all__ = ["KubernetesDriver"]
