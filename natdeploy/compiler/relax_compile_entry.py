"""The function that child processes are asked for; importing it does not import TVM."""

from __future__ import annotations

from typing import Any

from natdeploy.compiler.relax_workload import Workload


def compile_workloads(workloads: list[Workload], target: dict[str, Any]) -> list[bytes]:
    """See :func:`natdeploy.compiler.relax_compile.compile_workloads`."""
    from natdeploy.compiler import relax_compile

    return relax_compile.compile_workloads(workloads, target)
