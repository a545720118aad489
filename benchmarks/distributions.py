"""Which subnets adaptation should draw: whole searches that differ in nothing else, on tasks with 2,400 test images.

    python benchmarks/distributions.py [--json] [--seed S] [--quick] [--task NAME ...] [--draws N] [--jobs N]
                                       [--keep FOLDER]

Two tasks made of images of ``../shared/data`` beside the checkout (``benchmarks/made_tasks.py``: ``turned`` of
CIFAR-10's, ``crops`` of ImageNet's), 540 images to train and choose on; three draws of each, which share no image. On
each, ``benchmarks/transfer.py``'s NAT with every ``adapt.distribution``: ``uniform``, the whole space; ``archive``, the
archive's genes (NAT's own); ``fronts``, the members of its first three fronts; then two subnets that are fine-tuned
alone for as many seconds as ``fronts`` took. (``fronts`` and the growing archive of these settings had been chosen on
tasks made of CIFAR-10, one of them much like ``turned``; the moving average on such as well, on pieces of other
photographs than those of ``crops``, and on images of the transfer benchmark.)

Figures of each task T and distribution D, means over draws: ``T_hv_D``, hypervolume of the front, chosen on validation
images, by its accuracies on the test images, as a share of the box up to error 1 and the largest subnet's MACs;
``T_top1_D_at_largest`` and ``T_top1_D_at_mid``, of the model that ``build --pick best`` takes with that subnet's MACs
for a budget (``T_mmacs_D_at_...`` are its own, in millions); ``T_top1_D_over_budgets``, the mean of what it takes with
any budget; ``T_top1_finetune_largest`` and ``T_top1_finetune_mid``; ``T_seconds_D``, processor time of training. Of all
draws of all tasks, ``pairs`` in number, mean and standard error of the paired differences, ``fronts`` minus the other:
``hv_over_archive`` and ``se_hv_over_archive``, ``hv_over_uniform``; ``budgets_over_...``, ``largest_over_...`` and
``mid_over_...`` likewise, of the last two also ``..._over_finetune``. An hour of two processors.

``--keep FOLDER`` writes each draw's outcome there when it is done, and takes what is there. ``--quick`` does one draw
of one task, hardly trained: its figures say nothing.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.kept import Place

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES = CHECKOUT.parent / "shared" / "data"
DRAWS = 3
DISTRIBUTIONS = ("fronts", "archive", "uniform")
#: Figures whose differences are paired, draw by draw.
PAIRS = {
    "hv_over_archive": ("hv_fronts", "hv_archive"),
    "hv_over_uniform": ("hv_fronts", "hv_uniform"),
    "budgets_over_archive": ("top1_fronts_over_budgets", "top1_archive_over_budgets"),
    "budgets_over_uniform": ("top1_fronts_over_budgets", "top1_uniform_over_budgets"),
    "largest_over_archive": ("top1_fronts_at_largest", "top1_archive_at_largest"),
    "largest_over_uniform": ("top1_fronts_at_largest", "top1_uniform_at_largest"),
    "mid_over_archive": ("top1_fronts_at_mid", "top1_archive_at_mid"),
    "mid_over_uniform": ("top1_fronts_at_mid", "top1_uniform_at_mid"),
    "largest_over_finetune": ("top1_fronts_at_largest", "top1_finetune_largest"),
    "mid_over_finetune": ("top1_fronts_at_mid", "top1_finetune_mid"),
}


def measure(
    shared: Path, names: Sequence[str], draws: int, *, seed: int, quick: bool, keep: Path | None, jobs: int
) -> dict[str, Any]:
    """So many draws of these tasks. Raises BadInput for images that are not there, or outcomes of other settings."""
    from benchmarks.environment import environment
    from benchmarks.kept import kept_folder, kept_or_done, line
    from benchmarks.made_tasks import TASKS
    from benchmarks.workers import side_by_side

    places = [(name, draw) for draw in range(draws) for name in names]
    with kept_folder(keep) as kept, tempfile.TemporaryDirectory(prefix="distributions.") as temporary:

        def do(left: list[Place]) -> Iterator[tuple[Place, dict[str, float]]]:
            parts = {
                (name, draw): partial(
                    one_draw, shared, name, Path(temporary) / f"{name}-{draw}", seed, draw, quick=quick
                )
                for name, draw in left
            }
            return side_by_side(parts, jobs)

        found = kept_or_done(places, kept, kind="draw", of=_conditions(seed, quick), do=do, say=line)
    about = {"data": [TASKS[name] for name in names], "tasks": list(names), "draws": draws, "jobs": jobs}
    return {
        "benchmark": "distributions",
        "figures": summary(found),
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def one_draw(shared: Path, name: str, folder: Path, seed: int, draw: int, *, quick: bool) -> dict[str, float]:
    """All searches and fine-tunings on one draw of a task, one after the other, by one thread of the processor."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    import torch

    from benchmarks.made_tasks import TASKS, write_task
    from benchmarks.transfer_training import trained_alone
    from benchmarks.transfer_ways import judged, limits, nat_config, searched
    from natdeploy.data import load_dataset

    torch.set_num_threads(1)
    folder.mkdir(parents=True)
    write_task(shared, name, folder / "task.npz", seed=seed, draw=draw, quick=quick)
    own_seed = int(np.random.default_rng([seed, draw, list(TASKS).index(name)]).integers(2**31))
    ours = nat_config(folder / "task.npz", seed=own_seed, quick=quick)
    dataset = load_dataset(ours.data, seed=own_seed)
    figures: dict[str, float] = {}
    for drawn in DISTRIBUTIONS:
        how = ours.model_copy(update={"adapt": ours.adapt.model_copy(update={"distribution": drawn})})
        run, figures[f"seconds_{drawn}"] = searched(how, dataset, folder / drawn)
        figures |= judged(run, dataset, how, drawn)
    for size, arch in limits().items():
        figures[f"top1_finetune_{size}"], _ = trained_alone(arch, dataset, ours, figures["seconds_fronts"])
    return figures


def summary(found: Mapping[Place, Mapping[str, float]]) -> dict[str, float]:
    """Means over the draws of each task; mean, and of several the standard error, of all draws' paired differences."""
    figures: dict[str, float] = {}
    for name in dict.fromkeys(name for name, _ in found):
        of_task = [one for at, one in found.items() if at[0] == name]
        figures |= {f"{name}_{what}": float(np.mean([one[what] for one in of_task])) for what in of_task[0]}
    for pair, (ours, other) in PAIRS.items():
        differences = [one[ours] - one[other] for one in found.values()]
        figures[pair] = float(np.mean(differences))
        if len(differences) > 1:
            figures[f"se_{pair}"] = float(np.std(differences, ddof=1) / np.sqrt(len(differences)))
    return figures | {"pairs": len(found)}


def _conditions(seed: int, quick: bool) -> dict[str, Any]:
    from benchmarks.made_tasks import PARTS, QUICK_PARTS, TASKS
    from benchmarks.transfer_ways import JUDGED, settings
    from natdeploy import __version__

    how = settings(quick=quick)
    adapt = {name: value for name, value in how["adapt"].items() if name != "distribution"}
    return {
        "search": how["search"],
        "adapt": adapt,
        "distributions": list(DISTRIBUTIONS),
        "finetune": "for the seconds of fronts",
        "judged": JUDGED,
        "tasks": dict(TASKS),
        "parts": dict(QUICK_PARTS if quick else PARTS),
        "seed": seed,
        "natdeploy": __version__,
    }


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.made_tasks import TASKS
    from benchmarks.output import answer, jobs_option, outcomes_option, parser_of

    parser = parser_of(__doc__, quick="one draw of one task, hardly trained")
    parser.add_argument("--task", action="append", choices=TASKS, help="this task alone; may be given again")
    parser.add_argument("--draws", type=int, choices=range(1, DRAWS + 1), default=DRAWS, help="of each task")
    outcomes_option(parser)
    jobs_option(parser, "draws")
    options = parser.parse_args()
    names, draws = dict.fromkeys(options.task or TASKS), options.draws
    if options.quick:
        names, draws = dict.fromkeys(list(names)[:1]), 1
    how = {"seed": options.seed, "quick": options.quick, "keep": options.keep, "jobs": options.jobs}
    answer(parser, lambda: measure(IMAGES, list(names), draws, **how), as_json=options.json)


if __name__ == "__main__":
    main()
