"""A network in, a static plan out, and the artifacts made from it."""

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.build import (
    PRODUCERS,
    build_artifacts,
    build_native,
    build_onnx,
    compile_layers,
    make_network_plan,
)
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.onnx_graph import onnx_bytes
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.toolchain import toolchain_versions

__all__ = [
    "PRODUCERS",
    "Artifact",
    "KernelCache",
    "Plan",
    "build_artifacts",
    "build_native",
    "build_onnx",
    "compile_layers",
    "make_network_plan",
    "onnx_bytes",
    "toolchain_versions",
]
