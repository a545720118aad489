"""The function that child processes are asked for; importing it does not import TVM."""

from __future__ import annotations

from typing import Any

from natdeploy.compiler.onnx_jobs import Job


def compile_jobs(jobs: list[Job], target: dict[str, Any]) -> list[bytes]:
    """See :func:`natdeploy.compiler.gpu.lower.compile_jobs`."""
    from natdeploy.compiler.gpu import lower

    return lower.compile_jobs(jobs, target)
