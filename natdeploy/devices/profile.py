"""Hardware profiles: a device as data, validated field by field.

A profile is one YAML file in ``hwprofiles/`` or in the user's own folder (see :mod:`natdeploy.devices.catalog`). Every
field is described by its ``description`` below; unknown fields and impossible values are refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from natdeploy.devices.reach import FileName, Reach, Via, Way, machine_of
from natdeploy.devices.runner import RUNNERS
from natdeploy.ground.errors import BadInput
from natdeploy.ground.validation import Real, Settings, Whole, validate

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]
#: A part of an LLVM target: what may reach a compiler's command line.
LlvmName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
LlvmFeature = Annotated[str, StringConstraints(pattern=r"^[+-][A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
Positive = Annotated[Real, Field(gt=0, le=1e9)]


#: How many times faster than fp32 a type is, and the instructions (by the kernel's names) that make it so.
_SPEED_UP = {"fp16": 2, "int8": 4}
_NEEDS = {"fp16": {"asimdhp", "avx512_fp16"}, "int8": {"asimddp", "avx512_vnni"}}


class Cache(Settings):
    """One cache as a core sees it."""

    level: Whole = Field(ge=1, le=4, description="1 to 4")
    kind: Literal["data", "instruction", "unified"] = Field(description="what it holds")
    kib: Whole = Field(gt=0, le=4 << 20, description="size of one instance in KiB")
    shared_by: Whole = Field(1, ge=1, le=1024, description="cores that share one instance")


class Cluster(Settings):
    """Cores of one kind; the fastest cluster stands first."""

    name: Name = Field(description="short name, for instance prime, big, little or cpu")
    core: Text = Field(description="the core's own name, for instance Cortex-A76")
    cores: Whole = Field(ge=1, le=1024, description="number of cores")
    processors: tuple[Whole, ...] = Field((), description="numbers the operating system gives to these cores")
    clock_mhz: Real | None = Field(None, ge=100, le=10_000, description="highest clock in MHz")
    isa: tuple[Text, ...] = Field((), description="instruction-set extensions, as the Linux kernel names them")
    vector_bits: Literal[64, 128, 256, 512, 1024, 2048] = Field(description="width of a vector register")
    fmas_per_cycle: Real | None = Field(
        None, ge=0.25, le=8, description="fp32 multiply-adds of whole vectors that one core completes in a cycle"
    )
    peak_gflops_per_core: Positive | None = Field(
        None, description="peak fp32 rate of one core as measured, two operations a multiply-add"
    )
    caches: tuple[Cache, ...] = Field((), description="caches, smallest level first")
    llvm_cpu: LlvmName = Field(description="LLVM's -mcpu")
    llvm_features: tuple[LlvmFeature, ...] = Field((), description="LLVM's -mattr: +feature or -feature")

    @model_validator(mode="after")
    def _consistent(self) -> Cluster:
        if self.llvm_cpu == "native":
            raise ValueError("llvm_cpu 'native' is not a processor; name the one LLVM knows, for instance cortex-a76")
        if self.processors and (len(set(self.processors)) != self.cores or min(self.processors) < 0):
            raise ValueError(f"processors lists {len(set(self.processors))} numbers from 0 for {self.cores} cores")
        if (peak := self._derived_gflops) and (self.peak_gflops_per_core or 0) > 1.05 * peak:
            raise ValueError(
                f"peak_gflops_per_core {self.peak_gflops_per_core:g} is impossible: clock_mhz, vector_bits and "
                f"fmas_per_cycle allow {peak:g}"
            )
        return self

    @property
    def _derived_gflops(self) -> float | None:
        if self.clock_mhz is None or self.fmas_per_cycle is None:
            return None
        return 2 * self.vector_bits / 32 * self.fmas_per_cycle * self.clock_mhz / 1000

    def peak_gops(self, dtype: Literal["fp32", "fp16", "int8"] = "fp32") -> float | None:
        """Peak rate of one core in 1e9 operations a second, two a multiply-add; none where it is not known.

        fp32 is what was measured, else what vector width, multiply-adds per cycle and clock make. Native half
        precision doubles it, four-way dot products of bytes quadruple it; without such instructions there is no rate
        of that type.
        """
        fp32 = self.peak_gflops_per_core or self._derived_gflops
        if dtype == "fp32" or fp32 is None:
            return fp32
        return _SPEED_UP[dtype] * fp32 if set(self.isa) & _NEEDS[dtype] else None


class Memory(Settings):
    """Main memory."""

    gib: Positive | None = Field(None, description="size in GiB")
    bandwidth_gb_s: Positive | None = Field(None, description="bytes read per second in 1e9, by one core if measured")


class Gpu(Settings):
    """A graphics processor that models may run on."""

    name: Text = Field(description="for instance Adreno 640")
    api: Literal["opencl", "cuda", "metal", "vulkan"] = Field(description="how natdeploy would program it")
    arch: LlvmName | None = Field(None, description="what code is generated for: sm_80 (CUDA), adreno or mali (OpenCL)")
    peak_gflops: Positive | None = Field(None, description="peak fp32 rate, two operations a multiply-add")
    bandwidth_gb_s: Positive | None = Field(None, description="of memory of its own, in 1e9 bytes a second")


class TimingSettings(Settings):
    """How the device is timed where it differs from :class:`natdeploy.measure.TimingProtocol`'s own settings."""

    cluster: Name | None = Field(None, description="cluster to pin to; the first one if not given")
    threads: Whole = Field(1, ge=1, le=256, description="threads of a network")
    max_drift: Real = Field(
        0.6, gt=0, le=10, description="reference drift beyond which a timing is stored but not trusted"
    )
    max_celsius: Real | None = Field(None, gt=0, le=150, description="hottest temperature at which timing goes on")
    cooldown_s: Real = Field(30, ge=0, le=3600, description="how long a device that is too hot rests before a new try")
    min_battery_percent: Whole | None = Field(
        None, ge=0, le=100, description="battery charge below which none is timed"
    )
    onnxruntime_perf_test: FileName | None = Field(
        None,
        description="file of ONNX Runtime's program of this name, built for the device, that times runtime onnxruntime "
        "over adb or ssh",
    )


class Power(Settings):
    """Public power figures."""

    idle_w: Positive | None = Field(None, description="whole device at rest, in watts")
    load_w: Positive | None = Field(None, description="whole device with all cores at work, in watts")
    limit_w: Positive | None = Field(None, description="highest power mode or thermal design power, in watts")
    core_w: Positive | None = Field(None, description="one core of the first cluster under full load, in watts")


class HardwareProfile(Settings):
    """A device: what it is, how it is reached, how it is timed."""

    schema_version: Literal[1] = Field(1, description="version of this layout")
    name: Name = Field(description="the file's name without .yaml; what --device takes")
    title: Text = Field(description="the device's name for people")
    soc: Text | None = Field(None, description="system on chip or processor model")
    derived: bool = Field(False, description="true: processor, memory and target are read from this machine")
    clusters: tuple[Cluster, ...] = Field((), description="processor cores by kind, the fastest kind first")
    memory: Memory = Field(Memory.model_validate({}), description="main memory")
    gpu: Gpu | None = Field(None, description="graphics processor")
    compute: Literal["cpu", "gpu"] = Field("cpu", description="what networks run on: the timed cluster, or the gpu")
    llvm_triple: LlvmName | None = Field(None, description="LLVM's target triple, for instance aarch64-linux-gnu")
    runtimes: tuple[Name, ...] = Field(min_length=1, description="runtimes to time: onnxruntime, tvm")
    reach: Reach = Field(description="how to get at the device")
    timing: TimingSettings = Field(TimingSettings.model_validate({}), description="how the device is timed")
    power: Power | None = Field(None, description="public power figures")
    sources: tuple[Text, ...] = Field((), description="where the facts come from")
    notes: tuple[Text, ...] = Field((), description="what a user should know, fallbacks of a derived profile included")

    @field_validator("runtimes")
    @classmethod
    def _known_runtimes(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        known = RUNNERS.names()
        if unknown := [name for name in names if name not in known]:
            raise ValueError(f"unknown runtime {unknown[0]!r}; known: {', '.join(known)}")
        return names

    @model_validator(mode="after")
    def _complete(self) -> HardwareProfile:
        if not self.derived and not self.clusters:
            raise ValueError("clusters: a profile that is not derived lists at least one cluster of cores")
        if not self.derived and self.llvm_triple is None:
            raise ValueError("llvm_triple: a profile that is not derived names its LLVM target triple")
        names = [cluster.name for cluster in self.clusters]
        if len(set(names)) != len(names):
            raise ValueError("clusters: two clusters have one name")
        if self.timing.cluster is not None and names and self.timing.cluster not in names:
            raise ValueError(f"timing.cluster: {self.timing.cluster!r} is none of {', '.join(names)}")
        if self.compute == "gpu" and self.gpu is None:
            raise ValueError("compute: networks cannot run on a gpu that is not described; add the section gpu")
        numbers = [number for cluster in self.clusters for number in cluster.processors]
        if len(set(numbers)) != len(numbers):
            raise ValueError("clusters: two clusters list one processor")
        if self.reach.abi and self.llvm_triple and self.reach.abi != machine_of(self.llvm_triple)[1]:
            raise ValueError(f"reach.abi: {self.reach.abi!r} is not the interface of {self.llvm_triple!r}")
        return self

    @property
    def machine(self) -> str:
        """The architecture as ``uname -m`` on the device says it, for instance ``aarch64``.

        Raises BadInput for a derived profile that was not filled in.
        """
        return self._machine[0]

    @property
    def abi(self) -> str | None:
        """The binary interface as Android names it, for instance ``arm64-v8a``; none for what Android does not run on.

        Raises BadInput for a derived profile that was not filled in.
        """
        return self.reach.abi or self._machine[1]

    @property
    def is_this_machine(self) -> bool:
        """Whether the device is the machine that natdeploy runs on."""
        return "local" in self.reach.via

    @property
    def _machine(self) -> tuple[str, str | None]:
        if self.llvm_triple is None:
            raise BadInput(f"hardware profile {self.name!r}: derived from the machine, but not filled in yet")
        return machine_of(self.llvm_triple)

    def way(self, via: Via | None = None) -> Way:
        """What a way to the device needs to know, every default filled in; the preferred way if none is named.

        Host (ssh) and key (tvm-rpc) are the profile's name where the profile gives none.
        Raises BadInput for a way that the profile does not list.
        """
        via = via or self.reach.via[0]
        if via not in self.reach.via:
            raise BadInput(
                f"hardware profile {self.name!r}: field 'reach.via' is {', '.join(self.reach.via)}, not {via}"
            )
        return self.reach.way(via, self.name)

    @property
    def timed_cluster(self) -> Cluster:
        """The cluster that networks run on. Raises BadInput for a derived profile that was not filled in."""
        if not self.clusters:
            raise BadInput(f"hardware profile {self.name!r}: derived from the machine, but not filled in yet")
        chosen = self.timing.cluster or self.clusters[0].name
        return next(cluster for cluster in self.clusters if cluster.name == chosen)


def parse_profile(value: Any, source: Path | str) -> HardwareProfile:
    """Validate a profile read from ``source``. Raises BadInput: one line with file, field, what was expected."""
    return validate(HardwareProfile, value, source)
