"""A stand-in phone for timing: its profile, and a test-only clock that goes by a network's multiply-adds."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from natdeploy.devices import HardwareProfile, Runnable, parse_profile
from natdeploy.ground.files import cache_root, read_json
from natdeploy.measure import TimingProtocol
from tests.devices.boards import emulator
from tests.devices.phones import ADB

PROFILE = {
    "name": "stand-in",
    "title": "Stand-in for a phone",
    "llvm_triple": "aarch64-linux-android",
    "clusters": [
        {"name": "big", "core": "A76", "cores": 1, "processors": [0], "vector_bits": 128, "llvm_cpu": "cortex-a76"}
    ],
    "runtimes": ["tvm"],
    "reach": {"via": ["adb", "qemu"], "models": ["Stand-in 4"]},
    "timing": {"cooldown_s": 0},
}
QUICK = TimingProtocol(
    min_visits=3,
    max_visits=3,
    visit_ms=0.5,
    reference_visit_ms=0.3,
    warmup_ms=0,
    min_repeats=2,
    max_repeats=2,
    spread_ms=0,
)


def phone_profile(**changes: object) -> HardwareProfile:
    return parse_profile({**PROFILE, **changes}, "stand-in.yaml")


def use_stand_in(root: Path, monkeypatch: pytest.MonkeyPatch, qemu: str | None = None) -> Path:
    """A folder of phones whose adb is the stand-in; ``qemu`` runs their executables, by default that of aarch64."""
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "adb").symlink_to(ADB)
    (root / "devices").touch()
    monkeypatch.setenv("QEMU", qemu or emulator("aarch64"))
    monkeypatch.setenv("PATH", f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(root))
    return root


def own_home(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of its own; what is compiled or found out of this machine is shared, being kept by content."""
    kept = cache_root()
    path.mkdir(parents=True, exist_ok=True)
    for name in ("kernels", "host", "host_libraries"):
        (kept / name).mkdir(parents=True, exist_ok=True)
        (path / name).symlink_to(kept / name, target_is_directory=True)
    monkeypatch.setenv("NATDEPLOY_HOME", str(path))


def true_ms(runnable: Runnable) -> float:
    """What a made-up processor takes: so much a multiply-add, and so much a kernel."""
    calls = read_json(Path(runnable.path).with_name("plan.json"), "plan")["calls"]
    return 1e-6 * sum(call["macs"] for call in calls) + 0.01 * len(calls)


def clock(noise: float = 0.002, slower: float = 1.0, seed: int = 0) -> Callable[[Runnable, int], list[float]]:
    rng = np.random.default_rng(seed)
    return lambda runnable, repeats: [
        float(value) for value in slower * true_ms(runnable) * (1 + noise * rng.random(repeats))
    ]
