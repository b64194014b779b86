"""What every driver promises, on every engine: the reconcile loop relies on nothing else."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from inventory.drivers.base import DriverError, Surveyable, Target
from tests.drivers.benches import Bench, engine_of

pytestmark = pytest.mark.django_db
OURS = ("fake", "manual")  # engines that are tables of ours


def serving(bench: Bench, target) -> list[str]:
    """Names that the engine itself says are on the target's machine; nothing where it cannot."""
    assert isinstance(bench.driver, Surveyable)
    machines = bench.driver.survey(engine_of(target), at=bench.at)
    (found,) = [each for each in machines if each.hostname == target.hostname]
    return list(found.serving)


def test_provides_the_machine_once_however_often_it_is_asked(bench: Bench) -> None:
    target = bench.target()

    first = bench.until_done(bench.driver.provision, target)
    again = bench.driver.provision(target, at=bench.at)
    polled = bench.driver.poll(target, at=bench.at)

    assert first.reference
    assert again.done
    assert polled.done
    assert {again.reference, polled.reference} == {first.reference}
    if isinstance(bench.driver, Surveyable):
        (name,) = serving(bench, target)
        assert target.name.startswith(name)


def test_the_name_on_the_engine_begins_with_the_allocation(bench: Bench) -> None:
    target = bench.target()

    bench.until_done(bench.driver.provision, target)

    if isinstance(bench.driver, Surveyable):
        assert [name.split("-")[0] for name in serving(bench, target)] == [target.allocation]
    else:
        assert target.name in bench.driver.poll(target, at=bench.at).reference


def test_a_machine_is_refused_to_another_until_it_is_wiped(bench: Bench) -> None:
    target = bench.target()
    other = bench.target(node=target.node, serial=target.serial, hostname=target.hostname)
    bench.until_done(bench.driver.provision, target)

    with pytest.raises(DriverError) as refused:
        bench.driver.provision(other, at=bench.at)

    assert not refused.value.permanent
    bench.until_done(bench.driver.release, target)
    assert bench.until_done(bench.driver.provision, other).done


def test_of_two_that_want_one_machine_at_once_one_gets_it(bench: Bench) -> None:
    if bench.name in OURS:
        pytest.skip("its lock is our database's; tests/races tries those")
    one = bench.target()
    two = bench.target(node=one.node, serial=one.serial, hostname=one.hostname)
    begin, over = threading.Barrier(2), threading.Event()

    def gets_it(target: Target) -> bool:
        begin.wait()
        while not over.is_set():
            with contextlib.suppress(DriverError):
                if bench.driver.provision(target, at=bench.at).done:
                    over.set()
                    return True
            time.sleep(0.02)
        return False

    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(gets_it, (one, two)))

    assert sorted(got) == [False, True]
    winner, loser = (one, two) if got[0] else (two, one)
    (name,) = serving(bench, winner)
    assert winner.name.startswith(name)
    assert bench.until_done(bench.driver.release, loser).done
    assert bench.driver.poll(winner, at=bench.at).done


def test_what_the_engine_will_never_give_is_a_permanent_error(bench: Bench) -> None:
    target = bench.unfit()

    with pytest.raises(DriverError) as refused:
        bench.until_done(bench.driver.provision, target)

    assert refused.value.permanent


def test_the_poll_of_a_name_nobody_began_is_a_permanent_error(bench: Bench) -> None:
    target = bench.target()

    with pytest.raises(DriverError) as refused:
        bench.driver.poll(target, at=bench.at)

    assert refused.value.permanent


def test_the_release_of_a_name_nobody_began_is_done(bench: Bench) -> None:
    target = bench.target()

    assert bench.driver.release(target, at=bench.at).done


def test_a_release_is_repeated_without_harm_to_whoever_comes_next(bench: Bench) -> None:
    target = bench.target()
    other = bench.target(node=target.node, serial=target.serial, hostname=target.hostname)
    bench.until_done(bench.driver.provision, target)
    bench.until_done(bench.driver.release, target)

    assert bench.driver.release(target, at=bench.at).done
    bench.until_done(bench.driver.provision, other)
    assert bench.driver.release(target, at=bench.at).done

    assert bench.driver.poll(other, at=bench.at).done


def test_a_machine_that_was_only_begun_is_released(bench: Bench) -> None:
    target = bench.target()
    bench.driver.provision(target, at=bench.at)

    assert bench.until_done(bench.driver.release, target).done

    with pytest.raises(DriverError) as gone:
        bench.driver.poll(target, at=bench.at)
    assert gone.value.permanent


def test_an_engine_that_does_not_answer_is_asked_again_later(bench: Bench) -> None:
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    gone = bench.unreachable(target)

    for verb in ("provision", "poll", "shut", "open", "release"):
        with pytest.raises(DriverError) as lost:
            getattr(bench.driver, verb)(gone, at=bench.at)
        assert not lost.value.permanent, verb

    assert bench.driver.poll(target, at=bench.at).done


def test_a_lost_answer_changes_nothing_in_the_end(bench: Bench) -> None:
    """The engine has done what it was asked; we do not know, and ask again."""
    target = bench.target()

    with bench.losing_answers() as lost:
        bench.until_done(bench.driver.provision, target)
        begun = len(lost)
        access = bench.driver.access(target, at=bench.at)
        bench.until_done(bench.driver.shut, target)
        bench.until_done(bench.driver.open, target)
        assert bench.driver.access(target, at=bench.at) == access
        bench.until_done(bench.driver.release, target)

    if bench.name not in OURS:  # whose steps are transactions of our own database
        assert begun >= 1
        assert len(lost) > begun
    assert bench.driver.release(target, at=bench.at).done


def test_access_is_the_same_every_time_and_closed_while_shut(bench: Bench) -> None:
    target = bench.target()
    bench.until_done(bench.driver.provision, target)
    access = bench.driver.access(target, at=bench.at)

    assert bench.driver.access(target, at=bench.at) == access
    bench.until_done(bench.driver.shut, target)
    assert bench.driver.shut(target, at=bench.at).done
    with pytest.raises(DriverError) as closed:
        bench.driver.access(target, at=bench.at)
    bench.until_done(bench.driver.open, target)

    assert not closed.value.permanent
    assert bench.driver.access(target, at=bench.at) == access


def test_a_customer_without_a_key_gets_a_secret_that_only_it_has(bench: Bench) -> None:
    target, other = bench.target(ssh_keys=()), bench.target(ssh_keys=())
    for each in (target, other):
        bench.until_done(bench.driver.provision, each)

    secrets = {bench.driver.access(each, at=bench.at).secret for each in (target, other)}

    assert len(secrets) == 2
    assert "" not in secrets


def test_isolation_is_what_the_engine_can_show_and_no_promise(bench: Bench) -> None:
    if not isinstance(bench.driver, Surveyable):
        pytest.skip("an engine that cannot be asked proves nothing")

    seen = bench.driver.isolation(engine_of(bench.target()), at=bench.at)

    assert not seen.is_proved  # none of the engines here has a network of its own
    assert seen.evidence


def test_no_secret_of_the_engine_is_shown_with_a_target(bench: Bench) -> None:
    target = replace(bench.target(), secret="do not show")

    assert "do not show" not in repr(target)
