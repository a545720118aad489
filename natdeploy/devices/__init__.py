"""Hardware profiles and the ways to run artifacts on a device. Knows nothing of models."""

from natdeploy.devices.catalog import (
    list_profiles,
    load_profile,
    profile_paths,
    read_profile,
    shipped_profiles_dir,
    user_profiles_dir,
)
from natdeploy.devices.connect import WAYS, connect
from natdeploy.devices.description import DeviceDescription
from natdeploy.devices.draft import draft_profile, save_profile
from natdeploy.devices.gpu import compile_target, runs_cuda_here, runs_on_gpu
from natdeploy.devices.host import (
    derive_host,
    device_fingerprint,
    hardware_fingerprint,
    measure_peak,
    timing_processors,
)
from natdeploy.devices.llvm import llvm_target
from natdeploy.devices.profile import HardwareProfile, parse_profile
from natdeploy.devices.reach import Adb, Local, Qemu, Reach, Ssh, TvmRpc, Via, Way
from natdeploy.devices.runner import RUNNERS, Runnable, Runner, Session, get_runner
from natdeploy.devices.survey import CoreFacts, Survey, read_survey

__all__ = [
    "RUNNERS",
    "WAYS",
    "Adb",
    "CoreFacts",
    "DeviceDescription",
    "HardwareProfile",
    "Local",
    "Qemu",
    "Reach",
    "Runnable",
    "Runner",
    "Session",
    "Ssh",
    "Survey",
    "TvmRpc",
    "Via",
    "Way",
    "compile_target",
    "connect",
    "derive_host",
    "device_fingerprint",
    "draft_profile",
    "get_runner",
    "hardware_fingerprint",
    "list_profiles",
    "llvm_target",
    "load_profile",
    "measure_peak",
    "parse_profile",
    "profile_paths",
    "read_profile",
    "read_survey",
    "runs_cuda_here",
    "runs_on_gpu",
    "save_profile",
    "shipped_profiles_dir",
    "timing_processors",
    "user_profiles_dir",
]
