"""Figures of an architecture by name, and what is asked of them.

A name may say of what: ``macs``, ``top1:pets`` (a further data set), ``latency_ms:pixel4`` and
``energy_mj:pixel4:onnxruntime`` (a further device, its runtime).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

#: Figures of the network alone.
STATIC = ("macs", "params", "peak_activation_bytes", "file_bytes")
#: Figures of the network on a device.
PLACED = ("latency_ms", "energy_mj")
#: Figures of the network with weights for a data set; known after an evaluation only.
LEARNED = ("top1",)
QUANTITIES = (*LEARNED, *PLACED, *STATIC)

Value = TypeVar("Value")

_LIMIT = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<sense><=|>=)\s*(?P<value>\S+)\s*")


class Figures(Protocol):
    """An architecture whose figures can be asked for by name."""

    def value(self, name: str) -> float:
        """The figure of that name."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a network runs."""

    device: str
    runtime: str

    @property
    def key(self) -> str:
        """``device:runtime``."""
        return f"{self.device}:{self.runtime}"


def kind_of(name: str) -> str:
    """The name without what it is of."""
    return name.partition(":")[0]


def argument_of(name: str) -> str:
    """What the name says it is of; empty for the run's own data set, device and runtime."""
    return name.partition(":")[2]


def canonical(name: str, home: Place) -> str:
    """The one spelling of a name: a device with its runtime, the run's own device and runtime left out.

    Raises ValueError for a name that says of what where there is no choice.
    """
    kind, argument = kind_of(name), argument_of(name)
    if ":" not in name or kind not in QUANTITIES:
        return name
    if kind in STATIC or not argument:
        raise ValueError(f"{name!r}: expected {kind!r} alone")
    if kind in LEARNED:
        return name
    place = _place(argument, home)
    return kind if place == home else f"{kind}:{place.key}"


def place_of(name: str, home: Place) -> Place | None:
    """The device and runtime that a figure is of; None where it is of none."""
    if kind_of(name) not in PLACED:
        return None
    return _place(argument_of(name), home) if argument_of(name) else home


def edge(name: str, *, upper: bool) -> str:
    """The name of an end of the interval of a figure that is predicted with one; of others the name itself."""
    kind, colon, argument = name.partition(":")
    if kind not in PLACED:
        return name
    what, _, unit = kind.rpartition("_")
    return f"{what}_{'upper' if upper else 'lower'}_{unit}{colon}{argument}"


def with_ends(name: str, mean: Value, lower: Value, upper: Value) -> dict[str, Value]:
    """A figure on a device and the ends of its interval, by their names."""
    return {name: mean, edge(name, upper=False): lower, edge(name, upper=True): upper}


def in_words(value: float) -> str:
    """A figure in a message: whole above a thousand, else with four digits."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"


@dataclass(frozen=True)
class Limit:
    """A least or a greatest value of a figure; a predicted figure keeps it with the whole of its interval."""

    name: str
    at_most: bool
    value: float

    @staticmethod
    def parse(text: str) -> Limit:
        """Read ``macs<=200e6`` or ``top1>=0.9``. Raises ValueError saying what was expected."""
        found = _LIMIT.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r}: expected NAME<=VALUE or NAME>=VALUE, for instance macs<=200e6")
        name = found["name"]
        if kind_of(name) not in QUANTITIES:
            raise ValueError(f"{text!r}: no limit on {name!r}; known: {', '.join(QUANTITIES)}")
        try:
            value = float(found["value"])
        except ValueError:
            raise ValueError(f"{text!r}: {found['value']!r} is not a number") from None
        if not 0 < value < float("inf"):
            raise ValueError(f"{text!r}: expected a finite number above 0")
        if kind_of(name) in LEARNED and value > 1:
            raise ValueError(f"{text!r}: an accuracy is a share, from 0 to 1")
        return Limit(name, found["sense"] == "<=", value)

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.at_most else '>='}{self.value:.10g}"

    @property
    def is_learned(self) -> bool:
        """Whether it takes an evaluation to know whether it is kept."""
        return kind_of(self.name) in LEARNED

    @property
    def bounded(self) -> str:
        """Name of the figure that has to keep it: of an interval the worse end."""
        return edge(self.name, upper=self.at_most)

    def excess(self, value: float) -> float:
        """By what share of the limit a value breaks it; at most 0 where it is kept."""
        return (value - self.value if self.at_most else self.value - value) / self.value


@dataclass(frozen=True)
class Requirements:
    """What makes an architecture one that may be shipped: it keeps every limit, and some device's budget.

    Attributes:
        budgets: greatest latencies by name (``latency_ms``, ``latency_ms:pixel4:tvm``), one for each device served;
            at least one.
        limits: to be kept whatever the device.
    """

    budgets: Mapping[str, float]
    limits: tuple[Limit, ...] = ()

    def over(self, item: Figures, *, learned: bool = True) -> float:
        """By what share the requirement that is broken most is broken; at most 0 where all are met.

        ``learned`` False leaves out what only an evaluation tells.
        """
        limits = [limit for limit in self.limits if learned or not limit.is_learned]
        budgets = [self.budget(name).excess(item.value(edge(name, upper=True))) for name in self.budgets]
        return max([min(budgets), *(limit.excess(item.value(limit.bounded)) for limit in limits)])

    def budget(self, name: str) -> Limit:
        """A device's budget as a limit."""
        return Limit(name, True, self.budgets[name])

    def serving(self, names: Sequence[str], item: Figures) -> bool:
        """Whether an evaluated architecture keeps all limits, and the budgets of that name."""
        every = (*self.limits, *map(self.budget, names))
        return all(limit.excess(item.value(limit.bounded)) <= 0 for limit in every)


def _place(argument: str, home: Place) -> Place:
    device, _, runtime = argument.partition(":")
    return Place(device or home.device, runtime or home.runtime)
