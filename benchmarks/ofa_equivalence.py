"""Whether Once-for-All's own checkpoints mean the same here: its network code against ours, subnet by subnet.

    python benchmarks/ofa_equivalence.py [--json] [--seed S] [--quick]

Installs the PyPI package ``ofa`` into an environment of its own, fills its ``OFAMobileNetV3`` with random weights,
loads them with ``load_supernet`` as a user loads the published file, and runs random subnets of ``ofa-mbv3-w1.0``
through both on random images, with the checkpoint's batch-norm statistics and with calibrated ones. ``max_abs_diff``
is the largest difference of any logit (their size is ``logits_std``); ``params_equal`` and ``macs_equal`` are the
shares of subnets whose counts agree exactly. 50 subnets, or 4 with ``--quick``; reads no data.
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
IMAGES = 2
PACKAGES = ("torch==2.13.0", "numpy", "pillow")
PEER = "ofa==0.1.0.post202307202001"


def measure(*, seed: int, quick: bool) -> dict[str, Any]:
    """Run both. Raises BadInput when the peer cannot be installed or fails."""
    from benchmarks.environment import environment
    from benchmarks.peers import peer_python
    from natdeploy.ground.errors import BadInput
    from natdeploy.spaces import get_space

    space = get_space(SPACE)
    rng = np.random.default_rng(seed)
    archs = [space.sample(rng) for _ in range(4 if quick else 50)]
    python = peer_python("ofa", PACKAGES, without_dependencies=[PEER])
    with tempfile.TemporaryDirectory(prefix="natdeploy-ofa-") as scratch:
        folder = Path(scratch)
        subnets = [
            {"ks": _places(arch, arch.ks), "e": _places(arch, arch.e), "d": arch.d, "r": arch.r} for arch in archs
        ]
        (folder / "request.json").write_text(json.dumps({"seed": seed, "images": IMAGES, "subnets": subnets}))
        if subprocess.run([str(python), str(CHECKOUT / "benchmarks" / "ofa_peer.py"), scratch]).returncode:
            raise BadInput("the package ofa failed; the lines above say why")
        with np.load(folder / "answers.npz") as answers:
            theirs = dict(answers)
        ours = _ours(folder / "state.pt", archs, seed)
    figures = {
        "max_abs_diff": max(float(np.abs(ours[name] - theirs[name]).max()) for name in ("before", "after")),
        "subnets": len(archs),
        "logits_std": float(theirs["after"].std()),
        "params_equal": float((ours["params"] == theirs["params"]).mean()),
        "macs_equal": float((ours["macs"] == theirs["macs"]).mean()),
    }
    return {"benchmark": "ofa_equivalence", "figures": figures, "environment": environment(seed=seed, quick=quick)}


def _places(arch: Arch, values: tuple[int, ...]) -> list[int]:
    """One value for each of a stage's four places, as OFA takes them; absent blocks repeat the last one."""
    found, start = [], 0
    for depth in arch.d:
        stage = list(values[start : start + depth])
        found += stage + stage[-1:] * (4 - depth)
        start += depth
    return found


def _ours(checkpoint: Path, archs: list[Arch], seed: int) -> dict[str, np.ndarray]:
    import torch

    from benchmarks.ofa_peer import images
    from natdeploy.spaces.costs import costs
    from natdeploy.supernets import calibrate, extract, load_supernet

    supernet = load_supernet(checkpoint)
    answers: dict[str, list[Any]] = {"before": [], "after": [], "params": [], "macs": []}
    with torch.no_grad():
        for index, arch in enumerate(archs):
            subnet = extract(supernet, arch)
            batch = images(seed, index, 0, IMAGES, arch.r)
            answers["before"].append(subnet(batch).numpy())
            calibrate(subnet, [images(seed, index, 1 + use, 3 + use, arch.r) for use in range(2)])
            answers["after"].append(subnet(batch).numpy())
            answers["params"].append(sum(parameter.numel() for parameter in subnet.parameters()))
            answers["macs"].append(costs(supernet.space.layers(arch, supernet.num_classes)).macs)
            print(f"natdeploy: subnet {index + 1}/{len(archs)}", file=sys.stderr, flush=True)
    return {name: np.asarray(values) for name, values in answers.items()}


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, parser_of

    parser = parser_of(__doc__, quick="four subnets")
    options = parser.parse_args()
    answer(parser, lambda: measure(seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
