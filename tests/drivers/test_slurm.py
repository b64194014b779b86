"""What a real Slurm does with reservations, and what the driver makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inventory import identifiers
from inventory.drivers.base import DriverError, Target
from tests.drivers import processes
from tests.drivers.benches import engine_of
from tests.drivers.conftest import SlurmBench
from tests.drivers.slurm_engine import Cluster, cluster


@pytest.fixture
def bench(slurm_engine: Cluster) -> SlurmBench:
    return SlurmBench(slurm_engine)


def together(bench: SlurmBench, count: int) -> list[Target]:
    """Machines of one allocation, each of which knows of the others."""
    allocation = identifiers.new("alc")
    targets = [bench.target(allocation=allocation) for _ in range(count)]
    peers = tuple(each.hostname for each in targets)
    return [replace(each, peers=peers) for each in targets]


def reserved(bench: SlurmBench, target: Target) -> str:
    return bench.engine.ask("scontrol", "-o", "show", "reservation", target.allocation)


def test_the_machines_of_an_allocation_share_one_reservation(bench: SlurmBench) -> None:
    targets = together(bench, 64)

    bench.driver.provision(targets[5], at=bench.at)
    for each in targets:
        assert bench.driver.provision(each, at=bench.at).done

    assert "NodeCnt=64 " in reserved(bench, targets[0])
    assert "Users=daemon " in reserved(bench, targets[0])


def test_a_machine_leaves_and_another_joins(bench: SlurmBench) -> None:
    targets = together(bench, 3)
    for each in targets:
        bench.until_done(bench.driver.provision, each)
    new = bench.target(allocation=targets[0].allocation)
    peers = (targets[0].hostname, targets[1].hostname, new.hostname)

    bench.until_done(bench.driver.provision, replace(new, peers=peers))
    bench.until_done(bench.driver.release, replace(targets[2], peers=peers))

    machines = bench.driver.survey(engine_of(new), at=bench.at)
    serving = {each.hostname for each in machines if each.serving == (new.allocation,)}
    assert serving == set(peers)


def test_a_list_that_came_late_is_put_right_by_whoever_misses_itself(bench: SlurmBench) -> None:
    targets = together(bench, 2)
    for each in targets:
        bench.until_done(bench.driver.provision, each)
    stale = replace(targets[0], peers=(targets[0].hostname,))

    bench.driver.provision(stale, at=bench.at)
    assert "NodeCnt=1 " in reserved(bench, stale)

    assert bench.until_done(bench.driver.poll, targets[1]).done
    assert "NodeCnt=2 " in reserved(bench, stale)


def test_the_last_machine_takes_the_reservation_with_it(bench: SlurmBench) -> None:
    targets = together(bench, 2)
    for each in targets:
        bench.until_done(bench.driver.provision, each)

    # At the end of an allocation nobody is to stay.
    for each in targets:
        bench.until_done(bench.driver.release, replace(each, peers=()))

    assert reserved(bench, targets[0]).endswith("not found\n")


def test_a_slice_is_refused(bench: SlurmBench) -> None:
    with pytest.raises(DriverError, match="no slices") as refused:
        bench.driver.provision(bench.target(card_count=4), at=bench.at)

    assert refused.value.permanent


def test_a_drained_node_is_not_clean_until_it_is_resumed(bench: SlurmBench) -> None:
    """Slurm drains a node whose Epilog failed: that is the centre's wipe."""
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    bench.engine.drain(target.hostname, "epilog failed")

    with pytest.raises(DriverError, match=r"DRAIN.*epilog") as stuck:
        bench.until_done(bench.driver.release, target)

    assert stuck.value.permanent
    assert reserved(bench, target).endswith("not found\n")
    bench.engine.resume(target.hostname)
    assert bench.until_done(bench.driver.release, target).done


def test_jobs_run_in_the_reservation_only_and_end_with_it(bench: SlurmBench) -> None:
    """On two real slurmd."""
    allocation = identifiers.new("alc")
    targets = [
        replace(
            bench.target(hostname=name, allocation=allocation, options={"users": ["root"]}),
            peers=("r1", "r2"),
        )
        for name in ("r1", "r2")
    ]
    for each in targets:
        bench.until_done(bench.driver.provision, each)
    words = bench.driver.access(targets[0], at=bench.at).secret.split()
    job = ["--wrap=sleep 300", "--output=/dev/null", "--chdir=/", "--nodes=2"]
    outside = bench.engine.ask("sbatch", "--parsable", *job, "--nodelist=r1,r2").strip()
    inside = bench.engine.ask("sbatch", "--parsable", *job, *words).strip()

    def state(number: str) -> str:
        return bench.engine.ask("squeue", "-h", "-o", "%T", "-j", number).strip()

    processes.eventually(lambda: state(inside) == "RUNNING")
    assert state(outside) == "PENDING"

    for each in targets:
        bench.until_done(bench.driver.release, replace(each, peers=()))

    assert state(inside) in ("", "CANCELLED")
    bench.engine.ask("scancel", outside)
    processes.eventually(lambda: not bench.engine.ask("squeue", "-h"))


def test_a_controller_that_died_is_asked_again_and_remembers(bench: SlurmBench) -> None:
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    # Slurm keeps its reservations a few seconds later than it grants them.
    kept = bench.engine.home / "state" / "resv_state"
    processes.eventually(lambda: target.allocation.encode() in kept.read_bytes())

    bench.engine.kill()
    try:
        with pytest.raises(DriverError, match="cannot be reached") as away:
            bench.driver.poll(target, at=bench.at)
    finally:
        bench.engine.start()

    assert not away.value.permanent
    assert bench.until_done(bench.driver.poll, target).done


def test_a_node_that_slurm_does_not_know_is_given_up(bench: SlurmBench) -> None:
    with pytest.raises(DriverError, match="knows no node nowhere") as refused:
        bench.driver.provision(bench.target(hostname="nowhere"), at=bench.at)

    assert refused.value.permanent


@pytest.mark.slow
def test_with_accounting_an_allocation_is_an_account_of_its_own(tmp_path: Path) -> None:
    with cluster(tmp_path, with_accounts=True) as engine:
        bench = SlurmBench(engine)
        target = bench.target(options={"accounting": True, "cluster": "cardhour"})

        with bench.losing_answers() as lost:
            bench.until_done(bench.driver.provision, target)
        words = ["sacctmgr", "-nP", "show", "association", f"account={target.allocation}"]
        known = engine.ask(*words, "format=account,user").split()
        held = reserved(bench, target)
        secret = bench.driver.access(target, at=bench.at).secret
        bench.until_done(bench.driver.shut, target)
        shut = reserved(bench, target)
        bench.until_done(bench.driver.open, target)
        opened = reserved(bench, target)
        bench.until_done(bench.driver.release, target)

        assert len(lost) == 3  # account, user, reservation
        assert known == [f"{target.allocation}|", f"{target.allocation}|daemon"]
        assert f"Accounts={target.allocation} " in held
        assert secret == f"--reservation={target.allocation} --account={target.allocation}"
        assert "Users=root " in shut
        assert f"Accounts={target.allocation} " not in shut
        assert f"Accounts={target.allocation} " in opened
        assert engine.ask(*words) == ""
        assert "`accounting` is asked" not in str(
            bench.driver.check(engine_of(target), at=bench.at)
        )


def test_says_in_plain_words_what_is_missing(bench: SlurmBench) -> None:
    target = bench.target(options={"users": [], "login": {}, "accounting": True})

    words = bench.driver.check(engine_of(target), at=bench.at)

    assert [word for word in words if not word.startswith("node ")] == [
        "the options name no `users`: nobody could be let in",
        "the options name no `login` host: nobody would know where to go",
        "`accounting` is asked for, and the cluster has no slurmdbd",
        "the cluster has no Epilog: nothing wipes a node between customers",
    ]
