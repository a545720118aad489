"""Object code for stock-Relax workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress, object_code
from natdeploy.compiler.relax_compile_entry import compile_workloads
from natdeploy.compiler.relax_workload import Workload, symbol
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions


def compile_kernels(
    workloads: Iterable[Workload],
    target: Mapping[str, Any],
    cache: KernelCache,
    progress: Progress | None = None,
) -> dict[str, bytes]:
    """Object code by symbol of all workloads; what the cache lacks is compiled on as many cores as there are.

    Raises BadInput for a target that TVM refuses, ChildFailed where TVM crashes or hangs.
    """
    wanted = {symbol(workload): workload for workload in workloads}
    versions = toolchain_versions("native")
    generator = {**{name: versions[name] for name in ("apache-tvm", "apache-tvm-ffi")}, "sources": _sources()}
    keys = {name: cache.key(workload, dict(target), generator) for name, workload in wanted.items()}
    return object_code(wanted, keys, compile_workloads, target, cache, progress)


def _sources() -> str:
    """Digest of the files that decide what object code a workload becomes."""
    return sources_digest("relax_[csw]*.py", "tvm_target.py", "kernels/isa.py")
