"""A figure as plain data in plotly.js's own form; colours are names that the page's theme fills in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Names of the page's theme (``page/style.css`` defines each for light and dark), written ``@name`` in a figure.
THEME = (
    *("ink", "muted", "grid", "other", "archive", "front", "chosen", "measured", "budget", "random", "band"),
    *(f"run{number}" for number in range(1, 7)),
)


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        id: of its element in the page.
        title: heading.
        caption: what is shown, on which data.
        traces, layout: plotly.js's ``data`` and ``layout``.
        height_rem: of the drawing, in the page's font size; None: as tall as others.
    """

    id: str
    title: str
    caption: str
    traces: tuple[Mapping[str, Any], ...]
    layout: Mapping[str, Any]
    height_rem: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What the page's script draws."""
        return {"id": self.id, "data": [dict(trace) for trace in self.traces], "layout": dict(self.layout)}


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title that leaves room for its labels."""
    return {"title": {"text": title}, "automargin": True, "zeroline": False, **more}


def upright_line(x: float, text: str) -> dict[str, Any]:
    """Layout of a labelled line across the figure at ``x``."""
    line = {"type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
    label = {"x": x, "y": 1, "yref": "paper", "yanchor": "bottom", "text": text, "showarrow": False}
    return {
        "shapes": [{**line, "line": {"color": "@budget", "width": 2, "dash": "dash"}}],
        "annotations": [{**label, "font": {"color": "@budget"}}],
    }
