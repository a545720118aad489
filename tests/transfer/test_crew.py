"""Training by several processes under torchrun: what one process does with the same batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from natdeploy.ground.errors import BadInput
from natdeploy.ground.torchrun import place
from natdeploy.transfer.crew import split

IMAGES = 96


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(IMAGES) % 3
    pixels = rng.integers(0, 80, (IMAGES, 32, 32, 3), dtype=np.uint8) + (60 * labels[:, None, None, None]).astype(
        np.uint8
    )
    np.savez(tmp_path / "images.npz", images=pixels, label=labels)
    return tmp_path / "images.npz"


def run(processes: int, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command, started by torchrun where there are several processes."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*start, "natdeploy.cli.main", *map(str, words)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert not check or ran.returncode == 0, ran.stderr
    return ran


@pytest.mark.slow  # each process imports torch, and there are five
@pytest.mark.parametrize("teacher", [0, 1])
def test_two_processes_pretrain_as_one_does(images: Path, tmp_path: Path, teacher: int) -> None:
    """Both phases, with and without a teacher; weights agree to rounding, and only one process wrote."""
    words = ["pretrain", "--data", images, "--epochs-largest", 1, "--epochs-elastic", 1, "--batch-size", 16, "--json"]
    words += ["--teacher-epochs", teacher]
    alone = json.loads(run(1, *words, "--out", tmp_path / "one").stdout)
    together = json.loads(run(2, *words, "--out", tmp_path / "two").stdout)
    one, two = (load_file(tmp_path / name / "supernet.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            two[name], value, rtol=2e-3, atol=2e-4, msg=lambda text, name=name: f"{name}: {text}"
        )
    losses = [[entry["loss"] for entry in said["log"]] for said in (alone, together)]
    assert losses[0] == pytest.approx(losses[1], abs=2e-3) and losses[0][0] != losses[0][1]
    names = [
        {str(file.relative_to(tmp_path / each)) for file in (tmp_path / each).rglob("*")} for each in ("one", "two")
    ]
    assert names[0] == names[1]


ADAPT = """
import os
import sys
from pathlib import Path
import torch
from natdeploy.data import load_dataset
from natdeploy.ground.torchrun import place
from natdeploy.spaces import get_space
from natdeploy.supernets import build_supernet
from natdeploy.transfer import Adaptation, AdaptConfig, dismiss, lend_a_hand
from natdeploy.transfer.lesson import Lesson

if os.environ.get("SHORT_OF_MEMORY") == str(place().rank):
    whole = Lesson.__call__

    def short(self, supernet, images, labels, share):
        if len(images) > 4:
            raise MemoryError
        return whole(self, supernet, images, labels, share)

    Lesson.__call__ = short
if place().rank:
    lend_a_hand()
else:
    torch.manual_seed(0)
    supernet = build_supernet(get_space("mbv3-micro"), 3)
    config = AdaptConfig(warm_up_epochs=1, epochs_per_iteration=1, iterations=1, batch_size=18, parts=3, lr=0.02)
    adaptation = Adaptation(supernet, load_dataset(sys.argv[1]), config, 0)
    adaptation.warm_up()
    adaptation.adapt(1, lambda rng: supernet.space.sample(rng))
    adaptation.save(Path(sys.argv[2]))
    dismiss()
"""


@pytest.mark.slow
def test_two_processes_adapt_as_one_does(images: Path, tmp_path: Path) -> None:
    """Three parts, so that the leader has two of them; momentum is the leader's and follows, too."""
    script = tmp_path / "adapt.py"
    script.write_text(ADAPT)
    for processes, name in ((1, "one"), (2, "two")):
        (tmp_path / name).mkdir()
        start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] if processes > 1 else []
        command = [sys.executable, *start, str(script), str(images), str(tmp_path / name)]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
    for file in ("supernet.safetensors", "optimizer.safetensors"):
        one, two = (load_file(tmp_path / name / file) for name in ("one", "two"))
        assert one.keys() == two.keys()
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=2e-3, atol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_process_that_is_short_of_memory_halves_the_batch_of_all(images: Path, tmp_path: Path, rank: int) -> None:
    """Batches of 18 in three parts do not fit into that process, batches of 9 do."""
    script = tmp_path / "adapt.py"
    script.write_text(ADAPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "SHORT_OF_MEMORY": str(rank)}
    command += [str(images), str(tmp_path)]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert json.loads((tmp_path / "adaptation.json").read_text())["batch_size"] == 9


@pytest.mark.slow
def test_an_error_ends_all_processes_and_idle_helpers_are_sent_home(images: Path, tmp_path: Path) -> None:
    failed = run(2, "pretrain", "--data", tmp_path / "none.npz", "--out", tmp_path / "out", check=False)
    assert failed.returncode != 0 and "no such file" in failed.stderr
    assert not (tmp_path / "out").exists()
    many = run(3, "pretrain", "--data", images, "--epochs-largest", 1, "--out", tmp_path / "out", check=False)
    assert many.returncode != 0 and "3 processes share 2 parts of a batch: set parts to 3 or more" in many.stderr
    assert "natdeploy" in run(2, "--version").stdout  # a command that never trains


@pytest.mark.parametrize(("count", "among"), [(2, 2), (5, 2), (7, 3), (1, 4), (8, 3)])
def test_parts_are_shared_out_evenly_and_in_order(count: int, among: int) -> None:
    found = split(count, among)
    assert [number for some in found for number in some] == list(range(count))
    sizes = [len(some) for some in found]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1 and len(found) == among


def test_a_process_is_alone_unless_torchrun_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    assert (place().rank, place().size) == (0, 1)
    monkeypatch.setenv("WORLD_SIZE", "4")  # some schedulers set this one alone
    assert place().size == 1
    for name, value in (("RANK", "3"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", "1")):
        monkeypatch.setenv(name, value)
    assert (place().rank, place().local_rank, place().size) == (3, 1, 4)


@pytest.mark.parametrize("value", ["x", "-1", "", "1.0", "9" * 5000])
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_of_torchruns_that_is_no_number_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for each, text in {**started, name: value}.items():
        monkeypatch.setenv(each, text)
    with pytest.raises(BadInput, match=f"^environment variable {name}: is "):
        place()


def test_a_rank_is_below_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    started = {"RANK": "4", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for each, text in started.items():
        monkeypatch.setenv(each, text)
    with pytest.raises(BadInput, match="RANK: is '4', expected a whole number from 0 to 3"):
        place()
