"""A real API server with its controllers and etcd; nodes without kubelets."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import itertools
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.drivers import processes

HOME = processes.HOME / "kubernetes"
TOKEN = "marketplace-token"
CONTROLLERS = (
    "namespace,resourcequota,serviceaccount,serviceaccount-token,root-ca-cert-publisher,"
    "garbagecollector,clusterrole-aggregation"
)


class Kubernetes:
    """Its address and a hand on it, as its administrator."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, processes.free_port()
        self.etcd_port, peer = processes.free_port(), processes.free_port()
        self.url, self.ca = f"https://127.0.0.1:{self.port}", home / "ca.pem"
        _certificate(home)
        (home / "tokens.csv").write_text(f"{TOKEN},cardhour,1,system:masters\n")
        etcd = f"http://127.0.0.1:{self.etcd_port}"
        self.etcd: list[str | Path] = ["etcd", f"--data-dir={home}/etcd", "--unsafe-no-fsync"]
        self.etcd += [f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}"]
        self.etcd += [f"--listen-peer-urls=http://127.0.0.1:{peer}"]
        self.api: list[str | Path] = [HOME / "kube-apiserver", f"--etcd-servers={etcd}"]
        self.api += [f"--secure-port={self.port}", "--bind-address=127.0.0.1"]
        self.api += [f"--tls-cert-file={self.ca}", f"--tls-private-key-file={home}/key.pem"]
        self.api += [f"--token-auth-file={home}/tokens.csv", "--authorization-mode=RBAC"]
        self.api += ["--service-account-issuer=https://cardhour.test"]
        self.api += [f"--service-account-key-file={home}/key.pem"]
        self.api += [f"--service-account-signing-key-file={home}/key.pem"]
        self.api += [f"--cert-dir={home}", "--service-cluster-ip-range=10.96.0.0/16"]
        self.api += [
            "--endpoint-reconciler-type=none",
            "--enable-admission-plugins=PodNodeSelector",
        ]
        admin = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [
                {
                    "name": "x",
                    "cluster": {"server": self.url, "certificate-authority": str(self.ca)},
                }
            ],
            "users": [{"name": "x", "user": {"token": TOKEN}}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }
        (home / "admin.json").write_text(json.dumps(admin))
        self.manager: list[str | Path] = [HOME / "kube-controller-manager", "--leader-elect=false"]
        self.manager += [f"--kubeconfig={home}/admin.json", f"--controllers={CONTROLLERS}"]
        self.manager += [f"--service-account-private-key-file={home}/key.pem"]
        self.manager += [f"--root-ca-file={self.ca}", f"--cert-dir={home}"]
        self.manager += [f"--secure-port={processes.free_port()}", "--port=0"]
        self.manager += ["--use-service-account-credentials=false"]
        self._names = (f"gpu-{number:04d}" for number in itertools.count(1))

    def ask(self, method: str, path: str, body: object = None, token: str = TOKEN) -> Any:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": kind},
        )
        context = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return json.loads(answer.read())

    def is_ready(self) -> bool:
        """Also its controllers: the role `edit` is put together by one of them."""
        with contextlib.suppress(OSError, ValueError):
            role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/edit"
            return bool(self.ask("GET", role)["rules"])
        return False

    def fresh(self, cards: int = 8) -> str:
        """A node that no test has had, ready as a kubelet would say."""
        name = next(self._names)
        node = {"metadata": {"name": name, "labels": {"topology.kubernetes.io/rack": "A01"}}}
        self.ask("POST", "/api/v1/nodes", node)
        size = {"nvidia.com/gpu": str(cards), "cpu": "128"}
        conditions = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
        status = {"capacity": size, "allocatable": size, "conditions": conditions}
        self.ask("PATCH", f"/api/v1/nodes/{name}/status", {"status": status})
        return name

    def cordon(self, name: str) -> None:
        self.ask("PATCH", f"/api/v1/nodes/{name}", {"spec": {"unschedulable": True}})


def _certificate(home: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cardhour-test")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    (home / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (home / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )


@contextlib.contextmanager
def kubernetes(home: Path) -> Iterator[Kubernetes]:
    if not (HOME / "kube-controller-manager").exists():
        pytest.skip("there is no Kubernetes here: bash tests/drivers/kubernetes.sh builds it")
    engine = Kubernetes(home)
    with contextlib.ExitStack() as stack:
        stack.enter_context(processes.running(engine.etcd, home / "etcd.log"))
        processes.eventually(lambda: processes.answers(engine.etcd_port))
        stack.enter_context(processes.running(engine.api, home / "api.log"))
        processes.eventually(lambda: processes.answers(engine.port))
        stack.enter_context(processes.running(engine.manager, home / "manager.log"))
        processes.eventually(engine.is_ready, seconds=120, every=0.3)
        yield engine
