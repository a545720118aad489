"""How large a model is where it is used."""

from __future__ import annotations

from natdeploy.deploy.manifest import Manifest


def artifact_bytes(manifest: Manifest) -> int:
    """Size of the files needed to run the model with the budget's runtime."""
    sizes = {entry.path: entry.bytes for entry in manifest.files}
    paths = [artifact.path for artifact in manifest.artifacts if artifact.runtime == manifest.latency.runtime]
    total = 0
    for path in paths:
        folder, slash, _ = path.rpartition("/")
        # A native library may keep its weights beside it, in a folder of its own; model.onnx stands alone.
        total += sum(size for name, size in sizes.items() if (name.startswith(f"{folder}/") if slash else name == path))
    return total
