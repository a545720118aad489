"""How a network is timed, as data that is stored with every timing.

A network is not timed in one long go but in many short **visits**, in turn with the other networks of its batch and
with a reference network. What the machine does to all of them alike (a slower clock, a neighbour on the same core) is
divided out by the reference; what hits a visit alone is taken out by a low quantile within the visit and a median over
visits (:mod:`natdeploy.measure.correction`).

Many short visits are worth more than few long ones: of 20 networks of one size on a busy virtual machine, five
profilings of ten visits each disagreed by 0.7 % (median over networks and pairs), of forty visits by 0.45 %, and so did
the even and the odd visits of one profiling: what is left is the noise of visits, not the luck of a process.

Nor are visits thrown away for nothing: counting all in which the reference was within 6 % of its fastest, not only the
fastest two fifths, took the lowest rank correlation of four profilings of 24 networks from .992 to .994, and from .985
to .992 beside a program that kept the other processor and the memory busy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from natdeploy.devices import HardwareProfile
from natdeploy.ground.errors import BadInput


@dataclass(frozen=True)
class TimingProtocol:
    """Settings of a timing. Times are in milliseconds of wall clock.

    Attributes:
        threads: threads of a network; the timing process is pinned to as many processors.
        min_visits, max_visits: visits a network gets; more than the minimum only while the confidence interval of its
            median is wider than ``target_relative_ci``.
        target_relative_ci: half width of the median's 95 % interval, relative to the median, that ends the visits.
        visit_ms, reference_visit_ms: length of a visit to a network, and to the reference network.
        warmup_ms: unrecorded runs at the start of a visit last at least this long, and until two agree within 5 %.
        min_sample_ms: runs are put together until a sample lasts this long, so that the clock's own cost is nothing.
        min_repeats, max_repeats: samples of a visit.
        visit_quantile: quantile of a visit's samples that stands for the visit.
        kept_share, kept_slowdown: the share of a network's visits that count, those taken while the reference ran
            fastest; others count, too, where it took at most ``1 + kept_slowdown`` times as long as in these.
        reference_every: networks visited between two visits to the reference.
        spread_ms: all visits of a network are spread over at least this long.
        max_drift: a timing whose reference took more than ``1 + max_drift`` times its baseline, or less than one part
            in as many, is stored and not trusted. The default lets a busy neighbour on the same physical core pass
            (up to 1.5 times here, divided out to a few percent) and stops what cannot be divided out.
    """

    threads: int = 1
    min_visits: int = 20
    max_visits: int = 40
    target_relative_ci: float = 0.006
    visit_ms: float = 1.5
    reference_visit_ms: float = 1.0
    warmup_ms: float = 0.4
    min_sample_ms: float = 0.05
    min_repeats: int = 4
    max_repeats: int = 100
    visit_quantile: float = 0.1
    kept_share: float = 0.4
    kept_slowdown: float = 0.06
    reference_every: int = 1
    spread_ms: float = 1500.0
    max_drift: float = 0.6

    def __post_init__(self) -> None:
        for name in ("threads", "min_visits", "max_visits", "min_repeats", "max_repeats", "reference_every"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadInput(f"timing protocol: field {name!r} must be a whole number from 1, not {value!r}")
        for name in ("target_relative_ci", "visit_ms", "reference_visit_ms", "max_drift"):
            if not getattr(self, name) > 0:
                raise BadInput(f"timing protocol: field {name!r} must be more than 0, not {getattr(self, name)!r}")
        for name in ("warmup_ms", "min_sample_ms", "spread_ms", "kept_slowdown"):
            if not getattr(self, name) >= 0:
                raise BadInput(f"timing protocol: field {name!r} must be at least 0, not {getattr(self, name)!r}")
        for name in ("visit_quantile", "kept_share"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"timing protocol: field {name!r} must lie in (0, 1], not {getattr(self, name)!r}")
        if self.max_visits < self.min_visits or self.max_repeats < self.min_repeats:
            raise BadInput("timing protocol: a maximum is below its minimum")

    def to_json(self) -> dict[str, Any]:
        """All settings, JSON-ready."""
        return asdict(self)


def protocol_for(profile: HardwareProfile) -> TimingProtocol:
    """The protocol with a profile's own settings.

    On a device that is not this machine each visit is a process of its own, whose first runs fetch the weights:
    warm-up and visits are longer there, and fewer.
    """
    protocol = TimingProtocol(threads=profile.timing.threads, max_drift=profile.timing.max_drift)
    if profile.is_this_machine:
        return protocol
    longer = replace(protocol, visit_ms=12.0, reference_visit_ms=8.0, warmup_ms=6.0, min_repeats=6)
    return replace(longer, min_visits=10, max_visits=18, target_relative_ci=0.02)
