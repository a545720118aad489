"""Artifacts of a network: an ONNX file for any runtime, and a native library for one target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from natdeploy.compiler.artifact import Artifact
from natdeploy.compiler.check import check_network
from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.native import link_library
from natdeploy.compiler.onnx_graph import onnx_bytes
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.target import check_target
from natdeploy.compiler.toolchain import toolchain_versions
from natdeploy.ground.files import sha256_bytes, write_bytes, write_json
from natdeploy.ground.registry import Registry
from natdeploy.spaces import Network

#: ``produce(network, target, cache) -> Plan``: from a checked network and target to a plan; kernels that the cache
#: does not hold are compiled in child processes and put there.
PRODUCERS = Registry("plan producer", {"relax": "natdeploy.compiler.relax_producer:produce"})


def make_network_plan(
    network: Network, *, target: Mapping[str, Any], cache: KernelCache | None = None, producer: str = "relax"
) -> Plan:
    """The static plan of a network. Raises BadInput for a bad network, target or producer; ChildFailed."""
    check_network(network)
    plan: Plan = PRODUCERS.get(producer)(network, check_target(target), cache or KernelCache())
    return plan


def build_native(
    network: Network,
    *,
    target: Mapping[str, Any],
    folder: Path,
    cache: KernelCache | None = None,
    producer: str = "relax",
) -> Artifact:
    """Compile a network into ``folder``: ``libmodel.so`` (weights embedded) and ``plan.json``.

    The folder may be moved; equal networks, targets and toolchains give equal bytes. Raises BadInput for a bad network
    or target and for a full disk, ChildFailed where a compiler crashes.
    """
    plan = make_network_plan(network, target=target, cache=cache, producer=producer)
    library = link_library(plan)
    path = Path(folder) / "libmodel.so"
    write_json(Path(folder) / "plan.json", plan.to_json())
    write_bytes(path, library)
    return Artifact(
        "native", path, sha256_bytes(library), network.input_shape, network.output_shape, toolchain_versions("native")
    )


def build_onnx(network: Network, folder: Path) -> Artifact:
    """Write ``folder/model.onnx``. Raises BadInput for a bad network and for a full disk."""
    data = onnx_bytes(network)
    path = Path(folder) / "model.onnx"
    write_bytes(path, data)
    return Artifact(
        "onnx", path, sha256_bytes(data), network.input_shape, network.output_shape, toolchain_versions("onnx")
    )
