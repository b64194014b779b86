"""What a machine learns at its first boot: who may log in, and its own host key."""

from __future__ import annotations

import json
from typing import Any

from inventory.drivers import ssh
from inventory.drivers.base import Target


def host_key(target: Target) -> str:
    """The public half of the machine's host key: told to it, so that its customer knows it
    before the first connection."""
    return ssh.public_text(ssh.derived("ironic", target.name, "host"))


def user_key(target: Target) -> str:
    """The private key for a customer that brought none of its own."""
    return ssh.private_text(ssh.derived("ironic", target.name, "user"))


def build(target: Target) -> dict[str, Any]:
    """For Ironic's `configdrive`, in the form of OpenStack's metadata, which cloud-init reads.

    The centre's own `user_data` stands beside ours, which is vendor data: cloud-init merges
    both, and the centre's wins.
    """
    keys = list(target.ssh_keys) or [ssh.public_text(ssh.derived("ironic", target.name, "user"))]
    host = ssh.derived("ironic", target.name, "host")
    ours = {
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": ssh.private_text(host),
            "ed25519_public": ssh.public_text(host),
        },
    }
    drive: dict[str, Any] = {
        "meta_data": {
            "uuid": target.name,
            "name": target.hostname or target.serial,
            "hostname": target.hostname or target.serial,
            "public_keys": {str(number): key for number, key in enumerate(keys)},
            "meta": {"allocation": target.allocation},
        },
        # JSON is YAML.
        "vendor_data": {"cloud-init": "#cloud-config\n" + json.dumps(ours)},
    }
    if user_data := target.options.get("user_data"):
        drive["user_data"] = user_data
    if network := target.options.get("network_data"):
        drive["network_data"] = network
    return drive
