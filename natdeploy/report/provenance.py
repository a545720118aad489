"""Where every figure of the report comes from."""

from __future__ import annotations

from natdeploy.deploy.manifest import Manifest
from natdeploy.latency import LatencyModel
from natdeploy.report.facts import Facts
from natdeploy.report.named import title_of
from natdeploy.report.predictor import judged_on
from natdeploy.report.table import Column, Table
from natdeploy.runs import on_task
from natdeploy.runs.folder import ACCURACY_PREDICTOR

_SOURCES = {
    "measured": "trained on timings of this very device",
    "transferred": "carried over from other devices with few timings of this one",
    "table": "from published measurements, none of this device",
    "prior": "from the hardware profile alone, without any timing",
}


def provenance_table(facts: Facts) -> Table:
    """One row per kind of figure: what it is, and what it was taken from."""
    config, model, quality = facts.config, facts.model, facts.model.quality
    rows = [
        *_top1_rows(facts),
        *_test_rows(facts.bundles),
        ("predicted latency", _latency(model)),
        *[(title_of(f"latency_ms:{place.key}"), _latency(there)) for place, there in facts.elsewhere.items()],
        *[
            (
                title_of(name),
                f"a model, nothing measured: {drawn['watts']:.4g} W as long as the network runs ({drawn['about']}), "
                "times the predicted latency",
            )
            for name, drawn in facts.power.items()
        ],
        (
            "predictor quality",
            f"{judged_on(quality)}; intervals promise {100 * quality.nominal_coverage:.0f} % coverage",
        ),
        *[row for manifest in facts.bundles for row in _measured_rows(manifest)],
        *[
            (
                f"layers of {name}",
                f"each call of artifact {times.artifact_digest[:16]} timed by itself, {times.threads} thread(s), "
                f"median of {times.runs} runs; predicted by "
                + (f"a lookup table of {times.networks} timed networks" if times.networks else "nothing"),
            )
            for name, times in facts.layers.items()
        ],
        (
            "what the budget buys",
            "accuracies and latency intervals of the archive, as above; steps smaller than one standard error of the "
            "difference are left out",
        ),
        ("MACs, parameters, activations", f"counted from the list of layers, for one image, float32{_classes(facts)}"),
        (
            "hypervolume",
            f"objectives {', '.join(config.objectives)}; architectures whose interval ends within the budget; "
            f"reference point fixed when the run started{_reference(facts)}",
        ),
    ]
    return Table("Provenance", (Column("figure"), Column("source")), tuple(rows))


def _top1_rows(facts: Facts) -> list[tuple[str, str]]:
    config = facts.config
    if config.predictor is not None:
        resolutions = ", ".join(map(str, config.resolutions))
        about = (
            f"accuracy predictor {config.predictor}: predicted, not measured, at {resolutions} pixels only; its "
            f"source, licence and quality are in the run's {ACCURACY_PREDICTOR}"
        )
        return [("predicted top-1", about)]
    generations = sorted({entry.generation for entry in facts.archive})
    rows = []
    for task, data in {"": config.data, **config.further_data}.items():
        images = sorted({on_task(entry, task).val_images for entry in facts.archive})
        name = "validation top-1" + (f", {task}" if task else "")
        varied = ", varied as in training" if config.adapt.calibrate_on == "varied" else ""
        mirrored = " and their mirror images" if config.adapt.validate_on == "mirrored" else ""
        about = (
            f"{_span(images)} validation images of {data}{mirrored}, held out of training; subnets of "
            f"{'its own' if config.further_data else 'the'} supernet after {_span(generations)} adaptation(s), batch "
            f"norm calibrated on {config.adapt.calibration_images} training images{varied}"
        )
        rows.append((name, about))
    return rows


def _latency(model: LatencyModel) -> str:
    return (
        f"source: {model.source} ({_SOURCES.get(model.source, 'see the documentation')}); device {model.device}, "
        f"runtime {model.runtime}; {model.quality.training_networks} networks; device fingerprint "
        f"{model.device_fingerprint[:16]}{_published(model)}"
    )


def _test_rows(bundles: tuple[Manifest, ...]) -> list[tuple[str, str]]:
    rows = []
    for manifest in bundles:
        if test := manifest.accuracy_of("test"):
            source = f"{test.images} test images that neither search nor training has seen; {test.weights}; "
            data = f"data {manifest.provenance.data}, {manifest.provenance.data_fingerprint[:16]}"
            rows.append((f"test top-1 of {manifest.model.arch_id}", source + data))
    return rows


def _measured_rows(manifest: Manifest) -> list[tuple[str, str]]:
    return [
        (
            f"measured latency of {manifest.model.arch_id} ({timing.runtime})",
            f"median of {timing.samples} timings, drift of the machine divided out, {timing.threads} thread(s), "
            f"median absolute deviation {timing.mad_ms:.4g} ms, {'trusted' if timing.trusted else 'NOT trusted'}, "
            f"{timing.taken_at}, artifact {timing.artifact_digest[:16]}",
        )
        for timing in manifest.latency.measured or ()
    ]


def _published(model: LatencyModel) -> str:
    if model.source == "transferred":
        return f"; and {model.origin['source']}"
    return f"; published by {model.origin['source']}, licence {model.origin['licence']}" if model.origin else ""


def _reference(facts: Facts) -> str:
    point = facts.summary.get("reference_point", {})
    return ": " + ", ".join(f"{name} {value:.6g}" for name, value in point.items()) if point else ""


def _classes(facts: Facts) -> str:
    """Of which classifier; a bundle's own figures are of the one that it holds."""
    if (classes := facts.summary.get("num_classes")) is None:
        return ""
    most = ", as many as any of the data sets has" if facts.config.further_data else ""
    return f"; these and the predicted latencies are of networks with {classes} classes{most}"


def _span(values: list[int]) -> str:
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
