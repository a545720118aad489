"""From a plan to ``libmodel.so``: generated tables, runtime, kernels and constants, linked by zig.

The library is self-contained: it needs libc alone, weights are embedded, and its bytes depend on the plan and the
toolchain only, neither on the folder nor on the time.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from natdeploy.compiler.model_source import VERSION_SCRIPT, constants_asm, model_c
from natdeploy.compiler.plan import Plan
from natdeploy.compiler.target import zig_target
from natdeploy.ground.files import cache_root, readable_disk_errors
from natdeploy.ground.zig import run_zig

RUNTIME = Path(__file__).parent / "runtime"
_FLAGS = ("-std=c11", "-O2", "-g0", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")


def link_library(plan: Plan) -> bytes:
    """The bytes of ``libmodel.so``. Raises ChildFailed where the linker fails, BadInput for a full disk."""
    with readable_disk_errors(cache_root()):
        cache_root().mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".link.", dir=cache_root()))
    try:
        with readable_disk_errors(folder):
            for source in RUNTIME.glob("*.[ch]"):
                shutil.copyfile(source, folder / source.name)
            (folder / "model.c").write_text(model_c(plan))
            (folder / "constants.S").write_text(constants_asm("constants.bin"))
            (folder / "constants.bin").write_bytes(plan.constants)
            (folder / "exports.map").write_text(VERSION_SCRIPT)
            objects = [f"k{index}.o" for index in range(len(plan.objects))]
            for name, digest in zip(objects, sorted(plan.objects)):
                (folder / name).write_bytes(plan.objects[digest])
        sources = ["model.c", "natdeploy_runtime.c", "constants.S"]
        target = ["-target", zig_target(plan.target)]
        output = ["-shared", "-s", "-Wl,--version-script=exports.map", "-Wl,--build-id=none", "-o", "libmodel.so"]
        run_zig(["cc", *target, *_FLAGS, *output, *sources, *objects], folder)
        return (folder / "libmodel.so").read_bytes()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
