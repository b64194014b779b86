"""localstripe on the loopback only: its own start binds every interface.

Run as a process of its own (`python -m tests.online.localstripe_server PORT`): it is GPL, and
nothing of ours imports it. What it cannot judge is said in `test_localstripe.py`.
"""

from __future__ import annotations

import importlib
import sys


def main(port: int) -> None:
    web = importlib.import_module("aiohttp.web")
    server = importlib.import_module("localstripe.server")
    # It writes one file in /tmp after each change, which is somebody else's or another run's.
    resources = importlib.import_module("localstripe.resources")
    resources.Store.dump_to_disk = lambda store: None
    web.run_app(server.app, host="127.0.0.1", port=port, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
