"""Object code for workloads: from the cache, or compiled by TVM in child processes and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.relax_workload import Workload, symbol
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.ground.processes import ChildWorker

Progress = Callable[[str, float], None]

#: Workloads sent to a child at once: what is lost, at most, when it is killed.
_BATCH = 8
#: Fewer missing workloads than this for each child are not worth the seconds that importing TVM takes.
_WORTH_A_CHILD = 24
_START_S, _WORKLOAD_S = 120.0, 60.0


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
    found = {name: code for name, key in keys.items() if (code := cache.get(key)) is not None}
    missing = [name for name in wanted if name not in found]
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]

    def compile_share(share: Sequence[list[str]]) -> None:
        from natdeploy.compiler.relax_compile_entry import compile_workloads

        with ChildWorker("kernel compiler", environment={"TVM_NUM_THREADS": "1"}) as child:
            for batch in share:
                limit = _START_S + _WORKLOAD_S * len(batch)
                codes = child.call(compile_workloads, [wanted[name] for name in batch], dict(target), timeout_s=limit)
                for name, code in zip(batch, codes):
                    cache.put(keys[name], code)
                    found[name] = code
                if progress:
                    done = len(missing) - sum(name not in found for name in missing)
                    progress("compiling kernels", done / len(missing))

    children = min(len(os.sched_getaffinity(0)), -(-len(missing) // _WORTH_A_CHILD))
    if children:
        with ThreadPoolExecutor(children) as pool:
            for future in [pool.submit(compile_share, batches[start::children]) for start in range(children)]:
                future.result()
    return {name: found[name] for name in wanted}


def _sources() -> str:
    """Digest of the files that decide what object code a workload becomes."""
    return sources_digest("relax_[csw]*.py")
