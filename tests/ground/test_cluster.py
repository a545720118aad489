"""A Ray cluster of this machine: answers, errors, and workers that die in the middle of a task."""

import os
import signal
from pathlib import Path

import pytest

from natdeploy.ground.cluster import check_cluster, connected
from natdeploy.ground.errors import BadInput, BudgetNotMet

pytest.importorskip("ray")


def double(value: int) -> int:
    return 2 * value


def total(values: list[int], more: int) -> int:
    return sum(values) + more


def refuse(kind: str) -> None:
    if kind == "ours":
        raise BudgetNotMet("field 'x': too slow")
    raise ZeroDivisionError("a\nb")


def die_once(marker: str, value: int) -> int:
    """Killed outright the first time, in the middle of its work."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return value


@pytest.mark.slow
def test_a_cluster_of_this_machine(tmp_path: Path) -> None:
    with connected("local") as cluster:
        assert cluster is not None
        assert [task.result() for task in [cluster.submit(double, number) for number in range(5)]] == [0, 2, 4, 6, 8]
        shared = cluster.share([1, 2, 3])
        assert cluster.submit(total, shared, 4).result() == 10
        with pytest.raises(BudgetNotMet, match=r"^field 'x': too slow$"):
            cluster.submit(refuse, "ours").result()
        with pytest.raises(RuntimeError, match=r"^refuse: ZeroDivisionError: a b$"):
            cluster.submit(refuse, "theirs").result()
        tasks = [cluster.submit(die_once, str(tmp_path / f"{number}"), number) for number in range(3)]
        assert [task.result() for task in tasks] == [0, 1, 2]
        assert len(list(tmp_path.iterdir())) == 3
    with connected(None) as nothing:
        assert nothing is None


@pytest.mark.slow
def test_a_cluster_that_does_not_answer_is_refused_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_server_request_timeout_seconds", "1")
    with (
        pytest.raises(
            BadInput, match=r"--ray nonsense: no cluster answers .*expected local, auto or HOST:PORT"
        ) as error,
        connected("nonsense"),
    ):
        pass
    assert "\n" not in str(error.value)


def test_without_ray_its_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: object, **more: object) -> object:
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(BadInput, match=r"pip install 'natdeploy\[ray\]'"), connected("local"):
        pass
    with pytest.raises(BadInput, match=r"pip install 'natdeploy\[ray\]'"):
        check_cluster("local")
    check_cluster(None)
