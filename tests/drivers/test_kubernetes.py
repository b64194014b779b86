"""What a real API server lets a customer do, and what is left of it after a lease."""

from __future__ import annotations

import json
import urllib.error
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from inventory.drivers.base import DriverError, Target
from tests.drivers.benches import engine_of

if TYPE_CHECKING:
    from tests.drivers.kubernetes_bench import KubernetesBench

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def bench(kubernetes_bench: KubernetesBench) -> KubernetesBench:
    return kubernetes_bench


def pod(name: str, cards: int) -> dict[str, object]:
    limits = {"nvidia.com/gpu": str(cards)}
    container = {"name": "x", "image": "x", "resources": {"limits": limits, "requests": limits}}
    return {"metadata": {"name": name}, "spec": {"containers": [container]}}


def token_of(bench: KubernetesBench, target: Target) -> str:
    config = json.loads(bench.driver.access(target, at=bench.at).secret)
    return str(config["users"][0]["user"]["token"])


def namespace_of(target: Target) -> str:
    return target.allocation.replace("_", "-")


def test_the_customer_gets_its_cards_and_not_one_more(bench: KubernetesBench) -> None:
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    token, path = token_of(bench, target), f"/api/v1/namespaces/{namespace_of(target)}/pods"

    made = bench.engine.ask("POST", path, pod("six", 6), token=token)
    with pytest.raises(urllib.error.HTTPError) as over:
        bench.engine.ask("POST", path, pod("four", 4), token=token)
    bench.engine.ask("POST", path, pod("two", 2), token=token)

    assert over.value.code == 403
    assert b"exceeded quota" in over.value.read()
    assert made["spec"]["nodeSelector"] == {"cardhour.io/c0": f"{namespace_of(target)}.8"}


def test_the_customer_reaches_no_other_namespace_and_not_its_own_quota(
    bench: KubernetesBench,
) -> None:
    mine, other = bench.target(), bench.target()
    for each in (mine, other):
        bench.until_done(bench.driver.provision, each)
    token = token_of(bench, mine)

    for method, path in (
        ("GET", f"/api/v1/namespaces/{namespace_of(other)}/pods"),
        ("GET", "/api/v1/nodes"),
        ("DELETE", f"/api/v1/namespaces/{namespace_of(mine)}/resourcequotas/cards"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            bench.engine.ask(method, path, token=token)
        assert refused.value.code == 403, path


def test_the_quota_of_an_allocation_is_the_sum_of_its_machines(bench: KubernetesBench) -> None:
    first = bench.target()
    second = bench.target(allocation=first.allocation)
    path = f"/api/v1/namespaces/{namespace_of(first)}/resourcequotas/cards"
    for each in (first, second):
        bench.until_done(bench.driver.provision, each)
    both = bench.engine.ask("GET", path)["spec"]["hard"]

    bench.until_done(bench.driver.release, second)
    bench.until_done(bench.driver.poll, first)

    assert both == {"requests.nvidia.com/gpu": "16"}
    assert bench.engine.ask("GET", path)["spec"]["hard"] == {"requests.nvidia.com/gpu": "8"}


def test_slices_of_one_node_serve_several_and_never_overlap(bench: KubernetesBench) -> None:
    one = bench.target(card_count=4)
    same_node = {"hostname": one.hostname, "node": one.node, "card_count": 4}
    two = bench.target(first_card=4, **same_node)
    clash = bench.target(first_card=2, **same_node)

    for each in (one, two):
        bench.until_done(bench.driver.provision, each)
    with pytest.raises(DriverError, match="serves alc-") as taken:
        bench.driver.provision(clash, at=bench.at)

    assert not taken.value.permanent
    (machine,) = [
        each
        for each in bench.driver.survey(engine_of(one), at=bench.at)
        if each.hostname == one.hostname
    ]
    assert set(machine.serving) == {one.allocation, two.allocation}


def test_nothing_is_left_of_a_lease(bench: KubernetesBench) -> None:
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    token = token_of(bench, target)
    path = f"/api/v1/namespaces/{namespace_of(target)}"

    bench.until_done(bench.driver.release, target)

    with pytest.raises(urllib.error.HTTPError) as gone:
        bench.engine.ask("GET", path)
    assert gone.value.code == 404
    with pytest.raises(urllib.error.HTTPError) as closed:
        bench.engine.ask("GET", path, token=token)
    assert closed.value.code == 401
    node = bench.engine.ask("GET", f"/api/v1/nodes/{target.hostname}")
    assert not [key for key in node["metadata"]["labels"] if key.startswith("cardhour.io/")]


def test_a_wrong_token_is_no_fault_of_the_node(bench: KubernetesBench) -> None:
    target = replace(bench.target(), secret="wrong")

    with pytest.raises(DriverError, match="401") as refused:
        bench.driver.provision(target, at=bench.at)

    assert not refused.value.permanent


def test_says_in_plain_words_what_is_missing(bench: KubernetesBench) -> None:
    target = bench.target(options={"cluster_role": "tenant", "resource": "huawei.com/Ascend910"})

    words = bench.driver.check(engine_of(target), at=bench.at)

    assert words[0] == "the cluster has no ClusterRole tenant"
    assert f"node {target.hostname} offers no huawei.com/Ascend910" in words
