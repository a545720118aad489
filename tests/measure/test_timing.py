import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import natdeploy.compiler
from natdeploy.compiler import Artifact, build_onnx
from natdeploy.devices import HardwareProfile, load_profile, parse_profile
from natdeploy.ground.errors import BadInput, DeviceNotReachable, VerificationFailed
from natdeploy.ground.files import sha256_file
from natdeploy.measure import (
    MeasurementStore,
    TimingProtocol,
    time_archs,
    time_runnable,
)
from natdeploy.spaces import Arch, Network, random_network
from tests.devices.test_profile import phone
from tests.measure.samples import SPACE

QUICK = TimingProtocol(min_visits=3, max_visits=4, visit_ms=0.5, reference_visit_ms=0.3, warmup_ms=0.1, spread_ms=0)


def this_machine() -> HardwareProfile:
    """This machine, as far as ONNX Runtime needs it: no peak rates, no compiler."""
    cpus = sorted(os.sched_getaffinity(0))
    cluster = {
        "name": "cpu",
        "core": "x",
        "cores": len(cpus),
        "processors": cpus,
        "vector_bits": 128,
        "llvm_cpu": "x86-64",
    }
    value = {**load_profile("host", derive=False).model_dump(), "derived": False, "clusters": [cluster]}
    return parse_profile({**value, "llvm_triple": "x86_64-linux-gnu"}, "test")


@pytest.fixture(scope="module")
def host() -> HardwareProfile:
    return this_machine()


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATDEPLOY_HOME", str(tmp_path / "home"))


def some_archs(count: int) -> list[Arch]:
    rng = np.random.default_rng(11)
    return [SPACE.smallest(), SPACE.largest(), *(SPACE.sample(rng) for _ in range(count - 2))]


def refuse_to_build(network: Network, folder: Path) -> None:
    raise AssertionError("nothing was left to build")


def test_timings_are_whole_and_taken_once(host: HardwareProfile, tmp_path: Path) -> None:
    archs = some_archs(3)
    stages: list[tuple[str, float]] = []
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        found = time_archs(
            [*archs, archs[0]],
            space="mbv3-micro",
            profile=host,
            runtime="onnxruntime",
            protocol=QUICK,
            store=store,
            num_classes=7,
            progress=lambda stage, fraction: stages.append((stage, fraction)),
        )
        assert [item.arch for item in found] == [*archs, archs[0]]
        assert store.query() == found[:3]
        smallest, largest = found[:2]
        assert largest.latency_ms > smallest.latency_ms
        for item in found:
            assert 3 <= len(item.visits) <= 4
            assert item.samples_ms == tuple(sample for visit in item.visits for sample in visit.samples_ms)
            assert min(item.samples_ms) > 0
            assert min(item.samples_ms) / 3 < item.latency_ms < 3 * max(item.samples_ms)
            assert item.conditions["processors"] == [max(os.sched_getaffinity(0))]
            assert item.conditions["denormals"] == "kept"
            assert {"onnxruntime", "onnx"} <= set(item.toolchain)
            assert item.num_classes == 7
            assert item.trusted == (1 / 1.6 <= 1 + item.drift <= 1.6)
        assert len({item.reference_ms for item in found}) == 1
        assert len({item.artifact_digest for item in found}) == 3
        assert stages[-1][1] == 1.0 and [fraction for _, fraction in stages] == sorted(f for _, f in stages)
        again = time_archs(
            archs,
            space=SPACE,
            profile=host,
            runtime="onnxruntime",
            protocol=QUICK,
            store=store,
            num_classes=7,
            build=refuse_to_build,  # type: ignore[arg-type]
        )
        assert again == found[:3]
    assert not list((tmp_path / "home/scratch").iterdir())


def test_a_drift_beyond_the_limit_is_stored_and_not_trusted(host: HardwareProfile, tmp_path: Path) -> None:
    strict = replace(QUICK, max_drift=1e-9)
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        (item,) = time_archs(
            some_archs(2)[:1], space=SPACE, profile=host, runtime="onnxruntime", protocol=strict, store=store
        )
        assert not item.trusted and item.drift != 0
        assert store.query() == [item]


def test_one_artifact_again_and_again(host: HardwareProfile, tmp_path: Path) -> None:
    arch = SPACE.smallest()
    artifact = build_onnx(random_network(SPACE.layers(arch, 5), seed=2), tmp_path / "model")
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        both = [
            time_runnable(
                artifact, profile=host, runtime="onnxruntime", protocol=QUICK, store=store, arch=arch, space=SPACE
            )
            for _ in range(2)
        ]
        assert store.query(role="build") == both
    assert [item.occurrence for item in both] == [0, 1]
    assert both[0].artifact_digest == artifact.digest and both[0].num_classes == 5
    assert both[0].reference_ms == both[1].reference_ms


def test_a_network_that_cannot_be_loaded_is_named(host: HardwareProfile, tmp_path: Path) -> None:
    def damage(network: Network, folder: Path) -> object:
        artifact = build_onnx(network, folder)
        if network.input_shape[2] == SPACE.largest().r:
            artifact.path.write_bytes(artifact.path.read_bytes()[:-100])
        return artifact

    with MeasurementStore(tmp_path / "store.sqlite") as store:
        with pytest.raises(BadInput, match=r"model\.onnx: damaged"):
            time_archs(
                [SPACE.smallest(), SPACE.largest()],
                space=SPACE,
                profile=host,
                runtime="onnxruntime",
                protocol=QUICK,
                store=store,
                build=damage,  # type: ignore[arg-type]
            )
        assert store.query() == []


LIBRARY = """
#include <signal.h>
#include <stdlib.h>
#include "natdeploy.h"
static const int64_t in_shape[] = {1, 3, SIZE, SIZE}, out_shape[] = {1, 10};
static const natdeploy_tensor in = {"input", 0, 4, in_shape, 12 * SIZE * SIZE}, out = {"output", 0, 2, out_shape, 40};
int natdeploy_interface_version(void) { return NATDEPLOY_INTERFACE_VERSION; }
const natdeploy_model *natdeploy_default_model(void) { return (const natdeploy_model *)&in; }
int natdeploy_input_count(const natdeploy_model *m) { return 1; }
int natdeploy_output_count(const natdeploy_model *m) { return 1; }
const natdeploy_tensor *natdeploy_input(const natdeploy_model *m, int i) { return &in; }
const natdeploy_tensor *natdeploy_output(const natdeploy_model *m, int i) { return &out; }
int natdeploy_call_count(const natdeploy_model *m) { return 0; }
const char *natdeploy_call_name(const natdeploy_model *m, int i) { return 0; }
int natdeploy_time_calls(natdeploy_instance *i, const void *const *x, void *const *y, double *ms) { return 0; }
int natdeploy_create(const natdeploy_model *m, int n, natdeploy_instance **i) { *i = malloc(1); return 0; }
int natdeploy_run(natdeploy_instance *i, const void *const *x, void *const *y) {
  if (SIZE == 24 && LOADING) raise(HOW);
  for (int k = 0; k < 10; k++) ((float *)y[0])[k] = 0;
  return 0;
}
int natdeploy_time(natdeploy_instance *i, const void *const *x, void *const *y, int n, double *ms) {
  if (SIZE == 24) raise(HOW);
  for (int k = 0; k < n; k++) ms[k] = 0.25;
  return 0;
}
void natdeploy_destroy(natdeploy_instance *i) { free(i); }
const char *natdeploy_status_text(int s) { return ""; }
const char *natdeploy_last_error(const natdeploy_instance *i) { return ""; }
"""


def compile_stand_in(network: Network, folder: Path, *, how: str, loading: int) -> Artifact:
    """A library with the C interface that takes a quarter of a millisecond.

    At 24 pixels it ends the process by a signal, when it is loaded and run once or when it is timed.
    """
    folder.mkdir(parents=True)
    (folder / "model.c").write_text(LIBRARY)
    path, include = folder / "libmodel.so", Path(natdeploy.compiler.__file__).parent / "runtime"
    defines = [f"-DSIZE={network.input_shape[2]}", f"-DHOW={how}", f"-DLOADING={loading}"]
    command = ["cc", "-shared", *defines, f"-I{include}", "-o", str(path)]
    subprocess.run(
        [sys.executable, "-m", "ziglang", *command, str(folder / "model.c")], check=True, capture_output=True
    )
    return Artifact("native", path, sha256_file(path), network.input_shape, network.output_shape)


@pytest.mark.parametrize("loading", [0, 1])
@pytest.mark.parametrize(
    ("how", "kind", "expected"),
    [
        ("SIGABRT", VerificationFailed, "cannot be run; timing with tvm: the child process died by signal 6"),
        ("SIGILL", DeviceNotReachable, "this machine's processor lacks instructions that it was compiled for"),
    ],
)
def test_a_library_that_crashes_is_named(
    loading: int, how: str, kind: type[Exception], expected: str, host: HardwareProfile, tmp_path: Path
) -> None:
    archs = {arch.r: arch for arch in some_archs(30)}
    assert set(archs) == {24, 28, 32}
    with MeasurementStore(tmp_path / "store.sqlite") as store:
        take: Any = functools.partial(
            time_archs,
            space=SPACE,
            profile=host,
            runtime="tvm",
            protocol=QUICK,
            store=store,
            build=functools.partial(compile_stand_in, how=how, loading=loading),
        )
        with pytest.raises(kind, match=rf"^[^\n]*/00001/libmodel\.so: {expected}[^\n]*$"):
            take([archs[32], archs[24]])
        assert store.query() == []
        (item,) = take([archs[32]])
    assert (item.latency_ms, item.mad_ms, item.drift) == (0.25, 0.0, 0.0)
    assert len(item.visits) == QUICK.min_visits


def test_what_cannot_be_timed_is_refused_before_anything_is_built(host: HardwareProfile, tmp_path: Path) -> None:
    store = MeasurementStore(tmp_path / "store.sqlite")
    arch = SPACE.smallest()
    with pytest.raises(BadInput, match="no runtime 'abacus'; it has onnxruntime, tvm"):
        time_archs([arch], space=SPACE, profile=host, runtime="abacus", store=store)
    with pytest.raises(DeviceNotReachable, match=r"^adb"):
        time_archs([arch], space=SPACE, profile=parse_profile(phone(), "test"), runtime="tvm", store=store)
    with pytest.raises(BadInput, match="space"):
        time_archs([arch], space="ofa-mbv3-w1.0", profile=host, runtime="onnxruntime", store=store)
    with pytest.raises(BadInput, match="role 'guess'"):
        time_archs([arch], space=SPACE, profile=host, runtime="onnxruntime", store=store, role="guess")


PROGRAM = """
import dataclasses, os, sys
from pathlib import Path
from natdeploy.measure import MeasurementStore, batch, timing
from tests.measure import test_timing as tests
batch._NETWORKS = 2
store = MeasurementStore(Path(sys.argv[1]))
print("ready", flush=True)

def say(stage, fraction):
    print(stage, fraction, flush=True)
    if stage.startswith("building"):
        sys.stdin.readline()  # no batch begins before the test says so

how = {"space": tests.SPACE, "profile": tests.this_machine(), "runtime": "onnxruntime", "protocol": tests.QUICK}
timing.time_archs(tests.some_archs(12), store=store, progress=say, **how)
print("done", flush=True)
"""


def start(store: Path) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(store)],
        cwd=root,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def test_killed_at_any_instant_nothing_is_lost_and_nothing_repeated(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    rng = np.random.default_rng()
    kept: list[object] = []
    for _ in range(2):
        process = start(path)
        assert process.stdin is not None and process.stdout is not None
        for line in process.stdout:  # let it store something new first, then kill it somewhere in the next batch
            if line.startswith("building"):
                process.stdin.write("\n")
                if float(line.split()[-1]) > len(kept) / 12:
                    break
        time.sleep(float(rng.uniform(0, 0.15)))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdin.close()
        process.stdout.close()
        with MeasurementStore(path) as store:
            found = store.query()
        assert found[: len(kept)] == kept
        assert len(kept) < len(found) < 12
        kept = list(found)
    process = start(path)
    assert process.communicate(timeout=300)[0].endswith("done\n")
    with MeasurementStore(path) as store:
        found = store.query()
    assert found[: len(kept)] == kept
    assert sorted(item.arch.id for item in found if item.arch) == sorted(arch.id for arch in some_archs(12))
    assert not list((tmp_path / "home/scratch").iterdir())
