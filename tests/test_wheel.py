"""What people install: the wheel holds everything, and works in an empty folder without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
#: Beside Python files, what natdeploy does not work without.
NEEDED = (
    "natdeploy/hwprofiles/pixel4.yaml",
    "natdeploy/hwprofiles/host.yaml",
    "natdeploy/examples/digits.yaml",
    "natdeploy/data/sources/known.yaml",
    "natdeploy/supernets/box/",
    "natdeploy/latency/shipped/prior.json",
    "natdeploy/search/accuracy/shipped/ofa-imagenet.json",
    "natdeploy/compiler/runtime/natdeploy.h",
    "natdeploy/compiler/runtime/natdeploy_runtime.c",
    "natdeploy/compiler/runtime/model_run.c",
    "natdeploy/devices/peak.c",
    "natdeploy/deploy/consumers/run.py",
    "natdeploy/deploy/consumers/cpp/classify.cpp",
    "natdeploy/deploy/consumers/android/Classifier.kt",
    "natdeploy/report/page/script.js",
    "natdeploy/report/page/style.css",
    "natdeploy/py.typed",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the checkout that git would keep, elsewhere: nothing built there before helps."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, check=True).stdout.decode().split("\0")
    folder = tmp_path_factory.mktemp("source")
    for name in filter(None, names):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools", "77", reason="the build backend of pyproject.toml")
    out = tmp_path_factory.mktemp("wheel")
    _backend(source, "build_wheel", out)
    return next(out.glob("natdeploy-*-py3-none-any.whl"))


def _backend(source: Path, hook: str, out: Path) -> None:
    """What ``python -m build --no-isolation`` calls."""
    call = f"import setuptools.build_meta as backend, sys; backend.{hook}(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", call, str(out)], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_wheel_holds_what_is_needed(wheel: Path, source: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for needed in NEEDED:
        assert any(name == needed or (name.startswith(needed) and needed.endswith("/")) for name in names), needed
    profiles = {f"natdeploy/hwprofiles/{path.name}" for path in (source / "hwprofiles").glob("*.yaml")}
    modules = {str(path.relative_to(source)) for path in (source / "natdeploy").rglob("*.py")}
    assert profiles | modules <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/")) or "__pycache__" in name]


def test_the_sdist_holds_what_builds_and_tests_it(source: Path, tmp_path: Path) -> None:
    _backend(source, "build_sdist", tmp_path)
    (archive,) = tmp_path.glob("natdeploy-*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    for name in (
        "setup.py",
        "pyproject.toml",
        "LICENSE",
        "constraints.txt",
        "examples/digits.yaml",
        "tests/test_wheel.py",
    ):
        assert name in names, name
    assert {"hwprofiles/pixel4.yaml", "natdeploy/compiler/runtime/natdeploy.h"} <= names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command ``natdeploy`` of an environment that has the wheel, and this one's other packages."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    # A path in a .pth file brings packages, but not their .pth files: the checkout stays out.
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--no-deps",
        "--no-index",
    ]
    done = subprocess.run([*pip, "--force-reinstall", str(wheel)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin" / "natdeploy"


def run(command: Path, *arguments: str, cwd: Path, home: Path, limit_s: float = 300) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [command, *arguments],
        cwd=cwd,
        env={**environment, "NATDEPLOY_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=limit_s,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_installed_command_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    script = "import natdeploy, sys; sys.stdout.write(natdeploy.__file__)"
    found = subprocess.run([installed.with_name("python"), "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert Path(found.stdout).is_relative_to(installed.parents[1]), found.stderr
    assert "pixel4" in run(installed, "devices", "--json", cwd=tmp_path, home=tmp_path / "home")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_quick_job_runs_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    folder, home = tmp_path / "empty", tmp_path / "home"
    folder.mkdir()
    small = {
        "runtime": "onnxruntime",  # compiling the kernels of many networks takes longer; the chosen one's are compiled
        "profile.runtimes": "[onnxruntime]",
        "profile.networks": 30,
        "profile.holdout": 10,
        "search.initial": 12,
        "search.iterations": 1,
        "search.candidates": 4,
        "search.surrogate_evaluations": 200,
        "adapt.warm_up_epochs": 1,
    }
    flags = [text for name, value in small.items() for text in ("--set", f"{name}={value}")]
    # A machine that others use as well may be too slow for a budget's percentile; the budget is not what is tested.
    told = run(
        installed, "run", "example:digits", "--latency-ms", "1000", "--pick", "fastest", *flags, "--json",
        cwd=folder, home=home, limit_s=1800,
    )  # fmt: skip
    result = json.loads(told)
    report = folder / result["report"]
    assert "Where the figures come from" in report.read_text(encoding="utf-8")
    (bundle,) = [folder / one["path"] for one in result["build"]["bundles"]]
    assert (bundle / "layers.json").is_file()
    checked = subprocess.run([sys.executable, bundle / "run.py", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    run(installed, "verify", str(bundle), cwd=folder, home=home)
