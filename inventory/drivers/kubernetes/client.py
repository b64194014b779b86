"""The official client, one request at a time: no retries of its own, seconds to answer."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from kubernetes import client as kube
from urllib3.exceptions import HTTPError

from inventory.drivers.base import DriverError, Engine

# Of one request; a step reads at most seven objects and writes one.
TIMEOUT_SECONDS = 1.8


class Cluster:
    """The API server that a pool's options name. Raises DriverError where it cannot be used."""

    def __init__(self, engine: Engine) -> None:
        endpoint = str(engine.options.get("endpoint", ""))
        if not endpoint:
            raise DriverError("the pool's options name no endpoint", permanent=False)
        self._apis = _apis(endpoint, str(engine.options.get("ca_file", "")), engine.secret)

    def read(self, verb: str, *words: Any, **more: Any) -> Any:
        """The object; None where there is none."""
        return self._ask(verb, words, more)

    def write(self, verb: str, *words: Any, **more: Any) -> None:
        """Asks for a change. What is gone is changed already; what exists is made already."""
        self._ask(verb, words, more)

    def _ask(self, verb: str, words: tuple[Any, ...], more: dict[str, Any]) -> Any:
        (call,) = [getattr(api, verb) for api in self._apis if hasattr(api, verb)]
        try:
            return call(*words, **more, _request_timeout=TIMEOUT_SECONDS)
        except kube.ApiException as error:
            if error.status == 404 or (error.status == 409 and verb.startswith("create")):
                return None
            said = f"Kubernetes answers {error.status}: {str(error.body or error.reason)[:300]}"
            raise DriverError(said, permanent=error.status in (400, 422)) from error
        except HTTPError as error:
            said = f"Kubernetes cannot be reached: {error}"[:400]
            raise DriverError(said, permanent=False) from error


@lru_cache(maxsize=64)
def _apis(endpoint: str, ca_file: str, token: str) -> tuple[Any, ...]:
    """Kept by a process, so that connections stay open."""
    configuration = kube.Configuration(host=endpoint)
    configuration.ssl_ca_cert = ca_file or None
    configuration.retries = False
    configuration.api_key = {"authorization": f"Bearer {token}"}
    one = kube.ApiClient(configuration)
    kinds = (kube.CoreV1Api, kube.RbacAuthorizationV1Api, kube.NetworkingV1Api, kube.VersionApi)
    return tuple(kind(one) for kind in kinds)
