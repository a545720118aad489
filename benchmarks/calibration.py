"""What varied calibration images are worth: the shipped supernet on CIFAR-10's 10,000 test images, each subnet twice.

    python benchmarks/calibration.py [--json] [--seed S] [--quick]

Batch-norm statistics of 1,000 training images, varied as in training or as they are, the same ones for all subnets:
the largest, the smallest and twenty random ones. Images are ``../shared/data/cifar10`` beside the checkout. Figures:
top-1 with varied ones (``largest_top1``, ``smallest_top1``, ``random_top1``, a mean) and how many percentage points
more than with plain ones (``largest_points``, ``smallest_points``, ``random_points``, and the range of all,
``least_points`` and ``most_points``), over how many (``subnets``, ``random`` of them drawn); ``same_division`` is 1
where the supernet was trained on these very images. ``--quick`` takes two random subnets and 500 test images. Some
four minutes of one thread.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES = CHECKOUT.parent / "shared" / "data" / "cifar10"
#: As the shipped supernet was trained.
HELD_OUT = 0.04
RANDOM = 20


def measure(path: Path, *, seed: int, quick: bool) -> dict[str, Any]:
    """Judge every subnet twice. Raises BadInput for images that cannot be read, or are of other classes."""
    from benchmarks.environment import environment
    from natdeploy.data import load_dataset
    from natdeploy.ground.errors import BadInput
    from natdeploy.supernets import BOX, load_supernet, read_supernet_header
    from natdeploy.transfer import Calibration, evaluate_arch

    supernet, meta = load_supernet(), read_supernet_header(BOX)["meta"]
    dataset = load_dataset(str(path), val_fraction=HELD_OUT)
    if list(dataset.classes) != meta["classes"]:
        raise BadInput(f"{path}: its classes are not the supernet's: {', '.join(meta['classes'])}")
    images, rng = 500 if quick else len(dataset.test), np.random.default_rng(seed)
    archs = {"largest": supernet.space.largest(), "smallest": supernet.space.smallest()}
    archs |= {f"random {index}": supernet.space.sample(rng) for index in range(2 if quick else RANDOM)}
    top1: dict[str, list[float]] = {}
    for name, arch in archs.items():
        top1[name] = [
            evaluate_arch(
                supernet,
                arch,
                dataset,
                Calibration(augmentation=augmentation, seed=seed),
                split="test",
                images=images,
            ).top1
            for augmentation in (meta["config"]["augmentation"], "none")
        ]
        print(f"{name}: varied {top1[name][0]:.2%}, plain {top1[name][1]:.2%}", file=sys.stderr, flush=True)
    points = {name: 100 * (varied - plain) for name, (varied, plain) in top1.items()}
    drawn = [name for name in archs if name.startswith("random")]
    figures: dict[str, float] = {}
    for group, names in {"largest": ["largest"], "smallest": ["smallest"], "random": drawn}.items():
        figures[f"{group}_top1"] = float(np.mean([top1[name][0] for name in names]))
        figures[f"{group}_points"] = float(np.mean([points[name] for name in names]))
    figures |= {
        "least_points": min(points.values()),
        "most_points": max(points.values()),
        "subnets": len(top1),
        "random": len(drawn),
        "same_division": int(dataset.fingerprint == meta["trained_on"]["fingerprint"]),
    }
    about = {"data": path.name, "test_images": images}
    return {
        "benchmark": "calibration",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    import torch

    from benchmarks.output import answer, parser_of

    torch.set_num_threads(1)
    parser = parser_of(__doc__, quick="two random subnets, 500 test images")
    options = parser.parse_args()
    answer(parser, lambda: measure(IMAGES, seed=options.seed, quick=options.quick), as_json=options.json)


if __name__ == "__main__":
    main()
