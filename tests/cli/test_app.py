"""The command line as a whole: help, exit codes, errors, stdout and stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from natdeploy import __version__, verbs
from natdeploy.ground import errors

#: Functions whose command is another's: ``devices add`` and ``retire``, ``profile --plan`` and ``--check``,
#: ``report --watch``.
SHARED = ("add_device", "retire_timings", "plan_profile", "check_profile", "watch_report")
VERBS = [verb.replace("_", "-") for verb in verbs.__all__ if verb not in SHARED]
COMMANDS = [*(verb for verb in VERBS if verb != "ci"), *(f"ci {verb}" for verb in verbs.ci.__all__)]
CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_verb_has_help_with_an_example_and_json(natdeploy, command: str) -> None:
    result = natdeploy(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: natdeploy {command}" in " ".join(result.stdout.split())
    assert "--json" in result.stdout


def test_the_commands_are_the_verbs(natdeploy) -> None:
    from natdeploy.cli.main import app

    named = [command.callback.__name__.replace("_", "-") for command in app.registered_commands]
    groups = [str(group.name or group.typer_instance.info.name) for group in app.registered_groups]
    assert sorted(named + groups) == sorted(VERBS)
    shown = natdeploy("--help").stdout
    assert all(f"  {verb} " in shown for verb in VERBS)
    assert "4 no architecture meets the budget" in " ".join(shown.split())


def test_version(natdeploy) -> None:
    assert natdeploy("--version").stdout.strip() == f"natdeploy {__version__}"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from natdeploy.cli.main import app;"
        "CliRunner().invoke(app, ['search', '--help']);"
        "print([m for m in ('torch', 'tvm', 'numpy', 'sklearn', 'onnxruntime') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=CHECKOUT, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "Usage"),
        (("nope",), "nope"),
        (("search",), "--latency-ms"),
        (("search", "--latency-ms"), "--latency-ms"),
        (("search", "--latency-ms", "2", "--sed", "1"), "--sed"),
        (("search", "--latency-ms", "2", "--seed", "-1"), "--seed"),
        (("profile", "--seed", "4294967296"), "--seed"),
        (("search", "--latency-ms", "2", "--seed", "x"), "--seed"),
        (("predict", "bundle"), "IMAGE"),
        (("predict", "bundle", "image.png", "--top", "0"), "--top"),
    ],
)
def test_usage_errors_leave_with_2(command, args: tuple[str, ...], words: str) -> None:
    result = command(*args)
    assert result.returncode == 2
    assert words in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("budget", ["0", "-1", "nan", "inf", "-inf", "fast", "", "1ms", "p0", "p101", "p-3"])
def test_a_budget_that_is_none_names_its_field(natdeploy, budget: str, tmp_path: Path) -> None:
    result = natdeploy("search", f"--latency-ms={budget}", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "'latency_" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("devices", "nope"), "unknown device 'nope'"),
        (("devices", "x" * 300), "unknown device 'xxx"),
        (("search", "--latency-ms", "2", "--data", "x" * 300), "no such file, folder or data set"),
        (("profile", "--device", "nope"), "unknown device"),
        (("profile", "--networks", "0"), "'networks'"),
        (("profile", "--space", "nope"), "unknown space"),
        (("search", "--latency-ms", "2", "--data", "/nope"), "/nope"),
        (("search", "--latency-ms", "2", "--device", "nope"), "unknown device"),
        (("search", "--latency-ms", "2", "--space", "nope"), "space"),
        (("search", "--latency-ms", "2", "--objective", "nope"), "unknown objective"),
        (("search", "--latency-ms", "2", "--runtime", "nope"), "runtime"),
        (("search", "--latency-ms", "2", "--supernet", "nope.safetensors"), "nope.safetensors"),
        (("search", "--latency-ms", "2", "--set", "search.nope=1"), "unknown field 'search.nope'"),
        (("search", "--latency-ms", "2", "--set", "nope"), "FIELD=VALUE"),
        (("search", "--latency-ms", "2", "--set", "seed=]"), "YAML"),
        (("run", "nope.yaml"), "nope.yaml: no such job file"),
        (("compile", "nope.onnx"), "nope.onnx: no such ONNX file"),
        (("build", "/nope"), "/nope: no such run folder"),
        (("report", "/nope"), "/nope: no such run folder"),
        (("verify", "/nope"), "/nope"),
        (("verify", "x" * 300), "too long for a file's name"),
        (("predict", "/nope", "image.png"), "/nope"),
        (("pretrain", "--data", "digits", "--out", "out", "--lr", "nan"), "lr"),
        (("pretrain", "--data", "digits", "--out", "out", "--epochs-largest", "-1"), "epochs_largest"),
    ],
)
def test_bad_input_is_one_line_and_2(natdeploy, args: tuple[str, ...], words: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = natdeploy(*args)
    assert result.exit_code == 2, result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr
    assert result.stdout == ""
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_full_disk_behind_stdout_is_one_line_and_2(flags: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "natdeploy.cli.main", "devices", *flags],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=CHECKOUT,
            timeout=120,
        )
    assert (found.returncode, len(found.stderr.splitlines())) == (2, 1), found.stderr
    assert "standard output: the disk is full" in found.stderr


def test_torchruns_variables_are_checked(command, monkeypatch) -> None:
    for name, value in {
        "RANK": "x",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "::1",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    result = command("doctor", "--json")
    assert result.returncode == 2
    assert result.stderr.startswith("natdeploy: environment variable RANK: is 'x'") and result.stderr.count("\n") == 1
    assert json.loads(result.stdout)["error"]["kind"] == "BadInput"


def test_errors_are_json_too(natdeploy) -> None:
    result = natdeploy("verify", "/nope", "--json")
    found = json.loads(result.stdout)["error"]
    assert (found["exit_code"], found["kind"]) == (result.exit_code, "BadInput")
    assert found["message"] in result.stderr


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.BadInput, 2),
        (errors.DeviceNotReachable, 3),
        (errors.TimingNotPossible, 3),
        (errors.BudgetNotMet, 4),
        (errors.VerificationFailed, 5),
        (errors.GateFailed, 6),
        (errors.ChildFailed, 1),
        (KeyboardInterrupt, 130),
    ],
)
def test_exit_codes(natdeploy, monkeypatch, error: type[BaseException], status: int) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise error("it\nfailed")

    monkeypatch.setattr(verbs, "verify", fail)
    result = natdeploy("verify", "bundle")
    assert result.exit_code == status
    assert len(result.stderr.splitlines()) == 1
    assert "Traceback" not in result.stderr


def test_a_defect_keeps_its_traceback(natdeploy, monkeypatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(verbs, "verify", fail)
    assert isinstance(natdeploy("verify", "bundle").exception, ZeroDivisionError)


def test_what_a_library_prints_stays_out_of_the_json(natdeploy, monkeypatch) -> None:
    def noisy() -> verbs.doctor.__class__:
        from natdeploy.verbs.doctor import DoctorResult

        print("a library talks")
        return DoctorResult(True, ())

    monkeypatch.setattr(verbs, "doctor", noisy)
    result = natdeploy("doctor", "--json")
    assert json.loads(result.stdout) == {"ready": True, "checks": []}
    assert "a library talks" in result.stderr


def test_control_c_leaves_with_130_and_one_line(tmp_path: Path) -> None:
    code = (
        "import signal, time; from natdeploy import verbs; from natdeploy.cli.main import app\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "def wait(): print('ready', flush=True); time.sleep(60)\n"
        "verbs.doctor = wait; app(['doctor'])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=50)
    assert process.returncode == 130
    assert stderr.splitlines() == ["natdeploy: interrupted; start the same command again to continue"]
