"""One group of ONNX nodes to one object file, with TVM's Relax. Imported in child processes only."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import tvm
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx

from natdeploy.compiler.kernels.isa import Isa, isa_of
from natdeploy.compiler.onnx_combine import pairwise
from natdeploy.compiler.onnx_jobs import AXES, BLOCKED, DEPTHWISE, PLAIN, Job, stored_shape
from natdeploy.compiler.relax_schedule import inline_before_reduction, schedule
from natdeploy.compiler.tvm_target import resolve, vector_bits
from natdeploy.ground.errors import BadInput


def compile_jobs(jobs: list[Job], target: dict[str, Any]) -> list[bytes]:
    """Object files of the jobs, in order. Raises BadInput naming the operator that TVM cannot compile."""
    resolved = resolve(target)
    isa = isa_of(vector_bits(resolved), target["mtriple"])
    return [_compile(job, resolved, isa) for job in jobs]


def _compile(job: Job, target: Any, isa: Isa) -> bytes:
    name = job.symbol
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of names that TVM changes
            function = prim_func(job, isa.lanes, isa.registers).with_attr("global_symbol", name)
            library = tvm.compile(tvm.IRModule({name: function}), target=target)
    except Exception as error:  # TVM raises many kinds; all of them mean that it cannot compile these nodes
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[-1][:160] if lines else type(error).__name__
        raise BadInput(f"{job.label} cannot be compiled: {why}") from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.o")
        library.mod.write_to_file(str(path), "o")
        return path.read_bytes()


def prim_func(job: Job, lanes: int, registers: int) -> Any:
    """The scheduled TIR of a job."""
    return schedule(inline_before_reduction(fused(job)), lanes, registers)


def fused(job: Job) -> Any:
    """A job as one PrimFunc whose arguments are stored as the job says."""
    model = onnx.load_model_from_string(job.model)
    module = from_onnx(model, keep_params_in_input=False)
    filters = "HWOI" if DEPTHWISE in job.layouts else "HWIO"
    module = _stored(pairwise(module["main"]), job)
    passes = [
        relax.transform.InlinePrivateFunctions(),
        relax.transform.DecomposeOpsForInference(),
        relax.transform.ConvertLayout({"relax.nn.conv2d": ["NHWC", filters]}),
        relax.transform.CanonicalizeBindings(),
        relax.transform.FoldConstant(),  # of numbers that TVM made of shapes; weights are no constants here
        relax.transform.DeadCodeElimination(["main"]),
        relax.transform.LegalizeOps(),
    ]
    module = _as_one_function(tvm.transform.Sequential(passes)(module))
    functions = [function for _, function in module.functions_items() if isinstance(function, tvm.tirx.PrimFunc)]
    if len(functions) != 1:
        raise RuntimeError(f"Relax made {len(functions)} functions of it, expected one")
    return functions[0]


def _stored(main: Any, job: Job) -> Any:
    """A module whose ``main`` is the one given, behind permutations that give its arguments the job's layouts."""
    builder = relax.BlockBuilder()
    inner = builder.add_func(main.without_attr("global_symbol"), "inner")
    count = len(main.params)
    params = []
    for index, (param, layout) in enumerate(zip(main.params, job.layouts)):
        params.append(relax.Var(f"a{index}", relax.TensorType(stored_shape(_shape(param), layout), param.ty.dtype)))
    with builder.function("main", params):
        with builder.dataflow():
            given = [
                builder.emit(_loaded(param, layout, _shape(own))) if layout != PLAIN else param
                for param, layout, own in zip(params, job.layouts, main.params)
            ]
            value = builder.emit(relax.Call(inner, given))
            several = isinstance(value.ty, relax.TupleType)
            results = [builder.emit(value[i]) for i in range(len(value.ty.fields))] if several else [value]
            stored = [
                builder.emit(_written(result, layout)) if layout != PLAIN else result
                for result, layout in zip(results, job.layouts[count:])
            ]
            output = builder.emit_output(relax.Tuple(stored) if several else stored[0])
        builder.emit_func_output(output)
    return builder.get()


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(int(size) for size in value.ty.shape.values)


def _loaded(stored: Any, layout: str, shape: tuple[int, ...]) -> Any:
    """A stored tensor in ONNX's order of axes."""
    if not layout.startswith(BLOCKED):
        axes = AXES[layout]
        return relax.op.permute_dims(stored, [axes.index(place) for place in range(len(axes))])
    (blocks, _, lanes), (_, c, h, w) = _shape(stored), shape
    by_block = relax.op.permute_dims(relax.op.reshape(stored, (1, blocks, h, w, lanes)), [0, 1, 4, 2, 3])
    whole = relax.op.reshape(by_block, (1, blocks * lanes, h, w))
    return whole if c == blocks * lanes else relax.op.strided_slice(whole, axes=[1], begin=[0], end=[c])


def _written(value: Any, layout: str) -> Any:
    """A tensor in ONNX's order of axes as it is stored; zeros behind the last channel of blocks."""
    if not layout.startswith(BLOCKED):
        return relax.op.permute_dims(value, AXES[layout])
    _, c, h, w = _shape(value)
    blocks, pixels, lanes = stored_shape((1, c, h, w), layout)
    if c != blocks * lanes:
        value = relax.op.nn.pad(value, [0, 0, 0, blocks * lanes - c, 0, 0, 0, 0])
    by_block = relax.op.permute_dims(relax.op.reshape(value, (1, blocks, lanes, h, w)), [0, 1, 3, 4, 2])
    return relax.op.reshape(by_block, (blocks, pixels, lanes))


def _as_one_function(module: Any) -> Any:
    """All kernels of ``main`` fused into one, whatever Relax's own rules of fusion say."""
    main = module["main"].with_attr("Primitive", 1).without_attr("global_symbol")
    builder = relax.BlockBuilder(module)
    del module["main"]
    name = builder.add_func(main, "group")
    params = [relax.Var(f"a{index}", param.ty) for index, param in enumerate(main.params)]
    with builder.function("main", params):
        with builder.dataflow():
            value = builder.emit_output(relax.Call(name, params))
        builder.emit_func_output(value)
    return relax.transform.FuseTIR()(builder.get())
