"""A network in, a static plan out, and the artifacts made from it."""

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.build import (
    ARTIFACT_FILES,
    PRODUCERS,
    build_artifacts,
    build_native,
    build_onnx,
    compile_layers,
    make_network_plan,
)
from natdeploy.compiler.gpu.artifacts import (
    build_gpu_artifacts,
    build_gpu_executable,
    need_gpu,
    need_gpu_linker,
    source_outputs,
)
from natdeploy.compiler.gpu.cuda_local import NO_CUDA_METER, CudaLocal, need_cuda_of
from natdeploy.compiler.gpu.link import link_sources
from natdeploy.compiler.gpu.sources import SOURCE_FILES
from natdeploy.compiler.gpu.target import check_gpu_target, is_gpu
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.onnx_graph import onnx_bytes
from natdeploy.compiler.onnx_model import OnnxModel, load_onnx
from natdeploy.compiler.onnx_plan import make_onnx_plan
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.processor import check_processor
from natdeploy.compiler.toolchain import TUNING, toolchain_versions
from natdeploy.compiler.tuning import TuningRecord, tuning_of

__all__ = [
    "ARTIFACT_FILES",
    "NO_CUDA_METER",
    "PRODUCERS",
    "SOURCE_FILES",
    "TUNING",
    "Artifact",
    "CudaLocal",
    "KernelCache",
    "OnnxModel",
    "Plan",
    "TuningRecord",
    "build_artifacts",
    "build_gpu_artifacts",
    "build_gpu_executable",
    "build_native",
    "build_onnx",
    "check_gpu_target",
    "check_processor",
    "compile_layers",
    "is_gpu",
    "link_sources",
    "load_onnx",
    "make_network_plan",
    "make_onnx_plan",
    "need_cuda_of",
    "need_gpu",
    "need_gpu_linker",
    "onnx_bytes",
    "source_outputs",
    "toolchain_versions",
    "tuning_of",
]
