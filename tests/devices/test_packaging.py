"""The shipped profiles are part of an installation, not only of a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from natdeploy.devices import shipped_profiles_dir

CHECKOUT = Path(__file__).parents[2]


def test_a_built_package_finds_all_shipped_profiles_inside_itself(tmp_path: Path) -> None:
    build = [sys.executable, "setup.py", "--quiet", "build_py", "--build-lib", str(tmp_path / "lib")]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True, timeout=300)
    code = "from natdeploy.devices import list_profiles, shipped_profiles_dir as d; print(d(), len(list_profiles()))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "lib"), "NATDEPLOY_HOME": str(tmp_path / "home"), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert found.returncode == 0, found.stderr
    folder, count = found.stdout.split()
    assert folder == str(tmp_path / "lib" / "natdeploy" / "hwprofiles")
    assert int(count) == len(list(shipped_profiles_dir().glob("*.yaml"))) > 25
