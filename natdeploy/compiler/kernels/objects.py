"""Object code for natdeploy's own kernels, and what it is written for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernel_objects import Progress, object_code
from natdeploy.compiler.kernels.entry import compile_kernels, target_isa
from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.ground.processes import call_in_child

_START_S = 180.0


def isa_for(target: Mapping[str, Any], cache: KernelCache) -> Isa:
    """The vectors of a target. LLVM is asked once. Raises BadInput for a target that it does not know."""
    key = cache.key("isa", dict(target), generator_versions())
    known = cache.get(key)
    if known is not None:
        return Isa(**json.loads(known))
    isa = call_in_child(target_isa, dict(target), timeout_s=_START_S, without=NOT_NEEDED_BY_TVM)
    cache.put(key, json.dumps(asdict(isa)).encode())
    return isa


def kernel_code(
    kernels: Iterable[Kernel], target: Mapping[str, Any], cache: KernelCache, progress: Progress | None = None
) -> dict[str, bytes]:
    """Object code by symbol; raises like :func:`natdeploy.compiler.kernel_objects.object_code`."""
    wanted = {kernel.symbol: kernel for kernel in kernels}
    generator = generator_versions()
    keys = {name: cache.key("kernel", name, dict(target), generator) for name in wanted}
    return object_code(wanted, keys, compile_kernels, target, cache, progress)


def generator_versions() -> dict[str, str]:
    """What decides which object code a kernel becomes, besides the kernel and the target."""
    versions = toolchain_versions("native")
    tools = {name: versions[name] for name in ("apache-tvm", "apache-tvm-ffi")}
    return {**tools, "sources": sources_digest("kernels/*.py", "tvm_target.py")}
