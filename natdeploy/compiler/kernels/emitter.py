"""The few words that kernels are written in, over TVM's IRBuilder. Imported in child processes only (needs TVM)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import Any

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from natdeploy.compiler.kernels.kind import Kernel


@dataclass(frozen=True)
class Memory:
    """A buffer, declared as one row of elements because TVM takes long to flatten others, and its real shape."""

    buffer: Any
    shape: tuple[int, ...]

    def element(self, place: tuple[Any, ...]) -> Any:
        """The number of the element at ``place``; of the first one there, where ``place`` leaves out an axis."""
        offset = 0
        for index, size in zip((*place, 0), self.shape):
            offset = offset * size + index
        return offset


class Emitter:
    """Writes statements into the function that is being built. Places leave out the last axis, of ``lanes`` values,
    where a whole row is meant."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes

    def loop(self, start: Any, stop: Any) -> AbstractContextManager[Any]:
        """``for i in range(start, stop)`` at run time."""
        frame: AbstractContextManager[Any] = T.serial(start, stop)
        return frame

    def either(self, condition: Any, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
        """``if`` at run time."""
        with T.If(condition):
            with T.Then():
                then()
            with T.Else():
                otherwise()

    def only_if(self, condition: Any, then: Callable[[], None]) -> None:
        """``if`` at run time, without an ``else``."""
        with T.If(condition), T.Then():
            then()

    def vector(self, memory: Memory, *place: Any) -> Any:
        """A whole row, as a value of its own, loaded once."""
        return T.bind(tvm.tirx.BufferLoad(memory.buffer, [self._row(memory, place)]))

    def spread(self, memory: Memory, *place: Any) -> Any:
        """One element in every lane, loaded once."""
        return T.bind(T.broadcast(self.element(memory, *place), self.lanes))

    def element(self, memory: Memory, *place: Any) -> Any:
        """One element."""
        return tvm.tirx.BufferLoad(memory.buffer, [memory.element(place)])

    def prefetch(self, memory: Memory, *place: Any) -> None:
        """Ask for the cache line of a row that will be read later. The row may lie behind the buffer's end."""
        address = T.address_of(tvm.tirx.BufferLoad(memory.buffer, [memory.element(place)]))
        read, second_level, data = T.int32(0), T.int32(2), T.int32(1)
        T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch", address, read, second_level, data))

    def constant(self, value: float) -> Any:
        """A number in every lane."""
        return T.broadcast(T.float32(value), self.lanes)

    def store(self, memory: Memory, value: Any, *place: Any) -> None:
        """Write a whole row."""
        T.buffer_store(memory.buffer, value, [self._row(memory, place)])

    def store_element(self, memory: Memory, value: Any, *place: Any) -> None:
        """Write one element."""
        T.buffer_store(memory.buffer, value, [memory.element(place)])

    def zero(self) -> Any:
        """One element of value zero."""
        return T.float32(0)

    def sums(self, count: int) -> Memory:
        """Accumulators ``[count, lanes]``; places are numbers known here, so LLVM keeps them in registers."""
        return Memory(T.alloc_buffer((count * self.lanes,), "float32", scope="local"), (count, self.lanes))

    def add_to(self, sums: Memory, place: int, value: Any, mask: Any = None) -> None:
        """``sums[place] += value``, in the lanes of the mask if there is one; a product becomes a fused multiply-add.

        Lanes that are left out keep their sums, whatever the value is there: a NaN, for instance.
        """
        before = self.read(sums, place)
        total = before + value
        self.store(sums, total if mask is None else tvm.tirx.Select(mask, total, before), place)

    def lanes_equal(self, values: Any, number: Any) -> Any:
        """A mask of the lanes whose value is this integer. It has no name of its own: TVM cannot simplify such ones."""
        return tvm.tirx.EQ(values, T.bind(T.broadcast(T.Cast("float32", number), self.lanes)))

    def read(self, sums: Memory, place: int) -> Any:
        """``sums[place]``."""
        return tvm.tirx.BufferLoad(sums.buffer, [self._row(sums, (place,))])

    def _row(self, memory: Memory, place: tuple[Any, ...]) -> Any:
        return T.ramp(memory.element(place), 1, self.lanes)

    def least(self, a: Any, b: Any) -> Any:
        """The smaller of two integers."""
        return T.min(a, b)

    def most(self, a: Any, b: Any) -> Any:
        """The larger of two integers."""
        return T.max(a, b)

    def activate(self, x: Any, activation: str) -> Any:
        """relu, the hard sigmoid relu6(x + 3) / 6, or x times that. A NaN stays one: it fails every comparison."""
        zero, six = self.constant(0.0), self.constant(6.0)
        if activation == "none":
            return x
        x = T.bind(x)
        if activation == "relu":
            return tvm.tirx.Select(x < zero, zero, x)
        gate = T.bind(x + self.constant(3.0))
        gate = T.bind(tvm.tirx.Select(gate < zero, zero, gate))
        gate = tvm.tirx.Select(gate > six, six, gate) * self.constant(1 / 6)
        return {"hsigmoid": gate, "hswish": x * gate}[activation]


def prim_func(kernel: Kernel) -> Any:
    """The kernel as a TIR PrimFunc. With several parts it takes two integers more: the first, and the one after the
    last (see :class:`natdeploy.compiler.plan.Kernel`)."""
    emitter = Emitter(kernel.isa.lanes)
    step = kernel.units_per_part
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name(kernel.symbol)
        T.func_attr({"tirx.noalias": True, "global_symbol": kernel.symbol})
        arguments = [
            T.arg(f"arg{index}", T.buffer(shape, "float32", layout=None)) for index, shape in enumerate(kernel.shapes)
        ]
        shared = [T.arg(name, T.int32()) for name in ("first", "last") if kernel.parts > 1]
        buffers = [
            Memory(T.decl_buffer((prod(shape),), "float32", data=argument.data), shape)
            for argument, shape in zip(arguments, kernel.shapes)
        ]
        if kernel.scratch:
            buffers.append(Memory(T.alloc_buffer((prod(kernel.scratch),), "float32"), kernel.scratch))
        begin, count = 0, kernel.units
        if shared:
            first, last = shared
            begin = first * step
            count = (last if step == 1 else T.min(last * step, kernel.units)) - begin
        with T.serial(0, count) as index:
            # A name of its own: with loops that began elsewhere than at 0 and inner bounds that depended on them, TVM
            # computed the wrong rows.
            unit = T.bind(begin + index)
            kernel.kind.emit(emitter, kernel, buffers, unit)
    return builder.get()
