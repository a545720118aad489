"""Binaries of one plan: the executable, the archive, other processors, equal bytes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact, KernelCache, build_artifacts, make_network_plan
from natdeploy.devices.llvm import llvm_target
from natdeploy.devices.profile import parse_profile
from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import sha256_file
from natdeploy.ground.processes import call_in_child
from natdeploy.spaces import Network, get_space, random_network
from tests.compiler.conftest import TARGET, tiny_layers
from tests.compiler.executable import model_run, run_on
from tests.compiler.library import run_library
from tests.compiler.reference import reference, relative_error

APP = """
#include <stdio.h>
#include "model.h"
int main(void) {
  static float x[3 * 9 * 7], y[11];
  const void *inputs[] = {x};
  void *outputs[] = {y};
  natdeploy_instance *instance;
  if (fread(x, sizeof x, 1, stdin) != 1) return 1;
  if (natdeploy_create(natdeploy_default_model(), 1, &instance)) return 2;
  if (natdeploy_run(instance, inputs, outputs)) return 3;
  natdeploy_destroy(instance);
  return fwrite(y, sizeof y, 1, stdout) != 1;
}
"""


@pytest.fixture(scope="module")
def image(tiny: Network) -> np.ndarray:
    return np.random.default_rng(5).standard_normal(tiny.input_shape, dtype=np.float32)


@pytest.fixture(scope="module")
def artifacts(tiny: Network, cache: KernelCache, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Artifact]:
    plan = make_network_plan(tiny, target=TARGET, cache=cache)
    return build_artifacts(plan, tmp_path_factory.mktemp("artifacts"))


@pytest.fixture
def executable(artifacts: Mapping[str, Artifact]) -> Path:
    return artifacts["executable"].path


def test_each_artifact_says_what_it_is(artifacts: Mapping[str, Artifact]) -> None:
    assert {kind: artifact.path.name for kind, artifact in artifacts.items()} == {
        "native": "libmodel.so",
        "archive": "libmodel.a",
        "executable": "model_run",
    }
    for kind, artifact in artifacts.items():
        assert (artifact.kind, artifact.digest) == (kind, sha256_file(artifact.path))
        assert (artifact.input_shape, artifact.output_shape) == ((1, 3, 9, 7), (1, 11))


def test_the_executable_computes_what_the_library_computes(
    artifacts: Mapping[str, Artifact], executable: Path, tiny: Network, image: np.ndarray
) -> None:
    found, said = run_on(executable, image, "--repeat", "3", "--warmup", "2")
    assert np.array_equal(found, run_library(artifacts["native"].path, image, 11))
    assert relative_error(found, reference(tiny, image)) < 1e-5
    assert (said["threads"], said["max_threads"], said["warmup"]) == (1, 1, 2)
    assert len(said["milliseconds"]) == 3 and all(time > 0 for time in said["milliseconds"])
    assert said["arena_bytes"] > 0 < said["constant_bytes"] and said["affinity"]
    assert 4 * said["peak_rss_kib"] > (said["arena_bytes"] + said["constant_bytes"]) / 1024 > 0
    assert executable.stat().st_size < said["constant_bytes"] + 1_500_000


def test_outputs_may_go_to_files(executable: Path, image: np.ndarray, tmp_path: Path) -> None:
    expected, _ = run_on(executable, image)
    done = model_run(executable, "--input", "x.bin", "--output", str(tmp_path / "y.bin"), "--affinity", "0-0,0")
    assert done.returncode == 0 and "values" not in done.stdout and json.loads(done.stdout)["affinity"] == [0]
    assert np.array_equal(np.fromfile(tmp_path / "y.bin", "<f4"), expected.ravel())


def test_numbers_that_are_not_finite_come_through(executable: Path, image: np.ndarray, tmp_path: Path) -> None:
    image = image.copy()
    image[0, 0, 4, 3] = np.nan
    assert np.isnan(run_on(executable, image)[0]).any()


def test_without_input_it_describes_the_model(executable: Path) -> None:
    said = json.loads(model_run(executable).stdout)
    assert said["inputs"] == [{"name": "input", "dtype": "float32", "shape": [1, 3, 9, 7]}]
    assert said["outputs"] == [{"name": "logits", "dtype": "float32", "shape": [1, 11]}]
    assert "milliseconds" not in said
    assert model_run(executable, "--help").stdout.startswith("usage: model_run")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--threads 2", "--threads 2: the kernels of this model have work for at most 1"),
        ("--threads 0", "--threads 0: expected a whole number from 1"),
        ("--repeat x", "--repeat x: expected a whole number from 1"),
        ("--warmup -1", "--warmup -1: expected a whole number from 0"),
        ("--affinity 0-", "--affinity 0-: expected processors such as 0,4-7"),
        ("--affinity 3-1", "--affinity 3-1: expected processors such as 0,4-7"),
        ("--affinity 99999", "--affinity 99999: expected processors such as 0,4-7"),
        ("--affinity 1023", "--affinity 1023: Invalid argument"),
        ("--input", "--input: a value is missing"),
        ("--magic 3", "--magic: unknown option"),
        ("--input nothing.bin", "nothing.bin: cannot be read: No such file"),
        ("--input short.bin", "short.bin: input input takes exactly 756 bytes"),
        ("--input long.bin", "long.bin: input input takes exactly 756 bytes"),
        ("--input x.bin --input x.bin", "--input: 2 files, 1 inputs"),
        ("--output y.bin", "--input: 0 files, 1 inputs"),
        ("--input x.bin --output a --output b", "--output: 2 files, 1 outputs"),
        ("--input x.bin --output no/y.bin", "no/y.bin: cannot be written: No such file"),
        ("--input x.bin --output /dev/full", "/dev/full: could not be written to its end"),
    ],
)
def test_misuse_is_one_line_and_exit_2(executable: Path, image: np.ndarray, arguments: str, message: str) -> None:
    folder = executable.parent
    image.tofile(folder / "x.bin")
    (folder / "short.bin").write_bytes(bytes(755))
    (folder / "long.bin").write_bytes(bytes(757))
    done = model_run(executable, *arguments.split())
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    assert done.stderr.startswith(f"model_run: {message}") and done.stderr.count("\n") == 1


def test_a_program_links_the_archive(artifacts: Mapping[str, Artifact], image: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "app.c").write_text(APP)
    folder = artifacts["archive"].path.parent
    command = ["cc", "-Wall", "-Wextra", "-Werror", "-o", "app", f"-I{folder}", "app.c", str(folder / "libmodel.a")]
    done = subprocess.run([sys.executable, "-m", "ziglang", *command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([str(tmp_path / "app")], input=image.tobytes(), capture_output=True, check=True)
    expected = run_library(artifacts["native"].path, image, 11)
    assert np.array_equal(np.frombuffer(done.stdout, "<f4"), expected.ravel())


def build_digests(folder: Path) -> dict[str, str]:
    plan = make_network_plan(random_network(tiny_layers(), seed=3), target=TARGET)
    return {kind: artifact.digest for kind, artifact in build_artifacts(plan, folder).items()}


def test_two_builds_give_equal_bytes_whatever_the_cache_holds(
    artifacts: Mapping[str, Artifact], tiny_native: Artifact, tmp_path: Path
) -> None:
    """In another process, with a cache folder of its own: every kernel is compiled again."""
    environment = {"NATDEPLOY_HOME": str(tmp_path / "other home")}
    digests = call_in_child(build_digests, tmp_path / "other", timeout_s=300, environment=environment)
    assert digests == {kind: artifact.digest for kind, artifact in artifacts.items()}
    assert digests["native"] == tiny_native.digest  # a library that was built alone


def test_unknown_kinds_are_refused(tiny: Network, cache: KernelCache, tmp_path: Path) -> None:
    plan = make_network_plan(tiny, target=TARGET, cache=cache)
    with pytest.raises(BadInput, match="unknown kind of artifact 'firmware'; known: native, archive, executable"):
        build_artifacts(plan, tmp_path / "out", kinds=("native", "firmware"))
    assert not (tmp_path / "out").exists()


def board_target(triple: str, cpu: str, features: tuple[str, ...] = ()) -> dict:
    """The target of a board's hardware profile."""
    core = {"name": "cpu", "core": cpu, "cores": 4, "vector_bits": 128, "llvm_cpu": cpu, "llvm_features": features}
    board = {"name": "board", "title": "A board", "llvm_triple": triple, "runtimes": ["tvm"], "clusters": [core]}
    return llvm_target(parse_profile(board | {"reach": {"via": ["qemu"]}}, "board.yaml"))


AARCH64, ARM = "qemu-aarch64-static", "qemu-arm-static"
#: Emulator -> targets that it runs. Of each, all three artifacts are built.
BOARDS = {
    AARCH64: (("aarch64-linux-gnu", "cortex-a76"), ("aarch64-linux-musl", "cortex-a53")),
    ARM: (("armv7l-linux-gnueabihf", "cortex-a7", ("+neon", "+vfp4")),),
}


@pytest.mark.parametrize("emulator", [AARCH64, pytest.param(ARM, marks=pytest.mark.slow)])
def test_other_processors_compute_the_same(
    emulator: str, tiny: Network, cache: KernelCache, image: np.ndarray, tmp_path: Path
) -> None:
    path = shutil.which(emulator)
    if path is None:
        pytest.skip(f"{emulator} is not here (Debian: apt install qemu-user-static)")
    for index, board in enumerate(BOARDS[emulator]):
        plan = make_network_plan(tiny, target=board_target(*board), cache=cache)
        artifacts = build_artifacts(plan, tmp_path / str(index))
        found, _ = run_on(artifacts["executable"].path, image, emulator=path)
        assert relative_error(found, reference(tiny, image)) < 1e-5, board
        machine = {AARCH64: 183, ARM: 40}[emulator]
        library = artifacts["native"].path.read_bytes()
        assert library[:4] == b"\x7fELF" and int.from_bytes(library[18:20], "little") == machine


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_random_subnets_on_aarch64(cache: KernelCache, tmp_path: Path) -> None:
    emulator = shutil.which(AARCH64)
    if emulator is None:
        pytest.skip(f"{AARCH64} is not here (Debian: apt install qemu-user-static)")
    space, rng, target = get_space("mbv3-micro"), np.random.default_rng(4), board_target(*BOARDS[AARCH64][0])
    for seed in range(6):
        network = random_network(space.layers(space.sample(rng)), seed)
        plan = make_network_plan(network, target=target, cache=cache)
        executable = build_artifacts(plan, tmp_path / str(seed), kinds=("executable",))["executable"].path
        image = rng.standard_normal(network.input_shape, dtype=np.float32)
        found, _ = run_on(executable, image, emulator=emulator)
        assert relative_error(found, reference(network, image)) < 1e-5, seed
