"""A server behind Redfish: Ironic, its BMC as OpenStack's own emulator, and us."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inventory.drivers.base import DriverError
from tests.drivers import processes
from tests.drivers.conftest import IronicBench
from tests.drivers.ironic_engine import Ironic, ironic

pytestmark = pytest.mark.slow
EMULATOR = """
SUSHY_EMULATOR_LISTEN_IP = "127.0.0.1"
SUSHY_EMULATOR_LISTEN_PORT = {port}
SUSHY_EMULATOR_FAKE_DRIVER = True
SUSHY_EMULATOR_STATE_DIR = "{home}"
SUSHY_EMULATOR_FAKE_SYSTEMS = [
    {{"uuid": "{system}", "name": "bmc", "power_state": "Off", "nics": []}}
]
"""


@contextlib.contextmanager
def files(folder: Path, port: int) -> Iterator[None]:
    """What Ironic puts there, for a BMC to load."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@contextlib.contextmanager
def a_server(home: Path) -> Iterator[tuple[Ironic, dict[str, Any]]]:
    """An Ironic, an image it can reach, and what it needs to know of one BMC."""
    system, port, state = str(uuid.uuid4()), processes.free_port(), home / "bmc"
    state.mkdir(parents=True)
    config = state / "emulator.conf"
    config.write_text(EMULATOR.format(port=port, home=state, system=system))
    emulator: list[str | Path] = [
        processes.packages() / "sushy-emulator",
        "--config",
        config,
        "--fake",
    ]
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.running(emulator, home / "bmc.log"))
        processes.eventually(lambda: processes.answers(port))
        engine = stack.enter_context(ironic(home / "ironic"))
        folder = home / "ironic" / "files"
        (folder / "boot.iso").write_bytes(os.urandom(64 * 1024))
        stack.enter_context(files(folder, engine.files))
        facts = {
            "driver": "redfish",
            "boot_interface": "redfish-virtual-media",
            "deploy_interface": "ramdisk",
            # It would need an agent on the machine, which wipes disks.
            "automated_clean": False,
            "driver_info": {
                "redfish_address": f"http://127.0.0.1:{port}",
                "redfish_system_id": f"/redfish/v1/Systems/{system}",
                "redfish_username": "x",
                "redfish_password": "x",
                "redfish_verify_ca": False,
            },
        }
        yield engine, facts


def test_a_deployment_by_virtual_media_that_fails_and_then_succeeds(tmp_path: Path) -> None:
    """An image that is not there is the real engine's real failure."""
    with a_server(tmp_path) as (engine, facts):
        (name,) = engine.enrol(**facts)
        bench = IronicBench(engine)
        image = f"http://127.0.0.1:{engine.files}/{{}}.iso"
        missing = {"instance_info": {"boot_iso": image.format("missing")}, "redeploys": 0}
        target = bench.target(hostname=name, options=missing)

        with pytest.raises(DriverError, match="deploy failed") as failed:
            bench.until_done(bench.driver.provision, target)
        assert failed.value.permanent
        bench.until_done(bench.driver.release, target)

        there = {"instance_info": {"boot_iso": image.format("boot")}}
        again = bench.target(hostname=name, node=target.node, options=there)
        bench.until_done(bench.driver.provision, again)
        node = engine.node(name)
        assert (node["provision_state"], node["power_state"]) == ("active", "power on")
        bench.until_done(bench.driver.shut, again)
        assert engine.node(name)["power_state"] == "power off"
        bench.until_done(bench.driver.open, again)
        bench.until_done(bench.driver.release, again)

        assert engine.node(name)["instance_uuid"] is None
