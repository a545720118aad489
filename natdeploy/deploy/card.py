"""The model card: a bundle's ``README.md``, every figure taken from its manifest."""

from __future__ import annotations

from natdeploy.deploy.manifest import Accuracy, Manifest


def model_card(manifest: Manifest) -> str:
    """Markdown for people who find the folder and nothing else."""
    parts = [_title(manifest), _figures(manifest), _use(manifest), _origin(manifest), _limits(manifest)]
    return "\n\n".join(parts) + "\n"


def _title(manifest: Manifest) -> str:
    model, device = manifest.model, manifest.device
    return (
        f"# {manifest.name}\n\n"
        f"An image classifier with {model.num_classes} classes, found by Neural Architecture Transfer in the space "
        f"`{model.space}` and compiled for `{device.name}` ({device.target.get('mcpu', device.machine)})."
    )


def _figures(manifest: Manifest) -> str:
    latency, model = manifest.latency, manifest.model
    predicted = latency.predicted
    rows = [(f"top-1, {_split(accuracy)}", _accuracy(accuracy)) for accuracy in manifest.accuracy]
    if not manifest.accuracy:
        rows.append(("top-1", "not measured: no images of these classes were there when the model was built"))
    if latency.budget_ms is not None:
        rows.append(("latency budget", f"{latency.budget_ms:g} ms with `{latency.runtime}`"))
    if not latency.measured:
        rows.append(("measured latency", "none: the device was not here; `natdeploy bench` measures it there"))
    for measured in latency.measured or ():
        trust = "" if measured.trusted else "; **the machine was too restless to trust it**"
        rows.append(
            (
                f"measured latency, `{measured.runtime}`",
                f"{measured.latency_ms:.4g} ms (median of {measured.samples}, drift divided out; "
                f"{measured.threads} thread{'s' * (measured.threads > 1)}{trust})",
            )
        )
    said = "none: this device has no latency model"
    if predicted is not None:
        said = (
            f"{predicted.mean_ms:.4g} ms, {predicted.coverage:.0%} interval {predicted.lower_ms:.4g} to "
            f"{predicted.upper_ms:.4g} ms ({predicted.source})"
        )
    rows += [
        ("predicted latency", said),
        ("multiply-accumulates", f"{model.macs / 1e6:.2f} M"),
        ("parameters", f"{model.params / 1e6:.3f} M"),
        ("peak activations", f"{model.peak_activation_bytes / 1024:.0f} KiB"),
    ]
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def _split(accuracy: Accuracy) -> str:
    return "test images" if accuracy.split == "test" else "validation images"


def _accuracy(accuracy: Accuracy) -> str:
    return (
        f"{accuracy.top1:.2%} ± {accuracy.standard_error:.2%} (standard error, {accuracy.images} images; "
        f"{accuracy.weights})"
    )


def _use(manifest: Manifest) -> str:
    preprocessing = manifest.preprocessing
    mean, std = (", ".join(f"{value:g}" for value in preprocessing[name]) for name in ("mean", "std"))
    artifacts = "\n".join(f"- `{artifact.path}`: runs with `{artifact.runtime}`" for artifact in manifest.artifacts)
    return (
        "## Use\n\n"
        f"{artifacts}\n\n"
        f"Input: float32 {manifest.model.input_shape}, RGB. Cut out the centre square, resize it to "
        f"{preprocessing['resolution']} pixels, divide by 255, subtract the mean ({mean}), divide by the standard "
        f"deviation ({std}). Output: logits {manifest.model.output_shape}, in the order of `labels.json`. "
        f"`{manifest.verification.reference}` holds real inputs and the outputs to expect.\n\n"
        "Without natdeploy: `run.py` needs ONNX Runtime, numpy and Pillow; `examples/` has C++ for the compiled "
        "library and Kotlin for Android; `sbom.cdx.json` lists what is inside and what made it.\n\n"
        "```\n"
        "python run.py IMAGE\n"
        f"natdeploy verify {manifest.name}\n"
        f"natdeploy predict {manifest.name} IMAGE\n"
        "```"
    )


def _origin(manifest: Manifest) -> str:
    provenance, verification = manifest.provenance, manifest.verification
    task = f" (`{provenance.task}` in a search of several data sets)" if provenance.task else ""
    checks = "\n".join(
        f"- `{check.path}`: outputs within {check.max_abs_error:.2g} of the torch module's on {check.images} real "
        f"images ({check.allowed:.2g} allowed)"
        for check in verification.checks
    )
    return (
        "## Origin\n\n"
        f"- architecture `{manifest.model.arch_id}` (genome `{manifest.model.genome}`), picked as "
        f"{', '.join(provenance.picked_as)}\n"
        f"- data `{provenance.data}`{task}, fingerprint `{provenance.data_fingerprint[:12]}`; seed {provenance.seed}\n"
        f"- weights from the supernet `{provenance.supernet}`, adapted {provenance.weights_generation} times; digest "
        f"`{manifest.model.weights_sha256[:12]}`\n"
        f"- natdeploy {provenance.natdeploy}\n\n"
        "## Verification\n\n"
        f"Verified: {verification.verified}.\n\n"
        f"{checks}"
    )


def _limits(manifest: Manifest) -> str:
    return (
        "## Limits\n\n"
        f"Latency holds for `{manifest.device.name}` (fingerprint `{manifest.device.fingerprint}`) and one image at a "
        "time; elsewhere it has to be measured. Accuracy holds for pictures like those of the data set; the model has "
        "no way to say that a picture shows none of its classes."
    )
