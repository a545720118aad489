"""How far timings of this machine repeat: what the reference network and the visits in turn are good for.

    python benchmarks/timing_protocol.py [--json] [--seed S] [--quick] [--runtime onnxruntime|tvm]

Random subnets of one image size are profiled several times over, each time in a new process with the reference network
built and loaded anew, and all against one baseline, as in a user's own store: first on the machine as it is, then
beside a program that computes and reads memory all the time on another processor (on the timed one, where there is only
one; the environment says so).

``repeatability_corrected``: for each network the median absolute deviation of its latencies from their median, as a
share of it; the median over networks. ``repeatability_raw``: the same of plain medians of all samples.
``rank_correlation``: Spearman's, of two profilings; the lowest of all pairs. ``..._loaded``: beside the other program.
``corrected_disagreement`` and ``raw_disagreement`` are stricter: what two profilings differ by, median over networks
and pairs. ``visits``: how many each network got, the median; more only as long as the interval of its median is wider
than the protocol asks for. ``--quick`` profiles smaller subnets twice; the whole takes five to ten minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
NETWORKS, ROUNDS = 24, 4
QUICK_NETWORKS, QUICK_ROUNDS = 20, 2
SPACE, RESOLUTION = "ofa-mbv3-w1.0", 192
QUICK_SPACE, QUICK_RESOLUTION = "mbv3-micro", 32

#: Computes, and streams through more memory than caches hold, until its parent kills it or is gone.
_LOAD = """
import os, sys
import numpy as np
os.sched_setaffinity(0, {int(sys.argv[1])})
parent, small, large = os.getppid(), np.ones((256, 256), np.float32), np.ones(1 << 24, np.float32)
print("loaded", flush=True)
while os.getppid() == parent:
    for _ in range(20):
        small @ small
    large += 1
"""


def figures_of(corrected: np.ndarray, raw: np.ndarray, suffix: str = "") -> dict[str, float]:
    """Figures of repeated profilings.

    Args:
        corrected, raw: latencies in ms, float64 ``[profilings, networks]``: as the protocol gives them, and plain
            medians of their samples.
        suffix: of the figures' names.
    """
    ranks = [_spearman(one, other) for one, other in combinations(corrected, 2)]
    return {
        f"repeatability_corrected{suffix}": _deviation(corrected),
        f"repeatability_raw{suffix}": _deviation(raw),
        f"corrected_disagreement{suffix}": _disagreement(corrected),
        f"raw_disagreement{suffix}": _disagreement(raw),
        f"rank_correlation{suffix}": min(ranks),
    }


def _deviation(latencies: np.ndarray) -> float:
    middle = np.median(latencies, axis=0)
    return float(np.median(np.median(np.abs(latencies - middle), axis=0) / middle))


def _disagreement(latencies: np.ndarray) -> float:
    pairs = [2 * np.abs(one - other) / (one + other) for one, other in combinations(latencies, 2)]
    return float(np.median(pairs))


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)


def profile_repeatedly(
    space: str, resolution: int, networks: int, rounds: int, runtime: str, seed: int
) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Time the same random networks ``rounds`` times; corrected and raw latencies, and figures of how that went."""
    from natdeploy.devices import load_profile
    from natdeploy.measure import MeasurementStore, time_archs

    profile, archs = load_profile("host"), random_archs(space, resolution, networks, seed)
    corrected, raw, visits, untrusted = [], [], list[int](), 0
    with tempfile.TemporaryDirectory(prefix="timing_protocol.") as folder:
        for number in range(rounds):
            tell(f"profiling {number + 1} of {rounds}")
            with MeasurementStore(Path(folder) / "store.sqlite") as store:  # one baseline, as a user's own store has
                found = time_archs(archs, space=space, profile=profile, runtime=runtime, store=store, occurrence=number)
            corrected.append([one.latency_ms for one in found])
            raw.append([one.raw_median_ms for one in found])
            visits += [len(one.visits) for one in found]
            untrusted += sum(not one.trusted for one in found)
    return np.array(corrected), np.array(raw), {"untrusted": untrusted, "visits": float(np.median(visits))}


def random_archs(space: str, resolution: int, networks: int, seed: int) -> list[Any]:
    """Distinct random architectures of one image size."""
    from natdeploy.spaces import get_space

    found, rng = get_space(space), np.random.default_rng(seed)
    archs: dict[Any, None] = {}
    while len(archs) < networks:
        genome = found.encode(found.sample(rng)).copy()
        genome[0] = found.resolutions.index(resolution)  # type: ignore[attr-defined]
        archs[found.decode(genome)] = None
    return list(archs)


@contextlib.contextmanager
def background_load(processor: int) -> Iterator[None]:
    """A busy program on a processor, until the end of the block."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _LOAD, str(processor)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()


def load_processor(allowed: Sequence[int], timed: Sequence[int]) -> int:
    """The processor for the load: another one than those that time, if there is one."""
    others = [one for one in allowed if one not in timed]
    return others[-1] if others else timed[-1]


def measure(*, seed: int, quick: bool, runtime: str) -> dict[str, Any]:
    """Profile without and with load."""
    from benchmarks.environment import environment
    from natdeploy.devices import load_profile, timing_processors
    from natdeploy.ground.processes import allowed_processors

    profile = load_profile("host")
    timed = timing_processors(profile, profile.timing.threads)
    busy = load_processor(allowed_processors(), timed)
    space, resolution = (QUICK_SPACE, QUICK_RESOLUTION) if quick else (SPACE, RESOLUTION)
    networks, rounds = (QUICK_NETWORKS, QUICK_ROUNDS) if quick else (NETWORKS, ROUNDS)
    asked = (space, resolution, networks, rounds, runtime, seed)
    about = environment(seed=seed, quick=quick)  # its load average is that before the load
    *latencies, course = profile_repeatedly(*asked)
    with background_load(busy):
        tell(f"processor {busy} is kept busy")
        *loaded, course_loaded = profile_repeatedly(*asked)
    return {
        "benchmark": "timing_protocol",
        "figures": {
            **figures_of(*latencies),
            **figures_of(*loaded, suffix="_loaded"),
            "networks": networks,
            "profilings": rounds,
            **course,
            **{f"{name}_loaded": value for name, value in course_loaded.items()},
        },
        "environment": {
            **about,
            "data": f"random subnets of {space} at {resolution} pixels",
            "runtime": runtime,
            "timed_processors": list(timed),
            "load_processor": busy,
        },
    }


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import print_found

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runtime", choices=("onnxruntime", "tvm"), default="onnxruntime")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="small subnets, twice, in less than a minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    options = parser.parse_args()
    print_found(measure(seed=options.seed, quick=options.quick, runtime=options.runtime), as_json=options.json)


if __name__ == "__main__":
    main()
