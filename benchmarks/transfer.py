"""What NAT's adaptation is worth on small data sets: against fine-tuning one subnet, and against searching without it.

    python benchmarks/transfer.py [--json] [--seed S] [--quick] [--data NAME ...] [--fold N ...] [--jobs N]
                                  [--keep FOLDER]

From the shipped supernet (CIFAR-10) to ``flowers12`` and ``dtd10`` of ``../shared/data`` beside the checkout, resized
to the micro space's 32 pixels. Stratified five-fold over all images: a fold is looked at once, at the end; everything
is trained on the rest, and chosen on an inner validation part of it. Four ways, with as many seconds of training
(processor time; each fold has one thread, and as many folds as processors run side by side):

    nat             the search: accuracy against MACs; the largest subnet is trained first, then subnets of the whole
                    space, then, in between the search's rounds, the archive's first fronts. Its seconds serve all
                    models together
    no_adaptation   the same search; all of the training comes first, on subnets of the whole space
    finetune        one subnet, taken out of the supernet and trained alone: the largest, and one of medium size

All evaluate a moving average of the weights, batch norm calibrated on varied training images; searches choose by
validation images and their mirror images.

Figures of each data set D: ``D_hv_nat`` and ``D_hv_no_adaptation``, hypervolume of the front chosen on validation
images, by its accuracies on the fold's, as a share of the box up to error 1 and the largest subnet's MACs;
``D_top1_finetune_largest`` and ``D_top1_finetune_mid``; ``D_top1_nat_at_largest`` and ``D_top1_nat_at_mid``, of the
model that ``build --pick best`` takes with that subnet's MACs for a budget (``D_mmacs_...`` are its own, in millions);
``D_top1_nat_over_budgets`` and ``D_top1_no_adaptation_over_budgets``, the mean of what it takes with any budget up to
the largest subnet's MACs, each as likely (so that large ones count most; where there is none, 0).

Of a hypervolume the best of a front's accuracies on the fold's images counts, so that long fronts gain by chance; and
some hundred validation images make fronts of three members or of thirteen. Of the mean over budgets, every choice
counts. It was added after folds of another division (``--seed 1``) had not favoured NAT by hypervolume.

Means over folds; ``D_se_hv``, ``D_se_over_budgets``, ``D_se_largest`` and ``D_se_mid`` are standard errors of the
paired differences, ``D_seconds_...`` the training of each way. All of it takes 65 to 85 minutes of two processors.

``--keep FOLDER`` writes each fold's outcome there when it is done: a run that was cut off, or given other folds or
data, takes what is there and does the rest, and the figures are those of all folds together. ``--quick`` does one fold
of one data set, hardly trained: its figures say nothing.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.kept import Place
    from benchmarks.transfer_ways import Outcome

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGES = CHECKOUT.parent / "shared" / "data"
DATA = ("flowers12", "dtd10")
FOLDS = 5
#: Figures whose differences are paired, fold by fold.
PAIRS = {
    "hv": ("hv_nat", "hv_no_adaptation"),
    "over_budgets": ("top1_nat_over_budgets", "top1_no_adaptation_over_budgets"),
    "largest": ("top1_nat_at_largest", "top1_finetune_largest"),
    "mid": ("top1_nat_at_mid", "top1_finetune_mid"),
}


def measure(
    names: Sequence[str], numbers: Sequence[int], *, seed: int, quick: bool, keep: Path | None, jobs: int
) -> dict[str, Any]:
    """These folds of these data sets. Raises BadInput for images that are not there, or outcomes of other settings."""
    from benchmarks.environment import environment
    from benchmarks.kept import kept_folder, kept_or_done
    from benchmarks.transfer_ways import Outcome

    places = [(name, number) for name in names for number in numbers]
    with kept_folder(keep) as kept, tempfile.TemporaryDirectory(prefix="transfer.") as temporary:

        def do(left: list[Place]) -> Iterator[tuple[Place, dict[str, Any]]]:
            run = _run(left, Path(temporary), seed=seed, quick=quick, jobs=jobs)
            return ((place, asdict(outcome)) for place, outcome in run)

        done = kept_or_done(places, kept, kind="fold", of=_conditions(seed, quick), do=do, say=_line)
    found = {place: Outcome(**outcome) for place, outcome in done.items()}
    figures: dict[str, float] = {}
    for name in names:
        outcomes = [found[name, number] for number in numbers]
        seconds = {
            f"seconds_{way}": float(np.mean([one.seconds[way] for one in outcomes])) for way in outcomes[0].seconds
        }
        about = summary([one.figures for one in outcomes]) | seconds
        figures |= {f"{name}_{figure}": value for figure, value in about.items()}
    about = {"data": list(names), "folds": list(numbers), "jobs": jobs}
    return {
        "benchmark": "transfer",
        "figures": figures,
        "environment": {**environment(seed=seed, quick=quick), **about},
    }


def _run(
    places: Sequence[Place], folder: Path, *, seed: int, quick: bool, jobs: int
) -> Iterator[tuple[Place, Outcome]]:
    """Folds and their outcomes, as they are done."""
    from benchmarks.transfer_folds import write_folds
    from benchmarks.transfer_ways import SPACE, one_fold
    from benchmarks.workers import side_by_side
    from natdeploy.spaces import get_space

    size = get_space(SPACE).resolutions[-1]
    paths = {
        name: write_folds(IMAGES / name, folder, seed=seed, folds=FOLDS, size=size)
        for name in dict.fromkeys(name for name, _ in places)
    }
    yield from side_by_side(
        {
            (name, number): partial(one_fold, paths[name][number], folder / f"{name}-{number}", seed=seed, quick=quick)
            for name, number in places
        },
        jobs,
    )


def summary(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over folds, and the standard errors of the paired differences where there are several."""
    found = {name: float(np.mean([fold[name] for fold in folds])) for name in folds[0]}
    if len(folds) > 1:
        for name, (ours, other) in PAIRS.items():
            differences = [fold[ours] - fold[other] for fold in folds]
            found[f"se_{name}"] = float(np.std(differences, ddof=1) / np.sqrt(len(folds)))
    return found


def _conditions(seed: int, quick: bool) -> dict[str, Any]:
    from benchmarks.transfer_ways import JUDGED, settings
    from natdeploy import __version__

    how = {"folds": FOLDS, "without_adaptation": "trained for NAT's seconds", "judged": JUDGED}
    return {**settings(quick=quick), **how, "seed": seed, "natdeploy": __version__}


def _line(outcome: Mapping[str, Any]) -> str:
    from benchmarks.kept import line

    return f"{line(outcome['figures'])}; seconds: {line(outcome['seconds'])}"


def main() -> None:
    """Parse, measure, print."""
    sys.path.insert(0, str(CHECKOUT))
    from benchmarks.output import answer, jobs_option, outcomes_option, parser_of

    parser = parser_of(__doc__, quick="one fold of one data set, hardly trained")
    parser.add_argument("--data", action="append", choices=DATA, help="this data set alone; may be given again")
    parser.add_argument("--fold", action="append", type=int, choices=range(FOLDS), help="this fold alone; again, too")
    outcomes_option(parser)
    jobs_option(parser, "folds")
    options = parser.parse_args()
    names, numbers = list(dict.fromkeys(options.data or DATA)), sorted(set(options.fold or range(FOLDS)))
    if options.quick:
        names, numbers = names[:1], numbers[:1]
    how = {"seed": options.seed, "quick": options.quick, "keep": options.keep, "jobs": options.jobs}
    answer(parser, lambda: measure(names, numbers, **how), as_json=options.json)


if __name__ == "__main__":
    main()
