"""Workers, each a runtime in a pinned process of its own, and rounds in which every one of them takes a turn."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
#: Loading includes compiling, for torch.
_LOAD_LIMIT_S, _TURN_LIMIT_S = 900.0, 120.0
#: How long a turn takes, about; at least ``MIN_RUNS`` runs and one that is not counted.
TURN_MS, MIN_RUNS, MAX_RUNS = 40.0, 3, 15
#: Between turns, for threads that still spin.
_REST_S = 0.005


class Worker:
    """A process of ``compiled_worker.py``.

    Args:
        runtime: its name there.
        python: the interpreter of its environment.
        processors: what it is pinned to, one for each thread.

    Requests raise ChildFailed naming the runtime where it dies, hangs, fails or leaves its processors.
    """

    def __init__(self, runtime: str, python: Path, processors: Sequence[int]) -> None:
        from natdeploy.ground.files import cache_root

        threads = str(len(processors))
        self.name = runtime
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        environment = {
            **os.environ,
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads),
            "PYTHONPATH": str(CHECKOUT) if runtime == "natdeploy" else "",
            "TORCHINDUCTOR_CACHE_DIR": str(cache_root() / "peers" / "inductor"),
        }
        pinned = ",".join(map(str, processors))
        self._process = subprocess.Popen(
            [str(python), str(CHECKOUT / "benchmarks" / "compiled_worker.py"), runtime, threads, pinned],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            cwd=tempfile.gettempdir(),
        )

    def load(self, model: Path, image: Path, logits: Path) -> np.ndarray:
        """Load a model, run it on an image; its output, flat."""
        request = {"load": str(model), "image": str(image), "logits": str(logits)}
        if outside := self._ask(request, _LOAD_LIMIT_S)["outside"]:
            raise self._failure(f"its threads may run on processors {outside}, beyond those it was given")
        return np.asarray(np.load(logits), np.float32).reshape(-1)

    def turn(self, repeats: int) -> list[float]:
        """Milliseconds of so many runs in a row, after one more."""
        found: list[float] = self._ask({"warm_up": 1, "repeats": repeats}, _TURN_LIMIT_S)["ms"]
        return found

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: Mapping[str, Any], limit_s: float) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
        except OSError:
            raise self._failure("the process died") from None
        if not select.select([stdout], [], [], limit_s)[0]:
            raise self._failure(f"no answer after {limit_s:g} s")
        line = stdout.readline()
        if not line:
            raise self._failure("the process died")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, what: str) -> Exception:
        from natdeploy.ground.errors import ChildFailed

        self._log.seek(0)
        lines = [line for line in self._log.read().decode(errors="replace").splitlines() if line.strip()]
        said = f" (last line: {lines[-1].strip()[:200]})" if lines and "died" in what else ""
        leave_out = "" if self.name in ("natdeploy", "reference") else f"; leave it out with --without {self.name}"
        return ChildFailed(f"runtime {self.name}: {what}{said}{leave_out}")


def timed_rounds(workers: Sequence[Worker], rounds: int, rng: np.random.Generator) -> dict[str, list[float]]:
    """Median of each turn in milliseconds, by runtime; each round has every worker's turn, in random order."""
    repeats = {}
    for worker in workers:
        first = median(worker.turn(MIN_RUNS))
        repeats[worker.name] = int(np.clip(round(TURN_MS / first), MIN_RUNS, MAX_RUNS))
    turns: dict[str, list[float]] = {worker.name: [] for worker in workers}
    for _ in range(rounds):
        for place in rng.permutation(len(workers)):
            worker = workers[place]
            time.sleep(_REST_S)
            turns[worker.name].append(median(worker.turn(repeats[worker.name])))
    return turns


def drift(turns: Sequence[float]) -> float:
    """How far the reference kernel's turns lie apart: 5th to 95th percentile, as a share of the median."""
    low, middle, high = np.percentile(turns, [5, 50, 95])
    return float((high - low) / middle)
