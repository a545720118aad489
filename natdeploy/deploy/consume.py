"""What lies in a bundle for the programs that use it, none of which need natdeploy: ``run.py``, examples, an SBOM.

Everything here follows from the manifest's reproducible part, so that equal builds stay equal bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from natdeploy.deploy.manifest import Manifest
from natdeploy.ground.files import sha256_file, write_json, write_text

RUN, SBOM = "run.py", "sbom.cdx.json"
CPP, ANDROID = "examples/cpp", "examples/android"
#: Own licences of what an artifact can contain or be made with; anything else is stated without one.
_LICENCES = {"apache-tvm": "Apache-2.0", "apache-tvm-ffi": "Apache-2.0", "onnx": "Apache-2.0", "ziglang": "MIT"}
#: What ``run.py`` imports, any version of which will do.
_RUN_NEEDS = (("numpy", "BSD-3-Clause"), ("onnxruntime", "MIT"), ("pillow", "HPND"))


def write_consumers(folder: Path, manifest: Manifest, labels: Sequence[str]) -> None:
    """Write ``run.py``, the examples and the SBOM into a bundle whose artifacts are there.

    The C++ example comes with a compiled library; the Android one with every bundle: it is for a library that
    ``natdeploy compile`` makes of ``model.onnx``.
    """
    write_text(folder / RUN, _template("run.py"))
    for name in ("Classifier.kt", "classifier_jni.c"):
        write_text(folder / ANDROID / name, _template(f"android/{name}"))
    if any(artifact.kind == "native" for artifact in manifest.artifacts):
        for name in ("classify.cpp", "CMakeLists.txt"):
            write_text(folder / CPP / name, _template(f"cpp/{name}"))
        write_text(folder / CPP / "model_info.h", model_info(manifest, labels))
    write_json(folder / SBOM, sbom(folder, manifest))


def model_info(manifest: Manifest, labels: Sequence[str]) -> str:
    """C++ header with the preprocessing and the labels."""
    preprocessing = manifest.preprocessing
    mean, std = (", ".join(f"{value!r}f" for value in map(float, preprocessing[name])) for name in ("mean", "std"))
    names = "".join(f"    {_literal(label)},\n" for label in labels)
    return (
        f"// {manifest.name}: what preprocess.json and labels.json say.\n#pragma once\n\n"
        f"constexpr int kResolution = {preprocessing['resolution']};\n"
        f"constexpr float kMean[] = {{{mean}}};\nconstexpr float kStd[] = {{{std}}};\n"
        f"constexpr const char *kLabels[] = {{\n{names}}};\n"
    )


def _literal(text: str) -> str:
    """A C++ string: bytes beyond plain letters as octal numbers of three digits, which nothing can prolong."""
    plain = {*range(0x20, 0x7F)} - {ord('"'), ord("\\"), ord("?")}
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def sbom(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """CycloneDX 1.5: the model, its artifacts with their digests, what made them, and what ``run.py`` needs.

    Without a time; the serial number is made from the weights, so that equal builds are equal bytes.
    """
    model = manifest.model
    tools = {
        (name, version)
        for artifact in manifest.artifacts
        for name, version in artifact.toolchain.items()
        if not name.startswith("natdeploy")
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid5(NAMESPACE_URL, f'natdeploy/{manifest.name}/{model.weights_sha256}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "machine-learning-model",
                "bom-ref": "model",
                "name": manifest.name,
                "version": model.weights_sha256[:12],
                "description": f"image classifier with {model.num_classes} classes for {manifest.device.name}",
            },
            "tools": {
                "components": [
                    _package("natdeploy", "application", manifest.provenance.natdeploy, "Apache-2.0"),
                    *(_package(name, "application", version, _LICENCES.get(name)) for name, version in sorted(tools)),
                ]
            },
        },
        "components": [
            *(
                {
                    "type": "file",
                    "bom-ref": artifact.path,
                    "name": artifact.path,
                    "hashes": [{"alg": "SHA-256", "content": sha256_file(folder / artifact.path)}],
                }
                for artifact in manifest.artifacts
            ),
            *(_package(name, "library", None, licence) | {"scope": "optional"} for name, licence in _RUN_NEEDS),
        ],
        "dependencies": [
            {"ref": "model", "dependsOn": sorted(artifact.path for artifact in manifest.artifacts)},
        ],
    }


def _package(name: str, kind: str, version: str | None, licence: str | None) -> dict[str, Any]:
    reference = f"pkg:pypi/{name}" + (f"@{version}" if version else "")
    found: dict[str, Any] = {"type": kind, "bom-ref": reference, "name": name, "purl": reference}
    if version:
        found["version"] = version
    if licence:
        found["licenses"] = [{"license": {"id": licence}}]
    return found


def _template(name: str) -> str:
    return files("natdeploy.deploy").joinpath("consumers", *name.split("/")).read_text(encoding="utf-8")
