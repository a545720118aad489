"""One evaluated architecture with all its objective values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from natdeploy.ground.errors import BadInput
from natdeploy.spaces import Arch

#: Figures that are fields.
_FIGURES = frozenset(
    {
        *("top1", "loss", "val_images", "latency_ms", "latency_lower_ms", "latency_upper_ms"),
        *("macs", "params", "peak_activation_bytes"),
    }
)


@dataclass(frozen=True)
class ArchiveEntry:
    """An architecture of the archive.

    Attributes:
        arch: the architecture.
        top1: share of validation images classified correctly, 0 to 1.
        loss: mean cross-entropy on the same images, in nats.
        val_images: how many images those are.
        latency_ms, latency_lower_ms, latency_upper_ms: predicted for the run's device and runtime, with the interval's
            ends.
        macs, params, peak_activation_bytes: static costs of one image's inference.
        generation: how often the supernet's weights had been adapted when ``top1`` was taken.
        feasible: whether ``latency_upper_ms`` is within the run's budget (of several devices, some device's), and the
            run's limits are kept.
        accuracy_source: ``measured`` on those images, or ``predicted`` without any; ``loss`` is then 0, too.
        top1_error: typical error of a predicted ``top1``, a share; 0 of a measured one, whose error the images tell.
        more: further figures by name: of further devices and data sets (``latency_ms:pixel4:tvm``, ``top1:pets``, each
            with what belongs to it), ``energy_mj``, ``file_bytes``.
    """

    arch: Arch
    top1: float
    loss: float
    val_images: int
    latency_ms: float
    latency_lower_ms: float
    latency_upper_ms: float
    macs: int
    params: int
    peak_activation_bytes: int
    generation: int
    feasible: bool
    accuracy_source: Literal["measured", "predicted"] = "measured"
    top1_error: float = 0.0
    more: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for name in ("top1", "loss", "latency_ms", "latency_lower_ms", "latency_upper_ms", *self.more):
            if not math.isfinite(self.value(name)):
                raise ValueError(f"archive entry {self.arch.id}: {name} is not a finite number")

    @property
    def id(self) -> str:
        """The architecture's twelve hex digits."""
        return self.arch.id

    def value(self, name: str) -> float:
        """A figure by the name that :mod:`natdeploy.runs.quantities` gives it. Raises KeyError where there is none."""
        if name in self.more:
            return float(self.more[name])
        if name not in _FIGURES:
            raise KeyError(name)
        return float(getattr(self, name))

    def to_json(self) -> dict[str, Any]:
        """Plain data; the inverse of :meth:`from_json`. ``id`` is added for readers of the file."""
        return {**asdict(self), "more": dict(self.more), "arch": self.arch.to_json(), "id": self.id}

    @staticmethod
    def from_json(value: Any) -> ArchiveEntry:
        """Read :meth:`to_json`'s form. Raises BadInput naming the field at fault."""
        if not isinstance(value, dict):
            raise BadInput(f"archive entry: expected a JSON object, not {value!r:.60}")
        found: dict[str, Any] = {"arch": Arch.from_json(value.get("arch"))}
        for each in fields(ArchiveEntry):
            if each.name == "accuracy_source":
                found[each.name] = _source(value.get(each.name, "measured"))
            elif each.name == "top1_error" and each.name not in value:
                found[each.name] = 0.0
            elif each.name == "more":
                found[each.name] = _more(value.get(each.name, {}))
            elif each.name != "arch":
                found[each.name] = _checked(value, each.name, str(each.type))
        return ArchiveEntry(**found)


def _more(item: Any) -> dict[str, float]:
    if not isinstance(item, dict):
        raise BadInput(f"archive entry: field 'more' is {item!r:.60}, expected figures by name")
    return {name: _checked(item, name, "float") for name in item}


def _source(item: Any) -> str:
    if item not in ("measured", "predicted"):
        raise BadInput(f"archive entry: field 'accuracy_source' is {item!r}, expected measured or predicted")
    return str(item)


def _checked(value: dict[str, Any], name: str, kind: str) -> Any:
    item: Any = value.get(name)
    if kind == "bool":
        good = isinstance(item, bool)
    elif kind == "int":
        good = isinstance(item, int) and not isinstance(item, bool)
    else:
        good = isinstance(item, (int, float)) and not isinstance(item, bool) and math.isfinite(item)
    if not good:
        raise BadInput(f"archive entry: field {name!r} is {item!r}, expected {kind}")
    return float(item) if kind == "float" else item
