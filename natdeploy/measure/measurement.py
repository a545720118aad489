"""One timing, with everything needed to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key
from natdeploy.spaces import Arch

ROLES = ("train", "holdout", "repeat", "build", "kernel")


@dataclass(frozen=True)
class Visit:
    """One short turn of a network.

    Attributes:
        samples_ms: milliseconds of a run, in order.
        reference_ms: what the reference network took around this visit.
    """

    samples_ms: tuple[float, ...]
    reference_ms: float


@dataclass(frozen=True)
class Measurement:
    """One timing of one artifact on one device.

    Attributes:
        arch: the architecture; None for an artifact that comes from none.
        space: name of the search space; the reference network is that space's.
        runtime, device, device_fingerprint: what ran it, and where.
        artifact_digest: SHA-256 of the artifact.
        toolchain: names and versions of what built and ran it.
        protocol: the :class:`TimingProtocol`'s settings.
        samples_ms: every sample, as the clock gave it.
        latency_ms: drift-corrected median: what the network takes while the reference takes ``reference_ms``.
        raw_median_ms: median of ``samples_ms``, uncorrected.
        mad_ms: median absolute deviation of the corrected visits.
        reference_ms: the reference network's baseline on this device.
        drift: how much slower (or faster, negative) than its baseline the reference ran meanwhile, as a share.
        trusted: whether the drift stayed within the protocol's limit; only such timings train predictors.
        taken_at: UTC, ISO 8601.
        role: one of :data:`ROLES`.
        num_classes: outputs of the network; None for the space's own number.
        occurrence: 0, or which repetition of the same timing this is.
        visits: the samples by visit.
        conditions: processors pinned to, handling of denormals, memory, and under ``energy`` what
            :class:`natdeploy.measure.energy.Energy` says.
    """

    arch: Arch | None
    space: str
    runtime: str
    device: str
    device_fingerprint: str
    artifact_digest: str
    toolchain: Mapping[str, str]
    protocol: Mapping[str, Any]
    samples_ms: tuple[float, ...]
    latency_ms: float
    raw_median_ms: float
    mad_ms: float
    reference_ms: float
    drift: float
    trusted: bool
    taken_at: str
    role: str
    num_classes: int | None = None
    occurrence: int = 0
    visits: tuple[Visit, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes another timing a repetition of this one, in hex; unique in a store."""
        return timing_key(
            arch=self.arch,
            space=self.space,
            runtime=self.runtime,
            device_fingerprint=self.device_fingerprint,
            artifact_digest=self.artifact_digest,
            toolchain=self.toolchain,
            protocol=self.protocol,
            role=self.role,
            num_classes=self.num_classes,
            occurrence=self.occurrence,
        )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        value = asdict(self)
        value["arch"] = None if self.arch is None else self.arch.to_json()
        return value

    @staticmethod
    def from_json(value: Any) -> Measurement:
        """Read :meth:`to_json`'s form. Raises BadInput naming a missing or unknown field."""
        if not isinstance(value, dict):
            raise BadInput("measurement: expected a JSON object")
        known = {item.name for item in fields(Measurement)}
        if faults := sorted(set(value) ^ known):
            raise BadInput(f"measurement: field {faults[0]!r} is {'unknown' if faults[0] in value else 'missing'}")
        try:
            visits = tuple(Visit(tuple(visit["samples_ms"]), float(visit["reference_ms"])) for visit in value["visits"])
            return Measurement(
                **{
                    **value,
                    "arch": None if value["arch"] is None else Arch.from_json(value["arch"]),
                    "samples_ms": tuple(float(sample) for sample in value["samples_ms"]),
                    "visits": visits,
                }
            )
        except (TypeError, KeyError, ValueError) as error:
            raise BadInput(f"measurement: {error}") from None


def timing_key(
    *,
    arch: Arch | None,
    space: str,
    runtime: str,
    device_fingerprint: str,
    artifact_digest: str | None,
    toolchain: Mapping[str, str],
    protocol: Mapping[str, Any],
    role: str,
    num_classes: int | None,
    occurrence: int,
) -> str:
    """Key of a timing. An architecture stands for its artifact (built with fixed weights by a known toolchain)."""
    if role not in ROLES:
        raise BadInput(f"measurement: role {role!r} is none of {', '.join(ROLES)}")
    by_arch = arch is not None and role != "build"
    return content_key(
        {
            "arch": arch.to_json() if arch is not None and by_arch else None,
            "artifact_digest": None if by_arch else artifact_digest,
            "space": space,
            "runtime": runtime,
            "device_fingerprint": device_fingerprint,
            "toolchain": dict(toolchain),
            "protocol": dict(protocol),
            "role": role,
            "num_classes": num_classes,
            "occurrence": occurrence,
        }
    )
