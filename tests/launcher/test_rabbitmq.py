"""Production's broker: a task outlives the worker that had begun it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import amqp
import pytest
from kombu.connection import Connection

from launcher.processes import free_port
from tests.engines import require
from tests.launcher.test_processes import eventually

ROOT = Path(__file__).parents[2]
QUEUE = "tests.redelivery"


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def child(command: list[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process and its group, gone at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
    finally:
        kill_9(process)


def kill_9(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    """A RabbitMQ of its own: loopback, own name, own cookie, own port mapper, own folder."""
    server = require("rabbitmq")
    port, distribution, mapper = free_port(), free_port(), free_port()
    (tmp_path / "plugins").write_text("[].\n")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"cardhour{os.getpid()}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(tmp_path / "data"),
        "RABBITMQ_LOG_BASE": str(tmp_path / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(tmp_path / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(tmp_path / "none"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }
    with (
        child(["epmd", "-port", str(mapper)], env, tmp_path / "epmd.log"),
        child([str(server)], env, tmp_path / "server.log"),
    ):
        if not eventually(lambda: listens(port), 180):
            pytest.fail((tmp_path / "server.log").read_text()[-3000:])
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


def publish(folder: Path, env: dict[str, str]) -> None:
    """From a process of its own, whose settings name this broker."""
    program = "import sys; from tests.launcher.redelivery import attempt as a; "
    command = [sys.executable, "-c", program + "a.delay(folder=sys.argv[1])", str(folder)]
    subprocess.run(command, cwd=ROOT, env=env, timeout=60, check=True)


@pytest.mark.rabbitmq
@pytest.mark.slow
def test_a_task_is_delivered_again_when_its_worker_is_killed(broker: str, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "hold").touch()
    env = {**os.environ, "CELERY_BROKER_URL": broker}
    worker = [sys.executable, "-m", "celery", "-A", "tests.launcher.redelivery:app", "worker"]
    worker += ["--concurrency", "1", "--queues", QUEUE, "--without-gossip", "--without-mingle"]

    publish(notes, env)
    with child(worker, env, tmp_path / "first.log") as first:
        assert eventually(lambda: list(notes.glob("started-*")), 60), (
            tmp_path / "first.log"
        ).read_text()
        kill_9(first)
    (begun,) = notes.glob("started-*")
    assert not list(notes.glob("finished-*"))
    (notes / "hold").unlink()
    with child(worker, env, tmp_path / "second.log"):
        assert eventually(lambda: list(notes.glob("finished-*")), 60), (
            tmp_path / "second.log"
        ).read_text()

    (finished,) = notes.glob("finished-*")
    assert finished.name.split("-")[1] != begun.name.split("-")[1]
    assert len(list(notes.glob("started-*"))) == 2


@pytest.mark.rabbitmq
@pytest.mark.slow
def test_queues_are_quorum_queues(broker: str, tmp_path: Path) -> None:
    env = {**os.environ, "CELERY_BROKER_URL": broker}
    publish = (
        f"from tests.launcher.redelivery import attempt as a; a.delay(folder={str(tmp_path)!r})"
    )
    subprocess.run([sys.executable, "-c", publish], cwd=ROOT, env=env, timeout=60, check=True)

    with Connection(broker) as connection, pytest.raises(amqp.PreconditionFailed) as refused:
        connection.channel().queue_declare(QUEUE, durable=True, auto_delete=False)

    assert "quorum" in str(refused.value)
