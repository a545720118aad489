"""Object code by content: from the cache, or compiled in child processes and kept."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.devices.llvm import NOT_NEEDED_BY_TVM
from natdeploy.ground.processes import ChildWorker, allowed_processors

Progress = Callable[[str, float], None]
#: ``compile_batch(jobs, target) -> object files``, in order; called in a child process.
CompileBatch = Callable[[list[Any], dict[str, Any]], list[bytes]]

#: Kernels sent to a child at once: what is lost, at most, when it is killed.
_BATCH = 8
#: Fewer missing kernels than this for each child are not worth the seconds that importing TVM takes.
_WORTH_A_CHILD = 24
_START_S, _KERNEL_S = 120.0, 60.0


def object_code(
    jobs: Mapping[str, Any],
    keys: Mapping[str, str],
    compile_batch: CompileBatch,
    target: Mapping[str, Any],
    cache: KernelCache,
    progress: Progress | None = None,
) -> dict[str, bytes]:
    """Object code by symbol; ``jobs`` is what is compiled, ``keys`` where the cache has it, both by symbol.

    What the cache lacks is compiled on as many cores as there are. Raises what ``compile_batch`` raises, and
    ChildFailed where it crashes or hangs; then, and at Ctrl-C, what is not compiled yet is left.
    """
    found = {name: code for name, key in keys.items() if (code := cache.get(key)) is not None}
    missing = [name for name in jobs if name not in found]
    batches = [missing[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]

    started: list[ChildWorker] = []
    stopped = threading.Event()

    def compile_share(share: Sequence[list[str]]) -> None:
        with ChildWorker("kernel compiler", environment={"TVM_NUM_THREADS": "1"}, without=NOT_NEEDED_BY_TVM) as child:
            started.append(child)
            for batch in share:
                if stopped.is_set():
                    return
                limit = _START_S + _KERNEL_S * len(batch)
                codes = child.call(compile_batch, [jobs[name] for name in batch], dict(target), timeout_s=limit)
                for name, code in zip(batch, codes):
                    cache.put(keys[name], code)
                    found[name] = code
                if progress:
                    done = len(missing) - sum(name not in found for name in missing)
                    progress("compiling kernels", done / len(missing))

    children = min(len(allowed_processors()), -(-len(missing) // _WORTH_A_CHILD))
    if children:
        with ThreadPoolExecutor(children) as pool:
            shares = [pool.submit(compile_share, batches[start::children]) for start in range(children)]
            try:
                for share in shares:
                    share.result()
            except BaseException:
                stopped.set()
                for child in started:
                    child.kill()
                raise
    return {name: found[name] for name in jobs}
