"""One workload to one object file, with TVM. Imported in child processes only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import tvm
from tvm import relax

from natdeploy.compiler.kernels.isa import Isa, isa_of
from natdeploy.compiler.relax_schedule import schedule
from natdeploy.compiler.relax_workload import Workload, relax_module, symbol
from natdeploy.compiler.tvm_target import resolve, vector_bits

_FUSION = tvm.transform.Sequential(
    [
        relax.transform.LegalizeOps(),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
    ]
)


def compile_workloads(workloads: list[Workload], target: dict[str, Any]) -> list[bytes]:
    """Object files of the workloads, in order. Raises BadInput for a target that TVM does not know."""
    resolved = resolve(target)
    isa = isa_of(vector_bits(resolved), target["mtriple"])
    return [_compile(workload, resolved, isa) for workload in workloads]


def prim_func(workload: Workload, lanes: int, registers: int) -> Any:
    """The scheduled TIR of a workload."""
    module = _FUSION(relax_module(workload))
    functions = [function for _, function in module.functions_items() if isinstance(function, tvm.tirx.PrimFunc)]
    if len(functions) != 1:
        raise RuntimeError(f"{symbol(workload)}: Relax made {len(functions)} functions of it, expected one")
    return schedule(functions[0], lanes, registers)


def _compile(workload: Workload, target: Any, isa: Isa) -> bytes:
    name = symbol(workload)
    function = prim_func(workload, isa.lanes, isa.registers).with_attr("global_symbol", name)
    library = tvm.compile(tvm.IRModule({name: function}), target=target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.o")
        library.mod.write_to_file(str(path), "o")
        return path.read_bytes()
