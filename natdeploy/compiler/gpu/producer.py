"""Plans of networks for graphics processors, by way of their ONNX form."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from natdeploy.compiler.gpu.plan import compile_models, make_gpu_plan
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress
from natdeploy.compiler.onnx_graph import onnx_bytes
from natdeploy.compiler.onnx_model import OnnxModel, load_onnx
from natdeploy.compiler.plan import Plan
from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Layer, Network, random_network

if TYPE_CHECKING:
    from natdeploy.compiler.tuning import TuningRecord


class GpuProducer:
    """What :class:`natdeploy.compiler.assemble.Producer` is for processors."""

    name = "gpu"

    def plan(
        self, network: Network, target: Mapping[str, Any], cache: KernelCache, tuning: TuningRecord | None = None
    ) -> Plan:
        """The plan of a checked network. Raises BadInput for a tuning record (of processors' tiles), ChildFailed."""
        _refuse(tuning)
        return make_gpu_plan(_as_onnx(network), target=target, cache=cache)

    def compile_layers(
        self,
        networks: Iterable[Sequence[Layer]],
        target: Mapping[str, Any],
        cache: KernelCache,
        progress: Progress | None = None,
        tuning: TuningRecord | None = None,
    ) -> int:
        """Compile the kernels of many networks at once. Returns how many they are. Raises like :meth:`plan`."""
        _refuse(tuning)
        # Kernels do not depend on the weights.
        models = (_as_onnx(random_network(tuple(layers), 0)) for layers in networks)
        return compile_models(models, target=target, cache=cache, progress=progress)


def _as_onnx(network: Network) -> OnnxModel:
    with tempfile.TemporaryDirectory(prefix="natdeploy-gpu-") as folder:
        path = Path(folder, "network.onnx")
        path.write_bytes(onnx_bytes(network))
        return load_onnx(path)


def _refuse(tuning: TuningRecord | None) -> None:
    if tuning is not None:
        raise BadInput("a tuning record holds tiles for processors; compile for a graphics processor without one")


PRODUCER = GpuProducer()
