"""ImageNet accuracies of OFA-MobileNetV3 (width 1.0) subnets: the measured ones, and an oracle for all the others.

Read by the benchmarks of surrogates and of search efficiency from ``../shared/data/accuracy`` beside the checkout:
subnets measured by DyNAS-T (Apache-2.0), and the accuracy predictor that OFA's authors published.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch, get_space
from natdeploy.spaces.mobilenetv3 import EXPANDS, KERNELS, MobileNetV3Space

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "data" / "accuracy"
TABLE = FOLDER / "dynas_ofa_mbv3_w10_top1.csv.gz"
PREDICTOR = FOLDER / "ofa_acc_predictor.npz"
#: The resolution of the measured subnets.
RESOLUTION = 224
#: One-hot places of the resolutions that the published predictor knows.
_PREDICTOR_RESOLUTIONS = tuple(range(112, 225, 16))


def space_at_224() -> MobileNetV3Space:
    """The whole ``ofa-mbv3-w1.0`` space at one resolution: 7,371 to the fifth architectures."""
    return get_space("ofa-mbv3-w1.0").at_resolutions([RESOLUTION])  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Measured:
    """Distinct subnets with their accuracy (per cent, mean of repeated measurements) and MACs, both ``[n]``."""

    archs: tuple[Arch, ...]
    top1: np.ndarray
    macs: np.ndarray


def read_table(path: Path = TABLE) -> Measured:
    """Read a table with columns ``depths``, ``kernels``, ``expands``, ``image_size``, ``macs`` and ``top1``.

    Subnets that differ in inactive blocks only are one. Raises BadInput naming file and row at fault.
    """
    found: dict[Arch, list[float]] = {}
    macs: dict[Arch, float] = {}
    space = get_space("ofa-mbv3-w1.0")
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); expected a table like {TABLE.name}") from None
    for number, row in enumerate(rows, start=2):
        try:
            lists = {"ks": row["kernels"], "e": row["expands"], "d": row["depths"]}
            genes = {field: [int(value) for value in text.split("-")] for field, text in lists.items()}
            arch = Arch.from_json({**genes, "r": int(row["image_size"])}, space=space.name)
            space.check(arch)
            found.setdefault(arch, []).append(float(row["top1"]))
            macs[arch] = float(row["macs"])
        except KeyError as error:
            raise BadInput(f"{path}: column {error} is missing") from None
        except (BadInput, ValueError, AttributeError, TypeError) as error:
            raise BadInput(f"{path}, line {number}: {error}") from None
    if not found:
        raise BadInput(f"{path}: no rows")
    top1 = np.array([np.mean(values) for values in found.values()])
    return Measured(tuple(found), top1, np.array([macs[arch] for arch in found]))


class Oracle:
    """Top-1 in per cent of every subnet of :func:`space_at_224`: an oracle, no measurement.

    The published predictor (a perceptron, 128-400-400-400-1), corrected by a line fitted on the measured subnets.

    Attributes:
        slope, intercept: of the line.
        rank_correlation: Spearman's, between predicted and measured.
    """

    def __init__(self, path: Path = PREDICTOR, table: Path = TABLE) -> None:
        from scipy.stats import spearmanr

        try:
            with np.load(path, allow_pickle=False) as arrays:
                names = sorted({int(name.split(".")[0]) for name in arrays})
                self._layers = [(arrays[f"{index}.weight"], arrays[f"{index}.bias"]) for index in names]
        except (OSError, KeyError, ValueError) as error:
            raise BadInput(f"{path}: not OFA's accuracy predictor ({error})") from None
        self._space = space_at_224()
        self.slope, self.intercept = 1.0, 0.0
        measured = read_table(table)
        raw = self(measured.archs)
        self.slope, self.intercept = (float(value) for value in np.polyfit(raw, measured.top1, 1))
        self.rank_correlation = float(spearmanr(raw, measured.top1).statistic)

    def __call__(self, archs: Sequence[Arch]) -> np.ndarray:
        """Top-1 of each, float64 ``[n]``."""
        x = np.array([_one_hot(self._space.factored(arch)) for arch in archs])
        for weight, bias in self._layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0)
        weight, bias = self._layers[-1]
        return self.slope * (x @ weight.T + bias)[:, 0] + self.intercept


def _one_hot(factored: np.ndarray) -> np.ndarray:
    """The predictor's 128 inputs: kernels of 20 places, expand ratios of 20 places, resolution."""
    blocks = factored[2:].reshape(-1, 3)
    kernels = blocks[:, 1:2] == np.array(KERNELS)
    expands = blocks[:, 2:3] == np.array(EXPANDS)
    resolution = factored[0] == np.array(_PREDICTOR_RESOLUTIONS)
    return np.concatenate([kernels.reshape(-1), expands.reshape(-1), resolution]).astype(np.float64)
