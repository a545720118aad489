"""The C side: threads that share a call, several instances, the sanitizers' and compilers' opinion, its size."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Plan, build_artifacts
from natdeploy.compiler.native import RUNTIME, write_sources
from natdeploy.devices import native_local
from natdeploy.ground.errors import BadInput
from tests.compiler.executable import model_run, run_on
from tests.compiler.library import Library, pointers
from tests.compiler.threaded import COLUMNS, KERNELS, ROWS, WEIGHT, threaded_plan

#: What a model is made of, besides its kernels.
SOURCES = ("model.c", "natdeploy_model.c", "natdeploy_runtime.c", "natdeploy_pool.c", "constants.S")
INSTANCES = Path(__file__).parent / "instances.c"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return threaded_plan(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(scope="module")
def executable(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_artifacts(plan, tmp_path_factory.mktemp("threaded"), kinds=("executable",))["executable"].path


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((ROWS, COLUMNS), dtype=np.float32)


def test_outputs_do_not_depend_on_the_threads(executable: Path, image: np.ndarray) -> None:
    expected, said = run_on(executable, image)
    assert said["max_threads"] == ROWS and said["threads"] == 1
    exact = (image.astype(np.float64) @ np.linalg.matrix_power(WEIGHT.astype(np.float64), 3)).sum(0)
    assert np.abs(expected - exact).max() < 1e-5 * np.abs(exact).max()
    for threads in (2, 3, ROWS):
        found, said = run_on(executable, image, "--threads", str(threads), "--repeat", "20")
        assert np.array_equal(found, expected) and said["threads"] == threads


def test_more_threads_than_work_are_refused(executable: Path, plan: Plan, tmp_path: Path) -> None:
    done = model_run(executable, "--threads", str(ROWS + 1))
    assert done.returncode == 2 and "have work for at most 7" in done.stderr
    artifact = build_artifacts(plan, tmp_path, kinds=("native",))["native"]
    library = Library(artifact.path)
    assert library.c.natdeploy_max_threads(library.model) == plan.max_threads == ROWS
    with pytest.raises(BadInput, match=r"on 8 threads: more threads than the model has work for"):
        native_local.NativeLocal().open(artifact, threads=ROWS + 1)
    session = native_local.NativeLocal().open(artifact, threads=2)
    session.close()


def test_denormals_count_as_zero_and_the_callers_arithmetic_is_left_alone(plan: Plan, tmp_path: Path) -> None:
    library = Library(build_artifacts(plan, tmp_path, kinds=("native",))["native"].path)
    tiny = np.full((ROWS, COLUMNS), 1e-39, np.float32)
    for threads in (1, 2):
        instance, y = library.create(threads), np.ones(COLUMNS, np.float32)
        assert library.c.natdeploy_run(instance, pointers(tiny), pointers(y)) == 0
        library.c.natdeploy_destroy(instance)
        assert not y.any() and (tiny * np.float32(0.5)).all()


def test_a_kernel_that_refuses_is_exit_1(executable: Path, image: np.ndarray) -> None:
    image[ROWS - 1, 0] = np.nan
    image.tofile(executable.parent / "bad.bin")
    done = model_run(executable, "--input", "bad.bin", "--threads", "2")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "model_run: a kernel refused its arguments: rows a\n"


SANITIZERS = {"ASan and UBSan": "address,undefined", "TSan": "thread"}


def sanitizing_clang(sanitizers: str, folder: Path) -> str:
    """clang that links and runs with these sanitizers; skips where there is none."""
    clang = shutil.which("clang")
    if clang is None:
        pytest.skip("clang is not here (Debian: apt install clang)")
    (folder / "probe.c").write_text("int main(void) { return 0; }\n")
    command = [clang, f"-fsanitize={sanitizers}", "-o", "probe", "probe.c"]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode:
        pytest.skip("clang is here without its sanitizers (Debian: apt install libclang-rt-dev)")
    return clang


@pytest.mark.parametrize("kind", SANITIZERS)
def test_sanitizers_find_nothing(kind: str, plan: Plan, image: np.ndarray, tmp_path: Path) -> None:
    """With Debian's clang (zig carries no ASan): every source of the C side, and the kernels, are instrumented."""
    clang = sanitizing_clang(SANITIZERS[kind], tmp_path)
    write_sources(plan, tmp_path)
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", f"-fsanitize={SANITIZERS[kind]}"]
    flags += ["-fno-sanitize-recover=all", "-I.", "-pthread"]
    # The kernels' addresses must not be where TSan keeps its own books, which a randomised layout can bring about.
    fixed = ["setarch", "-R"]
    for name, main in {"instances": str(INSTANCES), "model_run": "model_run.c"}.items():
        command = [clang, *flags, "-o", name, main, *SOURCES, str(KERNELS), "-lm"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    done = subprocess.run([*fixed, "./instances"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    image.tofile(tmp_path / "x.bin")
    for arguments in ("--threads 3 --repeat 20 --output y.bin --input x.bin", "--input no.bin", "", "--affinity 0,0-1"):
        command = [*fixed, "./model_run", *arguments.split()]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == (2 if "no.bin" in arguments else 0) and "Sanitizer" not in done.stderr, done.stderr


def test_the_c_side_stays_small() -> None:
    """Lines that hold code, of the runtime, its pool, its headers and the executable's own part together."""
    sources = [path.read_text() for path in RUNTIME.iterdir() if path.suffix in (".c", ".h")]
    code = [re.sub(r"/\*.*?\*/", "", source, flags=re.DOTALL) for source in sources]
    assert 0 < sum(bool(line.strip()) for text in code for line in text.splitlines()) <= 600
