"""A bundle's model in MLflow's form, so that MLflow serves, registers and loads it as any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from natdeploy.deploy.integrity import check_files
from natdeploy.deploy.manifest import ArtifactInfo, Manifest
from natdeploy.deploy.verify import LABELS, PREPROCESS
from natdeploy.ground.errors import BadInput

#: What MLflow installs to run the model.
REQUIREMENTS = ["onnxruntime", "numpy"]


def save_mlflow_model(bundle: Path, folder: Path) -> Manifest:
    """Write a bundle's ONNX form as a model of MLflow (flavours ``onnx`` and ``python_function``).

    Input and output are those of ``model.onnx``: float32 ``[1, 3, r, r]``, normalised, and logits ``[1, classes]``.
    What to do with a picture, and the classes' names, are in the model's metadata.

    Args:
        bundle: its folder; checked first.
        folder: where the model goes; must not exist.

    Returns the bundle's manifest. Raises BadInput for a bundle without an ONNX form, VerificationFailed for a damaged
    one.
    """
    import mlflow.onnx
    import onnx
    from mlflow.models import ModelSignature

    manifest = check_files(bundle)
    model = onnx.load(str(bundle / _onnx_of(bundle, manifest).path))
    schemas = [_schema(values) for values in (model.graph.input, model.graph.output)]
    about = {"name": manifest.name, "device": manifest.device.name, "arch_id": manifest.model.arch_id}
    mlflow.onnx.save_model(
        model,
        str(folder),
        signature=ModelSignature(inputs=schemas[0], outputs=schemas[1]),
        pip_requirements=REQUIREMENTS,
        onnx_execution_providers=["CPUExecutionProvider"],
        metadata={
            **about,
            **{Path(name).stem: json.loads((bundle / name).read_text()) for name in (PREPROCESS, LABELS)},
        },
    )
    return manifest


def _onnx_of(bundle: Path, manifest: Manifest) -> ArtifactInfo:
    found = next((artifact for artifact in manifest.artifacts if artifact.kind == "onnx"), None)
    if found is None:
        raise BadInput(f"{bundle}: has no ONNX form, which MLflow would load")
    return found


def _schema(values: Any) -> Any:
    """MLflow's schema of a graph's inputs or outputs."""
    import numpy as np
    from mlflow.types import Schema, TensorSpec

    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in values}
    return Schema([TensorSpec(np.dtype(np.float32), tuple(shape), name) for name, shape in shapes.items()])
