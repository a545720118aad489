import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from natdeploy.compiler import Artifact
from natdeploy.devices.qemu import QemuRunner
from natdeploy.ground.errors import BadInput, DeviceNotReachable, TimingNotPossible
from natdeploy.ground.files import sha256_file
from tests.devices.boards import emulator, image, reference

MACHINES = [("aarch64", "aarch64"), ("arm", "armv7l")]


@pytest.mark.parametrize(("fixture", "machine"), MACHINES)
def test_runs_and_refuses_to_time(fixture: str, machine: str, request: pytest.FixtureRequest) -> None:
    emulator(fixture)
    runner = QemuRunner(machine)
    session = runner.open(request.getfixturevalue(fixture))
    for seed in range(2):
        np.testing.assert_allclose(session.run(image(seed)), reference(image(seed)), rtol=1e-4, atol=1e-4)
    with pytest.raises(TimingNotPossible, match=f"qemu-{fixture}: an emulator's times say nothing") as caught:
        session.time_ms(3, image())
    assert caught.value.exit_code == 3
    session.close()
    said = runner.describe()
    assert (said.machine, said.unit) == (machine, f"qemu-{fixture}") and said.emulated
    assert runner.toolchain()[f"qemu-{fixture}"][0].isdigit()
    runner.close()


def test_numbers_that_are_not_finite_are_seen(aarch64: Artifact) -> None:
    emulator("aarch64")
    x = image()
    x[0, 0, 4, 3] = np.inf
    assert not np.isfinite(QemuRunner("aarch64").open(aarch64).run(x)).all()


def test_variables_of_the_emulator_do_not_get_in(aarch64: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator("aarch64")
    monkeypatch.setenv("QEMU_STRACE", "1")
    monkeypatch.setenv("QEMU_VERSION", "1")
    np.testing.assert_allclose(
        QemuRunner("aarch64").open(aarch64).run(image()), reference(image()), rtol=1e-4, atol=1e-4
    )


def test_another_machines_executable_is_refused(arm: Artifact, aarch64: Artifact) -> None:
    emulator("aarch64")
    with pytest.raises(DeviceNotReachable, match=r"model_run: built for armv7l, qemu-aarch64 runs aarch64"):
        QemuRunner("aarch64").open(arm)


def test_a_model_of_other_shapes_is_refused(aarch64: Artifact) -> None:
    emulator("aarch64")
    with pytest.raises(BadInput, match=r"inputs are .*, expected one of float32\[1, 3, 9, 8\]; build it again"):
        QemuRunner("aarch64").open(dataclasses.replace(aarch64, input_shape=(1, 3, 9, 8)))


def test_what_is_damaged_is_not_run(aarch64: Artifact, tmp_path: Path) -> None:
    emulator("aarch64")
    copy = tmp_path / "model_run"
    shutil.copyfile(aarch64.path, copy)
    with open(copy, "r+b") as file:
        file.seek(5000)
        file.write(b"damage")
    damaged = dataclasses.replace(aarch64, path=copy)
    with pytest.raises(BadInput, match="damaged or replaced"):
        QemuRunner("aarch64").open(damaged)
    text = tmp_path / "text"
    text.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(BadInput, match="not an executable for aarch64"):
        QemuRunner("aarch64").open(dataclasses.replace(aarch64, path=text, digest=sha256_file(text)))


def test_without_the_emulator_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(DeviceNotReachable, match=r"qemu-aarch64: not installed .*apt install qemu-user"):
        QemuRunner("aarch64")
    with pytest.raises(BadInput, match="no emulator is known for 'vax'"):
        QemuRunner("vax")


def test_a_hang_ends_at_the_limit(aarch64: Artifact) -> None:
    emulator("aarch64")
    session = QemuRunner("aarch64", run_limit_s=0.001).open(aarch64)
    with pytest.raises(DeviceNotReachable, match=r"no answer after 0.001 s; the emulator was stopped"):
        session.run(image())
