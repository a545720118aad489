"""From a plan to binaries: generated tables, runtime, kernels and constants, compiled and linked by zig.

All of them are self-contained: the weights are embedded, and their bytes depend on the plan and the toolchain only,
neither on the folder nor on the time. The library needs libc alone, the executable nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.model_source import VERSION_SCRIPT, constants_asm, model_c
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.target import zig_target
from natdeploy.compiler.toolchain import sources_digest, toolchain_versions
from natdeploy.ground.files import cache_root, readable_disk_errors
from natdeploy.ground.zig import run_zig

RUNTIME = Path(__file__).parent / "runtime"
#: What differs from plan to plan, besides the kernels.
_OWN = ("model.c", "constants.S")
#: What does not: compiled once for a target and kept.
_SHARED = ("natdeploy_model.c", "natdeploy_runtime.c", "natdeploy_pool.c")
_FLAGS = ("-std=c11", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")


def link_library(plan: Plan) -> bytes:
    """The bytes of ``libmodel.so``. Raises ChildFailed where the linker fails, BadInput for a full disk."""
    with _sources(plan) as (folder, kernels):
        compiler = ["cc", "-target", zig_target(plan.target), *_FLAGS]
        output = ["-shared", "-s", "-Wl,--version-script=exports.map", "-Wl,--build-id=none", "-o", "libmodel.so"]
        run_zig([*compiler, *output, *_OWN, *_runtime_objects(compiler, _SHARED, folder), *kernels], folder)
        return (folder / "libmodel.so").read_bytes()


def link_archive(plan: Plan) -> bytes:
    """The bytes of ``libmodel.a``, for a program with its own linker. Raises like :func:`link_library`."""
    with _sources(plan) as (folder, kernels):
        compiler = ["cc", "-target", zig_target(plan.target), *_FLAGS]
        own = [_compile(compiler, source, folder) for source in _OWN]
        run_zig(["ar", "rcsD", "libmodel.a", *own, *_runtime_objects(compiler, _SHARED, folder), *kernels], folder)
        return (folder / "libmodel.a").read_bytes()


def link_executable(plan: Plan) -> bytes:
    """The bytes of ``model_run``, static, for any Linux of the plan's processor. Raises like :func:`link_library`."""
    with _sources(plan) as (folder, kernels):
        compiler = ["cc", "-target", zig_target(plan.target, static=True), *_FLAGS]
        output = ["-static", "-s", "-Wl,--gc-sections", "-Wl,--build-id=none", "-o", "model_run"]
        shared = _runtime_objects(compiler, ("model_run.c", *_SHARED), folder)
        run_zig([*compiler, *output, *_OWN, *shared, *kernels], folder)
        return (folder / "model_run").read_bytes()


def _runtime_objects(compiler: Sequence[str], sources: Sequence[str], folder: Path) -> list[str]:
    """Object files in ``folder`` of sources that no plan changes, from the cache where it has them."""
    cache = KernelCache()
    versions = {"ziglang": toolchain_versions("native")["ziglang"], "sources": sources_digest("runtime/*")}
    names = []
    for source in sources:
        key = cache.key("runtime", source, list(compiler), versions)
        name = f"{Path(source).stem}.o"
        code = cache.get(key)
        if code is None:
            cache.put(key, (folder / _compile(compiler, source, folder)).read_bytes())
        else:
            with readable_disk_errors(folder):
                (folder / name).write_bytes(code)
        names.append(name)
    return names


def _compile(compiler: Sequence[str], source: str, folder: Path) -> str:
    """Compile one source to an object file beside it; returns that file's name."""
    name = f"{Path(source).stem}.o"
    run_zig([*compiler, "-c", "-o", name, source], folder)
    return name


def write_sources(plan: Plan, folder: Path) -> list[str]:
    """Put the C sources and ``constants.S`` of a plan into ``folder``, and its kernels; returns the kernels' names."""
    with readable_disk_errors(folder):
        for source in RUNTIME.glob("*.[ch]"):
            shutil.copyfile(source, folder / source.name)
        (folder / "model.c").write_text(model_c(plan))
        (folder / "constants.S").write_text(constants_asm("constants.bin"))
        (folder / "constants.bin").write_bytes(plan.constants)
        (folder / "exports.map").write_text(VERSION_SCRIPT)
        for index, digest in enumerate(sorted(plan.objects)):
            (folder / f"k{index}.o").write_bytes(plan.objects[digest])
    return [f"k{index}.o" for index in range(len(plan.objects))]


@contextmanager
def _sources(plan: Plan) -> Iterator[tuple[Path, list[str]]]:
    with readable_disk_errors(cache_root()):
        cache_root().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".link.", dir=cache_root()))
    try:
        yield folder, write_sources(plan, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
