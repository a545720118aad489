"""Make the latency predictors that natdeploy ships, from published measurements.

    python benchmarks/ship_predictors.py [--only DEVICE] [--out FOLDER]

Reads the tidied tables in ``shared/data/latency`` beside the checkout and writes one JSON file per device and space,
and a README of where each comes from and how good it is, into ``natdeploy/latency/shipped``. Equal tables give equal
files. The measurements themselves are not part of any file of this repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from natdeploy.latency import LatencyModel
    from natdeploy.measure.published import PublishedTiming
    from natdeploy.spaces import Layer

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "natdeploy" / "latency" / "shipped"
SPACES = ("ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
#: No shipped file may be larger.
MAX_BYTES = 2_000_000
#: Image sizes of the i7's table below this one are far from those of the spaces and only make the file larger.
LEAST_SIZE = 176


@dataclass(frozen=True)
class Phone:
    """A device of mobile-ml-benchmark: its name and setting there, and what that means."""

    named: str
    setting: str
    runtime: str


PHONES = {
    "pixel4": Phone("pixel4", "1large float", "TFLite, one large core, float32"),
    "pixel4-gpu": Phone("pixel4", "gpu float", "TFLite's GPU delegate, float16"),
    "galaxy-s10": Phone("s10", "1large float", "TFLite, one large core, float32"),
    "mi8se": Phone("mi8se", "1large float", "TFLite, one large core, float32"),
}
#: Devices that published measurements say too little of.
LEFT_OUT = """\
Not shipped, for want of measurements that a network of these spaces could honestly be predicted from:

- Raspberry Pi 4 and Pixel 3: HELP and HW-NAS-Bench publish networks for CIFAR's images of 32 pixels only, and ncnn's
  page has neither device. A Raspberry Pi 4 has a prior; there is no hardware profile of the Pixel 3.
- Pixel 1: ProxylessNAS's table has one image size and none of these spaces' activations, squeeze-excite blocks and
  channels. It has a prior, which learned from that table among others.
"""


@cache
def published(name: str, format_name: str) -> tuple[PublishedTiming, ...]:
    """All measurements of a tidied table."""
    from benchmarks.published_latencies import TABLES
    from natdeploy.measure.publications import read_published

    return tuple(read_published(format_name, TABLES / name))


@cache
def operators() -> dict[str, tuple[Layer, ...]]:
    """TFLite's operators of the models that mobile-ml-benchmark timed."""
    from natdeploy.latency import operator_lists

    rows = published("qed_cnn_gpu_ops.csv.gz", "mobile-ml-benchmark")
    return operator_lists([row for row in rows if row.runtime == "tflite"])


def note10(space: str) -> LatencyModel:
    """Once-for-All's table of the Note10, of width 1.2."""
    from natdeploy.latency import fit_table_model
    from natdeploy.measure.publications import PUBLICATIONS

    runtime = "unstated runtime (Once-for-All's authors time phones with TF-Lite)"
    return fit_table_model(
        published("ofa_note10_lut.csv", "ofa-lut"),
        space,
        device="note10",
        publication=replace(PUBLICATIONS["ofa-lut"], runtime=runtime),
        measured_space="ofa-mbv3-w1.2",
    )


def i7_8700k(space: str) -> LatencyModel:
    """MSuNAS's table of an i7-8700K; it has no row for the pooling before the classifier."""
    from natdeploy.latency import fit_table_model
    from natdeploy.measure.publications import PUBLICATIONS

    rows = published("msunas_i7_8700k_lut.csv", "msunas-lut")
    sizes = [row.setting.removeprefix("image size ") for row in rows]
    large = [row for row, text in zip(rows, sizes) if not text or int(text.split("|")[-1]) >= LEAST_SIZE]
    publication = PUBLICATIONS["msunas-lut"]
    return fit_table_model(large, space, device="i7-8700k", publication=publication, assumed=("pool",))


def phone(device: str) -> Callable[[str], LatencyModel]:
    """Whole networks on a phone."""

    def fit(space: str) -> LatencyModel:
        from natdeploy.latency import fit_published_networks
        from natdeploy.measure.publications import PUBLICATIONS

        known = PHONES[device]
        rows = [
            row
            for row in published("qed_cnn_e2e.csv.gz", "mobile-ml-benchmark")
            if (row.device, row.runtime, row.setting) == (known.named, "tflite", known.setting)
        ]
        publication = replace(PUBLICATIONS["mobile-ml-benchmark"], runtime=known.runtime)
        return fit_published_networks(rows, operators(), space, device=device, publication=publication)

    return fit


def ship_prior(folder: Path) -> None:
    """What is said of devices that nobody measured."""
    from benchmarks.prior_devices import prior_times
    from natdeploy.latency.library import save_prior
    from natdeploy.latency.prior import fit_prior

    prior = fit_prior(prior_times())
    save_prior(prior, folder / "prior.json")
    print(f"{folder / 'prior.json'}: MAPE {100 * prior.figures['mape']:.1f} % on devices left out", file=sys.stderr)


def shipments() -> dict[str, Callable[[str], LatencyModel]]:
    """How each device's predictors are made."""
    return {**{device: phone(device) for device in PHONES}, "note10": note10, "i7-8700k": i7_8700k}


def readme(folder: Path) -> str:
    """What lies in the folder, read from the files themselves."""
    from natdeploy.latency import LatencyModel

    lines = [
        "# Latency predictors from published measurements",
        "",
        "Made by `benchmarks/ship_predictors.py`. natdeploy uses them for a device that was not profiled, and says so.",
        "Only what was learned is kept here, not the measurements. Figures are of networks that were not trained on,",
        "as a column says.",
        "",
        "| device | space | runtime | MAPE | within 10 % | coverage of 90 % intervals | judged on | source | licence |",
        "|---|---|---|---|---|---|---|---|---|",
        *_rows(LatencyModel.load(path) for path in sorted(folder.glob("*/*.json"))),
        "",
        *_prior_lines(folder),
        "",
        LEFT_OUT,
    ]
    return "\n".join(lines)


def _prior_lines(folder: Path) -> Iterator[str]:
    from benchmarks.prior_devices import BOARDS, PHONES, TABLE_FILES
    from natdeploy.latency.library import load_prior
    from natdeploy.measure.publications import PUBLICATIONS

    prior = load_prior(folder / "prior.json")
    figures, factor = prior.figures, np.exp(prior.half_width(0.9))
    yield "## The prior"
    yield ""
    yield "`prior.json` is for devices that nobody measured: costs of multiply-adds, elements and operators beside a"
    yield f"processor's peak, learned from {len(prior.devices)} devices. On devices left out of it, Spearman's rank"
    yield f"correlation is {figures['spearman']:.3f}, MAPE {100 * figures['mape']:.0f} %, and intervals of 90 % hold"
    yield f"{100 * figures['coverage']:.0f} %; their ends are the prediction divided and multiplied by {factor:.2f}."
    yield ""
    yield "| devices | source | licence |"
    yield "|---|---|---|"
    formats = {format_name: name for name, (_, format_name) in TABLE_FILES.items()}
    taken = {**formats, "mobile-ml-benchmark": ", ".join(PHONES), "ncnn": ", ".join(BOARDS)}
    for format_name, names in taken.items():
        publication = PUBLICATIONS[format_name]
        yield f"| {names} | {publication.source} | {publication.licence} |"


def _rows(models: Iterator[LatencyModel]) -> Iterator[str]:
    for model in models:
        quality, origin = model.quality, model.origin
        figures = f"{100 * quality.mape:.1f} % | {100 * quality.within10:.0f} % | {100 * quality.coverage:.0f} %"
        judged = f"{quality.networks} networks: {quality.evaluated_on}"
        yield (
            f"| {model.device} | {model.space} | {model.runtime} | {figures} | {judged} | {origin['source']} | "
            f"{origin['licence']} |"
        )


def main() -> None:
    """Fit, write, describe."""
    sys.path.insert(0, str(CHECKOUT))
    from natdeploy.ground.files import write_text

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    names = ("prior", *shipments())
    parser.add_argument("--only", metavar="DEVICE", choices=names, help="this device's predictors, or the prior, alone")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="folder to write to")
    options = parser.parse_args()
    if options.only in (None, "prior"):
        ship_prior(options.out)
    for device, fit in shipments().items():
        if options.only not in (None, device):
            continue
        for space in SPACES:
            path = options.out / device / f"{space}.json"
            model = fit(space)
            model.save(path)
            if path.stat().st_size > MAX_BYTES:
                raise SystemExit(f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are shipped")
            print(f"{path}: MAPE {100 * model.quality.mape:.1f} %, {path.stat().st_size} bytes", file=sys.stderr)
    write_text(options.out / "README.md", readme(options.out))


if __name__ == "__main__":
    main()
