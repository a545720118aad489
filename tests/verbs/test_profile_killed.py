"""``profile`` of this machine, killed three times at random instants: every sample once, and the predictor of those."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import load_profile
from natdeploy.ground.files import cache_root
from natdeploy.latency import choose_networks, latency_model_path
from natdeploy.latency.profiling.plan import REPEATS
from natdeploy.measure import Measurement, MeasurementStore
from natdeploy.spaces import get_space
from tests.measure.phones import own_home

SPACE = get_space("mbv3-micro")
#: Batches of few networks are stored often, so that a kill finds the store half full.
PROGRAM = """
import dataclasses, json, sys
from natdeploy import verbs
from natdeploy.latency.profiling import profile
from natdeploy.measure import batch, protocol_for
asked = json.loads(sys.argv[1])
batch._NETWORKS, spread_ms = asked.pop("together"), asked.pop("spread_ms")
profile.protocol_for = lambda device: dataclasses.replace(protocol_for(device), spread_ms=spread_ms)
verbs.profile("host", **asked, progress=lambda stage, fraction: print(stage, flush=True))
"""


def start(asked: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", PROGRAM, asked]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def stored() -> list[Measurement]:
    with MeasurementStore() as store:
        return store.query()


@pytest.mark.parametrize(
    ("networks", "holdout", "runtimes", "together", "spread_ms", "longest_s"),
    [
        pytest.param(30, 5, ("onnxruntime",), 5, 400.0, 3.0, id="quick"),
        pytest.param(
            *(100, 20, ("onnxruntime", "tvm"), 40, 1500.0, 20.0),
            id="full",
            marks=[pytest.mark.slow, pytest.mark.timeout(7200)],
        ),
    ],
)
def test_no_sample_is_lost_or_taken_twice(
    networks: int,
    holdout: int,
    runtimes: tuple[str, ...],
    together: int,
    spread_ms: float,
    longest_s: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = cache_root()
    own_home(tmp_path / "home", monkeypatch)
    words = {"networks": networks, "holdout": holdout, "runtimes": runtimes}
    asked = json.dumps({**words, "together": together, "spread_ms": spread_ms})
    rng, kept = np.random.default_rng(), list[Measurement]()
    for _ in range(3):
        with start(asked) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it has something to do
            strike = time.monotonic() + float(rng.uniform(0, longest_s))
            while time.monotonic() < strike and len(stored()) <= len(kept) + together:  # it must not be done before
                time.sleep(0.02)
            assert process.poll() is None, "it was done before it could be killed"
            process.kill()
        found = stored()
        assert found[: len(kept)] == kept
        kept = found
    finished(asked)
    found = stored()
    assert found[: len(kept)] == kept
    train, judged = choose_networks(SPACE, networks, holdout, seed=0)
    roles = {"train": train, "holdout": judged, "repeat": judged[:REPEATS]}
    wanted = {(runtime, role, arch, 0) for runtime in runtimes for role, archs in roles.items() for arch in archs}
    wanted |= {(one.runtime, one.role, one.arch, 1) for one in found if one.occurrence == 0 and not one.trusted}
    kinds = [(one.runtime, one.role, one.arch, one.occurrence) for one in found]
    assert len(kinds) == len(wanted) and set(kinds) == wanted
    assert not list((tmp_path / "home" / "scratch").iterdir())
    host = load_profile("host")
    models = {runtime: latency_model_path(host, SPACE, runtime).read_bytes() for runtime in runtimes}

    monkeypatch.setenv("NATDEPLOY_HOME", str(shared))
    own_home(tmp_path / "undisturbed", monkeypatch)
    with MeasurementStore() as store:
        store.add_all([found[place] for place in rng.permutation(len(found))])
    finished(asked)
    assert len(stored()) == len(found)
    for runtime in runtimes:
        assert latency_model_path(host, SPACE, runtime).read_bytes() == models[runtime]


def finished(asked: str) -> None:
    with start(asked) as process:
        process.communicate(timeout=3000)
    assert process.returncode == 0
