"""``profile`` of a phone from beginning to end: the stand-in for adb, timed by a test-only clock."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from natdeploy import verbs
from natdeploy.compiler import tuning_of
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import candidate_schedules
from natdeploy.devices import device_fingerprint, load_profile
from natdeploy.ground.errors import TimingNotPossible
from natdeploy.latency import choose_networks, find_latency_model, fit_latency_model
from natdeploy.measure import MeasurementStore, protocol_for
from natdeploy.measure.builds import runtime_toolchain
from natdeploy.spaces import get_space
from tests.compiler.records import tuned
from tests.devices.boards import AARCH64, executable
from tests.devices.phones import Phone, make_phone, wait_until
from tests.measure.phones import PROFILE, QUICK, own_home, use_stand_in
from tests.measure.samples import made_up

SPACE = get_space("mbv3-micro")
NETWORKS, HOLDOUT = 46, 6
#: Networks are stood in for by one small executable, which an emulator starts soon; the clock goes by their own layers.
PROGRAM = """
import json, shutil, sys
from pathlib import Path
from natdeploy import verbs
from natdeploy.compiler import Artifact
from natdeploy.latency.profiling import profile
from natdeploy.measure import batch, builds
from tests.measure.phones import QUICK, clock

def build(self, network, folder):
    folder.mkdir(parents=True)
    path = Path(shutil.copy2({path!r}, folder / "model_run"))
    calls = [{{"macs": layer.macs}} for layer in network.layers]
    (folder / "plan.json").write_text(json.dumps({{"calls": calls}}))
    return Artifact("executable", path, {digest!r}, (1, 3, 8, 8), (1, 5), {{}})

builds.ArtifactBuilder._built = build
builds.ArtifactBuilder.prepare = lambda self, archs, progress=None: None
profile.protocol_for = lambda device: QUICK
batch._NETWORKS = 8
verbs.profile(sys.argv[1], networks={networks}, holdout={holdout}, test_only_clock=clock())
"""


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Phone:
    own_home(tmp_path / "home", monkeypatch)
    return make_phone(use_stand_in(tmp_path / "phones", monkeypatch), "R58M123")


@pytest.fixture
def device(tmp_path: Path) -> str:
    (tmp_path / "stand-in.yaml").write_text(yaml.safe_dump(PROFILE))
    return str(tmp_path / "stand-in.yaml")


def test_a_plan_touches_neither_device_nor_store(phone: Phone, device: str, tmp_path: Path) -> None:
    phone.switch("hang")
    before = sorted(path.name for path in (tmp_path / "home").iterdir())
    found = verbs.plan_profile(device, networks=NETWORKS, holdout=HOLDOUT)
    (one,) = found.runtimes
    assert (found.via, one.runtime, one.stored) == ("adb", "tvm", 0)
    assert one.networks == {"train": NETWORKS, "holdout": HOLDOUT, "repeat": HOLDOUT}
    assert 0 < one.least_s < one.most_s
    (more,) = verbs.plan_profile(device, networks=2 * NETWORKS, holdout=HOLDOUT, devices_matching=2).runtimes
    assert more.least_s < one.least_s * 2
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == before


def test_a_plan_counts_what_was_timed_with_the_tiles_of_today(phone: Phone, device: str) -> None:
    hardware = load_profile(device)
    training, _ = choose_networks(SPACE, NETWORKS, HOLDOUT, seed=0)
    with MeasurementStore() as store:
        store.add(
            made_up(
                arch=training[0],
                runtime="tvm",
                device_fingerprint=device_fingerprint(hardware),
                toolchain=runtime_toolchain("tvm", hardware),
                protocol=protocol_for(hardware).to_json(),
            )
        )

    def stored() -> int:
        (one,) = verbs.plan_profile(device, networks=NETWORKS, holdout=HOLDOUT).runtimes
        return one.stored

    assert stored() == 1
    gemm, neon = {"kind": "gemm", "m": 49, "k": 64, "n": 96, "activation": "relu", "residual": False}, Isa(4, 32)
    rule, other = candidate_schedules(gemm, neon)[:2]
    tuning_of(hardware).keep(tuned(gemm, neon, rule, chosen=other))
    assert stored() == 0  # of other code


def test_an_emulator_is_refused_before_anything_is_compiled(phone: Phone, device: str) -> None:
    with pytest.raises(TimingNotPossible, match="its processor is emulated"):
        verbs.profile(device, networks=NETWORKS, holdout=HOLDOUT)
    assert not phone.left()


@pytest.mark.slow
def test_killed_at_any_instant_the_predictor_is_that_of_the_samples(
    phone: Phone, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = executable(AARCH64, tmp_path / "made")
    words = {"networks": NETWORKS, "holdout": HOLDOUT, "path": str(made.path), "digest": made.digest}
    program = [sys.executable, "-c", PROGRAM.format(**words), device]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    rng, stored = np.random.default_rng(), 0
    for _ in range(3):
        process = subprocess.Popen(program, env=environment)
        wait_until(lambda process=process: phone.processes() or process.poll() is not None, 300)
        time.sleep(float(rng.uniform(0, 10)))
        process.kill()
        process.wait()
        with MeasurementStore() as store:
            now = len(store.query())
        assert now >= stored
        stored = now
    wait_until(lambda: not phone.left() and not phone.processes())
    subprocess.run(program, env=environment, check=True)
    with MeasurementStore() as store:
        found = store.query()
    keys = {(one.arch, one.role) for one in found}
    assert len(found) == len(keys) == NETWORKS + 2 * HOLDOUT
    assert {one.toolchain["clock"] for one in found} == {"test-only"}
    model = find_latency_model(load_profile(device), SPACE, "tvm")
    assert model is not None and model.source == "measured" and not phone.left()
    same = fit_latency_model(sorted(found, key=lambda one: one.key), SPACE)
    archs = [one.arch for one in found if one.arch is not None]
    np.testing.assert_allclose(model.predict(archs).mean_ms, same.predict(archs).mean_ms)
    truth = np.array([one.latency_ms for one in found])
    assert np.median(np.abs(model.predict(archs).mean_ms / truth - 1)) < 0.1
    (planned,) = verbs.plan_profile(device, networks=NETWORKS, holdout=HOLDOUT).runtimes
    assert planned.stored == 0  # another protocol
    monkeypatch.setattr("natdeploy.measure.protocol_for", lambda profile: QUICK)
    (planned,) = verbs.plan_profile(device, networks=NETWORKS, holdout=HOLDOUT).runtimes
    assert planned.stored == len(found) and planned.most_s == 0
