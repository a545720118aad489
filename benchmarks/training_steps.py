"""Elastic training steps beside Once-for-All's own code, on the same subnets, images and weights, in turn.

    python benchmarks/training_steps.py [--json] [--seed S] [--quick] [--threads N]

A step trains the largest network of ``ofa-mbv3-w1.0`` on labels and three random subnets on its predictions, at their
own resolutions, and moves the weights by SGD. The PyPI package ``ofa`` takes it in an environment of its own, natdeploy
in another process; both start from the same random weights and see the same random images, so their losses agree.
``ratio`` is the geometric mean, over pairs of steps taken one after the other, of natdeploy's time over ``ofa``'s, and
``ratio_processor`` that of processor times, on which neighbours have less influence; below 1 is faster. ``spread`` is
the standard deviation of the ratios' logarithms; ``loss_difference`` is the largest one of first losses, relative.
12 pairs of steps on 16 images, or 3 on 4 with ``--quick``; reads no data.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from natdeploy.spaces.arch import Arch

CHECKOUT = Path(__file__).resolve().parents[1]
SPACE = "ofa-mbv3-w1.0"
STUDENTS = 3
#: Resolutions of the published supernet's own training, the largest one first.
RESOLUTIONS = (224, 192, 160, 128)


def measure(*, seed: int, quick: bool, threads: int) -> dict[str, Any]:
    """Take the steps in turn. Raises BadInput when the peer cannot be installed or a process fails."""
    from benchmarks.environment import environment
    from benchmarks.ofa_equivalence import PACKAGES, PEER, _places
    from benchmarks.peers import peer_python
    from natdeploy.spaces import get_space

    space = get_space(SPACE)
    rng = np.random.default_rng(seed)

    def request(arch: Arch) -> dict[str, Any]:
        resolution = int(rng.choice(RESOLUTIONS))
        return {"ks": _places(arch, arch.ks), "e": _places(arch, arch.e), "d": arch.d, "r": resolution}

    steps = [
        {"seed": index, "images": 4 if quick else 16, "students": [request(space.sample(rng)) for _ in range(STUDENTS)]}
        for index in range(3 if quick else 12)
    ]
    pythons = {"ofa": str(peer_python("ofa", PACKAGES, without_dependencies=[PEER])), "natdeploy": sys.executable}
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory(prefix="natdeploy-steps-") as folder:
        workers = {}
        try:
            for name, python in pythons.items():  # the peer first: it writes the weights
                workers[name] = _start(python, name, Path(folder), seed, threads)
                _ask(workers[name], name, steps[0])  # first steps allocate
            for index, step in enumerate(steps):
                order = list(workers) if index % 2 else list(workers)[::-1]
                for name in order:
                    taken[name].append(_ask(workers[name], name, step))
                print(f"step {index + 1}/{len(steps)}", file=sys.stderr, flush=True)
        finally:
            for worker in workers.values():
                worker.kill()
                worker.communicate()
    ratios = {
        key: np.log([ours[key] / theirs[key] for ours, theirs in zip(taken["natdeploy"], taken["ofa"])])
        for key in ("seconds", "processor_seconds")
    }
    losses = [np.array([step["loss"] for step in taken[name]]) for name in ("natdeploy", "ofa")]
    figures = {
        "ratio": float(np.exp(ratios["seconds"].mean())),
        "ratio_processor": float(np.exp(ratios["processor_seconds"].mean())),
        "spread": float(ratios["seconds"].std(ddof=1)),
        "steps": len(steps),
        "threads": threads,
        "seconds_per_step": float(np.mean([step["seconds"] for step in taken["natdeploy"]])),
        "loss_difference": float(np.abs(losses[0] / losses[1] - 1)[0]),
        "loss_difference_last": float(np.abs(losses[0] / losses[1] - 1)[-1]),
    }
    return {"benchmark": "training_steps", "figures": figures, "environment": environment(seed=seed, quick=quick)}


def _start(python: str, name: str, folder: Path, seed: int, threads: int) -> subprocess.Popen[str]:
    command = [python, str(CHECKOUT / "benchmarks" / "training_steps_worker.py"), name, str(folder), str(seed)]
    return subprocess.Popen([*command, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _ask(worker: subprocess.Popen[str], name: str, step: dict[str, Any]) -> dict[str, float]:
    from natdeploy.ground.errors import BadInput

    assert worker.stdin is not None and worker.stdout is not None
    worker.stdin.write(json.dumps(step) + "\n")
    worker.stdin.flush()
    answered = worker.stdout.readline()
    if not answered:
        raise BadInput(f"the steps of {name} failed; the lines above say why")
    found: dict[str, float] = json.loads(answered)
    return found


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="three steps on four images")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    options = parser.parse_args()
    found = {"seed": options.seed, "quick": options.quick, "threads": options.threads}
    answer(parser, lambda: measure(**found), as_json=options.json)


if __name__ == "__main__":
    main()
