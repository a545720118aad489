import os
import pkgutil
import time

import pytest

from natdeploy.ground.errors import BadInput, ChildFailed
from natdeploy.ground.processes import ChildWorker, call_in_child


def test_result_and_environment() -> None:
    assert call_in_child(os.getenv, "NATDEPLOY_TEST", timeout_s=30, environment={"NATDEPLOY_TEST": "x"}) == "x"


def test_pinned_to_the_processors_asked_for() -> None:
    cpu = min(os.sched_getaffinity(0))
    assert call_in_child(os.sched_getaffinity, 0, timeout_s=30, cpus=[cpu]) == {cpu}


def test_a_child_does_not_find_what_it_shall_do_without() -> None:
    name = "colorsys:rgb_to_hls"
    with pytest.raises(ChildFailed, match="colorsys"):
        call_in_child(pkgutil.resolve_name, name, timeout_s=30, without=("decimal", "colorsys"))
    assert call_in_child(pkgutil.resolve_name, name, timeout_s=30) is pkgutil.resolve_name(name)


def test_a_crash_is_an_error_and_the_next_call_works() -> None:
    with ChildWorker("worker") as worker:
        with pytest.raises(ChildFailed, match="died by signal 6"):
            worker.call(os.abort, timeout_s=30)
        assert worker.call(os.getpid, timeout_s=30) != os.getpid()


def test_a_hang_is_an_error() -> None:
    started = time.monotonic()
    with ChildWorker("worker") as worker, pytest.raises(ChildFailed, match="no answer after"):
        worker.call(time.sleep, 60, timeout_s=0.5)
    assert time.monotonic() - started < 30


def raise_bad_input() -> None:
    raise BadInput("field 'x' is wrong")


def raise_zero_division() -> float:
    return 1 / 0


def test_own_errors_pass_through_and_others_are_named() -> None:
    with ChildWorker("worker") as worker:
        with pytest.raises(BadInput, match="field 'x' is wrong"):
            worker.call(raise_bad_input, timeout_s=30)
        with pytest.raises(ChildFailed, match="ZeroDivisionError"):
            worker.call(raise_zero_division, timeout_s=30)
