"""One model for several devices beside a model for each: what sharing costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from natdeploy.report.table import Table, number, table_of, text
from natdeploy.report.units import NONE, milliseconds, percent


def sharing_table(sharing: Mapping[str, Any]) -> Table:
    """A row per device, of the sharing that a finished search tells."""
    shared = sharing["shared"]

    def points(device: Mapping[str, Any]) -> str:
        return NONE if device["lost"] is None else f"{100 * device['lost']:.1f} points"

    def shared_ms(name: str) -> str:
        return milliseconds(shared["latencies_ms"][name]) if shared["id"] else NONE

    return table_of(
        "One model for all devices",
        sharing["devices"].items(),
        [
            text("device", lambda item: f"{item[1]['device']} with {item[1]['runtime']}"),
            number("budget ms", lambda item: milliseconds(item[1]["budget_ms"])),
            text("best for it alone", lambda item: item[1]["id"] or "none"),
            number("top-1", lambda item: percent(item[1]["top1"])),
            text("best for all", lambda item: shared["id"] or "none"),
            number("top-1", lambda item: percent(shared["top1"])),
            number("predicted ms", lambda item: shared_ms(item[0])),
            number("sharing costs", lambda item: points(item[1])),
        ],
    )
