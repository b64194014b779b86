"""Ironic's API: one method call is one request, answered or failed within seconds.

Built on keystoneauth1, the part of openstacksdk that signs requests. What the SDK puts on top
sleeps within a call (its retries of 409 alone may take half a minute) and polls at its own pace;
a driver's step may do neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

from keystoneauth1 import exceptions, http_basic, noauth, session
from keystoneauth1.identity import v3
from keystoneauth1.plugin import BaseAuthPlugin

from inventory.drivers.base import DriverError, Engine

# Without it the server speaks 1.1, which lacks most states. 1.61 (2020): allocations,
# configdrives as JSON, vendor data, retired nodes.
VERSION = "1.61"
# Of one request. A step makes at most three, and has to stay below STEP_LIMIT_SECONDS.
TIMEOUT_SECONDS = 4.5


# Options that say how requests are signed.
_SIGNING = (
    "auth",
    "username",
    "auth_url",
    "project_name",
    "user_domain_name",
    "project_domain_name",
    "application_credential_id",
    "ca_file",
)


class WrongState(Exception):
    """Ironic's 400: what was asked is not possible as the node is."""


class Client:
    """An Ironic, as a pool's options name it. Raises DriverError where it cannot be used."""

    def __init__(self, engine: Engine) -> None:
        options = engine.options
        # Ironic's own clock at its last answer; ages of its rows are taken by it.
        self.now: datetime | None = None
        self.endpoint = str(options.get("endpoint", "")).rstrip("/")
        if not self.endpoint:
            raise DriverError("the pool's options name no endpoint", permanent=False)
        facts = tuple((name, str(options[name])) for name in _SIGNING if options.get(name))
        self._session = _session(self.endpoint, facts, engine.secret)

    def get(self, path: str) -> dict[str, Any] | None:
        """What is there; None where nothing is."""
        return self._ask("GET", path)

    def list(self, path: str, of: str) -> Iterator[dict[str, Any]]:
        """Every row of a collection, page by page."""
        next_path: str | None = path
        while next_path:
            page = self.get(next_path) or {}
            yield from page.get(of, [])
            link = str(page.get("next") or "")
            next_path = link[link.index("/v1/") :] if "/v1/" in link else None

    def write(self, method: str, path: str, body: object = None) -> None:
        """Asks for a change. What is gone is changed already. Raises WrongState."""
        self._ask(method, path, body)

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any] | None:
        try:
            answer = self._session.request(
                self.endpoint + path,
                method,
                json=body,
                headers={"X-OpenStack-Ironic-API-Version": VERSION, "Accept": "application/json"},
                raise_exc=False,
                connect_retries=0,
                status_code_retries=0,
                redirect=False,
                timeout=TIMEOUT_SECONDS,
            )
        except exceptions.ClientException as error:
            raise DriverError(
                f"Ironic cannot be reached: {error}"[:400], permanent=False
            ) from error
        if "Date" in answer.headers:
            self.now = parsedate_to_datetime(answer.headers["Date"])
        status = answer.status_code
        if status == 404:
            return None
        if status == 400:
            raise WrongState(_reason(answer))
        if status == 401:
            raise DriverError("Ironic does not accept the credentials", permanent=False)
        if status == 409:
            raise DriverError(f"Ironic is busy with it: {_reason(answer)}", permanent=False)
        if not 200 <= status < 300:
            raise DriverError(f"Ironic answers {status}: {_reason(answer)}", permanent=False)
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DriverError("what answers is no Ironic", permanent=False)
        return found


def _reason(answer: Any) -> str:
    """The words of an error, which Ironic packs into JSON, now and then twice."""
    try:
        fault = answer.json()["error_message"]
    except (ValueError, KeyError, TypeError):
        return str(answer.text)[:300]
    if isinstance(fault, Mapping):
        fault = fault.get("faultstring", fault)
    return str(fault)[:300]


@lru_cache(maxsize=64)
def _session(endpoint: str, facts: tuple[tuple[str, str], ...], secret: str) -> session.Session:
    """Kept by a process, so that a Keystone token is fetched once and connections stay open."""
    options = dict(facts)
    return session.Session(
        auth=_auth(endpoint, options, secret), verify=options.get("ca_file") or True
    )


def _auth(endpoint: str, options: Mapping[str, str], secret: str) -> BaseAuthPlugin:
    kind = options.get("auth", "none")
    if kind == "none":
        return noauth.NoAuth(endpoint=endpoint)
    if kind == "http_basic":
        return http_basic.HTTPBasicAuth(
            endpoint=endpoint, username=options.get("username", ""), password=secret
        )
    if kind != "keystone" or "auth_url" not in options:
        raise DriverError("auth is none, http_basic, or keystone with auth_url", permanent=False)
    if application := options.get("application_credential_id"):
        return v3.ApplicationCredential(
            options["auth_url"],
            application_credential_id=application,
            application_credential_secret=secret,
        )
    return v3.Password(
        options["auth_url"],
        username=options.get("username", ""),
        password=secret,
        user_domain_name=options.get("user_domain_name", "Default"),
        project_name=options.get("project_name", ""),
        project_domain_name=options.get("project_domain_name", "Default"),
    )
