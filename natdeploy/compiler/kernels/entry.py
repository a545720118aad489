"""The functions that child processes are asked for; importing them does not import TVM."""

from __future__ import annotations

from typing import Any

from natdeploy.compiler.kernels.isa import Isa
from natdeploy.compiler.kernels.kind import Kernel


def target_isa(target: dict[str, Any]) -> Isa:
    """See :func:`natdeploy.compiler.kernels.compile.target_isa`."""
    from natdeploy.compiler.kernels import compile

    return compile.target_isa(target)


def compile_kernels(kernels: list[Kernel], target: dict[str, Any]) -> list[bytes]:
    """Object files of the kernels, in order. Raises BadInput for a bad target."""
    from natdeploy.compiler.kernels import compile

    return [compile.compile_kernel(kernel, target) for kernel in kernels]
