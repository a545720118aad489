"""Task ``tables``: latencies that a published table of blocks does not have.

For image sizes left out one by one, a table's own rows of that size (``mape``; ``new_maps_mape`` leaves out maps that
another image size has, too) and sums over random networks of it; released networks whose latency their names tell, in
whole ms; and, from blocks of width 1.2 alone, networks of width 1.0 where a table has both.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.published_latencies import TABLES
from natdeploy.latency.published.block_costs import block_kind
from natdeploy.latency.published.block_regression import BlockRegression, fit_blocks
from natdeploy.latency.published.table_fit import block_table
from natdeploy.latency.published.table_predictor import table_blocks
from natdeploy.measure.publications import read_published
from natdeploy.measure.published import PublishedTiming
from natdeploy.spaces import Arch, Block, get_space
from natdeploy.spaces.mobilenetv3 import MobileNetV3Space

#: Random networks of an image size that is left out, or of another width.
NETWORKS = 60
NETS = "ofa_specialized_nets.csv"
#: Kinds of blocks that no row of a table tells: these are left out of sums on both sides.
ABSENT = {"msunas_i7_8700k": ("pool",)}


@dataclass(frozen=True)
class TableFile:
    """A table of blocks: how it is read, which space it has all blocks of, and which released networks are its."""

    format: str
    space: str
    nets: str = ""


FILES = {
    "ofa_note10": TableFile("ofa-lut", "ofa-mbv3-w1.2", nets="note10"),
    "msunas_i7_8700k": TableFile("msunas-lut", "ofa-mbv3-w1.0"),
}


def tables_figures(targets: Sequence[str], sizes: int) -> dict[str, float]:
    """Figures of the tables named, each over at most so many image sizes, spread evenly."""
    figures: dict[str, float] = {}
    for name in targets or FILES:
        if name not in FILES:
            raise SystemExit(f"latency: no table {name!r}; there are {', '.join(FILES)}")
        timings = read_published(FILES[name].format, TABLES / f"{name}_lut.csv")
        figures |= {f"{name}_{what}": value for what, value in _unseen_sizes(name, timings, sizes).items()}
        if FILES[name].nets:
            figures |= _released(FILES[name].nets, fit_blocks(block_table(timings)))
        else:
            figures[f"{name}_other_width_mape"] = _other_width(name, timings)
    shares = [figures[f"{name}_mape"] for name in targets or FILES]
    return {"mape": float(np.mean(shares)), **figures}


def _unseen_sizes(name: str, timings: Sequence[PublishedTiming], count: int) -> dict[str, float]:
    """Mean absolute relative errors over image sizes left out."""
    table = FILES[name]
    space = get_space(table.space)
    assert isinstance(space, MobileNetV3Space)
    every = _whole_sizes(block_table(timings))
    chosen = [every[index] for index in np.unique(np.linspace(0, len(every) - 1, min(count, len(every))).astype(int))]
    rows, new_maps, sums = [], [], []
    for size in chosen:
        own = block_table(timing for timing in timings if str(size) in _sizes(timing))
        rest = block_table(timing for timing in timings if _sizes(timing) != (str(size),))
        model = fit_blocks(rest, assumed=ABSENT.get(name, ()))
        errors = np.abs(model.predict(list(own))[0] / np.array(list(own.values())) - 1)
        rows.append(errors.mean())
        new_maps.append(errors[[block not in rest for block in own]].mean())
        at_size = replace(space, resolutions=(size,))
        vectors = block_table(timing for timing in timings if not _sizes(timing))
        sums.append(_networks_mape(model, {**vectors, **own}, at_size, ABSENT.get(name, ())))
        print(f"{name} without {size}: rows {rows[-1]:.4f}, networks {sums[-1]:.4f}", file=sys.stderr, flush=True)
    found = {"mape": rows, "new_maps_mape": new_maps, "networks_mape": sums}
    return {what: float(np.mean(values)) for what, values in found.items()}


def _networks_mape(
    model: BlockRegression, true_ms: Mapping[Block, float], space: MobileNetV3Space, absent: Iterable[str]
) -> float:
    """Over sums of random networks."""
    rng = np.random.default_rng(31)
    errors = []
    for _ in range(NETWORKS):
        network = [
            block for block in table_blocks(space.layers(space.sample(rng))) if block_kind(block) not in set(absent)
        ]
        errors.append(abs(model.predict(network)[0].sum() / sum(true_ms[block] for block in network) - 1))
    return float(np.mean(errors))


def _other_width(name: str, timings: Sequence[PublishedTiming]) -> float:
    """Networks of width 1.0 from blocks of width 1.2 at OFA's own image sizes."""
    wide = get_space("ofa-mbv3-w1.2")
    assert isinstance(wide, MobileNetV3Space)
    wide = replace(wide, resolutions=tuple(range(160, 225, 4)))
    rng = np.random.default_rng(32)
    blocks = {block for _ in range(2000) for block in table_blocks(wide.layers(wide.sample(rng)))}
    every = block_table(timings)
    absent = ABSENT.get(name, ())
    model = fit_blocks({block: latency for block, latency in every.items() if block in blocks}, assumed=absent)
    narrow = get_space("ofa-mbv3-w1.0")
    assert isinstance(narrow, MobileNetV3Space)
    sizes = tuple(size for size in _whole_sizes(every) if size in narrow.resolutions)
    narrow = replace(narrow, resolutions=sizes)
    return _networks_mape(model, every, narrow, absent)


def _released(target: str, model: BlockRegression) -> dict[str, float]:
    """Shares of a device's released networks within 5 % of their names' whole ms; those of other widths apart."""
    covered: list[float] = []
    others: list[float] = []
    with open(TABLES / NETS, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["target"] != target:
                continue
            network = _net(row)
            error = abs(float(model.predict(network)[0].sum()) / float(row["latency_ms"]) - 1)
            known = all(block in model.table for block in network)
            (covered if known else others).append(error)
            print(f"{row['net']}: {100 * error:.1f} % off, {'in' if known else 'not in'} the table", file=sys.stderr)
    return {
        "nets_within5": float(np.mean(np.array(covered) <= 0.05)),
        "nets_within5_not_in_table": float(np.mean(np.array(others) <= 0.05)),
    }


def _net(row: Mapping[str, str]) -> list[Block]:
    name = "ofa-mbv3-w1.0" if row["stem_c"] == "16" else "ofa-mbv3-w1.2"
    space = get_space(name)
    assert isinstance(space, MobileNetV3Space)
    size = int(row["image_size"])
    kernels, expands, depths = (
        [int(part) for part in row[what].split("-")] for what in ("kernels", "expands", "depths")
    )
    arch = Arch(name, tuple(kernels[1:]), tuple(expands[1:]), tuple(depths[-5:]), size, space.width)
    return table_blocks(replace(space, resolutions=(size,)).layers(arch))


def _whole_sizes(table: Mapping[Block, float]) -> list[int]:
    """Image sizes that a table has all blocks of: maps of others are there only where they are as large."""
    return sorted({block.in_h for block in table if block_kind(block) == "spatial"})


def _sizes(timing: PublishedTiming) -> tuple[str, ...]:
    """Image sizes that a row is of; none for a vector that all of them have."""
    text = timing.setting.removeprefix("image size ")
    return tuple(text.split("|")) if text else ()
