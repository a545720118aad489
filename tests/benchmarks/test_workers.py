"""Parts of a benchmark side by side: what they return, what they raise, and that none outlives the benchmark."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from benchmarks.workers import side_by_side

CHECKOUT = Path(__file__).parents[2]
PARENT = """
import sys
from functools import partial
from benchmarks.workers import side_by_side
from tests.benchmarks.test_workers import say_who_and_wait

if __name__ == "__main__":
    list(side_by_side({0: partial(say_who_and_wait, sys.argv[1])}, 1))
"""


def say_who_and_wait(path: str) -> None:
    Path(path + ".part").write_text(str(os.getpid()))
    os.replace(path + ".part", path)
    time.sleep(600)


def test_every_part_is_done_under_its_name() -> None:
    assert dict(side_by_side({"a": partial(int, "7"), "b": partial(os.getenv, "OMP_NUM_THREADS")}, 1)) == {
        "a": 7,
        "b": "1",
    }
    assert not list(side_by_side({}, 3))


def test_what_a_part_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(side_by_side({0: partial(int, "seven")}, 1))


def test_parts_end_with_the_benchmark_even_if_it_is_killed(tmp_path: Path) -> None:
    script, said = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    parent = subprocess.Popen([sys.executable, str(script), str(said)], env=environment)
    _until(said.exists)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: not Path(f"/proc/{said.read_text()}/cmdline").exists() or _is_zombie(said.read_text()))


def _is_zombie(pid: str) -> bool:
    """Ended, but whoever adopted it has not asked yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def _until(holds) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
