"""The way of a push through CI, timed: plan, build for three devices, verify, gate, publish, and everything again.

    python benchmarks/ci_roundtrip.py [--json] [--seed S] [--quick] [--keep FOLDER]

Every step is a command in a process of its own, as a CI system starts it. The first build begins with an empty cache;
the second finds nothing changed; the third has another budget for one device. The gate is asked with the baseline that
was just written, five times with the host's model timed anew, and with baselines that are better than what was built.

Figures: ``seconds_*`` of the steps, ``speedup_unchanged`` (first over unchanged build), ``gate_exit_same`` (0),
``gates_remeasured_green`` (of 5), ``gate_exit_worse`` (6 where each worsened metric was named), ``bundles``.
``--quick`` builds for the host alone, with ONNX Runtime and a search of no worth, to see that all works. Pipeline:
``examples/ci/natdeploy.yaml``; data: scikit-learn's handwritten digits; weights: the supernet shipped with natdeploy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
PIPELINE = CHECKOUT / "examples" / "ci" / "natdeploy.yaml"
REMEASURED_GATES = 5
#: Of every search here: small, since what is timed is the way through CI, not the search.
SMALL: dict[str, Any] = {
    "search": {"initial": 12, "iterations": 1, "candidates": 4, "archive": 20, "random_baseline": False},
    "adapt": {"warm_up_epochs": 1, "epochs_per_iteration": 1},
}
QUICK: dict[str, Any] = {
    "search": {"initial": 6, "iterations": 1, "candidates": 2, "random_baseline": False},
    "adapt": {"warm_up_epochs": 1, "epochs_per_iteration": 0},
}


class Commands:
    """``natdeploy ...`` in a folder, with a cache of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "NATDEPLOY_HOME": str(folder / "home"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])),
        }

    def __call__(self, *arguments: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; its progress goes to stderr. Ends the benchmark where it exits otherwise than expected."""
        print(f"$ natdeploy {' '.join(arguments)}", file=sys.stderr)
        command = [sys.executable, "-m", "natdeploy.cli.main", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False
        )
        print(done.stderr[-4000:], file=sys.stderr, end="")
        if done.returncode != exits:
            raise SystemExit(f"ci_roundtrip: exit status {done.returncode} instead of {exits}: natdeploy {arguments}")
        return done

    def timed(self, *arguments: str) -> tuple[float, str]:
        """Wall-clock seconds of a command, and what it printed."""
        started = time.monotonic()
        printed = self(*arguments).stdout
        return time.monotonic() - started, printed


def pipeline_of(seed: int, quick: bool) -> dict[str, Any]:
    """The example's pipeline with this seed; for ``quick`` a part of it."""
    value = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    value["tasks"]["digits"] |= {"seed": seed, **(QUICK if quick else SMALL)}
    if quick:
        value["tasks"]["digits"]["runtime"] = "onnxruntime"
        profile = {"networks": 30, "holdout": 10, "runtimes": ["onnxruntime"]}
        value["devices"] = {"host": {"latency_percentile": 60, "profile": profile}}
    return value


def write_pipeline(folder: Path, value: dict[str, Any]) -> None:
    """Write the pipeline where the commands look for it."""
    (folder / "natdeploy.yaml").write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


def build_all(run: Commands, devices: list[str]) -> tuple[float, dict[str, float], dict[str, dict[str, str]]]:
    """Seconds of all builds and of each, and what became of their stages."""
    seconds, stages = {}, {}
    for device in devices:
        seconds[device], printed = run.timed("ci", "build", "--device", device, "--json")
        stages[device] = json.loads(printed)["entries"][0]["stages"]
    return sum(seconds.values()), seconds, stages


def worse_gates(run: Commands, device: str) -> int:
    """Exit status of the gate where the baseline was better, metric by metric; each must be named."""
    path = run.folder / "baselines" / f"digits-{device}.json"
    kept = path.read_text(encoding="utf-8")
    for metric in ("top1", "measured latency", "size"):
        value = json.loads(kept)
        (model,) = value["models"].values()
        if metric == "size":
            model["bytes"] //= 2
        elif metric == "measured latency":
            for figure in model["measured"].values():
                figure.update({name: ms / 3 for name, ms in figure.items()})
        elif model["accuracy"]["test"]["top1"] <= 0.97:  # else no baseline can be better beyond doubt
            model["accuracy"]["test"] = {"top1": 1.0, "standard_error": 0.0, "images": 10_000}
        else:
            continue
        path.write_text(json.dumps(value), encoding="utf-8")
        done = run("ci", "gate", "--device", device, exits=6)
        if metric not in done.stderr.splitlines()[-1]:
            raise SystemExit(f"ci_roundtrip: the gate did not name {metric!r}: {done.stderr!r}")
    path.write_text(kept, encoding="utf-8")
    return 6


def measure(folder: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """Do everything in an empty folder and gather the figures."""
    run = Commands(folder)
    value = pipeline_of(seed, quick)
    write_pipeline(folder, value)
    seconds_plan, printed = run.timed("ci", "plan")
    devices = [job["device"] for job in json.loads(printed)["include"]]
    seconds_first, seconds_of, _ = build_all(run, devices)
    bundles = sorted(folder.glob("ci/*/bundles/*"))
    seconds_verify = sum(run.timed("verify", str(bundle.relative_to(folder)))[0] for bundle in bundles)
    run("ci", "gate", "--update")
    seconds_gate, _ = run.timed("ci", "gate")
    remeasured = [run("ci", "gate", "--device", "host", "--remeasure") for _ in range(REMEASURED_GATES)]
    exit_worse = worse_gates(run, "host")
    seconds_publish, _ = run.timed("ci", "publish")
    seconds_unchanged, _, stages = build_all(run, devices)
    if any(stages[device][stage] != "reused" for device in devices for stage in ("search", "build")):
        raise SystemExit(f"ci_roundtrip: an unchanged build was made again: {stages}")
    if not quick:
        value["devices"]["pixel4"]["latency_ms"] *= 1.25
        write_pipeline(folder, value)
    seconds_budget, _, stages = build_all(run, devices)
    made = sorted(device for device in devices if stages[device]["build"] != "reused")
    if made != ([] if quick else ["pixel4"]):
        raise SystemExit(f"ci_roundtrip: another budget for pixel4 has built {made}")
    figures = {
        "seconds_plan": seconds_plan,
        "seconds_first": seconds_first,
        **{f"seconds_first_{device}": seconds for device, seconds in seconds_of.items()},
        "seconds_verify": seconds_verify,
        "seconds_gate": seconds_gate,
        "seconds_publish": seconds_publish,
        "seconds_unchanged": seconds_unchanged,
        "seconds_other_budget": seconds_budget,
        "speedup_unchanged": seconds_first / seconds_unchanged,
        "gate_exit_same": 0,
        "gates_remeasured_green": len(remeasured),
        "gate_exit_worse": exit_worse,
        "bundles": len(bundles),
    }
    from benchmarks.environment import environment

    return {
        "benchmark": "ci_roundtrip",
        "figures": figures,
        "environment": environment(seed=seed, quick=quick),
    }


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, keep_option, parser_of, working_folder

    parser = parser_of(__doc__, quick="a small form, for the host alone")
    keep_option(parser)
    options = parser.parse_args()
    with working_folder(parser, options.keep) as folder:
        answer(parser, lambda: measure(folder, seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
