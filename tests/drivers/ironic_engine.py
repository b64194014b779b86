"""A real Ironic, all in one process, with nodes of its hardware type for tests."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.drivers import processes

CONFIG = """
[DEFAULT]
auth_strategy = {auth}
http_basic_auth_user_file = {home}/htpasswd
rpc_transport = none
# Constant, so that a restarted one knows its own locks.
host = cardhour-test
my_ip = 127.0.0.1
state_path = {home}
enabled_hardware_types = fake-hardware,redfish
enabled_bios_interfaces = fake,no-bios
enabled_boot_interfaces = fake,redfish-virtual-media
enabled_console_interfaces = fake,no-console
enabled_deploy_interfaces = fake,ramdisk
enabled_firmware_interfaces = fake,no-firmware
enabled_inspect_interfaces = fake,no-inspect
enabled_management_interfaces = fake,redfish
enabled_network_interfaces = noop
enabled_power_interfaces = fake,redfish
enabled_raid_interfaces = fake,no-raid
enabled_rescue_interfaces = fake,no-rescue
enabled_storage_interfaces = noop
enabled_vendor_interfaces = fake,no-vendor
default_network_interface = noop
[api]
host_ip = 127.0.0.1
port = {port}
api_workers = 1
[database]
connection = sqlite:///{home}/ironic.sqlite
[conductor]
automated_clean = true
[dhcp]
dhcp_provider = none
[deploy]
http_url = http://127.0.0.1:{files}
http_root = {home}/files
[redfish]
connection_attempts = 1
connection_retry_interval = 1
[fake]
deploy_delay = {delay}
[oslo_messaging_notifications]
driver = noop
"""
# Of the password "right"; Ironic takes bcrypt only.
HTPASSWD = "admin:$2b$04$uRJKf3bJDQwaNDui35r7k.V/p1iZ5PfyrQoHfCpdue5K92bsZWxzi\n"


class Ironic:
    """Its address, its nodes, and its life."""

    def __init__(self, home: Path, *, auth: str = "noauth", delay: float = 0) -> None:
        self.home, self.port, self.files = home, processes.free_port(), processes.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (home / "files").mkdir(parents=True)
        self.config = home / "ironic.conf"
        self.config.write_text(
            CONFIG.format(auth=auth, home=home, port=self.port, files=self.files, delay=delay)
        )
        (home / "htpasswd").write_text(HTPASSWD)
        self.programs = processes.packages()
        self._numbers = itertools.count(1)
        self._process: contextlib.ExitStack | None = None
        # The schema takes seconds to make: it is made once and copied.
        template = processes.HOME / "ironic.sqlite"
        if not template.exists():
            self._manage("ironic-dbsync", "create_schema")
            made = template.with_suffix(f".{self.port}")
            shutil.copy(home / "ironic.sqlite", made)
            made.rename(template)
        else:
            shutil.copy(template, home / "ironic.sqlite")

    def _manage(self, program: str, *words: str) -> None:
        command: list[str | Path] = [self.programs / program, "--config-file", self.config, *words]
        subprocess.run(command, check=True, capture_output=True)

    def start(self) -> None:
        assert self._process is None
        self._process = contextlib.ExitStack()
        command: list[str | Path] = [self.programs / "ironic", "--config-file", self.config]
        self._process.enter_context(processes.running(command, self.home / "ironic.log"))
        processes.eventually(self._is_ready)

    def kill(self) -> None:
        """As a lost host would: nothing is said goodbye to."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _is_ready(self) -> bool:
        if not processes.answers(self.port):
            return False
        try:
            rows = self.ask("GET", "/v1/conductors")["conductors"]
        except urllib.error.HTTPError as answer:
            return answer.code == 401
        except OSError:
            return False
        return any(row["alive"] for row in rows)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "X-OpenStack-Ironic-API-Version": "1.82",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def node(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/v1/nodes/{name}")
        return found

    def move(self, name: str, verb: str, state: str, **more: object) -> None:
        """A person's hand on the engine: the node is in that state, and nobody works on it."""
        self.ask("PUT", f"/v1/nodes/{name}/states/provision", {"target": verb, **more})
        self.settle(name, state)

    def settle(self, name: str, state: str) -> None:
        def is_there() -> bool:
            node = self.node(name)
            return node["provision_state"] == state and node["reservation"] is None

        processes.eventually(is_there)

    def settle_state(self, name: str, state: str) -> None:
        """The node is in that state, whoever works on it."""
        processes.eventually(lambda: self.node(name)["provision_state"] == state)

    def enrol(self, count: int = 1, *, powered: bool = True, **facts: Any) -> list[str]:
        """New nodes that are available; returns their names."""
        names = [f"gpu-{next(self._numbers):04d}" for _ in range(count)]
        for name in names:
            number = name.removeprefix("gpu-")
            node = {
                "name": name,
                "driver": "fake-hardware",
                "resource_class": "b200x8",
                "extra": {"serial": f"SN-{number}", "rack": "A01", "leaf": "leaf-1"},
                **facts,
            }
            self.ask("POST", "/v1/nodes", node)
            self.ask("PUT", f"/v1/nodes/{name}/states/provision", {"target": "manage"})
        for name in names:
            self.settle(name, "manageable")
            self.ask("PUT", f"/v1/nodes/{name}/states/provision", {"target": "provide"})
        for name in names:
            self.settle(name, "available")
            if powered:
                self.ask("PUT", f"/v1/nodes/{name}/states/power", {"target": "power off"})
        if powered:
            processes.eventually(
                lambda: all(self.node(name)["power_state"] == "power off" for name in names)
            )
            for name in names:
                self.settle(name, "available")
        return names


@contextlib.contextmanager
def ironic(home: Path, **facts: Any) -> Iterator[Ironic]:
    engine = Ironic(home, **facts)
    engine.start()
    try:
        yield engine
    finally:
        engine.kill()
