"""Whether LLVM knows a target's processor, asked before anything else is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from natdeploy.compiler.kernel_cache import KernelCache
from natdeploy.compiler.kernels.objects import isa_for
from natdeploy.compiler.target import check_target
from natdeploy.ground.errors import BadInput


def check_processor(target: Mapping[str, Any], where: str) -> None:
    """Raise BadInput naming ``where`` (a profile, say) for a target that nothing can be compiled for."""
    try:
        isa_for(check_target(target), KernelCache())
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
