"""What code is generated for a device whose networks run on its graphics processor."""

from __future__ import annotations

from typing import Any

from natdeploy.devices.llvm import llvm_target
from natdeploy.devices.profile import HardwareProfile
from natdeploy.ground.errors import BadInput

#: Interfaces that TVM generates code for.
_LANGUAGES = ("opencl", "cuda", "metal")


def runs_on_gpu(profile: HardwareProfile) -> bool:
    """Whether networks run on the graphics processor."""
    return profile.compute == "gpu" and profile.gpu is not None


def runs_cuda_here(profile: HardwareProfile) -> bool:
    """Whether networks run on this machine's own NVIDIA graphics processor."""
    return runs_on_gpu(profile) and profile.is_this_machine and profile.gpu is not None and profile.gpu.api == "cuda"


def compile_target(profile: HardwareProfile) -> dict[str, Any]:
    """TVM's target of whatever networks run on. Raises like :func:`gpu_target` and :func:`llvm_target`."""
    return gpu_target(profile) if runs_on_gpu(profile) else llvm_target(profile)


def gpu_target(profile: HardwareProfile) -> dict[str, Any]:
    """TVM's target: ``kind``, the host's ``mtriple``, and for CUDA the ``arch``.

    Raises BadInput for a profile whose networks run on the processor, and for an interface that no code is generated
    for.
    """
    where = f"hardware profile {profile.name!r}"
    if profile.gpu is None or profile.compute != "gpu":
        raise BadInput(f"{where}: field 'compute': networks run on its processor, not on a graphics processor")
    if profile.gpu.api not in _LANGUAGES:
        raise BadInput(
            f"{where}: field 'gpu.api': no code is generated for {profile.gpu.api}; expected {', '.join(_LANGUAGES)}"
        )
    if profile.llvm_triple is None:
        raise BadInput(f"{where}: field 'llvm_triple' is missing")
    target: dict[str, Any] = {"kind": profile.gpu.api, "mtriple": profile.llvm_triple}
    if profile.gpu.api == "cuda" and profile.gpu.arch:
        target["arch"] = profile.gpu.arch
    return target
