"""``tune``: what is kept changes what is compiled, says so everywhere, and is never mixed with other code's timings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from natdeploy import verbs
from natdeploy.cli.main import app
from natdeploy.devices import load_profile
from natdeploy.ground.files import read_json, sha256_file
from natdeploy.ground.processes import call_in_child
from natdeploy.measure import runtime_toolchain
from natdeploy.measure.tile_choice import TileProtocol
from tests.compiler.conftest import home  # noqa: F401 - a cache of this session's own
from tests.compiler.onnx_models import node, save
from tests.measure.test_timing import this_machine


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> str:
    """This machine as a profile of its own, so that no peak rates are measured."""
    path = tmp_path_factory.mktemp("profiles") / "tuned.yaml"
    value = this_machine().model_dump(mode="json", exclude_none=True)
    path.write_text(yaml.safe_dump({**value, "name": "tuned"}))
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two different convolutions of 1 x 1, of an image as it enters and of what it became, and the latter again."""
    rng = np.random.default_rng(0)
    constants = {
        "w": rng.standard_normal((24, 8, 1, 1), dtype=np.float32),
        "v": rng.standard_normal((24, 24, 1, 1), dtype=np.float32),
    }
    nodes = [
        node("Relu", "image", "x0"),
        node("Conv", "x0 w", "c0"),
        node("Relu", "c0", "x1"),
        node("Conv", "x1 v", "c1"),
        node("Relu", "c1", "x2"),
        node("Conv", "x2 v", "c2"),
        node("Relu", "c2", "x3"),
        node("GlobalAveragePool", "x3", "out"),
    ]
    return save(tmp_path_factory.mktemp("model") / "points.onnx", nodes, {"image": [1, 8, 6, 7]}, ["out"], constants)


def prefer_the_last(library: Path, threads: int, protocol: TileProtocol) -> list[list[float]]:
    """A clock to which the tile that is measured last is the fastest."""
    places = [int(call["layer"]) for call in read_json(library.parent / "plan.json", "plan")["calls"]]
    return [[1.0 - 0.05 * place for place in places]] * 4


def command(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def compiled_digests(model: Path, device: str, out: Path) -> dict[str, str]:
    result = verbs.compile(model, device=device, out=out)
    return {name: sha256_file(out / name) for name in ("plan.json", *result.artifacts.values())}


def test_what_is_compiled_changes_and_says_so(model: Path, device: str, tmp_path: Path) -> None:
    before = verbs.compile(model, device=device, out=tmp_path / "before", explain=True)
    assert (before.tuning, before.tuned, {layer.tile for layer in before.layers}) == ("rules", 0, {"rule"})
    profile = load_profile(device)
    toolchain = runtime_toolchain("tvm", profile)

    found = verbs.tune(model, device=device, test_only_visit=prefer_the_last)
    assert found.workloads == found.measured == len(found.changed) == 2
    assert sorted(one.workload["kind"] for one in found.changed) == ["conv", "gemm"]
    assert found.was == "rules" != found.identity and all(one.ratio < 0.9 for one in found.changed)
    assert json.dumps(found.to_json())

    after = verbs.compile(model, device=device, out=tmp_path / "after", explain=True)
    assert (after.tuning, after.tuned) == (found.identity, 2)
    assert [layer.tile for layer in after.layers].count("record") == 3  # one of the two is called twice
    assert after.verified is not None and after.verified.max_rel_error < 1e-5
    changed = {one.kernel for one in after.layers} - {one.kernel for one in before.layers}
    assert changed == {layer.kernel for layer in after.layers if layer.tile == "record"}
    plan = read_json(tmp_path / "after" / "plan.json", "plan")
    assert plan["tuning"] == found.identity and sum(kernel["tuned"] for kernel in plan["kernels"]) == 2

    # Timings of the rules' code and of this are of different tools, whoever asks.
    assert runtime_toolchain("tvm", profile) == {**toolchain, "natdeploy-tuning": found.identity}
    assert runtime_toolchain("onnxruntime", profile).keys() & {"natdeploy-tuning"} == set()

    again = verbs.tune(model, device=device, test_only_visit=prefer_the_last)
    assert (again.measured, again.was, again.identity) == (0, found.identity, found.identity)
    assert again.changed == found.changed

    # The same record and model, another process and folder: the same bytes.
    digests = [compiled_digests(model, device, tmp_path / "a")]
    digests.append(call_in_child(compiled_digests, model, device, tmp_path / "elsewhere" / "b", timeout_s=300))
    assert digests[0] == digests[1] and len(digests[0]) == 4

    shown = command("compile", model, "--device", device, "--out", tmp_path / "shown", "--explain")
    assert (
        shown.exit_code == 0 and f"2 kernels come from this device's tuning record ({found.identity})" in shown.stdout
    )
    assert "record" in shown.stdout.split("natdeploy")[0]
    told = command("tune", model, "--device", device)
    assert told.exit_code == 0 and "2 run faster with another tile" in told.stdout
    assert json.loads(command("tune", model, "--device", device, "--json").stdout)["identity"] == found.identity


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("--device", "nope"), 2, "unknown device 'nope'"),
        (("--device", "pixel4", "--space", "mbv3-micro"), 3, "adb"),
        (("--device", "pixel4-gpu"), 3, "take a profile of its processor"),
        (("--via", "adb"), 2, "it is this machine"),
        (("--device", "pixel4", "--via", "pigeon"), 2, "pigeon"),
        (("--space", "nope"), 2, "unknown space"),
        (("--resolution", "17"), 2, "no resolution 17; it has 24, 28, 32"),
        (("nope.onnx",), 2, "nope.onnx: no such ONNX file"),
        (("model.onnx", "--space", "mbv3-micro"), 2, "exclude each other"),
    ],
)
def test_bad_input_is_one_line(
    device: str, args: tuple[str, ...], status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")  # no adb
    given = args if "--device" in args else (*args, "--device", device)
    result = command("tune", *given)
    assert result.exit_code == status and words in result.stderr, result.stderr
    assert len(result.stderr.splitlines()) == 1 and result.stdout == ""
