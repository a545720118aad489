"""Make the latency predictors that natdeploy ships, from published measurements.

    python benchmarks/ship_predictors.py [--only DEVICE] [--out FOLDER]

Reads the tidied tables in ``shared/data/latency`` beside the checkout and writes one JSON file per device and space,
and a README of where each comes from and how good it is, into ``natdeploy/latency/shipped``. Equal tables give equal
files. The measurements themselves are not part of any file of this repository.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from natdeploy.latency import LatencyModel
    from natdeploy.latency.hardware.refined_prior import Judge, Little
    from natdeploy.latency.imported.kernels import ImportedKernels
    from natdeploy.measure.published import PublishedTiming
    from natdeploy.spaces import Layer

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "natdeploy" / "latency" / "shipped"
SPACES = ("ofa-mbv3-w1.0", "ofa-mbv3-w1.2")
#: Space of small images, for devices that are known by such.
SMALL_SPACE = "mbv3-micro"
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
    "galaxy-s10": Phone("s10", "1large float", "TFLite, one large core, float32"),
    "mi8se": Phone("mi8se", "1large float", "TFLite, one large core, float32"),
}
#: Of which little was published: only what says how far that goes makes a predictor of it.
HW_NAS_BENCH = (
    "HW-NAS-Bench (Li et al., ICLR 2021): FBNet networks for images of 32 pixels, from github.com/HayeonLee/HELP @ "
    "45f70eb, data/fbnet/latency"
)
CAVEATS = {
    "pixel3": "published are networks for 32 pixels and seven for 224: other devices known by as little say how wide "
    "the interval must be",
    "rpi4": "published are networks for 32 pixels alone: larger images are unverified on this device, and other "
    "devices known by as little say how wide the interval must be",
}
LITTLE = """\
## Devices of which little was published

Of the Raspberry Pi 4 there are HW-NAS-Bench's networks for images of 32 pixels alone, of the Pixel 3 these and seven of
224 pixels in MobileNetV3's paper. Their predictors are the prior below, drawn to those networks. How far that goes is
seen on devices of which more was published, each made known by as little and predicted by that; errors, coverage and
the width of intervals in the table are theirs. The Pixel 3 itself is one of them for the Raspberry Pi 4: known by its
small images, its seven large networks come out a fifth too slow, since HW-NAS-Bench adds up what blocks take alone.
**On a Raspberry Pi 4, no network of 224 pixels has been compared with its prediction.**
"""
#: Devices that published measurements say too little of.
LEFT_OUT = """\
Not shipped, for want of measurements that a network of these spaces could honestly be predicted from:

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


def pixel4_gpu(space: str) -> LatencyModel:
    """Kernels of a Pixel 4's graphics processor, and whole networks that tell what these take beside them."""
    from natdeploy.latency.imported.kernels import kernel_latency_model
    from natdeploy.spaces import get_space

    model = kernel_latency_model(_pixel4_kernels(), get_space(space), device="pixel4-gpu")
    assert model is not None
    return model


@cache
def _pixel4_kernels() -> ImportedKernels:
    from natdeploy.latency.imported.kernels import learn_kernels
    from natdeploy.measure.publications import PUBLICATIONS

    rows = [
        row
        for table in ("qed_cnn_gpu_ops.csv.gz", "qed_cnn_e2e.csv.gz")
        for row in published(table, "mobile-ml-benchmark")
        if (row.device, row.runtime, row.setting) == ("pixel4", "tflite", "gpu float")
    ]
    publication = replace(PUBLICATIONS["mobile-ml-benchmark"], runtime="TFLite's GPU delegate, float16")
    return learn_kernels(rows, publication)


def rpi4(space: str) -> LatencyModel:
    """HW-NAS-Bench's small images, and how other devices' sizes go with theirs."""
    from benchmarks.little_known_devices import small_image_judges, small_images
    from natdeploy.latency.hardware.refined_prior import Little

    known = Little((small_images("rpi4"),), full_size=False)
    return _refined("rpi4", known, small_image_judges(), space, "networks of small maps", HW_NAS_BENCH, 0)


def pixel3(space: str) -> LatencyModel:
    """HW-NAS-Bench's small images, and seven networks of full size that tell the scale."""
    from benchmarks.little_known_devices import PIXEL3_MS, few_network_judges, pixel3_networks, small_images
    from natdeploy.latency.hardware.refined_prior import Little

    known = Little((pixel3_networks(), small_images("pixel3")), full_size=True)
    source = f"MobileNetV3's paper (Howard et al., ICCV 2019), Table 3; {HW_NAS_BENCH}"
    how = "seven networks, and by small maps where blocks were timed,"
    return _refined("pixel3", known, few_network_judges(), space, how, source, len(PIXEL3_MS))


def _refined(
    device: str, known: Little, judges: Mapping[str, Judge], space: str, how: str, source: str, networks: int
) -> LatencyModel:
    """From the little that is known of a device, and what the prior was learned from."""
    from benchmarks.little_known_devices import published_networks
    from benchmarks.prior_devices import prior_times
    from natdeploy.latency.hardware.refined_prior import fit_refined_prior
    from natdeploy.measure.published import Publication

    licence = "MIT (HELP); figures in a paper" if networks else "MIT (HELP)"
    published = "2019, 2021" if networks else "2021"
    runtime = (
        "TFLite, as the authors say; one large core" if networks else "TFLite, as its authors say; threads unstated"
    )
    model = fit_refined_prior(
        *(known, prior_times(), judges, space),
        device=device,
        publication=Publication(source, licence, published, runtime),
        how_known=how,
        training_networks=networks + published_networks(device),
    )
    return replace(model, origin={**model.origin, "caveat": CAVEATS[device]})


def ship_prior(folder: Path) -> None:
    """What is said of devices that nobody measured."""
    from benchmarks.prior_devices import prior_times
    from natdeploy.latency.hardware.prior import fit_prior
    from natdeploy.latency.library import save_prior

    prior = fit_prior(prior_times())
    save_prior(prior, folder / "prior.json")
    print(f"{folder / 'prior.json'}: MAPE {100 * prior.figures['mape']:.1f} % on devices left out", file=sys.stderr)


def shipments() -> dict[str, Callable[[str], LatencyModel]]:
    """How each device's predictors are made."""
    tables = {"note10": note10, "i7-8700k": i7_8700k}
    phones = {**{device: phone(device) for device in PHONES}, "pixel4-gpu": pixel4_gpu}
    return {**phones, **tables, "pixel3": pixel3, "rpi4": rpi4}


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
        "| device | space | runtime | MAPE | within 10 % | coverage of 90 % intervals | their width | judged on | "
        "source | licence |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *_rows(LatencyModel.load(path) for path in sorted(folder.glob("*/*.json"))),
        "",
        LITTLE,
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
        figures += f" | {100 * quality.interval_width:.0f} % of the latency"
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
        for space in (*SPACES, SMALL_SPACE) if device in CAVEATS else SPACES:
            path = options.out / device / f"{space}.json"
            model = fit(space)
            model.save(path)
            if path.stat().st_size > MAX_BYTES:
                raise SystemExit(f"{path}: {path.stat().st_size} bytes, at most {MAX_BYTES} are shipped")
            print(f"{path}: MAPE {100 * model.quality.mape:.1f} %, {path.stat().st_size} bytes", file=sys.stderr)
    write_text(options.out / "README.md", readme(options.out))


if __name__ == "__main__":
    main()
