"""One architecture of a space, immutable, in the field's own JSON form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from natdeploy.ground.errors import BadInput
from natdeploy.ground.files import content_key


@dataclass(frozen=True)
class Arch:
    """An architecture: kernel sizes and expand ratios of the active blocks, depths, resolution, width multiplier.

    Equal phenotypes are equal values: nothing is kept of inactive blocks.

    Attributes:
        space: name of the space it belongs to.
        ks, e: kernel size and expand ratio of each active searchable block, in order of execution.
        d: number of active blocks of each stage.
        r: input resolution in pixels.
        w: width multiplier.
        ops: operators by name, in order of place, in spaces whose places choose among operators; else empty.
    """

    space: str
    ks: tuple[int, ...]
    e: tuple[int, ...]
    d: tuple[int, ...]
    r: int
    w: float
    ops: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """Twelve hex digits that name the architecture."""
        return content_key(self.to_json())[:12]

    def to_json(self) -> dict[str, Any]:
        """The field's form: ``ks``, ``e``, ``d``, ``r``, ``w``, ``ops`` where there are any, and the space's name."""
        value: dict[str, Any] = {
            "space": self.space,
            "ks": list(self.ks),
            "e": list(self.e),
            "d": list(self.d),
            "r": self.r,
            "w": self.w,
        }
        return value | {"ops": list(self.ops)} if self.ops else value

    @staticmethod
    def from_json(value: Any, *, space: str | None = None) -> Arch:
        """Read :meth:`to_json`'s form, or OFA's ``net.subnet`` when ``space`` is given.

        OFA lists kernel sizes and expand ratios of all block places, NAT those of active blocks only; both are taken.
        Raises BadInput naming the field at fault. Whether the values belong to the space is for the space to say.
        """
        if not isinstance(value, dict):
            raise BadInput("architecture: expected a JSON object with ks, e, d, r and w")
        name = value.get("space", space)
        if not isinstance(name, str):
            raise BadInput("architecture: field 'space' is missing")
        ks, e, d = (_integers(value, field) for field in ("ks", "e", "d"))
        r = value.get("r")
        if isinstance(r, list) and len(r) == 1:
            r = r[0]
        w = value.get("w", 1.0)
        if not isinstance(r, int) or isinstance(r, bool):
            raise BadInput(f"architecture: field 'r' must be a whole number of pixels, not {r!r}")
        if not isinstance(w, (int, float)) or isinstance(w, bool):
            raise BadInput(f"architecture: field 'w' must be a number, not {w!r}")
        ops = value.get("ops", [])
        if not isinstance(ops, list) or not all(isinstance(op, str) for op in ops):
            raise BadInput(f"architecture: field 'ops' must be a list of names, not {ops!r}")
        return Arch(name, _active(ks, d, "ks"), _active(e, d, "e"), d, r, float(w), tuple(ops))


def _integers(value: dict[str, Any], field: str) -> tuple[int, ...]:
    items = value.get(field)
    if not isinstance(items, list) or not all(isinstance(item, int) and not isinstance(item, bool) for item in items):
        raise BadInput(f"architecture: field {field!r} must be a list of whole numbers, not {items!r}")
    return tuple(items)


def _active(values: Sequence[int], depths: Sequence[int], field: str) -> tuple[int, ...]:
    """Drop the places of inactive blocks from a list over all places (OFA's form: equally many a stage)."""
    active = sum(depths)
    if len(values) == active:
        return tuple(values)
    places, rest = divmod(len(values), len(depths)) if depths else (0, 1)
    if rest or any(depth > places or depth < 0 for depth in depths):
        raise BadInput(f"architecture: field {field!r} has {len(values)} entries, but 'd' has {active} active blocks")
    return tuple(value for stage, depth in enumerate(depths) for value in values[stage * places :][:depth])
