"""One kernel to one object file, with TVM. Imported in child processes only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm import tirx

from natdeploy.compiler.kernels.emitter import prim_func
from natdeploy.compiler.kernels.isa import Isa, isa_of
from natdeploy.compiler.kernels.kind import Kernel
from natdeploy.compiler.tvm_target import resolve, vector_bits

#: LLVM's third level also unrolls loops that are long enough already: the code gets larger, takes longer to compile and
#: runs as fast (31 kernels on a Zen 5: within 1 %).
OPT_LEVEL = 2


def target_isa(target: dict[str, Any]) -> Isa:
    """Vectors of a target, as LLVM knows them. Raises BadInput for a target that TVM or LLVM does not know."""
    return isa_of(vector_bits(resolve(target)), target["mtriple"])


def compile_kernel(kernel: Kernel, target: dict[str, Any]) -> bytes:
    """The object file of a kernel."""
    library = build(tvm.IRModule({kernel.symbol: prim_func(kernel)}), resolve({**target, "opt-level": OPT_LEVEL}))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.o")
        library.write_to_file(str(path), "o")
        return path.read_bytes()


def build(module: tvm.IRModule, target: Any) -> tvm.runtime.Module:
    """Machine code of kernels. Their loops and vectors are final: the rest of TVM's usual passes would take seconds to
    change nothing."""
    passes = [
        tirx.transform.BindTarget(target.with_host(target)),
        tirx.transform.FlattenBuffer(),
        tirx.transform.StorageRewrite(),  # sums become vectors of one place, which LLVM keeps in registers
        tirx.transform.StmtSimplify(),
        tirx.transform.AnnotateEntryFunc(),
        tirx.transform.SplitHostDevice(),
        tirx.transform.MakePackedAPI(),
        tirx.transform.SkipAssert(),  # of arguments: a plan's are checked when it is made, and never change
        tirx.transform.LowerTVMBuiltin(),
        tirx.transform.LowerIntrin(),
    ]
    generate = tvm.get_global_func("target.build.llvm")
    return generate(tvm.transform.Sequential(passes)(module), target)
